// Probes, metrics, stopping, restarting, and what start-up refuses.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, readdirSync, writeFileSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Server, binary, temporaryDirectory } from "../server.mjs";
import { validator } from "../contract.mjs";

const run = (...args) => spawnSync(binary, args, { encoding: "utf8", timeout: 20000, env: { PATH: process.env.PATH, NO_COLOR: "1" } });

test("probes, metrics and the contract", async () => {
  const server = await Server.start();
  const validate = await validator(server);
  validate("Health", (await server.get("/health")).json);
  validate("Health", (await server.get("/health/ready")).json);
  assert.ok("cpu_percent" in (await server.get("/api/health")).json.system);
  const detailed = (await server.get("/api/health/detailed")).json;
  assert.equal(detailed.status, "HEALTHY");
  await server.post("/ingest", { text: "One document." });
  for (let i = 0; i < 2; ++i) await server.post("/api/search", { query: "document" });
  const figures = (await server.get("/api/performance/metrics")).json;
  validate("PerformanceMetrics", figures);
  assert.ok(Date.now() - Date.parse(figures.timestamp) < 10_000);
  assert.ok(figures.cache.l1_hits > 0 && figures.cache.l1_misses > 0 && figures.cache.size_mb > 0, JSON.stringify(figures.cache));
  assert.equal(figures.cache.l1_hit_rate, figures.cache.l1_hits / (figures.cache.l1_hits + figures.cache.l1_misses));
  assert.ok(figures.db.queries_per_second > 0 && figures.db.connection_pool_size > figures.db.connections, JSON.stringify(figures.db));
  assert.ok(figures.embeddings.avg_embedding_time_ms > 0 && figures.model.avg_inference_time_ms === 0);
  const metrics = (await server.get("/metrics")).text;
  assert.match(metrics, /^tessera_http_requests_total\{.*route="ingest".*\} 1$/m);
  for (const line of metrics.split("\n")) assert.match(line, /^($|# |[a-z_]+(\{.*\})? [-+.0-9eInfNa]+$)/);
  assert.ok((await server.get("/api/config")).json);
  assert.match((await server.get("/docs")).text, /\/api\/search/);
  assert.equal(await server.stop(), 0);
});

test("SIGTERM lets a running answer finish and exits with 0", async () => {
  const server = await Server.start({ settings: { "mock.enabled": true, "mock.token_delay_ms": 5 } });
  const answer = server.post("/v1/chat/completions", { model: "mock/echo", messages: [{ role: "user", content: "word ".repeat(60) }] });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = server.stop();
  const { status, json } = await answer;
  assert.equal(status, 200);
  assert.match(json.choices[0].message.content, /word/);
  assert.equal(await stopped, 0);
});

test("documents survive a restart, and damaged index files are rebuilt and reported", async () => {
  const directory = temporaryDirectory();
  let server = await Server.start({ directory });
  for (let i = 0; i < 20; ++i) await server.post("/ingest", { document_id: `d${i}`, text: `Document ${i} speaks of lighthouse number ${i}.` });
  const indexFiles = () => {
    const files = [];
    const walk = (path) => readdirSync(path, { withFileTypes: true }).forEach((e) => (e.isDirectory() ? walk(join(path, e.name)) : files.push(join(path, e.name))));
    walk(directory);
    const found = files.filter((f) => !/\.db|lock|sqlite|wal|shm/.test(f) && statSync(f).size > 64);
    assert.ok(found.length > 0, `an index file among ${files}`);
    return found;
  };
  const flip = (bytes) => ((bytes[bytes.length >> 1] ^= 0x40), bytes);
  const cut = (bytes) => bytes.subarray(0, bytes.length >> 1);
  for (const damage of [null, flip, cut]) {
    assert.equal(await server.stop(), 0);
    if (damage) for (const file of indexFiles()) writeFileSync(file, damage(readFileSync(file)));
    server = await Server.start({ directory });
    const { results } = (await server.post("/api/search", { query: "lighthouse number 7", mode: "lexical", top_k: 100 })).json;
    assert.equal(results.length, 20);
    assert.equal(results[0].document_id, "d7");
    const { index } = (await server.get("/api/health/detailed")).json.components;
    assert.equal(index.damage_found > 0, damage !== null, JSON.stringify(index));
    if (damage) assert.equal(typeof index.last_damage, "string");
  }
  assert.equal(await server.stop(), 0);
  rmSync(directory, { recursive: true });
});

test("start-up refuses what would be wrong, and says what to do", () => {
  const open = run("serve", "--host", "0.0.0.0", "--port", "0", "--data", temporaryDirectory());
  assert.notEqual(open.status, 0);
  assert.match(open.stderr, /auth\.mode|loopback/);
  const unknown = run("serve", "--chunk.sise", "3");
  assert.notEqual(unknown.status, 0);
  assert.match(unknown.stderr, /chunk\.size/);
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "tessera.yaml"), "server:\n  prot: 1\n");
  const yaml = run("config", "check", "--config", join(directory, "tessera.yaml"));
  assert.notEqual(yaml.status, 0);
  assert.match(yaml.stderr + yaml.stdout, /server\.port/);
});

test("two servers never share a data directory", async () => {
  const server = await Server.start();
  const second = run("serve", "--port", "0", "--data", server.directory);
  assert.notEqual(second.status, 0);
  assert.match(second.stderr, /in use|another/i);
  assert.equal(await server.stop(), 0);
});

test("the command line works without and with a server", async () => {
  const directory = temporaryDirectory();
  const notes = temporaryDirectory();
  writeFileSync(join(notes, "boiler.md"), "# Boiler\n\nThe boiler is serviced in October by Kessler and Sons.\n");
  const ingest = run("ingest", notes, "--data", directory);
  assert.equal(ingest.status, 0, ingest.stderr);
  const ask = run("ask", "Who services the boiler?", "--data", directory);
  assert.equal(ask.status, 0, ask.stderr);
  assert.match(ask.stdout, /Kessler/);
  const server = await Server.start({ directory, settings: { "ingest.roots": notes } });
  const search = run("search", "boiler", "--data", directory, "--json");
  assert.equal(search.status, 0, search.stderr);
  assert.match(JSON.parse(search.stdout).results[0].text, /boiler/);
  // A directory task knows what either form of the command took in.
  mkdirSync(join(notes, "old"));
  writeFileSync(join(notes, "old", "stove.md"), "# Stove\n\nThe stove was sold.\n");
  assert.equal(run("ingest", notes, "--data", directory).status, 0);
  const scan = (await server.post("/api/scan_vault", { path: notes })).json;
  assert.deepEqual([scan.unchanged, scan.modified, scan.new], [2, 0, 0]);
  assert.equal(await server.stop(), 0);
  assert.equal(run("no-such-command").status, 2);
  assert.match(run("--help").stdout, /serve/);
  assert.match(run("version").stdout, /\d+\.\d+\.\d+/);
  rmSync(directory, { recursive: true });
  rmSync(notes, { recursive: true });
});
