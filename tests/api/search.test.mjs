// What a search request may ask of the engines: marks in the query, care with vectors, least scores.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Server } from "../server.mjs";
import { validator } from "../contract.mjs";

let server, validate;
before(async () => {
  server = await Server.start();
  validate = await validator(server);
});
after(async () => assert.equal(await server.stop(), 0));

const search = async (body) => {
  const found = await server.post("/api/search", body);
  if (found.status === 200) validate("SearchResponse", found.json);
  return found;
};
const ids = async (body) => {
  const found = await search(body);
  assert.equal(found.status, 200, found.text);
  return found.json.results.map((r) => r.document_id);
};
const refused = async (body, param) => {
  const { status, json } = await search({ query: "whale", ...body });
  assert.equal(status, 400);
  assert.equal(json.error.param, param);
  return json.error;
};

test("phrases, required words, excluded words and prefixes", async () => {
  const collection = "marks";
  const texts = {
    blue: "The blue whale is the largest animal.",
    sky: "A whale swam under a blue sky.",
    orca: "An orca is called a killer whale, but it is a dolphin.",
    dolphin: "The dolphins of the bay hunt at night.",
    mail: "Send an e-mail about whaling ships.",
  };
  for (const [document_id, text] of Object.entries(texts)) await server.post("/ingest", { collection, document_id, text });
  for (const mode of ["lexical", "hybrid"]) {
    const ask = async (query) => (await ids({ collection, query, mode, syntax: "query", top_k: 10 })).sort();
    assert.deepEqual(await ask("blue whale -animal"), ["mail", "orca", "sky"], "stems match: whale, whaling");
    assert.deepEqual(await ask('"blue whale"'), ["blue"], "adjacent and in this order");
    assert.deepEqual(await ask('"whale blue"'), []);
    assert.deepEqual(await ask('whale -"blue whale"'), ["mail", "orca", "sky"]);
    assert.deepEqual(await ask("whale +blue"), ["blue", "sky"]);
    assert.deepEqual(await ask("+whale -blue -ships"), ["orca"]);
    assert.deepEqual(await ask("dolph*"), ["dolphin", "orca"]);
    assert.deepEqual(await ask("+dolph* -orca"), ["dolphin"]);
    assert.deepEqual(await ask("e-mail"), ["mail"], "a mark counts at a word's beginning only");
    assert.deepEqual(await ask('whale "blue'), ["blue", "mail", "orca", "sky"], "an open quote is no mark");
  }
  assert.ok((await ids({ collection, query: "+whale -blue", mode: "lexical" })).includes("blue"), "marks are nothing in plain queries");
  assert.equal((await ids({ collection, query: "+whale -blue", syntax: "plain", mode: "lexical" })).length, (await ids({ collection, query: "whale blue", mode: "lexical" })).length);
  const filtered = await server.post("/ingest", { collection, document_id: "tagged", text: "A whale song.", metadata: { kind: "song" } });
  assert.equal(filtered.status, 201);
  assert.deepEqual(await ids({ collection, query: "whale -blue", syntax: "query", filter: { kind: "song" } }), ["tagged"]);
});

test("what the engines cannot do is refused, saying what to do instead", async () => {
  await server.post("/ingest", { text: "A whale." });
  await refused({ syntax: "lucene" }, "syntax");
  assert.match((await refused({ syntax: "query", mode: "dense" }, "syntax")).message, /hybrid or lexical/);
  assert.match((await refused({ query: "-whale", syntax: "query" }, "query")).message, /add a word/);
  for (const recall of [0.49, 1.01, "0.9"]) await refused({ recall }, "recall");
  for (const ef_search of [0, -1, 1.5, 10001]) await refused({ ef_search }, "ef_search");
  assert.match((await refused({ recall: 0.9, ef_search: 100 }, "ef_search")).message, /one of the two/);
  await refused({ recall: 0.9, mode: "lexical" }, "recall");
  await refused({ ef_search: 10, mode: "lexical" }, "ef_search");
});

test("recall and ef_search of one request, beside the recall that is measured", async () => {
  const words = ["amber", "bridge", "cellar", "dragon", "engine", "forest", "garden", "harbour", "island", "jacket", "kitchen", "ladder", "meadow", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "timber", "umbrella", "violin", "window", "yellow"];
  let state = 1;
  const pick = () => words[(state = (state * 48271) % 2147483647) % words.length];
  const line = (i) => JSON.stringify({ collection: "many", document_id: `n${i}`, text: `${pick()} ${pick()} ${pick()} ${pick()} ${pick()} ${i}` });
  for (let from = 0; from < 9000; from += 3000) {
    const sent = await server.post("/api/ingest/batch", Array.from({ length: 3000 }, (_, i) => line(from + i)).join("\n"));
    assert.equal(sent.text.trim().split("\n").length, 3000);
  }
  // The graph is built in the quiet after the changes, and its recall measured then.
  let stats;
  const deadline = Date.now() + 60_000;
  do {
    stats = (await server.get("/api/vector_db/stats?collection=many")).json;
    validate("IndexStats", stats);
    if (stats.vectors.graph_rows > 8000 && stats.vectors.recall_measured >= 0.95) break;
    await wait(50);
  } while (Date.now() < deadline);
  assert.equal(stats.vectors.rows, 9000);
  assert.ok(stats.vectors.graph_rows > 8000, `rows in the graph: ${stats.vectors.graph_rows}`);
  assert.equal(stats.vectors.recall_target, 0.95);
  assert.ok(stats.vectors.recall_measured >= 0.95 && stats.vectors.recall_measured <= 1, `measured: ${stats.vectors.recall_measured}`);
  assert.ok(stats.vectors.ef_search > 0);

  const queries = Array.from({ length: 30 }, () => `${pick()} ${pick()} ${pick()}`);
  const answers = async (more) => {
    const all = [];
    for (const query of queries) all.push((await search({ collection: "many", query, mode: "dense", top_k: 100, ...more })).json.results);
    return all;
  };
  const truth = await answers({ recall: 1 });
  // Many texts are equally near: a result counts when it is as near as the last of the true ones.
  const share = (found) => found.reduce((sum, results, i) => sum + results.filter((r) => r.score >= truth[i].at(-1).score - 1e-6).length / truth[i].length, 0) / found.length;
  for (const [choice, least] of [[{ recall: 0.5 }, 0.5], [{ recall: 0.99 }, 0.97], [{}, 0.93], [{ ef_search: 400 }, 0.9], [{ ef_search: 10000 }, 1]]) {
    const found = await answers(choice);
    assert.ok(found.every((results) => results.length === 100), "always as many as asked for");
    const recall = share(found);
    assert.ok(recall >= least, `${JSON.stringify(choice)} found ${recall} of the nearest`);
  }
  for (const choice of [{ recall: 0.6 }, { ef_search: 20 }]) assert.equal((await ids({ collection: "many", query: "garden violin", mode: "hybrid", ...choice })).length, 5);
});

test("min_score cuts a ranking and changes nothing else", async () => {
  const collection = "scores";
  const animals = ["whale", "dolphin", "seal", "otter", "walrus", "penguin"];
  for (let i = 0; i < 120; i++) await server.post("/ingest", { collection, document_id: `s${i}`, text: `Entry ${i}: the ${animals[i % 6]} and the ${animals[(i * 5 + 1) % 6]} were seen ${i % 7} times near the island.` });
  const query = "whale and otter near the island";
  for (const choice of [{ mode: "lexical" }, { mode: "dense" }, { rerank: true }, { rerank: false }, { fusion: "reciprocal_rank", rerank: false }, { syntax: "query" }]) {
    const all = (await search({ collection, query, top_k: 120, ...choice })).json.results;
    const scores = all.map((r) => r.score);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a), "scores fall");
    assert.ok(scores.every((score) => score >= 0 && score <= 1));
    for (const min_score of [0, scores[3], (scores[9] + scores[10]) / 2, scores[0], 1.01]) {
      const kept = (await search({ collection, query, top_k: 120, min_score, ...choice })).json.results;
      assert.deepEqual(kept.map((r) => r.document_id), all.filter((r) => r.score >= min_score).map((r) => r.document_id), JSON.stringify({ choice, min_score }));
    }
    const some = (await search({ collection, query, top_k: 25, ...choice })).json.results;
    const few = (await search({ collection, query, top_k: 3, ...choice })).json.results;
    assert.deepEqual(few.map((r) => r.score), some.slice(0, 3).map((r) => r.score), "scores do not depend on how many are asked for");
  }
});

test("a passage that is best by every sign scores 1, also alone", async () => {
  await server.post("/ingest", { collection: "alone", document_id: "one", text: "The blue whale sings." });
  for (const rerank of [true, false]) {
    const [hit] = (await search({ collection: "alone", query: "blue whale", rerank })).json.results;
    assert.ok(hit.score > 0.999, `rerank ${rerank}: ${hit.score}`);
  }
});
