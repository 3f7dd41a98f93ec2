// Bad input: each is a clear error by name, and the server goes on for everybody else.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, temporaryDirectory } from "../server.mjs";

let server, root;
before(async () => {
  root = temporaryDirectory();
  mkdirSync(join(root, "notes"));
  writeFileSync(join(root, "notes/one.md"), "# One\n\nThe first note.\n");
  server = await Server.start({ settings: { "ingest.roots": root } });
});
after(async () => assert.equal(await server.stop(), 0));

async function refused(body, status, code, path = "/ingest") {
  const before = (await server.get("/api/vector_db/stats")).json.documents;
  const answer = await server.post(path, body);
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json.error.code, code);
  assert.ok(answer.json.error.message.length > 10);
  assert.equal((await server.get("/health")).status, 200);
  assert.equal((await server.get("/api/vector_db/stats")).json.documents, before, "nothing half-stored");
}

function file(name, bytes, type = "application/octet-stream") {
  const form = new FormData();
  form.append("file", new Blob([bytes], { type }), name);
  return form;
}

test("broken JSON, wrong types and unknown fields name the field", async () => {
  await refused("{", 400, "INVALID_JSON");
  await refused("[".repeat(100000), 400, "INVALID_JSON");
  await refused({ text: 3 }, 400, "INVALID_FIELD");
  await refused({ text: "a", colour: "red" }, 400, "UNKNOWN_FIELD");
  await refused({}, 400, "MISSING_FIELD");
  await refused({ text: "   \n" }, 422, "EMPTY_DOCUMENT");
  await refused({ text: "a", document_id: "../../etc/passwd" }, 400, "INVALID_DOCUMENT_ID");
  await refused({ text: "a", collection: "../x" }, 400, "INVALID_COLLECTION");
});

test("broken UTF-8 and NUL bytes in a file are repaired, never stored", async () => {
  const made = await server.post("/ingest", file("weird.txt", Buffer.from([...Buffer.from("good start "), 0xff, 0xfe, 0x00, 0xc3, ...Buffer.from(" good end")]), "text/plain"));
  assert.equal(made.status, 201, made.text);
  const { text } = (await server.get(`/api/documents/${made.json.document_id}`)).json;
  assert.ok(!text.includes("\0"));
  assert.match(text, /good start .*good end/s);
});

test("bodies over the limit are refused before they are read", async () => {
  const answer = await server.post("/ingest", "x".repeat(100 * 1024 * 1024)).catch((error) => error);
  // A client that insists on sending may see its connection cut instead of the answer.
  if (!(answer instanceof Error)) assert.deepEqual([answer.status, answer.json.error.type], [413, "too_large"]);
  const head = await new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1", () => socket.write("POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\nExpect: 100-continue\r\n\r\n"));
    socket.once("data", (data) => { resolve(data.toString()); socket.destroy(); });
  });
  assert.match(head, /^HTTP\/1.1 413 /);
  assert.equal((await server.get("/health")).status, 200);
});

test("PDF: truncated, encrypted or not a PDF at all", async () => {
  await refused(file("broken.pdf", "%PDF-1.4\n1 0 obj\n<<", "application/pdf"), 422, "UNREADABLE_DOCUMENT");
  await refused(file("fake.pdf", "this is not a PDF", "application/pdf"), 422, "UNREADABLE_DOCUMENT");
});

test("DOCX that is no archive", async () => {
  await refused(file("broken.docx", "PK\x03\x04broken", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"), 422, "UNREADABLE_DOCUMENT");
});

test("unknown binary content and invalid front matter", async () => {
  const noise = Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * 7919) % 32));
  const answer = await server.post("/ingest", file("noise.bin", noise));
  assert.ok([400, 422].includes(answer.status), answer.text);
  const yaml = await server.post("/ingest", file("bad.md", "---\ntitle: [unclosed\n---\ntext\n", "text/markdown"));
  assert.ok([400, 422].includes(yaml.status));
  assert.equal(yaml.json.error.code, "INVALID_FRONT_MATTER");
});

test("directories outside the allowed roots are refused, links included", async () => {
  for (const path of ["/etc", `${root}/../..`, `${root}/notes/../../etc`]) {
    const answer = await server.post("/api/ingest/directory", { path });
    assert.ok([403, 404].includes(answer.status), `${path}: ${answer.text}`);
  }
  assert.equal((await server.post("/api/ingest/directory", { path: "notes" })).status, 400, "a relative path has no meaning here");
  const good = await server.post("/api/ingest/directory", { path: join(root, "notes"), collection: "vault" });
  assert.equal(good.status, 202, good.text);
});

test("private addresses and redirects are not fetched", async () => {
  for (const url of [`${server.url}/health`, "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/", "http://0x7f000001/"]) {
    const answer = await server.post("/ingest", { url });
    assert.equal(answer.status, 403, `${url}: ${answer.text}`);
    assert.equal(answer.json.error.code, "PRIVATE_ADDRESS");
  }
  for (const url of ["file:///etc/passwd", "gopher://x/", "not a url"]) {
    assert.equal((await server.post("/ingest", { url })).status, 400, url);
  }
});

test("queries: huge, empty, hostile filters", async () => {
  await server.post("/ingest", { text: "A document about nothing in particular." });
  await refused({ query: "" }, 400, "INVALID_FIELD", "/api/search");
  await refused({ query: "x", filter: { a: { $regex: ".*" } } }, 400, "INVALID_FILTER", "/api/search");
  await refused({ query: "x", top_k: 1e9 }, 400, "INVALID_FIELD", "/api/search");
  await refused({ query: "x", top_k: -1 }, 400, "INVALID_FIELD", "/api/search");
  const many = await server.post("/api/search", { query: "x", top_k: 1001 });
  assert.match(many.json.error.message, /at most 1000 /);
  for (const bytes of [16385, 1_000_000, 2_000_000]) {
    const huge = await server.post("/api/search", { query: "x".repeat(bytes) });
    assert.deepEqual([huge.status, huge.json.error.code], [413, "QUERY_TOO_LARGE"], huge.text.slice(0, 200));
    assert.match(huge.json.error.message, /over 16384 bytes .search\.query_bytes_max/);
  }
  assert.equal((await server.post("/api/search", { query: "x".repeat(16384) })).status, 200);
});

test("filters that say nothing, or that no document can meet by its names", async () => {
  await server.post("/ingest", { document_id: "dated", text: "A dated document.", metadata: { year: 1999 } });
  for (const [filter, named] of [[{ year: {} }, /'year'/], [{ $or: [{ year: 2000 }, { year: {} }] }, /'year'/], [{ $or: [{ year: 2000 }, {}] }, /\$or/], [{ $where: 1 }, /'\$where'/], [{ $not: { $nor: [] } }, /'\$nor'/]]) {
    for (const mode of ["lexical", "dense", "hybrid"]) {
      const answer = await server.post("/api/search", { query: "dated document", mode, filter });
      assert.deepEqual([answer.status, answer.json.error?.code, answer.json.error?.param], [400, "INVALID_FILTER", "filter"], answer.text);
      assert.match(answer.json.error.message, named);
    }
  }
  assert.equal((await server.post("/ingest", { text: "x", metadata: { $where: 1 } })).status, 400, "as ingest has it");
  const free = await server.post("/api/search", { query: "dated document", mode: "lexical", filter: {} });
  assert.equal(free.json.results[0].document_id, "dated", "no filter at all is one");
});

test("collections that could never take a document in are not made", async () => {
  const make = (more) => server.post("/api/collections", { name: "never", ...more });
  const unknown = await make({ embedding_model: "nope" });
  assert.deepEqual([unknown.status, unknown.json.error.code, unknown.json.error.param], [400, "INVALID_EMBEDDING_MODEL", "embedding_model"], unknown.text);
  assert.match(unknown.json.error.message, /tessera\/static-256/);
  for (const chunk_overlap of [50, 99, 100]) {
    const overlapping = await make({ chunk_size: 100, chunk_overlap });
    assert.deepEqual([overlapping.status, overlapping.json.error.code, overlapping.json.error.param], [400, "INVALID_CHUNK_SIZE", "chunk_overlap"], overlapping.text);
    assert.match(overlapping.json.error.message, /half of chunk_size/);
  }
  assert.ok(!(await server.get("/api/collections")).json.items.some((each) => each.name === "never"));
  assert.equal((await make({ chunk_size: 100, chunk_overlap: 49 })).status, 201);
  const stats = (await server.get("/api/vector_db/stats?collection=never")).json.vectors;
  assert.deepEqual([stats.rows, stats.m, stats.ef_construction, stats.recall_target], [0, 16, 200, 0.95], "the settings are in force");
  assert.equal((await server.delete("/api/collections/never")).status, 200);
});

test("wrong methods, paths and origins", async () => {
  const method = await server.request("DELETE", "/health");
  assert.deepEqual([method.status, method.headers.get("allow")], [405, "GET"]);
  assert.equal((await server.get("/nowhere")).json.error.code, "ROUTE_NOT_FOUND");
  assert.equal((await server.get("/%ff%fe")).status, 400);
  const foreign = await server.get("/api/documents", { Origin: "https://evil.example" });
  assert.deepEqual([foreign.status, foreign.json.error.code], [403, "ORIGIN_NOT_ALLOWED"]);
  assert.equal((await server.get("/api/documents", { Origin: server.url })).status, 200);
  const rebound = await new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1", () => socket.write("GET /api/documents HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"));
    socket.once("data", (data) => { resolve(data.toString()); socket.destroy(); });
  });
  assert.match(rebound, /^HTTP\/1.1 403 /);
});

test("user text never reaches the log", async () => {
  const secret = "xylophone-secret-4711";
  await server.post("/ingest", { document_id: "quiet", title: secret, text: `${secret} in the text` });
  await server.post("/api/search", { query: secret });
  await server.post("/chat", { message: `Where is ${secret}?` });
  await server.post("/ingest", { text: secret, [secret]: 1 });
  assert.ok(server.log.includes("request"), "there is a log");
  assert.ok(!server.log.includes(secret), "and it does not repeat what people write");
});
