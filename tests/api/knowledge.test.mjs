// Documents, collections and search through the real binary.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server } from "../server.mjs";
import { validator } from "../contract.mjs";

let server, validate;
before(async () => {
  server = await Server.start();
  validate = await validator(server);
});
after(async () => assert.equal(await server.stop(), 0));

const coffee = { document_id: "coffee", title: "Kitchen", text: "# Kitchen\n\nThe coffee machine is cleaned every Friday by the facilities team.\n\n## Tea\n\nTea is in the left cupboard, next to the window.\n", metadata: { team: "facilities", year: 2024 } };

test("a document is searchable and durable when the reply comes", async () => {
  const made = await server.post("/ingest", coffee);
  assert.equal(made.status, 201);
  validate("IngestResponse", made.json);
  assert.equal(made.json.document_id, "coffee");
  assert.equal(made.json.version, 1);
  for (const mode of ["hybrid", "dense", "lexical"]) {
    const found = await server.post("/api/search", { query: "who cleans the coffee machine?", mode });
    assert.equal(found.status, 200);
    validate("SearchResponse", found.json);
    assert.equal(found.json.results[0].document_id, "coffee");
    assert.match(found.json.results[0].text, /cleaned every Friday/);
  }
});

test("offsets of a result cut its text out of the stored document", async () => {
  const text = "# Überblick\n\nDie Straße heißt Königsallee. 東京は日本の首都です。 Emoji 👩‍👩‍👧 stays whole.\n";
  await server.post("/ingest", { document_id: "unicode", text });
  const stored = (await server.get("/api/documents/unicode")).json;
  validate("DocumentDetail", stored);
  const bytes = Buffer.from(stored.text, "utf8");
  const { results } = (await server.post("/api/search", { query: "Königsallee" })).json;
  const hit = results.find((r) => r.document_id === "unicode");
  assert.equal(bytes.subarray(hit.start, hit.end).toString("utf8"), hit.text);
  for (const chunk of stored.chunks) assert.ok(bytes.subarray(chunk.start, chunk.end).toString("utf8").trim().length > 0);
});

test("the same content is skipped, other content is a new version that replaces the old one", async () => {
  const again = await server.post("/ingest", coffee);
  assert.equal(again.status, 200);
  assert.deepEqual([again.json.status, again.json.version], ["unchanged", 1]);
  const changed = await server.post("/ingest", { ...coffee, text: "The espresso robot is cleaned on Mondays." });
  assert.deepEqual([changed.json.status, changed.json.version], ["indexed", 2]);
  const { results } = (await server.post("/api/search", { query: "Tea left cupboard window", mode: "lexical" })).json;
  assert.ok(!results.some((r) => r.document_id === "coffee"), "the old version must not be found");
  await server.post("/ingest", coffee);
});

test("a deleted document is not found, not listed and not there", async () => {
  await server.post("/ingest", { document_id: "gone", text: "The zebra sleeps in the archive." });
  assert.equal((await server.post("/api/search", { query: "zebra", mode: "lexical" })).json.results.length, 1);
  validate("Deleted", (await server.delete("/api/documents/gone")).json);
  assert.equal((await server.post("/api/search", { query: "zebra", mode: "lexical" })).json.results.length, 0);
  const missing = await server.get("/api/documents/gone");
  assert.equal(missing.status, 404);
  assert.equal(missing.json.error.code, "DOCUMENT_NOT_FOUND");
  assert.equal((await server.delete("/api/documents/gone")).status, 404);
});

test("filters, top_k and min_score", async () => {
  for (let i = 0; i < 12; ++i) {
    await server.post("/ingest", { collection: "books", document_id: `book-${i}`, text: `A book about whales, volume ${i}.`, metadata: { year: 1990 + i, lang: i % 2 ? "en" : "de", tags: ["sea", `v${i}`] } });
  }
  const search = async (body) => (await server.post("/api/search", { collection: "books", query: "whales", ...body })).json.results;
  assert.equal((await search({ top_k: 5 })).length, 5);
  assert.equal((await search({ top_k: 100 })).length, 12);
  assert.equal((await search({ top_k: 0 })).length, 0);
  assert.equal((await search({ top_k: 100, filter: { lang: "en" } })).length, 6);
  assert.deepEqual((await search({ top_k: 100, filter: { year: { $gte: 1998 }, lang: "de" } })).map((r) => r.metadata.year).sort(), [1998, 2000]);
  assert.equal((await search({ top_k: 100, filter: { $or: [{ tags: "v3" }, { tags: "v4" }] } })).length, 2);
  assert.equal((await search({ top_k: 100, filter: { year: 1 } })).length, 0);
  assert.equal((await search({ top_k: 100, mode: "dense", min_score: 1.01 })).length, 0);
});

test("collections: settings, listing, deletion", async () => {
  const made = await server.post("/api/collections", { name: "small", chunk_size: 32, chunk_overlap: 0, metadata_schema: { author: "string" } });
  assert.equal(made.status, 201);
  validate("CollectionDetail", made.json);
  assert.equal((await server.post("/api/collections", { name: "small", chunk_size: 64 })).status, 409);
  const long = Array.from({ length: 60 }, (_, i) => `Sentence number ${i} speaks about apples and pears.`).join(" ");
  const { chunks } = (await server.post("/ingest", { collection: "small", document_id: "long", text: long })).json;
  assert.ok(chunks > 10, `32-token chunks of a 600-token text: ${chunks}`);
  const detail = (await server.get("/api/documents/long")).json;
  assert.ok(detail.chunks.every((c) => c.tokens <= 32));
  validate("CollectionList", (await server.get("/api/collections")).json);
  assert.equal((await server.delete("/api/collections/small")).status, 200);
  assert.equal((await server.get("/api/documents/long")).status, 404);
  const search = await server.post("/api/search", { query: "apples", collection: "small" });
  assert.deepEqual([search.status, search.json.error.code], [404, "COLLECTION_NOT_FOUND"]);
});

test("documents are listed in pages", async () => {
  const seen = [];
  let cursor = null;
  do {
    const page = (await server.get(`/api/documents?collection=books&limit=5${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`)).json;
    validate("DocumentList", page);
    seen.push(...page.items.map((d) => d.document_id));
    cursor = page.next_cursor;
  } while (cursor);
  assert.equal(seen.length, 12);
  assert.equal(new Set(seen).size, 12);
});

test("a batch answers line by line, and one bad line fails alone", async () => {
  const lines = ['{"document_id":"b1","text":"First of the batch."}', "{broken", '{"document_id":"b2","oops":1,"text":"x"}', "", '{"document_id":"b3","text":"Third of the batch."}'];
  const answer = await server.post("/api/ingest/batch", lines.join("\n"), { "Content-Type": "application/x-ndjson" });
  assert.equal(answer.status, 200);
  const results = answer.text.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(results.length, 4);
  assert.equal(results[0].document_id, "b1");
  assert.deepEqual([results[1].line, results[1].error.code], [2, "INVALID_JSON"]);
  assert.deepEqual([results[2].line, results[2].error.code], [3, "UNKNOWN_FIELD"]);
  assert.equal(results[3].document_id, "b3");
});

test("a batch keeps the order of two versions of one document", async () => {
  const lines = Array.from({ length: 100 }, (_, i) => JSON.stringify({ document_id: `order${i % 7}`, text: `Version ${i} of this text.` }));
  const answer = await server.post("/api/ingest/batch", lines.join("\n"));
  const results = answer.text.trim().split("\n").map((line) => JSON.parse(line));
  results.forEach((r, i) => assert.deepEqual([r.document_id, r.version], [`order${i % 7}`, Math.floor(i / 7) + 1]));
  assert.match((await server.get("/api/documents/order1")).json.text, /Version 99 /);
});

test("files come in as multipart forms", async () => {
  const form = new FormData();
  form.append("file", new Blob(["---\ntitle: Whale notes\ntags: [sea]\n---\n# Body\n\nThe blue whale sings at 188 decibels.\n"], { type: "text/markdown" }), "whales.md");
  form.append("metadata", '{"source":"upload"}');
  const made = await server.post("/ingest", form);
  assert.equal(made.status, 201, made.text);
  const stored = (await server.get(`/api/documents/${made.json.document_id}`)).json.document;
  assert.equal(stored.title, "Whale notes");
  assert.equal(stored.content_type, "text/markdown");
  assert.equal(stored.metadata.source, "upload");
  assert.deepEqual(stored.metadata.tags, ["sea"]);
});

test("statistics agree with what is stored", async () => {
  const stats = (await server.get("/api/vector_db/stats")).json;
  validate("IndexStats", stats);
  assert.equal(stats.documents, stats.indexed_documents);
  assert.equal(stats.chunks, stats.indexed_chunks);
  assert.equal(stats.dimensions, 256);
  assert.equal(stats.state, "serving");
});

test("a request chooses how results are ranked and which are left out", async () => {
  const line = (i) => `Lighthouse keeper's log, entry ${i}: the lamp was lit at dusk.`;
  for (let i = 0; i < 4; i++) await server.post("/ingest", { collection: "log", document_id: `copy-${i}`, text: "The lamp of the lighthouse was lit." });
  await server.post("/ingest", { collection: "log", document_id: "other", text: "A lighthouse needs a keeper and oil." });
  const ask = async (body) => {
    const found = await server.post("/api/search", { collection: "log", query: "lighthouse lamp", top_k: 10, ...body });
    if (found.status === 200) validate("SearchResponse", found.json);
    return found;
  };
  const ids = async (body) => (await ask(body)).json.results.map((r) => r.document_id);
  assert.equal((await ids({})).length, 5, "every match is a result unless the request says otherwise");
  for (const duplicates of ["same", "near"]) assert.equal((await ids({ duplicates })).length, 2);
  assert.equal((await ids({ duplicates: "same", top_k: 2 })).length, 2, "what is left out is made up for");
  for (const choice of [{ fusion: "reciprocal_rank", rank_constant: 10 }, { fusion: "scores", dense_weight: 0 }, { rerank: false }, { rerank: true }]) {
    const scores = (await ask(choice)).json.results.map((r) => r.score);
    assert.equal(scores.length, 5);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
    assert.ok(scores.every((score) => score >= 0 && score <= 1));
  }

  const long = Array.from({ length: 300 }, (_, i) => line(i)).join("\n\n");
  await server.post("/ingest", { collection: "log", document_id: "long", text: long });
  assert.equal((await ids({ query: "keeper's log entry", per_document: 1 })).filter((id) => id === "long").length, 1);
  const stored = Buffer.from((await server.get("/api/documents/long")).json.text, "utf8");
  const lengths = [];
  for (const neighbours of [0, 1, 2]) {
    const { results } = (await ask({ query: "log entry 150", top_k: 3, neighbours })).json;
    assert.equal(results.length, 3);
    for (const hit of results.filter((r) => r.document_id === "long")) assert.equal(stored.subarray(hit.start, hit.end).toString("utf8"), hit.text);
    lengths.push(results[0].text.length);
  }
  assert.ok(lengths[0] < lengths[1] && lengths[1] < lengths[2]);
});

test("choices of ranking that make no sense are refused by name", async () => {
  const refused = async (body, param) => {
    const { status, json } = await server.post("/api/search", { query: "coffee", ...body });
    assert.equal(status, 400);
    assert.equal(json.error.param, param);
  };
  await refused({ fusion: "best" }, "fusion");
  await refused({ dense_weight: -1 }, "dense_weight");
  await refused({ rank_constant: 1e9 }, "rank_constant");
  await refused({ neighbours: 9 }, "neighbours");
  await refused({ per_document: -1 }, "per_document");
  await refused({ duplicates: true }, "duplicates");
  await refused({ mode: "dense", rerank: true }, "rerank");
  await refused({ mode: "lexical", fusion: "scores" }, "fusion");
});

test("English words match in all their forms unless the collection says otherwise", async () => {
  await server.post("/api/collections", { name: "exact", stemming: false });
  for (const collection of ["forms", "exact"]) await server.post("/ingest", { collection, document_id: `run-${collection}`, text: "She was running along the river." });
  const count = async (collection) => (await server.post("/api/search", { collection, query: "runs", mode: "lexical" })).json.results.length;
  assert.equal(await count("forms"), 1);
  assert.equal(await count("exact"), 0);
  const again = await server.post("/api/collections", { name: "exact" });
  assert.equal(again.status, 201, "naming a collection again does not change or refuse what it was made with");
  assert.equal(again.json.stemming, false);
});
