// OpenAI's dialect passed on to a provider: what the client sends arrives, what the provider answers comes back, event
// for event. The provider is `tessera mock-llm`, whose answers are repeatable, so they can be compared with the direct line's.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { MockLlm } from "../mock_llm.mjs";
import { noContract, openAiContract } from "../openai_contract.mjs";
import { Server, temporaryDirectory } from "../server.mjs";

const key = "sk-gateway-0815-never-shown";
const messages = [{ role: "user", content: "hi" }];
let mock, server, client;

before(async () => {
  mock = await MockLlm.start("--text");
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:
  - name: up
    base_url: ${mock.url}/v1
    api_key: ${key}
    models: [gpt-4o]
  - name: claude
    type: anthropic
    base_url: ${mock.url}/v1
    api_key: ${key}
    models: [claude-sonnet-4-5]
  - name: gem
    type: gemini
    base_url: ${mock.url}/v1beta
    api_key: ${key}
    models: [gemini-2.5-pro]
llm:
  attempts_max: 1
chat:
  default_model: up/gpt-4o
`);
  server = await Server.start({ settings: { config } });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0 });
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await mock.stop();
});

const body = (more = {}) => ({ model: "gpt-4o", messages, ...more });
const post = (url, json, headers = {}) => fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: typeof json === "string" ? json : JSON.stringify(json) });
/** What differs between two answers of the mock to the same request. */
const plain = (text) => text.replace(/chatcmpl-mock-\d+/g, "ID").replace(/"created":\d+/g, '"created":0').replace(/call_mock_\d+_/g, "call_");

test("unknown fields and every parameter reach the provider byte for byte", async () => {
  await mock.reset();
  const odd = '{"messages":[{"role":"user","content":"h\\u0069","weight":1.50}], "model":"gpt-4o","seed":12345678901234567890,"future_field":{"b":1,"a":[1e3,null]},"top_k":7,"n":2,"logprobs":true,"logit_bias":{"5":-1}}';
  const answer = await post(server.url, odd);
  assert.equal(answer.status, 200);
  const [seen] = await mock.transcriptWhen((calls) => calls.length === 1);
  const arrived = typeof seen.body === "string" ? seen.body : JSON.stringify(seen.body);
  for (const piece of ['"seed":12345678901234567890', '"future_field":{"b":1,"a":[1e3,null]}', '"top_k":7', '"weight":1.50', '"logit_bias":{"5":-1}']) assert.ok(arrived.includes(piece), `${piece} in ${arrived}`);
  const json = await answer.json();
  assert.equal(json.choices.length, 2);
  assert.ok(json.choices[0].logprobs.content.length > 0);
});

test("whole answers are the provider's own bytes", async () => {
  for (const more of [{}, { n: 3 }, { tools: [{ type: "function", function: { name: "tide" } }], tool_choice: "required" }, { logprobs: true, top_logprobs: 2 }]) {
    const through = await (await post(server.url, body(more))).text();
    const direct = await (await post(mock.url, body(more))).text();
    assert.equal(plain(through), plain(direct));
  }
});

test("streams come event for event, with usage when it was asked for and without when not", async () => {
  const tools = [{ type: "function", function: { name: "tide" } }];
  for (const more of [{}, { n: 2 }, { tools, tool_choice: "required" }, { logprobs: true }]) {
    const asked = body({ ...more, stream: true, stream_options: { include_usage: true } });
    assert.equal(plain(await (await post(server.url, asked)).text()), plain(await (await post(mock.url, asked)).text()));
    const unasked = await (await post(server.url, body({ ...more, stream: true }))).text();
    const events = unasked.split("\n\n").filter(Boolean).map((event) => event.replace(/^data: /, ""));
    assert.equal(events.at(-1), "[DONE]");
    for (const event of events.slice(0, -1)) assert.ok(JSON.parse(event).choices.length > 0, "the usage event stays here");
  }
});

test("the official client: chat, streams, several choices, logprobs, images, structured outputs", async () => {
  const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
  const answer = await client.chat.completions.create({ model: "gpt-4o", n: 2, logprobs: true, messages: [{ role: "user", content: [{ type: "text", text: "what is it" }, image] }], response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } } });
  assert.equal(answer.choices.length, 2);
  let text = "", usage;
  for await (const chunk of await client.chat.completions.create({ model: "gpt-4o", messages, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /^Lorem ipsum/);
  assert.equal(usage.completion_tokens, 16);
});

test("a provider's failures are told in OpenAI's envelope, without its key", async () => {
  const expected = { "mock/429+retry-after-7": 429, "mock/500": 502, "mock/503": 503 };
  for (const [model, status] of Object.entries(expected)) {
    const answer = await post(server.url, body({ model: `up/${model}` }));
    const text = await answer.text();
    assert.equal(answer.status, status, `${model}: ${text}`);
    const { error } = JSON.parse(text);
    assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
    assert.ok(!text.includes(key));
    if (status === 429) assert.equal(answer.headers.get("retry-after"), "7");
  }
  assert.ok(!server.log.includes(key));
});

test("a stream that breaks in the middle ends with an error, never with a repeated or silent end", async () => {
  const answer = await post(server.url, body({ model: "up/mock/tokens-20+reset-after-5", stream: true }));
  const text = await answer.text();
  const events = text.split("\n\n").filter(Boolean).map((event) => event.replace(/^data: /, ""));
  assert.ok(!events.includes("[DONE]"));
  assert.ok(JSON.parse(events.at(-1)).error, text);
  const words = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]?.delta?.content ?? "").join("");
  assert.equal(words.trim().split(/\s+/).length, 5, `as many words as came: ${words}`);
  assert.match("Lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor".slice(0, words.length), new RegExp(`^${words}`));
});

test("Anthropic's and Google's models speak OpenAI's dialect, and answer /v1/responses", async () => {
  const tools = [{ type: "function", function: { name: "tide", parameters: { type: "object", properties: { port: { type: "string" } } } } }];
  for (const model of ["claude/claude-sonnet-4-5", "gem/gemini-2.5-pro"]) {
    const answer = await client.chat.completions.create({ model, messages: [{ role: "system", content: "Be brief." }, ...messages] });
    assert.match(answer.choices[0].message.content, /^Lorem ipsum/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.completion_tokens, 16);
    let text = "", finish, usage;
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual([text, finish, usage.completion_tokens], [answer.choices[0].message.content, "stop", 16]);
    const called = await client.chat.completions.create({ model, messages, tools, tool_choice: "required" });
    assert.equal(called.choices[0].finish_reason, "tool_calls");
    assert.equal(called.choices[0].message.tool_calls[0].function.name, "tide");
    JSON.parse(called.choices[0].message.tool_calls[0].function.arguments);
    const response = await client.responses.create({ model, input: "hi" });
    assert.equal(response.output_text, answer.choices[0].message.content);
    const events = [];
    for await (const event of await client.responses.create({ model, input: "hi", stream: true })) events.push(event);
    assert.equal(events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join(""), answer.choices[0].message.content);
    assert.equal(events.at(-1).type, "response.completed");
  }
});

test("embeddings go to the provider as they are: token lists, dimensions, base64", async () => {
  for (const more of [{ input: [[1, 2, 3], [4]], dimensions: 4 }, { input: ["a", "b"], encoding_format: "base64" }]) {
    const ask = (url, model) => fetch(`${url}/v1/embeddings`, { method: "POST", body: JSON.stringify({ model, ...more }) }).then((answer) => answer.text());
    assert.equal(await ask(server.url, "up/e5"), await ask(mock.url, "e5"));
  }
});

test("what a provider cannot do is said by name", async () => {
  const form = new FormData();
  form.append("model", "gem/gemini-2.5-pro");
  form.append("file", new Blob(["RIFF"]), "a.wav");
  const spoken = await server.request("POST", "/v1/audio/transcriptions", form);
  assert.deepEqual([spoken.status, spoken.json.error.code, spoken.json.error.param], [400, "MODEL_UNABLE", "model"]);
  const ranked = await server.post("/v1/rerank", { model: "up/gpt-4o", query: "a", documents: ["b"] });
  assert.equal(ranked.json.error.code, "MODEL_UNABLE");
});

test("requests that are wrong are answered here, naming the field", async () => {
  const cases = [["{", "INVALID_JSON", null], [{ model: "gpt-4o" }, "MISSING_FIELD", "messages"], [body({ messages: [] }), "INVALID_FIELD", "messages"], [body({ n: 0 }), "INVALID_FIELD", "n"], [body({ stream: "yes" }), "INVALID_FIELD", "stream"], [body({ model: "nobody/knows-it" }), "MODEL_NOT_FOUND", null]];
  for (const [wrong, code, param] of cases) {
    const { error } = await (await post(server.url, wrong)).json();
    assert.equal(error.code, code, JSON.stringify(error));
    if (param) assert.equal(error.param, param);
  }
  const own = await (await post(server.url, body({ model: "tessera/extractive", n: 2 }))).json();
  assert.deepEqual([own.error.code, own.error.param], ["INVALID_FIELD", "n"]);
});

test("answers of every kind fit OpenAI's own contract", { skip: noContract }, async () => {
  const fits = openAiContract();
  for (const model of ["gpt-4o", "tessera/extractive"]) {
    fits("CreateChatCompletionResponse", await (await post(server.url, body({ model }))).json());
    const events = (await (await post(server.url, body({ model, stream: true, stream_options: { include_usage: true } }))).text()).split("\n\n").filter(Boolean);
    for (const event of events.slice(0, -1)) fits("CreateChatCompletionStreamResponse", JSON.parse(event.slice(6)));
  }
  fits("ListModelsResponse", (await server.get("/v1/models")).json);
  fits("CreateEmbeddingResponse", (await server.post("/v1/embeddings", { model: "tessera/static-256", input: ["a", "b"] })).json);
  fits("ErrorResponse", await (await post(server.url, body({ model: "up/mock/429" }))).json());
});
