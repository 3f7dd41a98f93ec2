// What calls cost: the ledger beside the mock provider's own sums, budgets under load, and a server that is killed.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, temporaryDirectory } from "../server.mjs";

const model = "gpt-4o-mini";  // 0.15, 0.60 and, from the cache, 0.075 US dollars per million tokens
let mock, server, config;
const directory = temporaryDirectory();

const start = () => Server.start({ settings: { config }, directory });
before(async () => {
  const script = join(temporaryDirectory(), "mock.yaml");
  writeFileSync(script, `prices:\n  - {model: "*", input: 0.15, output: 0.60, cached-input: 0.075}\n`);
  mock = await MockLlm.start("--script", script);
  config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:
  - name: cloud
    base_url: ${mock.url}/v1
    api_key: sk-test-money
    location: cloud
    models: [${model}, house-model, gift]
    attempts_max: 1
    concurrent_max: 2000
  - {name: home, location: local, base_url: "${mock.url}/v1", models: [home-model]}
models:
  - {name: gift, price_prompt: 0, price_completion: 0}
  - {name: careful, upstream: house-model, providers: [cloud], fallbacks: [${model}]}
llm:
  attempts_max: 1
  breaker_failures: 0
`);
  server = await start();
});
beforeEach(() => mock.reset());
after(async () => {
  assert.equal(await server.stop(), 0);
  await mock.stop();
});

const messages = [{ role: "user", content: "What does the ferry to Holm cost?" }];
const ask = (answer, more = {}) => server.post("/v1/chat/completions", { model, messages, max_tokens: 100, mock: answer, ...more });
const usage = async (query = "") => (await server.get(`/api/usage?group_by=model${query}`)).json.total;
const micro = (usd) => Math.round(usd * 1e6);
const putBudget = (id, body) => server.request("PUT", `/api/budgets/${id}`, body);
const dropBudget = async (id) => assert.equal((await server.delete(`/api/budgets/${id}`)).status, 200);
const budget = async (id) => (await server.get("/api/budgets")).json.items.find((item) => item.budget_id === id);

/** The ledger as soon as no call is under way any more: a client that leaves does not wait for its entry. */
async function settled(calls) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const total = await usage();
    if (total.calls >= calls) return total;
    if (Date.now() > deadline) assert.fail(`only ${total.calls} of ${calls} calls were entered`);
  }
}

test("the ledger agrees with the provider to the micro-dollar", async () => {
  const before = await usage();
  const answers = [{ tokens: 5 }, { tokens: 17, "prompt-tokens": 1001, "cached-tokens": 400 }, { tokens: 1 }, { status: 500 }, { status: 400 }];
  let calls = 0;
  for (let round = 0; round < 20; ++round) {
    for (const answer of answers) {
      for (const stream of [false, true]) {
        const reply = await ask(answer, { stream, user: `user-${round % 3}`, n: 1 + (round % 2) });
        assert.equal(reply.status === 200, !answer.status, reply.text);
        ++calls;
      }
    }
  }
  const total = await settled(before.calls + calls);
  const seen = await mock.get("/mock/totals");
  assert.ok(seen.microdollars > 0);
  assert.equal(seen.requests, 120);
  assert.equal(total.calls - before.calls, calls);
  assert.equal(total.prompt_tokens - before.prompt_tokens, seen.prompt_tokens);
  assert.equal(total.completion_tokens - before.completion_tokens, seen.completion_tokens);
  assert.equal((total.cost_usd - before.cost_usd).toFixed(9), (Number(seen.exact_microdollars) / 1e6).toFixed(9));
});

test("a stream that breaks, or that its reader leaves, costs what came of it", async () => {
  const before = await usage();
  await ask({ tokens: 40, "reset-after": 10 }, { stream: true });
  const broken = await settled(before.calls + 1);
  const counted = broken.completion_tokens - before.completion_tokens;
  assert.ok(counted > 5 && counted < 40, `${counted} tokens of about 10`);

  const stop = new AbortController();
  const body = JSON.stringify({ model, messages, max_tokens: 1000, stream: true, mock: { tokens: 1000, rate: 100 } });
  const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body, headers: { "Content-Type": "application/json" }, signal: stop.signal });
  await response.body.getReader().read();
  stop.abort();
  const left = await settled(before.calls + 2);
  assert.ok(left.cost_usd > broken.cost_usd);
  assert.ok(left.completion_tokens - broken.completion_tokens < 900);
  assert.equal((await mock.get("/mock/totals")).microdollars, 0, "the provider told nobody");
});

test("what is spent beyond a hard budget is refused in OpenAI's words", async () => {
  assert.equal((await putBudget("tiny", { limit_usd: 0.000001, period: "day" })).status, 200);
  const reply = await ask({ tokens: 5 });
  assert.equal(reply.status, 402);
  assert.equal(reply.json.error.type, "insufficient_quota");
  assert.equal(reply.json.error.code, "BUDGET_EXCEEDED");
  assert.match(reply.json.error.message, /budget tiny .* begins anew at \d{4}-\d\d-\d\dT00:00:00/);
  assert.ok(Number(reply.headers.get("retry-after")) > 0);
  const streamed = await ask({ tokens: 5 }, { stream: true });
  assert.equal(streamed.status, 402);
  assert.equal(streamed.json.error.code, "BUDGET_EXCEEDED");
  assert.equal((await mock.get("/mock/totals")).seen, 0, "the provider was not asked");
  await dropBudget("tiny");
  assert.equal((await ask({ tokens: 5 })).status, 200);
});

test("a thousand parallel calls on a budget for ten never exceed it", async () => {
  const spent = (await usage()).cost_usd;
  // What one call holds: its own 100 tokens of answer and a bound for its prompt; the answer takes all of them.
  const one = 100 * 0.6e-6;
  await putBudget("ten", { limit_usd: spent + 10 * one, period: "total" });
  const replies = await Promise.all(Array.from({ length: 1000 }, () => ask({ tokens: 100, "prompt-tokens": 1 })));
  const answered = replies.filter((reply) => reply.status === 200).length;
  assert.equal(replies.filter((reply) => reply.status === 402).length, 1000 - answered);
  assert.ok(answered >= 5 && answered <= 10, `${answered} calls were let through`);
  const after = await budget("ten");
  assert.ok(after.spent_usd <= after.limit_usd, JSON.stringify(after));
  assert.equal(after.reserved_usd, 0);
  assert.equal(micro(after.spent_usd), micro((await usage()).cost_usd));
  const seen = await mock.get("/mock/totals");
  assert.equal(seen.requests, answered);
  assert.ok(seen.microdollars > 0);
  assert.equal((after.spent_usd - spent).toFixed(9), (Number(seen.exact_microdollars) / 1e6).toFixed(9), "the ledger's sum is the provider's");
  await dropBudget("ten");
});

test("a budget that only warns lets calls pass, says so in their headers and counts them", async () => {
  assert.equal((await ask({ tokens: 5 })).headers.get("x-tessera-budget-warning"), null);
  await putBudget("soft", { limit_usd: 0, hard: false, period: "month" });
  await putBudget("soft,too", { limit_usd: 0, hard: false, scope: "user", subject: "*", period: "day" });
  for (const stream of [false, true]) {
    const reply = await ask({ tokens: 5 }, { stream, user: "ann" });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get("x-tessera-budget-warning"), "soft, soft%2Ctoo");
    assert.equal((await ask({ tokens: 5 }, { stream })).headers.get("x-tessera-budget-warning"), "soft");
  }
  const chat = await server.post("/chat", { message: "What does it cost?", model });
  assert.equal(chat.headers.get("x-tessera-budget-warning"), "soft");
  await dropBudget("soft,too");
  const metrics = (await server.get("/metrics")).text;
  assert.match(metrics, /^tessera_budget_warnings_total [1-9]/m);
  assert.match(metrics, /^tessera_budget_refusals_total [1-9]/m);
  assert.match(server.log, /budget_passed/);
  await dropBudget("soft");
});

test("a workflow names itself in a header, has usage and a budget of its own", async () => {
  const as = (name) => ({ "X-Tessera-Workflow": name });
  const body = { model, messages, max_tokens: 100, mock: { tokens: 5 } };
  await putBudget("flow", { limit_usd: 0.000001, scope: "workflow", subject: "nightly", period: "day" });
  for (const more of [{}, { stream: true }]) {
    const refused = await server.post("/v1/chat/completions", { ...body, ...more }, as("nightly"));
    assert.deepEqual([refused.status, refused.json?.error.code], [402, "BUDGET_EXCEEDED"]);
    assert.match(refused.json.error.message, /budget flow of this workflow/);
  }
  assert.equal((await server.post("/chat", { message: "What does it cost?", model }, as("nightly"))).status, 402);
  assert.equal((await server.post("/v1/chat/completions", body, as("hourly"))).status, 200);
  assert.equal((await server.post("/chat", { message: "What does it cost?", model }, as("hourly"))).status, 200);
  await dropBudget("flow");
  assert.equal((await server.post("/v1/chat/completions", body, as("nightly"))).status, 200);
  const { items } = (await server.get("/api/usage?group_by=workflow")).json;
  assert.deepEqual(items.filter((item) => item.workflow).map((item) => [item.workflow, item.calls]), [["hourly", 2], ["nightly", 1]]);
  assert.equal((await server.get("/api/usage?group_by=model&workflow=hourly")).json.total.calls, 2);
  await putBudget("flows", { limit_usd: 0.000001, scope: "workflow", subject: "*", period: "total" });
  assert.equal((await server.post("/v1/chat/completions", body, as("yearly"))).status, 402);
  assert.equal((await server.post("/v1/chat/completions", body)).status, 200, "no workflow");
  await dropBudget("flows");
  for (const bad of ["*", "x".repeat(257), "a\tb"]) {
    const reply = await server.post("/v1/chat/completions", body, as(bad));
    assert.deepEqual([reply.status, reply.json.error.code], [400, "INVALID_HEADER"], bad);
  }
  const contract = (await server.get("/openapi.json")).json.paths;
  assert.ok(contract["/chat"].post.parameters.some((each) => each.in === "header" && each.name === "X-Tessera-Workflow"));
});

test("a model whose price nobody knows is not asked where a hard budget counts", async () => {
  const unpriced = (more = {}) => ask({ tokens: 5 }, { model: "house-model", ...more });
  assert.equal((await unpriced()).status, 200, "no budget, no question");
  await putBudget("anns", { limit_usd: 1000, scope: "user", subject: "ann", period: "total" });
  await mock.reset();
  for (const stream of [false, true]) {
    const refused = await unpriced({ user: "ann", stream });
    assert.equal(refused.status, 402, refused.text);
    assert.deepEqual([refused.json.error.code, refused.json.error.type], ["PRICE_UNKNOWN", "insufficient_quota"]);
    assert.match(refused.json.error.message, /budget anns .* house-model .* models:/);
  }
  assert.equal((await mock.get("/mock/totals")).seen, 0, "the provider was not asked");
  assert.equal((await unpriced({ user: "eve" })).status, 200, "the budget is not hers");
  for (const free of ["gift", "home-model"]) assert.equal((await ask({ tokens: 5 }, { model: free, user: "ann" })).status, 200, free);
  const instead = await ask({ tokens: 5 }, { model: "careful", user: "ann" });
  assert.deepEqual([instead.status, instead.json.model], [200, model], "a fallback whose price is known answers");
  await putBudget("anns", { limit_usd: 1000, scope: "user", subject: "ann", period: "total", hard: false });
  assert.equal((await unpriced({ user: "ann" })).status, 200);
  await dropBudget("anns");
  assert.match((await server.get("/metrics")).text, /^tessera_unpriced_calls_total [1-9]/m);
});

test("what failed gives back what it held", async () => {
  await putBudget("back", { limit_usd: (await usage()).cost_usd + 0.0001, period: "total" });
  for (let i = 0; i < 20; ++i) assert.notEqual((await ask({ status: 500 })).status, 402);
  assert.equal((await budget("back")).reserved_usd, 0);
  await dropBudget("back");
});

test("usage by what was asked for, as JSON and as CSV", async () => {
  await ask({ tokens: 3 }, { user: '=cmd("x"),1' });
  const byUser = (await server.get("/api/usage?group_by=user,day")).json;
  const day = new Date().toISOString().slice(0, 10);
  assert.ok(byUser.items.some((item) => item.user === "user-1" && item.calls > 0));
  assert.ok(byUser.items.every((item) => item.day <= day));
  assert.equal(byUser.truncated, false);
  const csv = await server.get("/api/usage?group_by=user,model", { Accept: "text/csv" });
  assert.match(csv.headers.get("content-type"), /^text\/csv/);
  const lines = csv.text.trim().split("\r\n");
  assert.equal(lines[0], "user,model,calls,prompt_tokens,cached_prompt_tokens,cache_write_tokens,completion_tokens,cost_usd");
  assert.ok(lines.some((line) => line.startsWith(`"'=cmd(""x""),1",${model},1,`)), csv.text);
  assert.equal((await server.get("/api/usage?format=csv&limit=1&group_by=user")).text.trim().split("\r\n").length, 2);
  assert.equal((await server.get("/api/usage?group_by=shoe")).json.error.param, "group_by");
  assert.equal((await server.get("/api/usage?from=yesterday")).json.error.param, "from");
  assert.equal((await server.get("/api/usage?from=2026-01-02&to=2026-01-01")).status, 400);
  assert.equal((await usage("&from=2001-01-01&to=2001-01-02T03:04:05Z")).calls, 0);
  assert.ok((await usage("&from=2001-01-01T00:00:00%2B02:00")).calls > 0);
  assert.equal((await putBudget("bad", { limit_usd: 1, scope: "key" })).json.error.param, "subject");
  assert.equal((await putBudget("bad", { limit_usd: -1 })).status, 400);
  assert.equal((await server.delete("/api/budgets/none")).status, 404);
});

test("a budget for each user holds for each alike", async () => {
  await putBudget("each", { limit_usd: 0.0001, scope: "user", subject: "*", period: "day" });
  const of = (user) => ask({ tokens: 100, "prompt-tokens": 1 }, { user });
  assert.equal((await of("eve")).status, 200);
  assert.equal((await of("eve")).status, 402);
  assert.equal((await of("adam")).status, 200);
  await dropBudget("each");
});

test("killed, it has lost a moment at most, and budgets agree with the ledger", async () => {
  await putBudget("all", { limit_usd: 1000, period: "total" });
  for (let i = 0; i < 20; ++i) await ask({ tokens: 10 });
  const before = await usage();  // waits for the ledger
  await server.kill();
  server = await start();
  const after = await usage();
  assert.deepEqual(after, before);
  assert.equal(micro((await budget("all")).spent_usd), micro(after.cost_usd));
  for (let i = 0; i < 20; ++i) await ask({ tokens: 10 });
  assert.equal(await server.stop(), 0);
  server = await start();
  assert.equal((await usage()).calls, before.calls + 20, "an orderly stop loses nothing");
  assert.equal(micro((await budget("all")).spent_usd), micro((await usage()).cost_usd));
});
