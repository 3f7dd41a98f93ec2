// What models do besides chat goes the same ways as chat: entries of models, several providers and keys, the ledger.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const vectors = "small-vectors";
let one, two;

before(async () => {
  [one, two] = await Promise.all([MockLlm.start("--text"), MockLlm.start("--text")]);
});
beforeEach(() => Promise.all([one.reset(), two.reset()]));
after(() => Promise.all([one.stop(), two.stop()]));

/** A server for one test. */
async function serving(yaml, run, { directory, settings = {} } = {}) {
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, yaml);
  const server = await Server.start({ settings: { config, ...settings }, directory });
  try {
    await run(server);
  } finally {
    assert.equal(await server.stop(), 0);
  }
}
const bodies = async (mock) => (await mock.transcript()).map((call) => JSON.parse(call.body));
/** The ledger's tokens are those that the providers counted, at 0.02 US dollars per million. */
async function agrees(total) {
  const counted = (await one.get("/mock/totals")).prompt_tokens + (await two.get("/mock/totals")).prompt_tokens;
  assert.ok(counted > 0);
  assert.equal(total.prompt_tokens, counted);
  assert.ok(Math.abs(total.cost_usd - counted * 0.02e-6) < 1e-15, `${total.cost_usd} for ${counted}`);
}
const embed = (server, model, headers) => server.post("/v1/embeddings", { model, input: "the ferry" }, headers);
const usage = async (server, query = "group_by=provider,model", headers) => (await server.get(`/api/usage?${query}`, headers)).json;

test("embeddings: an entry's own name, its providers in turn, another where one is gone, the ledger by the model", async () => {
  await serving(`providers:
  - {name: one, base_url: "${one.url}/v1", api_key: k-one-1234}
  - {name: two, base_url: "${two.url}/v1", api_key: k-two-1234}
  - {name: dead, base_url: "http://127.0.0.1:9/v1"}
models:
  - {name: best, upstream: ${vectors}, providers: [one, two], aliases: [clever], price_prompt: 0.02, price_completion: 0}
  - {name: lost, upstream: ${vectors}, providers: [dead], fallbacks: [one/other]}
llm: {attempts_max: 1}
`, async (server) => {
    for (const name of ["best", "clever", "best", "clever"]) assert.equal((await embed(server, name)).status, 200);
    for (const mock of [one, two]) assert.deepEqual((await bodies(mock)).map((body) => body.model), [vectors, vectors]);
    const { items, total } = await usage(server);
    assert.deepEqual(items.map((row) => [row.provider, row.model, row.calls]), [["one", vectors, 2], ["two", vectors, 2]]);
    await agrees(total);
    await two.stop();
    for (let i = 0; i < 4; ++i) assert.equal((await embed(server, "best")).status, 200, "the other answers");
    two = await MockLlm.start("--text");
    const before = (await one.transcript()).length;
    assert.ok((await embed(server, "lost")).status >= 500, "another model's vectors would be of no use");
    assert.equal((await one.transcript()).length, before);
  });
});

/** A provider with /responses that it keeps by key, and transcriptions. */
async function keeper() {
  const made = { seen: [], up: true, kept: new Map() };
  let count = 0;
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (data) => chunks.push(data));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("latin1");
      const key = request.headers.authorization;
      const body = text.startsWith("{") ? JSON.parse(text) : {};
      made.seen.push({ method: request.method, url: request.url, key, body });
      const reply = (status, value) => { response.statusCode = status; response.setHeader("Content-Type", "application/json"); response.end(JSON.stringify(value)); };
      if (!made.up) return reply(503, { error: { message: "down" } });
      if (made.transcribe && request.url.endsWith("/transcriptions")) return made.transcribe(response, text);
      const kept = (id) => made.kept.get(id) === key;
      const gone = () => reply(404, { error: { message: "no such response" } });
      const whole = (id, model) => ({ id, object: "response", status: "completed", model, output: [], usage: { input_tokens: 5, output_tokens: 3, total_tokens: 8 } });
      const id = request.url.match(/\/responses\/([^/?]+)/)?.[1];
      if (id) return kept(id) ? reply(200, whole(id, "kept")) : gone();
      if (body.previous_response_id && !kept(body.previous_response_id)) return gone();
      const fresh = `resp_${made.port}_${++count}`;
      made.kept.set(fresh, key);
      if (!body.stream) return reply(200, whole(fresh, body.model));
      response.setHeader("Content-Type", "text/event-stream");
      for (const type of ["response.created", "response.completed"]) response.write(`data: ${JSON.stringify({ type, response: whole(fresh, body.model) })}\n\n`);
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  made.port = server.address().port;
  made.url = `http://127.0.0.1:${made.port}/v1`;
  made.stop = () => { server.closeAllConnections(); server.close(); };
  return made;
}

test("responses: shared, renamed, fallen back; what is kept stays with the provider and the key that made it", async () => {
  const [first, second] = await Promise.all([keeper(), keeper()]);
  const directory = temporaryDirectory();
  const yaml = `providers:
  - {name: first, base_url: "${first.url}", api_key: k-first-1234, models: [gpt-4o-mini]}
  - {name: second, base_url: "${second.url}", api_key: k-second-1234, api_keys_env: [PORTS_KEY_2]}
models:
  - {name: smart, upstream: gpt-4o, providers: [first, second], aliases: [best], fallbacks: [gpt-4o-mini]}
  - {name: only, upstream: gpt-4o, providers: [second], fallbacks: [first/gpt-4o-mini]}
  - {name: bound, upstream: gpt-4o, providers: [first]}
llm: {attempts_max: 1, breaker_failures: 0}
`;
  const respond = (server, more) => server.post("/v1/responses", { model: "best", input: "When?", ...more });
  const ids = [];
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, yaml);
  const start = () => Server.start({ settings: { config }, directory, env: { PORTS_KEY_2: "k-second-5678" } });
  let server = await start();
  for (let i = 0; i < 6; ++i) {
    const reply = await respond(server, { stream: i >= 3 });
    assert.equal(reply.status, 200, reply.text);
    ids.push(i < 3 ? reply.json.id : reply.text.match(/"id":"(resp_\w+)"/)[1]);
  }
  assert.deepEqual([first, second].map((each) => each.seen.map((call) => call.body.model)), [Array(2).fill("gpt-4o"), Array(4).fill("gpt-4o")]);
  assert.deepEqual(new Set(second.seen.map((call) => call.key)), new Set(["Bearer k-second-1234", "Bearer k-second-5678"]));
  const rows = (await usage(server)).items.map((row) => [row.provider, row.model, row.calls]);
  assert.deepEqual(rows, [["first", "gpt-4o", 2], ["second", "gpt-4o", 4]]);
  for (const round of ["at once", "after a restart"]) {
    for (const id of ids) {
      assert.equal((await server.get(`/v1/responses/${id}`)).status, 200, `${id} ${round}`);
      for (const stream of [false, true]) assert.equal((await respond(server, { previous_response_id: id, stream })).status, 200, `${id} goes on ${round}`);
    }
    await server.stop();
    server = await start();
  }
  const foreign = await respond(server, { model: "bound", previous_response_id: ids.find((id) => id.includes(`_${second.port}_`)) });
  assert.deepEqual([foreign.status, foreign.json.error.code, foreign.json.error.param], [400, "KEPT_ELSEWHERE", "previous_response_id"]);

  second.up = false;
  for (const id of ids) {
    const here = id.includes(`_${first.port}_`);
    assert.equal((await respond(server, { previous_response_id: id })).status === 200, here, "nobody else goes on with it");
  }
  for (let i = 0; i < 3; ++i) assert.equal((await respond(server)).status, 200, "the other answers");
  const fallen = await respond(server, { model: "only" });
  assert.equal(fallen.json.model, "gpt-4o-mini", "the fallback");
  assert.equal((await server.get(`/v1/responses/${fallen.json.id}`)).status, 200, "and it is kept where it was made");
  assert.equal(await server.stop(), 0);
  first.stop();
  second.stop();
});

test("vectors of documents and queries are calls like others: ledger, budgets, further providers", async () => {
  const directory = temporaryDirectory();
  const yaml = `providers:
  - {name: one, base_url: "${one.url}/v1", api_key: k-one-1234, api_keys_env: [PORTS_KEY_2]}
  - {name: two, base_url: "${two.url}/v1", api_key: k-two-1234}
models:
  - {name: vectors, upstream: ${vectors}, providers: [one, two], price_prompt: 0.02, price_completion: 0}
embedding: {provider: one, model: vectors, dimensions: 256}
llm: {attempts_max: 1, breaker_failures: 0}
`;
  const key = (app) => execFileSync(binary, ["keys", "create", "--data", directory, "--app", app, "--scopes", "admin,ingest,chat"], { encoding: "utf8", env: { PATH: process.env.PATH } }).trim();
  const as = { ours: { Authorization: `Bearer ${key("ours")}` }, theirs: { Authorization: `Bearer ${key("theirs")}` } };
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, yaml);
  const server = await Server.start({ settings: { config, "auth.mode": "keys" }, directory, env: { PORTS_KEY_2: "k-one-5678" } });
  const ingest = (n, who = "ours") => server.post("/ingest", { document_id: `d${n}`, text: `The ferry number ${n} leaves Holm at seven.` }, as[who]);
  const search = (mode, who = "ours") => server.post("/api/search", { query: "ferry Holm", mode }, as[who]);
  for (let n = 0; n < 6; ++n) assert.equal((await ingest(n)).status, 201, "stored");
  const found = await search("dense");
  assert.ok(found.json.results.length > 0, found.text);
  const seen = [...await one.transcript(), ...await two.transcript()];
  assert.equal(seen.length, 7);
  assert.ok(seen.every((call) => JSON.parse(call.body).model === vectors));
  const { items, total } = await usage(server, "group_by=provider,model", as.ours);
  assert.deepEqual(items.map((row) => `${row.provider} ${row.model}`), [`one ${vectors}`, `two ${vectors}`]);
  assert.equal(total.calls, 7);
  await agrees(total);
  assert.equal((await usage(server, "group_by=model", as.theirs)).total.calls, 0, "nobody else pays");

  await one.stop();
  for (let n = 6; n < 10; ++n) assert.equal((await ingest(n)).status, 201, "the other provider makes them");
  one = await MockLlm.start("--text");

  assert.equal((await server.request("PUT", "/api/budgets/tiny", { limit_usd: 0.000001 }, as.ours)).status, 200);
  const calls = (await two.transcript()).length;
  const refused = await ingest(10);
  assert.deepEqual([refused.status, refused.json.error.code], [402, "BUDGET_EXCEEDED"], refused.text);
  assert.equal((await search("dense")).status, 402);
  const hybrid = await search("hybrid");
  assert.equal(hybrid.status, 200, hybrid.text);
  assert.ok(hybrid.json.results.length > 0 && hybrid.json.degraded.includes("dense_search"), hybrid.text);
  assert.equal((await two.transcript()).length + (await one.transcript()).length, calls, "no provider was asked");
  assert.equal((await ingest(1, "theirs")).status, 201, "the budget is not theirs");
  assert.equal(await server.stop(), 0);
});

test("work in the background is on the account of the key that asked for it, also after a restart", async () => {
  const directory = temporaryDirectory();
  const root = temporaryDirectory();
  const write = (n, text = "The ferry leaves Holm at seven.") => writeFileSync(join(root, `note-${n}.md`), `# Note ${n}\n\n${text}\n`);
  for (let n = 0; n < 3; ++n) write(n);
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:
  - {name: one, base_url: "${one.url}/v1", api_key: k-one-1234}
models:
  - {name: vectors, upstream: ${vectors}, providers: [one], price_prompt: 0.02, price_completion: 0}
embedding: {provider: one, model: vectors, dimensions: 256}
llm: {attempts_max: 1, breaker_failures: 0}
ingest: {roots: ["${root}"]}
`);
  const make = () => JSON.parse(execFileSync(binary, ["keys", "create", "--data", directory, "--app", "ours", "--scopes", "all", "--json"], { encoding: "utf8", env: { PATH: process.env.PATH } }));
  const [asker, other] = [make(), make()];
  const as = (key) => ({ Authorization: `Bearer ${key.key}` });
  const start = () => Server.start({ settings: { config, "auth.mode": "keys" }, directory });
  let server = await start();
  const until = async (what, check) => {
    const deadline = Date.now() + 15_000;
    for (let value; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
      if (check(value = await what())) return value;
      assert.ok(Date.now() < deadline, JSON.stringify(value));
    }
  };
  const calls = async () => Object.fromEntries((await usage(server, "group_by=key", as(other))).items.map((row) => [row.key, row.calls]));
  const started = await server.post("/api/ingest/directory", { path: root, watch: true }, as(asker));
  assert.equal(started.status, 202, started.text);
  const task = async () => (await server.get(`/api/tasks/${started.json.task_id}`, as(other))).json;
  await until(task, (now) => now.state === "watching" && now.added === 3);
  const first = (await calls())[asker.key_id];
  assert.ok(first > 0);
  assert.deepEqual(Object.keys(await calls()), [asker.key_id], "nobody else, and no call without a key");

  assert.equal(await server.stop(), 0);
  server = await start();
  await until(task, (now) => now.state === "watching");
  write(3);
  await until(calls, (now) => now[asker.key_id] > first);
  assert.deepEqual(Object.keys(await calls()), [asker.key_id]);

  const limit = { limit_usd: 1e-9, scope: "key", subject: asker.key_id, period: "total" };
  assert.equal((await server.request("PUT", "/api/budgets/key", limit, as(other))).status, 200);
  const before = (await one.transcript()).length;
  write(4);
  const failed = await until(task, (now) => now.failed > 0);
  assert.match(JSON.stringify(failed.failures), /BUDGET_EXCEEDED/, JSON.stringify(failed));
  assert.equal((await one.transcript()).length, before, "no provider was asked");
  assert.equal((await server.post("/ingest", { text: "Another key has its own budget." }, as(other))).status, 201);
  assert.equal(await server.stop(), 0);
});

test("transcriptions: events as they come, the ledger from the last of them, and whole where a model cannot stream", async () => {
  const provider = await keeper();
  let goOn;
  const last = { type: "transcript.text.done", text: "At seven.", usage: { type: "tokens", input_tokens: 14, output_tokens: 3, total_tokens: 17 } };
  provider.transcribe = async (response, text) => {
    if (text.includes("whisper-1")) {
      response.setHeader("Content-Type", "application/json");
      return response.end(JSON.stringify({ text: "At seven." }));
    }
    response.setHeader("Content-Type", "text/event-stream");
    response.write(`data: ${JSON.stringify({ type: "transcript.text.delta", delta: "At " })}\n\n`);
    await new Promise((resolve) => (goOn = resolve));
    response.write(`data: ${JSON.stringify({ type: "transcript.text.delta", delta: "seven." })}\n\n`);
    response.end(`data: ${JSON.stringify(last)}\n\n`);
  };
  await serving(`providers:
  - {name: cloud, base_url: "${provider.url}", api_key: k-cloud-1234}
models:
  - {name: hear, upstream: gpt-4o-transcribe, providers: [cloud], price_prompt: 2.5, price_completion: 10}
llm: {attempts_max: 1}
`, async (server) => {
    const form = (model) => {
      const made = new FormData();
      made.append("model", model);
      made.append("stream", "true");
      made.append("file", new Blob(["RIFF"], { type: "audio/wav" }), "a.wav");
      return made;
    };
    const response = await fetch(`${server.url}/v1/audio/transcriptions`, { method: "POST", body: form("hear") });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body.getReader();
    const read = async () => new TextDecoder().decode((await reader.read()).value);
    assert.match(await read(), /"delta":"At "/, "while the provider still listens");
    goOn();
    let rest = "";
    for (let piece; (piece = await read()); ) rest += piece;
    assert.match(rest, /"delta":"seven."/);
    assert.ok(rest.endsWith(`data: ${JSON.stringify(last)}\n\n`), rest);
    const { items } = await usage(server, "group_by=model");
    assert.deepEqual(items.map((row) => [row.model, row.prompt_tokens, row.completion_tokens]), [["gpt-4o-transcribe", 14, 3]]);
    assert.ok(Math.abs(items[0].cost_usd - 65e-6) < 1e-12);
    const whole = await server.request("POST", "/v1/audio/transcriptions", form("cloud/whisper-1"));
    assert.deepEqual([whole.status, whole.json], [200, { text: "At seven." }], whole.text);
  });
  provider.stop();
});
