// The embedding model's vectors change their length, as when the provider's model is swapped behind its name: the
// collections it filled take no documents until they are reindexed, and nothing else suffers.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, temporaryDirectory } from "../server.mjs";

let provider, server, directory, size, refuses;

function embedding(text) {
  const vector = Array(size).fill(0);
  for (const word of text.toLowerCase().match(/\w+/g) ?? []) vector[[...word].reduce((sum, c) => sum + c.charCodeAt(0), 0) % size] += 1;
  return vector;
}

async function start(dimensions) {
  size = dimensions;
  const config = join(directory, "tessera.yaml");
  writeFileSync(config, `providers:
  - name: local
    base_url: http://127.0.0.1:${provider.address().port}/v1
    models: [writer]
embedding:
  provider: local
  model: tiny-embed
  dimensions: ${dimensions}
`);
  server = await Server.start({ directory, settings: { config } });
}

before(async () => {
  directory = temporaryDirectory();
  provider = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      const inputs = [JSON.parse(body).input].flat();
      response.setHeader("Content-Type", "application/json");
      if (refuses && inputs.some((text) => text.includes(refuses))) {
        response.statusCode = 400;
        response.end(JSON.stringify({ error: { message: "not this text", type: "invalid_request_error" } }));
        return;
      }
      response.end(JSON.stringify({ object: "list", data: inputs.map((text, index) => ({ object: "embedding", index, embedding: embedding(text) })), usage: { prompt_tokens: 1, total_tokens: 1 } }));
    });
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  await start(8);
});
after(async () => {
  assert.equal(await server.stop(), 0);
  provider.close();
  rmSync(directory, { recursive: true, force: true });
});

const ingest = (collection, document_id, text) => server.post("/ingest", { collection, document_id, text });
const search = (collection, mode, query = "heron") => server.post("/api/search", { collection, query, mode, top_k: 10 });
const index = async () => (await server.get("/api/health/detailed")).json.components.index;
const dimensions = async (collection) => (await server.get(`/api/vector_db/stats?collection=${collection}`)).json.dimensions;
async function found(collection, mode) {
  const answer = await search(collection, mode);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.results.length;
}
async function reindex(collection) {
  const { status, text, json } = await server.post("/api/reindex", collection ? { collection } : {});
  assert.equal(status, 202, text);
  for (;;) {
    const { json: task } = await server.get(`/api/tasks/${json.task_id}`);
    if (task.state !== "running") return task;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("a document whose vectors would not fit is refused before it is stored", async () => {
  await server.post("/api/collections", { name: "builtin", embedding_model: "tessera/static-256" });
  for (const collection of ["notes", "other", "builtin"]) {
    for (const bird of ["grey", "white", "night"]) {
      const made = await ingest(collection, `${collection}-${bird}`, `The ${bird} heron stands in the reeds.`);
      assert.equal(made.status, 201, made.text);
    }
  }
  assert.equal((await index()).status, "HEALTHY");
  assert.equal(await server.stop(), 0);
  await start(6);
  const refused = await ingest("notes", "fourth", "A fourth heron.");
  assert.equal(refused.status, 409, refused.text);
  assert.equal(refused.json.error.code, "DIMENSION_MISMATCH");
  assert.match(refused.json.error.message, /6 dimensions.*'notes'.* of 8.*\/api\/reindex/);
  assert.equal((await server.get("/api/documents/fourth")).status, 404, "nothing is stored");
  // The same text again is no way around it.
  assert.equal((await ingest("notes", "notes-grey", "The grey heron stands in the reeds.")).status, 409);
});

test("meanwhile everything else goes on, and health says what to reindex", async () => {
  assert.equal((await ingest("builtin", "builtin-fourth", "A fourth heron.")).status, 201);
  assert.equal((await ingest("fresh", "fresh-first", "A heron in a collection of its own.")).status, 201);
  for (const mode of ["hybrid", "dense", "lexical"]) {
    assert.equal(await found("builtin", mode), 4, mode);
    assert.equal(await found("fresh", mode), 1, mode);
  }
  assert.equal(await found("notes", "lexical"), 3);
  const hybrid = await search("notes", "hybrid");
  assert.deepEqual([hybrid.status, hybrid.json.results.length, hybrid.json.degraded], [200, 3, ["dense_search"]]);
  const dense = await search("notes", "dense");
  assert.deepEqual([dense.status, dense.json.error.code], [409, "DIMENSION_MISMATCH"]);
  assert.match(dense.json.error.message, /6 dimensions.*have 8.*reindex/);
  const health = await server.get("/api/health/detailed");
  assert.deepEqual([health.status, health.json.status, health.json.components.index.status], [200, "DEGRADED", "DEGRADED"]);
  assert.deepEqual(health.json.components.index.to_reindex, ["notes", "other"].map((collection) => ({ collection, dimensions: 8, model_dimensions: 6 })));
  assert.equal((await server.get("/health/ready")).status, 200);
});

test("the former model again is a way back", async () => {
  assert.equal(await server.stop(), 0);
  await start(8);
  assert.equal((await ingest("notes", "notes-grey", "The grey heron stands in the reeds.")).json.status, "unchanged");
  assert.equal(await found("notes", "dense"), 3);
  assert.equal(await server.stop(), 0);
  await start(6);
});

test("reindexing embeds everything anew", async () => {
  const task = await reindex("notes");
  assert.deepEqual([task.state, task.updated, task.unchanged], ["done", 3, 0], JSON.stringify(task));
  assert.equal(await dimensions("notes"), 6);
  assert.equal((await ingest("notes", "fourth", "A fourth heron.")).status, 201);
  for (const mode of ["hybrid", "dense", "lexical"]) assert.equal(await found("notes", mode), 4, mode);
  assert.deepEqual((await index()).to_reindex, [{ collection: "other", dimensions: 8, model_dimensions: 6 }]);
  assert.equal(await found("other", "lexical"), 3);
  const again = await reindex("notes");
  assert.deepEqual([again.state, again.updated, again.unchanged], ["done", 0, 4]);
});

test("a collection of both lengths, and an index that is built from it anew, recover too", async () => {
  refuses = "white";
  const task = await reindex("other");
  assert.deepEqual([task.state, task.updated, task.failed], ["done", 2, 1], JSON.stringify(task));
  refuses = undefined;
  for (const without_files of [false, true]) {
    assert.equal(await server.stop(), 0);
    if (without_files) rmSync(join(directory, "index"), { recursive: true });
    await start(6);
    assert.equal(await found("other", "dense"), 2, "of the former length it is found by its words");
    assert.equal(await found("other", "lexical"), 3);
    assert.equal((await ingest("other", "other-grey", "The grey heron stands in the reeds.")).json.status, "unchanged");
  }
  const healed = await reindex();
  assert.equal(healed.state, "done");
  assert.equal(healed.updated, 1);
  assert.equal(await found("other", "dense"), 3);
  assert.equal((await index()).status, "HEALTHY");
  // And to another length once more, all collections at once.
  assert.equal(await server.stop(), 0);
  await start(12);
  assert.equal((await reindex()).updated, 4 + 3 + 1);
  for (const [collection, count] of [["notes", 4], ["other", 3], ["fresh", 1], ["builtin", 4]]) {
    assert.equal(await found(collection, "dense"), count, collection);
  }
  assert.equal((await index()).status, "HEALTHY");
});
