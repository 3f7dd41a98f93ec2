// Providers that fail: for every error script of the mock what the client sees and what the ledger says, how soon a
// client's leaving is told, who answers instead, and how an endpoint that is dead is left alone and found again.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, temporaryDirectory } from "../server.mjs";

const key = "sk-faults-4711-never-shown";
const messages = [{ role: "user", content: "What does the ferry to Holm cost?" }];
const prompt = { tokens: 13, micro: 0.15 };  // what this prompt is taken for; US dollars per million tokens
let first, second, server;

before(async () => {
  const script = join(temporaryDirectory(), "mock.yaml");
  writeFileSync(script, `prices:
  - {model: gpt-4o-mini, input: 0.15, output: 0.60}
  - {model: gpt-4.1, input: 2, output: 8}
`);
  const failing = join(temporaryDirectory(), "failing.yaml");
  writeFileSync(failing, `${readFileSync(script, "utf8")}rules:
  - {match: {user: limited}, answer: {status: 429}}
  - {match: {user: down}, answer: {status: 500}}
  - {match: {user: silent}, answer: {hang: true}}
  - {match: {user: filtered}, answer: {refuse: true}}
`);
  [first, second] = await Promise.all([MockLlm.start("--script", failing), MockLlm.start("--script", script)]);
  const config = join(temporaryDirectory(), "tessera.yaml");
  const provider = (name, url, models) => `  - name: ${name}
    base_url: ${url}/v1
    api_key: ${key}
    models: [${models}]
    first_token_timeout_ms: 300ms
    idle_timeout_ms: 300ms
`;
  writeFileSync(config, `providers:
${provider("up", first.url, "gpt-4o-mini")}${provider("spare", second.url, "gpt-4.1")}models:
  - {name: smart, upstream: gpt-4o-mini, providers: [up], fallbacks: [spare/gpt-4.1]}
llm:
  attempts_max: 1
  breaker_failures: 3
  breaker_open_ms: 1s
  breaker_open_max_ms: 1s
`);
  server = await Server.start({ settings: { config } });
});
beforeEach(() => Promise.all([first.reset(), second.reset()]));
after(async () => {
  assert.equal(await server.stop(), 0);
  await Promise.all([first.stop(), second.stop()]);
});

const body = (mock, more = {}) => ({ model: "up/gpt-4o-mini", messages, max_tokens: 50, mock, ...more });
const ask = (mock, more) => server.post("/v1/chat/completions", body(mock, more));
const usage = async (groups = "model") => (await server.get(`/api/usage?group_by=${groups}`)).json;
const breaker = async (endpoint) => Number((await server.get("/metrics")).text.match(new RegExp(`^tessera_llm_breaker_state\\{endpoint="${endpoint}"\\} (\\d)`, "m"))[1]);
const sum = (rows) => (1e6 * rows.reduce((all, row) => all + row.cost_usd, 0)).toFixed(3);
const threads = (pid) => readdirSync(`/proc/${pid}/task`).map((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").match(/\) (\w) /)[1]);
/** Asks until it holds; what it asks for takes time enough between two questions. */
async function until(holds, what) {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) if (Date.now() > deadline) assert.fail(`never: ${what}`);
}
/** Waits until the first provider takes calls: a failure before must not stand in the way of this one. */
async function lives() {
  await until(async () => (await ask({ tokens: 1 })).status === 200, "the endpoint takes calls");
  await first.reset();
}
/** What the ledger gained, as soon as `calls` more calls are in it. */
async function gained(before, calls) {
  let total;
  await until(async () => (total = (await usage()).total).calls >= before.calls + calls, `${calls} more calls in the ledger`);
  return { calls: total.calls - before.calls, prompt: total.prompt_tokens - before.prompt_tokens, completion: total.completion_tokens - before.completion_tokens, micro: 1e6 * (total.cost_usd - before.cost_usd) };
}
const told = (reply) => reply.json?.error ?? JSON.parse(reply.text.split("\n\n").filter(Boolean).at(-1).replace(/^data: /, "")).error;

// What it costs: nothing; what the provider says of it; or what came of it, by our count.
const free = "free", said = "said", counted = "counted";
const scripts = [
  // script, whole answer: status, code, cost; streamed: the same
  ["status=400", [400, "PROVIDER_REFUSED", free]],
  ["status=401", [502, "PROVIDER_AUTH", free]],
  ["status=403", [502, "PROVIDER_AUTH", free]],
  ["status=404", [400, "PROVIDER_MODEL_MISSING", free]],
  ["status=408", [504, "PROVIDER_TIMEOUT", free]],
  ["status=422", [400, "PROVIDER_REFUSED", free]],
  ["status=429", [429, "PROVIDER_RATE_LIMIT", free]],
  ["retry-after=3", [429, "PROVIDER_RATE_LIMIT", free]],
  ["status=500", [502, "PROVIDER_FAILED", free]],
  ["status=503", [503, "PROVIDER_UNAVAILABLE", free]],
  ["status=504", [504, "PROVIDER_TIMEOUT", free]],
  ["status=529", [503, "PROVIDER_UNAVAILABLE", free]],
  ["refuse", [400, "CONTENT_FILTERED", free]],
  ["filter-after=2", [200, null, said]],
  ["hang", [504, "PROVIDER_TIMEOUT", free]],
  ["hang-after=3", [504, "PROVIDER_TIMEOUT", free], [200, "PROVIDER_TIMEOUT", counted]],
  ["slow-headers=3000", [504, "PROVIDER_TIMEOUT", free]],
  ["reset", [503, "PROVIDER_UNAVAILABLE", free]],
  ["reset-after=3", [502, "STREAM_BROKEN", free], [200, "STREAM_BROKEN", counted]],
  ["close", [503, "PROVIDER_UNAVAILABLE", free]],
  ["close-after=3", [502, "STREAM_BROKEN", free], [200, "STREAM_BROKEN", counted]],
  ["garbage", [502, "PROVIDER_UNUSABLE", free]],
  ["garbage-after=3", [502, "BAD_RESPONSE", free], [200, "BAD_RESPONSE", counted]],
  ["error-after=3", [502, "BAD_RESPONSE", counted], [200, "PROVIDER_FAILED", counted]],
  ["truncate", [502, "BAD_RESPONSE", counted], [200, "STREAM_BROKEN", counted]],
  ["wrong-type", [200, null, said]],
  ["no-done", [200, null, said]],
  ["no-usage", [200, null, counted]],
];

for (const [script, whole, streamed = whole] of scripts) {
  test(`${script}: what the client sees and what it costs`, async () => {
    const [name, value = true] = script.split("=");
    const directive = { tokens: 10, [name]: value === true ? true : Number(value) };
    for (const [stream, [status, code, cost]] of [[false, whole], [true, streamed]]) {
      await lives();
      const before = (await usage()).total;
      const reply = await ask(directive, { stream });
      const where = `${stream ? "streamed" : "whole"}: ${reply.status} ${reply.text}`;
      assert.equal(reply.status, status, where);
      assert.ok(!reply.text.includes(key));
      if (code === null) {
        if (stream) assert.ok(reply.text.endsWith("data: [DONE]\n\n"), where);
        else assert.match(reply.json.choices[0].message.content, /^Lorem ipsum/);
      } else {
        const error = told(reply);
        assert.equal(error.code, code, where);
        assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
        assert.ok(!reply.text.includes("[DONE]"));
      }
      if ([429, 503].includes(status)) assert.equal(reply.headers.get("retry-after"), script === "retry-after=3" ? "3" : "1", where);
      const cost_of = await gained(before, 1);
      const told_us = await first.get("/mock/totals");
      assert.equal(cost_of.calls, 1, "one call, one entry");
      if (cost === free) assert.deepEqual([cost_of.prompt, cost_of.completion, cost_of.micro.toFixed(3)], [0, 0, "0.000"], where);
      if (cost === said) assert.deepEqual([cost_of.prompt, cost_of.completion, cost_of.micro.toFixed(3)], [told_us.prompt_tokens, told_us.completion_tokens, Number(told_us.exact_microdollars).toFixed(3)], where);
      if (cost === counted) {
        assert.ok(cost_of.prompt > 0 && cost_of.prompt < 3 * prompt.tokens, `${cost_of.prompt} tokens for a prompt of about ${prompt.tokens}; ${where}`);
        assert.ok(cost_of.completion >= 3 && cost_of.completion <= 20, `${cost_of.completion} tokens; ${where}`);
        assert.ok(cost_of.micro > 0);
      }
    }
  });
}

for (const [script, stream, begun] of [["hang", false, false], ["hang", true, false], ["slow-headers=250", true, false], ["tokens=1000;rate=20", true, true], ["tokens=1000;rate=20", false, false], ["tokens=10;hang-after=3", true, true]]) {
  test(`a client that leaves (${script}${stream ? ", streamed" : ""}) closes the provider's connection within 100 ms`, async () => {
    await lives();
    const before = (await usage()).total;
    const directives = Object.fromEntries(script.split(";").map((each) => each.split("=")).map(([name, value]) => [name, value ? Number(value) : true]));
    const request = JSON.stringify(body({ ...directives }, { stream }));
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${request.length}\r\n\r\n${request}`);
    if (begun) await new Promise((resolve) => socket.once("data", resolve));
    else await until(async () => (await first.get("/mock/totals")).in_flight === 1, "the call is with the provider");
    const left = Date.now();
    socket.destroy();
    const [call] = await first.transcriptWhen((calls) => calls.length === 1);
    assert.equal(call.outcome, "client_gone");
    const after = new Date(call.at).getTime() + call.took_ms - left;
    assert.ok(after <= 100, `closed ${after} ms after the client had left`);
    const cost = await gained(before, 1);
    assert.equal(cost.calls, 1);
    if (begun) assert.ok(cost.completion > 0 && cost.completion < 100, `${cost.completion}`);
    else assert.equal(cost.micro.toFixed(3), "0.000");
  });
}

test("another model answers in its place: the ledger names it, charges once, and agrees with the providers", async () => {
  await until(async () => (await server.post("/v1/chat/completions", { model: "smart", messages, max_tokens: 1 })).json.model === "gpt-4o-mini", "its rest after a rate limit is over");
  await second.reset();
  // A rate limit comes last: after it the endpoint is not asked first for a second.
  const asked = { down: [false, true], silent: [false, true], filtered: [false, true], limited: [true] };
  const requests = Object.values(asked).flat().length;
  for (const [user, streams] of Object.entries(asked)) {
    for (const stream of streams) {
      await lives();
      const reply = await server.post("/v1/chat/completions", { model: "smart", messages, user, stream, max_tokens: 40 });
      assert.equal(reply.status, 200, `${user}: ${reply.text}`);
      const text = stream ? reply.text.split("\n\n").filter((event) => event.startsWith("data: {")).map((event) => JSON.parse(event.slice(6)).choices[0]?.delta?.content ?? "").join("") : reply.json.choices[0].message.content;
      assert.match(text, /^Lorem ipsum/, "the whole of it, once");
      assert.equal(text.match(/Lorem/g).length, 1);
    }
  }
  const rows = (await usage("provider,model,user")).items.filter((row) => row.user in asked);
  const of = (provider) => rows.filter((row) => row.provider === provider);
  for (const row of of("up")) assert.deepEqual([row.model, row.calls, row.completion_tokens, row.cost_usd], ["gpt-4o-mini", asked[row.user].length, 0, 0], "what failed is entered, and free");
  for (const row of of("spare")) assert.deepEqual([row.model, row.calls], ["gpt-4.1", asked[row.user].length], "one call for each request");
  assert.equal(of("up").length + of("spare").length, 2 * Object.keys(asked).length);
  const told_us = await second.get("/mock/totals");
  assert.equal(told_us.requests, requests, "asked once for each request");
  assert.equal(sum(of("spare")), Number(told_us.exact_microdollars).toFixed(3));
  assert.match((await server.get("/metrics")).text, new RegExp(`^tessera_llm_fallbacks_total\\{endpoint="spare"\\} ${requests}$`, "m"));
});

test("a provider that went dead is left alone while another answers, and is found again", async () => {
  await lives();
  const smart = async () => {
    const begun = performance.now();
    const reply = await server.post("/v1/chat/completions", { model: "smart", messages, max_tokens: 40 });
    assert.equal(reply.status, 200, reply.text);
    return { by: reply.json.model, ms: performance.now() - begun };
  };
  await until(async () => (await smart()).by === "gpt-4o-mini", "its rest after a rate limit is over");
  assert.equal(await breaker("up"), 0);
  first.child.kill("SIGSTOP");  // its connections stay open, new ones are taken, nobody answers
  try {
    await until(() => threads(first.child.pid).every((state) => state === "T"), "it is stopped");
    for (let i = 0; i < 3; ++i) {
      const { by, ms } = await smart();
      assert.equal(by, "gpt-4.1");
      assert.ok(ms >= 290, "its silence is waited for");
    }
    assert.equal(await breaker("up"), 2);
    const quick = [];
    while (await breaker("up") === 2 && quick.length < 20) quick.push(await smart());
    assert.ok(quick.filter(({ by, ms }) => by === "gpt-4.1" && ms < 290).length >= quick.length - 1 && quick.length > 3, `nobody waits for it: ${JSON.stringify(quick)}`);
    const alone = await ask({ tokens: 1 });
    assert.ok([503, 504].includes(alone.status), "who asked for it alone is told at once, or tried it");
    if (alone.status === 503) assert.deepEqual([alone.json.error.code, alone.headers.get("retry-after")], ["PROVIDER_CIRCUIT_OPEN", "1"]);
  } finally {
    first.child.kill("SIGCONT");
  }
  await until(async () => (await smart()).by === "gpt-4o-mini", "it answers again");
  assert.equal(await breaker("up"), 0);
  for (let i = 0; i < 5; ++i) assert.equal((await smart()).by, "gpt-4o-mini");
});
