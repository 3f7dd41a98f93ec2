// One document of 50 MB: refused with the setting that would allow it, and taken in where it is allowed while the others
// are served as ever.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Server } from "../server.mjs";

const kBytes = 50_000_000;

/** English-like text of many different words, in paragraphs. */
function bigText() {
  let state = 42;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const syllables = ["ba", "ker", "ton", "mi", "ras", "del", "o", "fen", "gra", "lin", "su", "ver"];
  const words = Array.from({ length: 5000 }, () => Array.from({ length: 1 + random(4) }, () => syllables[random(12)]).join(""));
  const paragraphs = Array.from({ length: 500 }, () => Array.from({ length: 80 }, () => words[random(5000)]).join(" ") + ".\n\n");
  const parts = [];
  for (let bytes = 0; bytes < kBytes; bytes += parts.at(-1).length) parts.push(paragraphs[random(500)]);
  parts.splice(parts.length / 2, 0, "The cormorant dries its wings upon the pier.\n\n");
  return parts.join("");
}
const text = bigText();

function book() {
  const form = new FormData();
  form.append("file", new Blob([text], { type: "text/plain" }), "book.txt");
  return form;
}

test("50 MB are refused by default, naming the setting", async () => {
  const server = await Server.start();
  const refused = await server.post("/ingest", book());
  assert.equal(refused.status, 413, refused.text);
  assert.equal(refused.json.error.code, "DOCUMENT_TOO_LARGE");
  assert.match(refused.json.error.message, /the limit is 33554432\. .*ingest\.document_bytes_max/);
  assert.equal((await server.get("/api/vector_db/stats")).json.documents, 0);
  assert.equal(await server.stop(), 0);
});

test("too many chunks name their setting", async () => {
  const server = await Server.start({ settings: { "ingest.chunks_max": 10 } });
  const refused = await server.post("/ingest", { text: text.slice(0, 100_000) });
  assert.equal(refused.status, 413, refused.text);
  assert.equal(refused.json.error.code, "TOO_MANY_CHUNKS");
  assert.match(refused.json.error.message, /the limit is 10\. .*ingest\.chunks_max/);
  assert.equal(await server.stop(), 0);
});

test("50 MB are taken in where they are allowed, and others need not wait", async () => {
  const server = await Server.start({ settings: { "ingest.document_bytes_max": 64_000_000, "ingest.chunks_max": 1_000_000, "deadlines.t4_ms": 600_000 } });
  await server.post("/ingest", { document_id: "small", text: "The heron stands in the reeds." });
  let done = false;
  const taken = server.post("/ingest", book()).finally(() => (done = true));
  const waits = { health: [], search: [] };
  const timed = async (list, call) => {
    const began = performance.now();
    const answer = await call();
    list.push(performance.now() - began);
    assert.equal(answer.status, 200, answer.text);
  };
  while (!done) {
    await timed(waits.health, () => server.get("/health"));
    await timed(waits.search, () => server.post("/api/search", { query: "heron", mode: "lexical" }));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const answer = await taken;
  assert.equal(answer.status, 201, answer.text);
  assert.ok(answer.json.chunks > 10_000, answer.text);
  waits.health.sort((a, b) => a - b);
  waits.search.sort((a, b) => a - b);
  const at = (list, share) => list[Math.floor((list.length - 1) * share)];
  assert.ok(waits.health.length >= 20, "asked often enough while it went on");
  assert.ok(at(waits.health, 0.95) < 100, `health took ${at(waits.health, 0.95)} ms`);
  const found = await server.post("/api/search", { query: "cormorant wings pier", mode: "hybrid", top_k: 1 });
  assert.match(found.json.results[0].text, /The cormorant dries its wings/);
  assert.equal((await server.delete(`/api/documents/${answer.json.document_id}`)).status, 200);
  assert.equal((await server.post("/api/search", { query: "cormorant", mode: "lexical" })).json.results.length, 0);
  assert.equal(await server.stop(), 0);
  if (process.env.TESSERA_LARGE_REPORT) console.log({ chunks: answer.json.chunks, health: [at(waits.health, 0.5), at(waits.health, 0.95), at(waits.health, 1)], search: [at(waits.search, 0.5), at(waits.search, 0.95), at(waits.search, 1)], asked: waits.health.length });
});
