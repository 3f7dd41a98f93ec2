// What the ledger says beside what providers bill: cache writes, service tiers, responses in the background, shared
// answers; and who is named in it. The providers are this test's own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const directory = temporaryDirectory();
const kept = new Map();  // responses by id: their status
const shared = { seen: 0, waiting: [] };
let provider, server, config, count = 0;

const json = (response, value) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(value));
};
const completion = (body, tier) => ({ id: "c", object: "chat.completion", created: 1, model: body.model, choices: [{ index: 0, message: { role: "assistant", content: "Seven." }, finish_reason: "stop" }], usage: { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 }, ...(tier && { service_tier: tier }) });
const claudeUsage = { input_tokens: 100, output_tokens: 10, cache_read_input_tokens: 200, cache_creation_input_tokens: 3000, cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 2000 } };
const made = (id) => {
  const status = kept.get(id);
  const done = status === "completed";
  return { id, object: "response", created_at: 1, background: true, status, model: "gpt-5-mini", error: null, output: done ? [{ id: "m", type: "message", role: "assistant", status, content: [{ type: "output_text", text: "Seven.", annotations: [] }] }] : [], usage: done ? { input_tokens: 2000, output_tokens: 30_000, total_tokens: 32_000, input_tokens_details: { cached_tokens: 0 } } : null, service_tier: done ? "flex" : "auto" };
};
const event = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;

function answer(request, response, body) {
  if (request.url.includes("/messages")) {
    if (!body.stream) return json(response, { id: "m", type: "message", role: "assistant", model: body.model, content: [{ type: "text", text: "Seven." }], stop_reason: "end_turn", usage: claudeUsage });
    response.setHeader("Content-Type", "text/event-stream");
    response.write(event("message_start", { message: { id: "m", type: "message", role: "assistant", model: body.model, content: [], usage: { ...claudeUsage, output_tokens: 1 } } }));
    response.write(event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }) + event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Seven." } }) + event("content_block_stop", { index: 0 }));
    return response.end(event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 10 } }) + event("message_stop", {}));
  }
  if (request.url.includes("/rerank")) return json(response, { model: body.model, results: [{ index: 0, relevance_score: 1 }], usage: { prompt_tokens: 50, total_tokens: 50 } });
  if (!request.url.includes("/responses")) {
    if (body.wait) {
      shared.seen += 1;
      return shared.waiting.push(() => json(response, completion(body)));
    }
    if (!body.stream) return json(response, completion(body, body.answers));
    response.setHeader("Content-Type", "text/event-stream");
    const chunk = (more) => `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: body.model, service_tier: body.answers, ...more })}\n\n`;
    return response.end(chunk({ choices: [{ index: 0, delta: { content: "Seven." }, finish_reason: "stop" }] }) + chunk({ choices: [], usage: completion(body).usage }) + "data: [DONE]\n\n");
  }
  const id = request.url.match(/\/responses\/([^/?]+)/)?.[1];
  if (!id) {
    const fresh = `resp_${++count}`;
    kept.set(fresh, "in_progress");
    if (!body.stream) return json(response, made(fresh));
    response.setHeader("Content-Type", "text/event-stream");
    return response.write(event("response.created", { sequence_number: 0, response: made(fresh) }));  // and no more
  }
  if (request.method === "DELETE") return json(response, { id, object: "response.deleted", deleted: true });
  if (request.url.includes("stream=true")) {
    response.setHeader("Content-Type", "text/event-stream");
    return response.end(event("response.completed", { sequence_number: 1, response: made(id) }));
  }
  return json(response, made(id));
}

const start = () => Server.start({ settings: { config, "log.format": "json" }, directory });
before(async () => {
  provider = createServer((request, response) => {
    let text = "";
    request.on("data", (data) => (text += data));
    request.on("end", () => answer(request, response, text ? JSON.parse(text) : {}));
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const at = `http://127.0.0.1:${provider.address().port}`;
  config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:
  - {name: cloud, base_url: "${at}/v1", api_key: sk-invoice, location: cloud, models: [gpt-5-mini, own]}
  - {name: ranks, type: vllm, base_url: "${at}/v1", location: cloud, models: [ranker]}
  - {name: claude, type: anthropic, base_url: "${at}/v1", api_key: sk-invoice, location: cloud, models: [claude-sonnet-4-5]}
models:
  - {name: ranker, price_prompt: 1, price_completion: 1}
  - {name: own, price_prompt: 2, price_completion: 4, price_cache_write: 3, flex_factor: 0.25, priority_factor: 3}
llm: {attempts_max: 1, single_flight: true}
`);
  server = await start();
});
after(async () => {
  assert.equal(await server.stop(), 0);
  provider.closeAllConnections();
  provider.close();
});

const messages = [{ role: "user", content: "When?" }];
const complete = (more, headers) => server.post("/v1/chat/completions", { model: "gpt-5-mini", messages, max_tokens: 200, ...more }, headers);
/** What the calls made by `run` are in the ledger. */
async function entered(run, { calls = 1, query = "" } = {}) {
  const read = async () => (await server.get(`/api/usage?group_by=app${query}`)).json.items[0] ?? { calls: 0, cost_usd: 0, prompt_tokens: 0, completion_tokens: 0, cached_prompt_tokens: 0, cache_write_tokens: 0 };
  const before = await read();
  await run();
  const deadline = Date.now() + 5000;
  for (;;) {
    const now = await read();
    if (now.calls - before.calls >= calls) return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, typeof value === "number" ? Number((value - before[name]).toFixed(12)) : value]));
    assert.ok(Date.now() < deadline, "no entry came");
  }
}
const ok = (reply) => assert.equal(reply.status, 200, reply.text);
const putBudget = async (id, body) => ok(await server.request("PUT", `/api/budgets/${id}`, body));
const budget = async (id) => (await server.get("/api/budgets")).json.items.find((item) => item.budget_id === id);

test("what goes into Anthropic's cache costs what Anthropic asks for it", async () => {
  for (const stream of [false, true]) {
    const sum = await entered(async () => ok(await complete({ model: "claude-sonnet-4-5", stream })));
    assert.equal(sum.prompt_tokens, 3300);
    assert.equal(sum.cache_write_tokens, 3000);
    assert.equal(sum.cached_prompt_tokens, 200);
    assert.equal(sum.cost_usd, (100 * 3 + 200 * 0.3 + 1000 * 3.75 + 2000 * 6 + 10 * 15) / 1e6, `stream ${stream}`);
  }
});

test("the price is that of the service tier that the answer names", async () => {
  const prices = { flex: [0.125, 1], priority: [0.45, 3.6], default: [0.25, 2] };
  for (const [tier, [prompt, answered]] of Object.entries(prices)) {
    for (const stream of [false, true]) {
      const sum = await entered(async () => ok(await complete({ service_tier: "auto", answers: tier, stream })));
      assert.equal(sum.cost_usd, Number(((1000 * prompt + 100 * answered) / 1e6).toFixed(12)), `${tier}, stream ${stream}`);
    }
  }
  const asked = await entered(async () => ok(await complete({ service_tier: "flex", answers: "default" })));
  assert.equal(asked.cost_usd, (1000 * 0.25 + 100 * 2) / 1e6, "asked for, but not given");
  const own = await entered(async () => ok(await complete({ model: "own", answers: "flex" })));
  assert.equal(own.cost_usd, (1000 * 0.5 + 100 * 1) / 1e6, "by the entry in models:");
});

const respond = (more = {}) => server.post("/v1/responses", { model: "gpt-5-mini", input: "Think long.", background: true, max_output_tokens: 50_000, ...more });
const finished = (2000 * 0.125 + 30_000 * 1) / 1e6;

test("a response in the background stays held until it is known what it used, over a restart, and counts once", async () => {
  await putBudget("all", { limit_usd: 0.35, period: "total" });
  const { json: { id } } = await respond();
  const reserved = (await budget("all")).reserved_usd;
  assert.ok(reserved > 0.1, `${reserved} for up to 50,000 tokens`);
  let { spent_usd } = await budget("all");
  ok(await server.get(`/v1/responses/${id}`));
  assert.equal((await budget("all")).reserved_usd, reserved, "it is under way");
  for (let i = 0; i < 5 && (await budget("all")).left_usd > 0.1; ++i) ok(await respond());
  const refused = await respond();
  assert.deepEqual([refused.status, refused.json.error.code], [402, "BUDGET_EXCEEDED"], "what is held counts");
  const held = (await budget("all")).reserved_usd;
  await server.get("/api/usage");  // waits for what is written
  await server.kill();
  server = await start();
  assert.ok(Math.abs((await budget("all")).reserved_usd - held) < 0.01, "still held");
  assert.equal((await budget("all")).spent_usd, spent_usd);
  kept.set(id, "completed");
  const sum = await entered(async () => {
    await Promise.all(Array.from({ length: 5 }, async () => ok(await server.get(`/v1/responses/${id}`))));
    ok(await server.get(`/v1/responses/${id}?stream=true`));
  });
  assert.deepEqual([sum.calls, sum.completion_tokens, sum.cost_usd], [1, 30_000, finished]);
  assert.equal((await budget("all")).spent_usd.toFixed(9), (spent_usd + finished).toFixed(9));
  ok(await server.delete("/api/budgets/all"));
});

test("streams of it settle it, too, and one that its reader leaves stays held", async () => {
  await putBudget("streams", { limit_usd: 10, period: "total" });
  const stop = new AbortController();
  const response = await fetch(`${server.url}/v1/responses`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ model: "gpt-5-mini", input: "Think.", background: true, stream: true, max_output_tokens: 1000 }), signal: stop.signal });
  const reader = response.body.getReader();
  const id = new TextDecoder().decode((await reader.read()).value).match(/"id":"(resp_\d+)"/)[1];
  const calls = (await server.get("/api/usage?group_by=app")).json.total.calls;
  stop.abort();
  while ((await server.get("/metrics")).text.match(/^tessera_http_requests_in_flight (\d+)/m)?.[1] > 1);
  kept.set(id, "completed");
  const sum = await entered(async () => {
    ok(await server.get(`/v1/responses/${id}?stream=true`));
    ok(await server.get(`/v1/responses/${id}`));
  });
  assert.deepEqual([sum.calls, sum.cost_usd], [1, finished]);
  assert.equal((await server.get("/api/usage?group_by=app")).json.total.calls, calls + 1);

  const gone = (await respond({ max_output_tokens: 1000 })).json.id;
  const deleted = await entered(async () => ok(await server.delete(`/v1/responses/${gone}`)));
  assert.deepEqual([deleted.calls, deleted.completion_tokens], [1, 1000], "deleted before its end: what was held");
  assert.equal((await budget("streams")).reserved_usd, 0);
  ok(await server.delete("/api/budgets/streams"));
});

test("whoever shares an answer has an entry that costs nothing", async () => {
  shared.seen = 0;
  const metric = async () => Number((await server.get("/metrics")).text.match(/^tessera_http_requests_in_flight (\d+)/m)[1]);
  const sum = await entered(async () => {
    const asked = ["a", "b", "c"].map((workflow) => complete({ wait: true }, { "X-Tessera-Workflow": workflow }));
    while ((await metric()) < 4 || shared.waiting.length === 0);
    shared.waiting.splice(0).forEach((send) => send());
    (await Promise.all(asked)).forEach(ok);
  }, { calls: 3 });
  assert.equal(shared.seen, 1);
  assert.deepEqual([sum.calls, sum.prompt_tokens, sum.cost_usd], [3, 3000, (1000 * 0.25 + 100 * 2) / 1e6], "tokens that were saved are told");
  const { items } = (await server.get("/api/usage?group_by=workflow")).json;
  const costs = items.filter((item) => ["a", "b", "c"].includes(item.workflow)).map((item) => item.cost_usd);
  assert.deepEqual(costs.sort(), [0, 0, (1000 * 0.25 + 100 * 2) / 1e6]);
});

test("people are known by user and by what succeeds it, wherever models work", async () => {
  const ask = { rerank: (who) => server.post("/v1/rerank", { model: "ranker", query: "q", documents: ["d"], ...who }), chat: (who) => complete(who), responses: (who) => server.post("/v1/responses", { model: "claude-sonnet-4-5", input: "When?", ...who }) };
  for (const [name, call] of Object.entries(ask)) {
    for (const who of [{ user: `u-${name}` }, { safety_identifier: `s-${name}` }, { user: `both-${name}`, safety_identifier: "other" }]) ok(await call(who));
    const { items } = (await server.get("/api/usage?group_by=user")).json;
    for (const user of [`u-${name}`, `s-${name}`, `both-${name}`]) assert.equal(items.find((item) => item.user === user)?.calls, 1, user);
    assert.ok(!items.some((item) => item.user === "other"));
    await putBudget("person", { limit_usd: 0, scope: "user", subject: `s-${name}`, period: "total" });
    assert.equal((await call({ safety_identifier: `s-${name}` })).status, 402, name);
    ok(await server.delete("/api/budgets/person"));
  }
});

test("the size of a body that was passed on is logged and counted", async () => {
  const total = async () => Number((await server.get("/metrics")).text.match(/^tessera_http_request_bytes_total (\d+)/m)[1]);
  const before = await total();
  const body = JSON.stringify({ model: "gpt-5-mini", messages });
  ok(await server.request("POST", "/v1/chat/completions", body, { "Content-Type": "application/json", "X-Request-Id": "sized-1" }));
  const deadline = Date.now() + 5000;
  while ((await total()) < before + body.length) assert.ok(Date.now() < deadline);
  assert.equal((await total()) - before, body.length);
  const line = server.log.split("\n").find((each) => each.includes("sized-1"));
  assert.match(line, new RegExp(`bytes_in"?[:=] ?${body.length}\\b`), line);
});

test("`tessera usage` shows every app, beside a running server and without", async () => {
  await server.get("/api/usage");
  const run = (...flags) => {
    const done = spawnSync(binary, ["usage", "--data", directory, ...flags], { encoding: "utf8", env: { PATH: process.env.PATH, NO_COLOR: "1" } });
    assert.equal(done.status, 0, done.stderr);
    return done.stdout;
  };
  const usage = (await server.get("/api/usage?group_by=model,user")).json;
  assert.deepEqual(JSON.parse(run("--by", "model,user", "--json")), usage);
  const table = run().trimEnd().split("\n");
  assert.match(table[0], /^APP +MODEL +CALLS +PROMPT +CACHED +WRITTEN +COMPLETION +USD$/);
  assert.ok(table.some((line) => /^default +claude-sonnet-4-5 +\d+ /.test(line)), table.join("\n"));
  assert.match(table.at(-1), /^all /);
  const csv = run("--by", "user", "--csv", "--user", "u-chat").split("\r\n");
  assert.deepEqual(csv.slice(0, 2), ["user,calls,prompt_tokens,cached_prompt_tokens,cache_write_tokens,completion_tokens,cost_usd", "u-chat,1,1000,0,0,100,0.00045"]);
  assert.equal(run("--to", "2001-01-01"), "No calls.\n");
  assert.equal(run("--app", "nobody"), "No calls.\n");

  // Another app's calls are in it as well, which no key shows.
  assert.equal(await server.stop(), 0);
  const key = spawnSync(binary, ["keys", "create", "--data", directory, "--app", "phone"], { encoding: "utf8", env: { PATH: process.env.PATH } }).stdout.trim();
  server = await Server.start({ settings: { config, "auth.mode": "keys", "log.format": "json" }, directory });
  ok(await complete({}, { Authorization: `Bearer ${key}` }));
  assert.equal(await server.stop(), 0);
  const apps = JSON.parse(run("--by", "app", "--json"));
  assert.deepEqual(apps.items.map((item) => item.app), ["default", "phone"]);
  assert.equal(apps.items[1].calls, 1);
  assert.equal(apps.total.calls, usage.total.calls + 1);
  const wrong = spawnSync(binary, ["usage", "--data", directory, "--by", "shoe"], { encoding: "utf8", env: { PATH: process.env.PATH } });
  assert.notEqual(wrong.status, 0);
  assert.match(wrong.stderr, /group_by/);
  server = await start();
});
