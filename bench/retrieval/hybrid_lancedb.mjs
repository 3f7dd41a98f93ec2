// LanceDB behind Node's HTTP server, for hybrid_http.py: hybrid_lancedb.mjs PACKAGES STORE TEXTS COUNT VECTORS DIMENSIONS QUERIES PORT
// Fills STORE when it is not there (full-text index without stemming and stop words, IVF_HNSW_SQ on the vectors), then serves.
// QUERIES: a query a line; QUERIES.f32 their vectors, so that an embedding costs a lookup.
import { createRequire } from "node:module";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [packages, store, texts, count, vectorFile, dimensionText, queryFile, port] = process.argv.slice(2);
const require = createRequire(packages + "/");
const lancedb = require("@lancedb/lancedb");
const dimensions = Number(dimensionText);

function floats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

async function fill(database) {
  const vectors = floats(vectorFile);
  let table = null, rows = [], number = 0;
  const flush = async () => {
    if (rows.length === 0) return;
    if (table) await table.add(rows); else table = await database.createTable("texts", rows);
    rows = [];
  };
  for await (const text of createInterface({ input: createReadStream(texts) })) {
    if (number === Number(count)) break;
    rows.push({ id: "d" + number, title: "Text " + number, text, vector: Array.from(vectors.subarray(number * dimensions, ++number * dimensions)) });
    if (rows.length === 10000) await flush();
  }
  await flush();
  await table.createIndex("text", { config: lancedb.Index.fts({ stem: false, removeStopWords: false, withPosition: false }) });
  await table.createIndex("vector", { config: lancedb.Index.hnswSq({ distanceType: "cosine", numPartitions: 1 }) });
  await table.optimize();
}

const ready = existsSync(store + "/ready");
const database = await lancedb.connect(store);
if (!ready) {
  await fill(database);
  require("node:fs").writeFileSync(store + "/ready", "");
}
const table = await database.openTable("texts");
for (const name of ["text_idx", "vector_idx"]) await table.prewarmIndex(name);
const queries = readFileSync(queryFile, "utf8").trimEnd().split("\n");
const queryVectors = floats(queryFile + ".f32");
const embedding = new Map(queries.map((query, i) => [query, queryVectors.subarray(i * dimensions, (i + 1) * dimensions)]));
const reranker = await lancedb.rerankers.RRFReranker.create();

async function search({ query, top_k }) {
  const rows = await table.query().nearestTo(Array.from(embedding.get(query))).fullTextSearch(query, { columns: ["text"] })
    .select(["id", "title", "text"]).rerank(reranker).limit(top_k).toArray();
  return rows.slice(0, top_k).map((row) => ({ document_id: row.id, title: row.title, text: row.text, score: row._relevance_score }));
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    try {
      const body = JSON.stringify({ results: request.method === "POST" ? await search(JSON.parse(Buffer.concat(parts))) : [] });
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    } catch (error) {
      console.error(error);
      response.writeHead(500, { "content-length": 0 });
      response.end();
    }
  });
}).listen(Number(port), "127.0.0.1");
