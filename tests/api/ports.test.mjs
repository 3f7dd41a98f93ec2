// What providers do besides chat: responses that they keep, and their lists of models. The providers are this test's own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const directory = temporaryDirectory();
const seen = [];
const kept = new Map();
let provider, server, start, ours, theirs;

const json = (response, status, value) => {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(value));
};
const answer = (id, status = "completed") => ({ id, object: "response", created_at: 1, status, model: "gpt-4o-mini", output: [{ id: "msg_1", type: "message", status: "completed", role: "assistant", content: [{ type: "output_text", text: "At seven.", annotations: [] }] }], usage: { input_tokens: 5, output_tokens: 3, total_tokens: 8, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } } });

const eventText = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
let count = 0;
let held, goOn;  // a promise that keeps a stream from going on after its first event

async function streamed(response, id, after = -1) {
  response.setHeader("Content-Type", "text/event-stream");
  response.flushHeaders();
  const events = [
    eventText("response.created", { sequence_number: 0, response: { ...answer(id, "in_progress"), output: [] } }),
    eventText("response.output_text.delta", { sequence_number: 1, item_id: "msg_1", output_index: 0, content_index: 0, delta: "At seven." }),
    eventText("response.completed", { sequence_number: 2, response: answer(id) }),
  ];
  for (const [i, event] of events.entries()) {
    if (i > after) response.write(event);
    if (i === 0) await held;
  }
  response.end();
}

function responses(request, response, body) {
  const [, id, verb] = request.url.match(/\/responses(?:\/([^/?]+))?(?:\/(\w+))?/);
  if (!id) {
    const made = `resp_${++count}abc`;
    kept.set(made, body);
    if (!body.stream) return json(response, 200, answer(made, body.background ? "queued" : "completed"));
    return streamed(response, made);
  }
  if (!kept.has(id)) return json(response, 404, { error: { message: `Response with id '${id}' not found.`, type: "invalid_request_error", param: null, code: null } });
  if (request.method === "DELETE") {
    kept.delete(id);
    return json(response, 200, { id, object: "response.deleted", deleted: true });
  }
  if (verb === "cancel") return json(response, 200, answer(id, "cancelled"));
  if (verb === "input_items") return json(response, 200, { object: "list", data: [{ id: "msg_0", type: "message", role: "user", content: [{ type: "input_text", text: kept.get(id).input }] }], has_more: false });
  const query = new URL(request.url, "http://provider").searchParams;
  if (query.get("stream") === "true") return streamed(response, id, Number(query.get("starting_after") ?? -1));
  return json(response, 200, answer(id));
}

before(async () => {
  provider = createServer((request, response) => {
    let text = "";
    request.on("data", (data) => (text += data));
    request.on("end", () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers });
      if (request.url.includes("/responses")) return responses(request, response, text ? JSON.parse(text) : {});
      if (request.url.startsWith("/anthropic/models")) return json(response, 200, { data: [{ type: "model", id: "claude-sonnet-4-5", display_name: "Claude", created_at: "2025-01-01T00:00:00Z" }], has_more: false });
      if (request.url.startsWith("/gemini/models")) return json(response, 200, { models: [{ name: "models/gemini-2.5-pro", supportedGenerationMethods: ["generateContent", "countTokens"] }, { name: "models/text-embedding-004", supportedGenerationMethods: ["embedContent"] }] });
      if (request.url.startsWith("/plain/models")) return json(response, 200, { object: "list", data: [{ id: "llama-3.1-8b", object: "model" }] });
      if (request.url.startsWith("/silent")) return;  // never
      if (request.url.startsWith("/broken/models")) return json(response, 500, {});
      return json(response, 404, { error: { message: "no such address" } });
    });
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const at = (path) => `http://127.0.0.1:${provider.address().port}/${path}`;
  const config = join(directory, "tessera.yaml");
  writeFileSync(config, `providers:
  - {name: cloud, base_url: "${at("v1")}", api_key: sk-ports-1234, models: [gpt-4o-mini]}
  - {name: claude, type: anthropic, base_url: "${at("anthropic")}", api_key: sk-ant-1234}
  - {name: gem, type: gemini, base_url: "${at("gemini")}", api_key: gm-1234}
  - {name: plain, type: ollama, base_url: "${at("plain")}"}
  - {name: mute, type: vllm, base_url: "${at("silent/1")}"}
  - {name: dumb, type: vllm, base_url: "${at("silent/2")}"}
  - {name: broken, type: vllm, base_url: "${at("broken")}"}
llm: {attempts_max: 1}
`);
  const key = (...flags) => execFileSync(binary, ["keys", "create", "--data", directory, ...flags], { encoding: "utf8", env: { PATH: process.env.PATH } }).trim();
  ours = key("--app", "ours");
  theirs = key("--app", "theirs");
  start = () => Server.start({ settings: { config, "auth.mode": "keys" }, directory });
  server = await start();
});
after(async () => {
  assert.equal(await server.stop(), 0);
  provider.closeAllConnections();
  provider.close();
});

const client = (apiKey) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
const as = (key) => ({ Authorization: `Bearer ${key}` });

test("responses that a provider keeps can be fetched, stopped and deleted by the app that made them", async () => {
  const openai = client(ours);
  const made = await openai.responses.create({ model: "gpt-4o-mini", input: "When?", background: true });
  assert.equal(made.status, "queued");
  assert.equal((await openai.responses.retrieve(made.id)).output[0].content[0].text, "At seven.");
  assert.equal((await openai.post(`/responses/${made.id}/cancel`)).status, "cancelled");
  const items = await openai.responses.inputItems.list(made.id, { limit: 5 });
  assert.equal(items.data[0].content[0].text, "When?");
  assert.equal(seen.at(-1).url, `/v1/responses/${made.id}/input_items?limit=5`);
  assert.equal(seen.at(-1).headers.authorization, "Bearer sk-ports-1234");
  await openai.responses.del(made.id);
  assert.equal(seen.at(-1).method, "DELETE");
  assert.ok(!kept.has(made.id));
  await assert.rejects(openai.responses.retrieve(made.id), OpenAI.NotFoundError);

  let id;
  for await (const event of await openai.responses.create({ model: "gpt-4o-mini", input: "When?", stream: true })) id = event.response?.id ?? id;
  assert.equal((await openai.responses.retrieve(id)).id, id, "streamed ones, too");
  kept.delete(id);
  const gone = await server.get(`/v1/responses/${id}`, as(ours));
  assert.deepEqual([gone.status, gone.json.error.code], [404, "RESPONSE_NOT_FOUND"], "the provider has forgotten it");
});

test("another app gets at none of them", async () => {
  const { id } = await client(ours).responses.create({ model: "gpt-4o-mini", input: "A secret" });
  const before = seen.length;
  for (const [method, path] of [["GET", id], ["DELETE", id], ["GET", `${id}/input_items`], ["POST", `${id}/cancel`], ["GET", "resp_never"], ["GET", "a.b"]]) {
    const reply = await server.request(method, `/v1/responses/${path}`, undefined, as(theirs));
    assert.deepEqual([reply.status, reply.json.error.code, reply.json.error.type], [404, "RESPONSE_NOT_FOUND", "invalid_request_error"], `${method} ${path}: ${reply.text}`);
  }
  const follows = await server.post("/v1/responses", { model: "gpt-4o-mini", input: "Go on", previous_response_id: id }, as(theirs));
  assert.deepEqual([follows.status, follows.json.error.param], [404, "previous_response_id"]);
  for (const conversation of ["conv_1", { id: "conv_1" }]) {
    const joins = await server.post("/v1/responses", { model: "gpt-4o-mini", input: "Go on", conversation }, as(ours));
    assert.deepEqual([joins.status, joins.json.error.code, joins.json.error.param], [400, "CONVERSATION_NOT_AVAILABLE", "conversation"], "nobody knows whose it is");
  }
  assert.equal(seen.length, before, "the provider heard nothing of it");
  assert.equal((await server.post("/v1/responses", { model: "gpt-4o-mini", input: "Go on", previous_response_id: id }, as(ours))).status, 200);
});

test("the events of a response that is kept come as its provider sends them, from where one stopped", async () => {
  const openai = client(ours);
  const { id } = await openai.responses.create({ model: "gpt-4o-mini", input: "When?", background: true });
  const events = async (query) => {
    const types = [];
    for await (const event of await openai.get(`/responses/${id}`, { query: { stream: true, ...query }, stream: true })) types.push(`${event.sequence_number} ${event.type}`);
    return types;
  };
  const all = ["0 response.created", "1 response.output_text.delta", "2 response.completed"];
  assert.deepEqual(await events({}), all);
  assert.equal(seen.at(-1).url, `/v1/responses/${id}?stream=true`);
  assert.deepEqual(await events({ starting_after: 0 }), all.slice(1));
  assert.equal(seen.at(-1).url, `/v1/responses/${id}?stream=true&starting_after=0`);
  assert.deepEqual(await events({ starting_after: 2 }), [], "there is nothing more");
  const raw = await server.get(`/v1/responses/${id}?stream=true&starting_after=1`, as(ours));
  assert.equal(raw.headers.get("content-type"), "text/event-stream");
  assert.equal(raw.text, eventText("response.completed", { sequence_number: 2, response: answer(id) }), "byte for byte");

  // The first event is there while the provider still thinks about the second.
  held = new Promise((resolve) => (goOn = resolve));
  const response = await fetch(`${server.url}/v1/responses/${id}?stream=true`, { headers: as(ours) });
  const reader = response.body.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  assert.match(await read(), /response\.created/);
  goOn();
  assert.match(await read(), /output_text\.delta/);
  await reader.cancel();
  held = undefined;

  const before = seen.length;
  const foreign = await server.get(`/v1/responses/${id}?stream=true`, as(theirs));
  assert.deepEqual([foreign.status, foreign.json.error.code], [404, "RESPONSE_NOT_FOUND"]);
  assert.equal(seen.length, before);
  kept.delete(id);
  const gone = await server.get(`/v1/responses/${id}?stream=true`, as(ours));
  assert.deepEqual([gone.status, gone.json.error.code], [404, "RESPONSE_NOT_FOUND"]);
});

test("whose a response is outlives the server, killed at once or stopped in order", async () => {
  for (const end of ["kill", "stop"]) {
    const { id } = await client(ours).responses.create({ model: "gpt-4o-mini", input: "When?" });
    const away = (await client(ours).responses.create({ model: "gpt-4o-mini", input: "Forget me" })).id;
    await client(ours).responses.del(away);
    const reading = await server.request("POST", "/v1/responses", { model: "gpt-4o-mini", input: "When?", stream: true }, as(ours));
    const streamed = reading.text.match(/"id":"(resp_\w+)"/)[1];
    await server[end]();
    server = await start();
    for (const each of [id, streamed]) {
      assert.equal((await client(ours).responses.retrieve(each)).id, each, end);
      assert.deepEqual([(await server.get(`/v1/responses/${each}`, as(theirs))).status, (await server.request("DELETE", `/v1/responses/${each}`, undefined, as(theirs))).status], [404, 404], end);
    }
    const before = seen.length;
    assert.equal((await server.get(`/v1/responses/${away}`, as(ours))).status, 404, end);
    const follows = await server.post("/v1/responses", { model: "gpt-4o-mini", input: "Go on", previous_response_id: id }, as(theirs));
    assert.deepEqual([follows.status, follows.json.error.param], [404, "previous_response_id"], end);
    assert.equal(seen.length, before, "the provider is not asked for what is not theirs");
    assert.equal((await server.request("DELETE", `/v1/responses/${id}`, undefined, as(ours))).status, 200);
  }
  const unkept = await client(ours).responses.create({ model: "gpt-4o-mini", input: "When?", store: false });
  assert.equal((await server.get(`/v1/responses/${unkept.id}`, as(ours))).status, 404, "what is not to be kept is nobody's");
});

test("the list of models has what providers offer of themselves, whatever their dialect", async () => {
  const names = async () => (await server.get("/v1/models", as(ours))).json.data.map((model) => model.id);
  const began = performance.now();
  const [all, meanwhile] = await Promise.all([names(), names()]);
  const took = performance.now() - began;
  assert.ok(took < 5500, `two silent providers are waited for together, three seconds: ${took} ms`);
  assert.deepEqual(meanwhile, all, "who asks at the same time is told the same");
  for (const name of ["gpt-4o-mini", "claude/claude-sonnet-4-5", "gem/gemini-2.5-pro", "plain/llama-3.1-8b"]) assert.ok(all.includes(name), `${name} in ${all}`);
  assert.ok(!all.some((name) => name.includes("embedding-004") || name.startsWith("broken/")), `${all}`);
  const asked = seen.filter((call) => call.url.includes("/models"));
  assert.equal(asked.find((call) => call.url.startsWith("/anthropic")).headers["x-api-key"], "sk-ant-1234");
  assert.equal(asked.find((call) => call.url.startsWith("/gemini")).headers["x-goog-api-key"], "gm-1234");
  assert.ok(!asked.some((call) => call.url.startsWith("/v1/models")), "whose models are configured is not asked");
  assert.deepEqual(await names(), all);
  assert.equal(seen.filter((call) => call.url.includes("/models")).length, asked.length, "and the others are not asked each time");
  assert.equal((await server.get("/v1/models/gem/gemini-2.5-pro", as(ours))).json.id, "gem/gemini-2.5-pro");
});
