// LanceDB in Node, for notes.py: notes_lancedb.mjs PACKAGES ROOT STORE WORDS DIMENSIONS FIND
// Reads every Markdown file below ROOT, cuts what is new or changed (LangChain's Markdown splitter, 1,000 characters, 128 shared), embeds it
// with the mean of word vectors (WORDS: a word a line, WORDS.f32 its vectors) and keeps a manifest of hashes. The first time makes the
// table and its full-text and vector index; afterwards changed notes are replaced and the indexes optimised.
// Prints seconds (stages: until the rows are in, until the full-text index is there; all from after loading the libraries), chunks of the store, and how many rows hold FIND.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [packages, root, store, wordFile, dimensionText, find] = process.argv.slice(2);
const require = createRequire(packages + "/");
const lancedb = require("@lancedb/lancedb");
const { RecursiveCharacterTextSplitter } = require("@langchain/textsplitters");
const dimensions = Number(dimensionText);
const bytes = readFileSync(wordFile + ".f32");
const vectors = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const numbers = new Map(readFileSync(wordFile, "utf8").trimEnd().split("\n").map((word, i) => [word, i]));

function embed(text) {
  const sum = new Float32Array(dimensions);
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    const at = numbers.get(word);
    if (at === undefined) continue;
    for (let i = 0; i < dimensions; ++i) sum[i] += vectors[at * dimensions + i];
  }
  const length = Math.sqrt(sum.reduce((all, value) => all + value * value, 0)) || 1;
  return Array.from(sum, (value) => value / length);
}

const start = performance.now();
mkdirSync(store, { recursive: true });
const manifestFile = join(store, "manifest.json");
const manifest = existsSync(manifestFile) ? JSON.parse(readFileSync(manifestFile, "utf8")) : {};
const first = Object.keys(manifest).length === 0;
const splitter = RecursiveCharacterTextSplitter.fromLanguage("markdown", { chunkSize: 1000, chunkOverlap: 128 });
const database = await lancedb.connect(store);
let table = first ? null : await database.openTable("notes");

const changed = [];
const pending = [];
for (const name of readdirSync(root, { recursive: true })) {
  if (!name.endsWith(".md")) continue;
  const text = readFileSync(join(root, name), "utf8");
  const hash = createHash("sha256").update(text).digest("hex");
  if (manifest[name] === hash) continue;
  if (!first) changed.push(name);
  manifest[name] = hash;
  pending.push([name, text]);
}

async function rowsOf(name, text) {
  return (await splitter.splitText(text)).map((part, i) => ({ id: `${name}#${i}`, path: name, text: part, vector: embed(part) }));
}

if (changed.length > 0) await table.delete(`path IN (${changed.map((name) => `'${name.replaceAll("'", "''")}'`).join(",")})`);
let rows = [];
const flush = async () => {
  if (rows.length === 0) return;
  if (table) await table.add(rows); else table = await database.createTable("notes", rows);
  rows = [];
};
for (const [name, text] of pending) {
  rows.push(...await rowsOf(name, text));
  if (rows.length >= 10000) await flush();
}
await flush();
const stages = [(performance.now() - start) / 1000];
if (first) {
  await table.createIndex("text", { config: lancedb.Index.fts({ stem: false, removeStopWords: false, withPosition: false }) });
  stages.push((performance.now() - start) / 1000);
  await table.createIndex("vector", { config: lancedb.Index.ivfPq({ distanceType: "cosine" }) });
} else if (changed.length > 0) {
  await table.optimize();
}
writeFileSync(manifestFile, JSON.stringify(manifest));
const seconds = (performance.now() - start) / 1000;
const hits = await table.query().fullTextSearch(find, { columns: ["text"] }).limit(1000).toArray();
console.log(JSON.stringify({ seconds, chunks: await table.countRows(), found: hits.length, stages }));
