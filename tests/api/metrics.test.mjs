// Every row of the metrics table is fed: work of each kind moves its counters, and /metrics shows all of them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Server, binary, root, temporaryDirectory } from "../server.mjs";

/** {"name": {"label=value,...": number}} */
function parse(text) {
  const metrics = {};
  for (const line of text.split("\n")) {
    const match = /^tessera_(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match) (metrics[match[1]] ??= {})[(match[2] ?? "").replaceAll('"', "")] = Number(match[3]);
  }
  return metrics;
}

async function until(condition, what) {
  for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const value = await condition();
    if (value) return value;
  }
  assert.fail(`not in time: ${what}`);
}

/** A provider whose first answer is a refusal that may be tried again, and whose later ones cite what does not exist. */
async function provider() {
  let calls = 0;
  const upstream = createServer((request, response) => {
    request.resume().on("end", () => {
      if (++calls === 1) return response.writeHead(429, { "Retry-After": "0" }).end("{}");
      response.writeHead(200, { "Content-Type": "application/json" });
      const message = { role: "assistant", content: "The lighthouse is old [1], tall [7] and white [9]." };
      response.end(JSON.stringify({ model: "m", choices: [{ message, finish_reason: "stop" }], usage: { prompt_tokens: 10, completion_tokens: 8 } }));
    });
  });
  await new Promise((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  upstream.unref();
  return upstream;
}

test("each metric of the table is fed", async () => {
  const upstream = await provider();
  const notes = join(temporaryDirectory(), "notes");
  mkdirSync(notes);
  writeFileSync(join(notes, "a.md"), "# A\n\nThe harbour lies west of the lighthouse.\n");
  const settings = {
    "ingest.roots": notes, "openai.base_url": `http://127.0.0.1:${upstream.address().port}/v1`, "openai.api_key": "k", "openai.models": "m",
    "mock.enabled": true, "server.shards": 1, "server.connections_max": 4,
  };
  const server = await Server.start({ settings });
  const before = parse((await server.get("/metrics")).text);

  const text = "The lighthouse was built in 1874 and is white.";
  assert.equal((await server.post("/ingest", { document_id: "one", text })).status, 201);
  assert.equal((await server.post("/ingest", { document_id: "one", text })).json.status, "unchanged");
  assert.equal((await server.post("/ingest", { document_id: "one", text: `${text} It is tall.` })).status, 201);
  assert.equal((await server.post("/ingest", { text: "not json", content_type: "application/json" })).status, 422);
  for (const mode of ["hybrid", "dense", "lexical"]) await server.post("/api/search", { query: "lighthouse", mode });
  const chat = await server.post("/chat", { message: "How is the lighthouse?", model: "m" });
  assert.equal(chat.status, 200, chat.text);
  const stages = Object.entries(chat.json.timings);
  assert.equal(stages.at(-1)[0], "total");
  for (const [stage, ms] of stages) assert.ok(ms <= stages.at(-1)[1], `${stage} within the total`);
  await server.post("/chat", { message: "lighthouse", model: "mock/echo", stream: true });
  assert.equal((await server.get("/nowhere")).status, 404);
  assert.equal((await server.post("/api/search", { query: "x", nonsense: 1 })).status, 400);
  const task = await server.post("/api/ingest/directory", { path: notes, watch: true });
  assert.equal(task.status, 202, task.text);
  const after = await until(async () => {
    const now = parse((await server.get("/metrics")).text);
    return now.tasks_running[""] === 1 && now.ingest_documents_total["outcome=created"] === 2 && now;
  }, "the directory is taken in");

  const moved = (name, labels, by) => assert.equal((after[name]?.[labels] ?? 0) - (before[name]?.[labels] ?? 0), by, `${name}{${labels}}`);
  const grew = (name, labels = "") => assert.ok((after[name]?.[labels] ?? 0) > (before[name]?.[labels] ?? 0), `${name}{${labels}}`);
  moved("http_requests_total", "route=ingest,method=POST,status=2xx", 3);
  moved("http_requests_total", "route=ingest,method=POST,status=4xx", 1);
  moved("http_requests_total", "route=unmatched,method=GET,status=4xx", 1);
  moved("http_request_duration_seconds_count", "route=search", 4);
  grew("http_request_bytes_total");
  assert.ok(after.http_response_bytes_total[""] - before.http_response_bytes_total[""] > 1000);
  assert.ok(after.connections_accepted_total[""] >= 1);
  assert.ok(after.connections[""] >= 1);
  assert.ok(after.http_requests_in_flight[""] >= 1, "this very request");
  moved("errors_total", "code=not_found", 1);
  moved("errors_total", "code=invalid", 1);
  moved("errors_total", "code=unreadable", 1);
  moved("ingest_documents_total", "outcome=created", 2);
  moved("ingest_documents_total", "outcome=updated", 1);
  moved("ingest_documents_total", "outcome=unchanged", 1);
  moved("ingest_documents_total", "outcome=failed", 1);
  grew("ingest_chunks_total");
  grew("ingest_bytes_total");
  for (const stage of ["parse", "store"]) grew("ingest_duration_seconds_count", `stage=${stage}`);
  for (const mode of ["hybrid", "dense", "lexical"]) grew("search_duration_seconds_count", `mode=${mode}`);
  moved("index_documents", "", 2);
  grew("index_chunks");
  grew("index_memory_bytes");
  moved("chat_turns_total", "model=m,outcome=complete", 1);
  moved("chat_turn_duration_seconds_count", "model=m", 1);
  moved("chat_first_token_seconds_count", "model=mock/echo", 1);
  moved("chat_citations_removed_total", "", 2);
  moved("prompt_tokens_total", "model=m", 10);
  moved("completion_tokens_total", "model=m", 8);
  moved("llm_requests_total", "provider=openai,outcome=ok", 1);
  moved("llm_request_duration_seconds_count", "provider=openai", 1);
  moved("llm_retries_total", "provider=openai", 1);
  grew("embedding_duration_seconds_count", "model=tessera/static-256");
  grew("store_write_duration_seconds_count");
  grew("store_write_group_size_count");
  assert.ok(after.streams[""] >= 1, "the stream can be resumed");
  moved("tasks_running", "", 1);

  // Five clients keep a connection each where four are allowed: an idle one makes room.
  const { Agent, get } = await import("node:http");
  const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  for (const agent of agents) {
    await new Promise((resolve, reject) => get(`${server.url}/health`, { agent }, (response) => response.resume().on("end", resolve)).on("error", reject));
  }
  agents.forEach((agent) => agent.destroy());
  const last = await until(async () => {
    try {
      const now = parse((await server.get("/metrics")).text);
      return now.connections_evicted_total[""] > 0 && now;
    } catch { return undefined; /* fetch's own connection was the idle one */ }
  }, "an idle connection is closed");

  // The whole table, but for what only others can bring about.
  const reasons = { search_degraded_total: "the built-in engines do not fail" };
  const table = readFileSync(join(root, "src/observe/metrics.def"), "utf8");
  const rows = [...table.matchAll(/^TESSERA_METRIC\((\w+), \w+, "(\w+)"/gm)];
  assert.ok(rows.length > 30);
  const missing = [];
  for (const [, kind, name] of rows) {
    if (reasons[name] || name.startsWith("engine_")) continue; // local models': tests/api/local_models.test.mjs
    const shown = kind === "latency" || kind === "size" ? `${name}_count` : name;
    if (!(last[shown] && Object.keys(last[shown]).length > 0)) missing.push(shown);
  }
  assert.deepEqual(missing, [], "all of the table is in /metrics");
  assert.equal(await server.stop(), 0);
  upstream.close();
});

test("a collection that a document makes has the configured settings", async () => {
  const notes = join(temporaryDirectory(), "notes");
  mkdirSync(notes);
  writeFileSync(join(notes, "a.md"), "A note.\n");
  const server = await Server.start({ settings: { "chunk.size": 64, "chunk.overlap": 8, "ingest.roots": notes } });
  const collections = async () => Object.fromEntries((await server.get("/api/collections")).json.items.map((c) => [c.name, c]));
  assert.equal((await server.post("/ingest", { text: "{", content_type: "application/json", collection: "spoilt" })).status, 422);
  assert.equal((await server.post("/ingest", { text: "word ".repeat(1000), collection: "made" })).status, 201);
  await server.post("/api/ingest/directory", { path: notes, collection: "folder" });
  const found = await until(async () => { const all = await collections(); return all.folder && all; }, "the folder is taken in");
  assert.equal(found.spoilt, undefined, "a document that fails makes none");
  for (const name of ["made", "folder"]) {
    assert.equal(found[name].chunk_size, 64, name);
    assert.equal(found[name].chunk_overlap, 8, name);
  }
  assert.ok(found.made.chunks >= 15);
  assert.equal(await server.stop(), 0);
});

test("a file taken in by the command line is the same document with and without a server", async () => {
  const directory = temporaryDirectory();
  const file = join(temporaryDirectory(), "kite.md");
  writeFileSync(file, "# Kite\n\nThe red kite circles.\n");
  const ingest = (...more) => {
    const done = spawnSync(binary, ["ingest", file, "--json", ...more], { encoding: "utf8", timeout: 20_000, cwd: directory, env: { PATH: process.env.PATH, HOME: directory, NO_COLOR: "1" } });
    assert.equal(done.status, 0, done.stderr);
    return done.stdout;
  };
  ingest("--data", directory);
  const server = await Server.start({ directory });
  const list = async () => (await server.get("/api/documents")).json.items;
  const [local, ...none] = await list();
  assert.equal(none.length, 0);
  assert.equal(local.source, file);
  assert.match(ingest("--server", server.url), /unchanged/);
  assert.deepEqual(await list(), [local]);
  await server.delete(`/api/documents/${local.document_id}`);
  ingest("--server", server.url);
  const [remote] = await list();
  for (const field of ["document_id", "title", "source", "content_type", "metadata", "chunks"]) assert.deepEqual(remote[field], local[field], field);
  assert.equal(await server.stop(), 0);
});

test("a source given with a document is shown with it", async () => {
  const server = await Server.start();
  await server.post("/ingest", { document_id: "s1", text: "Some text.", source: "/notes/some.md" });
  assert.equal((await server.get("/api/documents/s1")).json.document.source, "/notes/some.md");
  const form = new FormData();
  form.append("file", new Blob(["Other text."]), "other.md");
  form.append("source", "/notes/other.md");
  const made = await server.post("/ingest", form);
  assert.equal((await server.get(`/api/documents/${made.json.document_id}`)).json.document.source, "/notes/other.md");
  form.append("source", "x".repeat(5000));
  assert.equal((await server.post("/ingest", form)).status, 400);
  const other = new FormData();
  other.append("file", new Blob(["Text."]), "t.md");
  other.append("sauce", "x");
  assert.equal((await server.post("/ingest", other)).json.error.param, "sauce");
  assert.equal(await server.stop(), 0);
});
