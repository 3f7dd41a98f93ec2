// The mock provider as applications meet it: the official OpenAI client against the real binary, every fault in turn.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import OpenAI from "openai";
import { MockLlm } from "../mock_llm.mjs";
import { noContract, openAiContract } from "../openai_contract.mjs";
import { temporaryDirectory } from "../server.mjs";

let mock, client;
const messages = [{ role: "user", content: "What is a ferry?" }];
before(async () => {
  mock = await MockLlm.start("--price", "2.5/10");
  client = new OpenAI({ baseURL: `${mock.url}/v1`, apiKey: "sk-test-1", maxRetries: 0, timeout: 20_000 });
});
beforeEach(() => mock.reset());
after(async () => assert.equal(await mock.stop(), 0));

const ask = (model, more = {}, options = {}) => client.chat.completions.create({ model, messages, ...more }, options);
const text = (completion) => completion.choices[0].message.content;
/** What came of a stream, and the error that ended it. */
async function follow(model, more = {}, options = {}) {
  const chunks = [];
  try {
    for await (const chunk of await ask(model, { stream: true, ...more }, options)) chunks.push(chunk);
  } catch (error) {
    return { chunks, error, said: chunks.map((c) => c.choices[0]?.delta?.content ?? "").join("") };
  }
  return { chunks, said: chunks.map((c) => c.choices[0]?.delta?.content ?? "").join("") };
}

test("a completion has its text, usage and identifiers", async () => {
  const { data, response } = await ask("gpt-4o-mini", {}, { headers: { "X-Mock": "tokens=5" } }).withResponse().then((r) => r);
  assert.equal(text(data), "Lorem ipsum dolor sit amet");
  assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens, data.usage.total_tokens], [4, 5, 9]);
  assert.equal(data.model, "gpt-4o-mini");
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.match(response.headers.get("x-request-id"), /^req_mock_/);
});

test("how an answer is asked for: model, query, header, body", async () => {
  assert.equal(text(await ask("mock/echo")), "What is a ferry?");
  assert.equal((await ask("x", {}, { query: { mock: "tokens=3" } })).usage.completion_tokens, 3);
  assert.equal((await ask("x", { mock: { tokens: 4, say: undefined } })).usage.completion_tokens, 4);
  assert.equal(text(await ask("x", { mock: { say: "Twice 21 is 42." } })), "Twice 21 is 42.");
});

test("streams tell the same, and usage when asked", async () => {
  const { chunks, said } = await follow("mock/tokens-7", { stream_options: { include_usage: true } });
  assert.equal(said, text(await ask("mock/tokens-7")));
  assert.equal(chunks.length, 1 + 7 + 1 + 1);
  assert.equal(chunks.at(-1).usage.completion_tokens, 7);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.ok((await follow("mock/tokens-7")).chunks.every((chunk) => chunk.usage === undefined));
});

test("n choices, max_tokens, JSON, logprobs", async () => {
  const many = await ask("mock/tokens-6", { n: 3 });
  assert.deepEqual(many.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(many.usage.completion_tokens, 18);
  const { chunks } = await follow("mock/tokens-6", { n: 3 });
  assert.equal(new Set(chunks.map((chunk) => chunk.choices[0].index)).size, 3);
  const short = await ask("mock/tokens-50", { max_completion_tokens: 2 });
  assert.equal(short.choices[0].finish_reason, "length");
  assert.ok(JSON.parse(text(await ask("x", { response_format: { type: "json_object" } }))));
  assert.ok((await ask("x", { logprobs: true })).choices[0].logprobs.content.length > 0);
});

test("tools are called on demand", async () => {
  const tools = ["tide", "wind"].map((name) => ({ type: "function", function: { name, parameters: { type: "object" } } }));
  assert.equal((await ask("x", { tools })).choices[0].finish_reason, "stop");
  const forced = await ask("x", { tools, tool_choice: { type: "function", function: { name: "wind" } } });
  assert.equal(forced.choices[0].finish_reason, "tool_calls");
  assert.equal(forced.choices[0].message.tool_calls[0].function.name, "wind");
  const two = await ask("x", { tools, mock: { tools: 2, arguments: '{"port":"Holm"}' } });
  assert.deepEqual(two.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments)), [{ port: "Holm" }, { port: "Holm" }]);
  const { chunks } = await follow("mock/tools-2", { tools });
  const joined = [];
  for (const call of chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? [])) {
    joined[call.index] ??= { name: "", arguments: "" };
    joined[call.index].name += call.function.name ?? "";
    joined[call.index].arguments += call.function.arguments ?? "";
  }
  assert.deepEqual(joined.map((call) => [call.name, Object.keys(JSON.parse(call.arguments))]), [["tide", ["text"]], ["tide", ["text"]]]);
});

test("every model exists: a name that only looks like a directive is a name", async () => {
  for (const model of ["text-embedding-3-small", "text-embedding-ada-002"]) {
    assert.equal((await client.embeddings.create({ model, input: "a" })).model, model);
  }
  assert.equal((await ask("text-davinci-003")).model, "text-davinci-003");
  assert.equal((await follow("mock/text-davinci-003")).error.status, 400, "after mock/ it must be one");
});

test("responses, whole and streamed, with calls and faults", { skip: noContract }, async () => {
  const fits = openAiContract();
  const call = (body) => fetch(`${mock.url}/v1/responses`, { method: "POST", body: JSON.stringify({ model: "tokens-3", input: "What is a ferry?", ...body }) });
  const whole = await (await call({})).json();
  fits("Response", whole);
  assert.equal(whole.output[0].content[0].text, "Lorem ipsum dolor");
  assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens], [4, 3]);
  assert.equal((await client.responses.create({ model: "echo", input: [{ role: "user", content: [{ type: "input_text", text: "Say it." }] }] })).output_text, "Say it.");
  for (const [body, last, kinds] of [[{}, "response.completed", ["response.output_text.delta"]], [{ tools: [{ type: "function", name: "look", parameters: {} }], tool_choice: "required" }, "response.completed", ["response.function_call_arguments.delta"]], [{ max_output_tokens: 2 }, "response.incomplete", []]]) {
    const events = [];
    for await (const event of await client.responses.create({ model: "tokens-3", input: "What is a ferry?", stream: true, ...body })) events.push(event);
    events.forEach((event, i) => { fits("ResponseStreamEvent", event); assert.equal(event.sequence_number, i); });
    assert.equal(events[0].type, "response.created");
    assert.equal(events.at(-1).type, last);
    for (const kind of kinds) assert.ok(events.some((event) => event.type === kind), kind);
  }
  assert.equal((await call({ model: "429" })).status, 429);
  assert.equal((await mock.transcript()).at(-1).dialect, "responses");
  assert.equal((await (await call({ input: undefined })).json()).error.code, "invalid_value");
});

test("transcriptions: JSON, bare text, a stream", async () => {
  const file = new File([new Uint8Array(32_000)], "a.wav");
  const heard = (more) => client.audio.transcriptions.create({ file, model: "whisper-1", ...more });
  assert.match((await heard({})).text, /^Lorem ipsum/);
  assert.match(await heard({ response_format: "text", model: "tokens-2" }), /^Lorem ipsum\n$/);
  let said = "";
  let done;
  for await (const event of await heard({ stream: true, model: "tokens-4" })) {
    if (event.type === "transcript.text.delta") said += event.delta;
    if (event.type === "transcript.text.done") done = event;
  }
  assert.equal(done.text, said);
  assert.deepEqual([done.usage.input_tokens, done.usage.output_tokens], [10, 4]);
  await assert.rejects(heard({ model: "503" }), { status: 503 });
});

test("embeddings in both encodings, models", async () => {
  const { data, usage } = await client.embeddings.create({ model: "embed", input: ["the ferry", "the tide"], dimensions: 32 });
  assert.deepEqual(data.map((entry) => entry.embedding.length), [32, 32]);
  assert.equal(usage.prompt_tokens, 5);
  const plain = await client.embeddings.create({ model: "embed", input: "the ferry", dimensions: 32, encoding_format: "float" });
  plain.data[0].embedding.forEach((value, i) => assert.ok(Math.abs(value - data[0].embedding[i]) < 1e-6));
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  assert.ok(models.includes("mock/echo"));
  assert.equal((await client.models.retrieve("anything")).id, "anything");
});

test("status errors: the client's own error classes and Retry-After", async () => {
  const limited = await ask("mock/429+retry-after-2").catch((error) => error);
  assert.ok(limited instanceof OpenAI.RateLimitError);
  assert.equal(limited.headers["retry-after"], "2");
  assert.equal(limited.code, "rate_limit_exceeded");
  assert.ok((await ask("mock/500").catch((e) => e)) instanceof OpenAI.InternalServerError);
  assert.ok((await ask("mock/401").catch((e) => e)) instanceof OpenAI.AuthenticationError);
  assert.equal((await ask("mock/refuse").catch((e) => e)).code, "content_filter");
  assert.equal((await ask("mock/nonsense").catch((e) => e)).code, "model_not_found");
  assert.match((await ask("x", {}, { headers: { "X-Mock": "tokns=1" } }).catch((e) => e)).message, /did you mean "tokens"/);
  // Refused in mid-stream means: before its first event.
  assert.equal((await follow("mock/503")).error.status, 503);
});

test("a rule's count: two failures, then the client's retry succeeds", async () => {
  const script = join(temporaryDirectory(), "faults.yaml");
  writeFileSync(script, `rules:
  - {name: warm-up, match: {model: "gpt-*"}, times: 2, answer: {status: 503, retry-after: 0.01}}
  - {match: {model: "gpt-*", stream: true}, answer: {tokens: 3}}
prices:
  - {model: gpt-4o, input: 2.5, output: 10}
`);
  const other = await MockLlm.start("--script", script);
  const patient = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: "k", maxRetries: 2 });
  assert.ok(text(await patient.chat.completions.create({ model: "gpt-4o", messages })));
  assert.deepEqual((await other.transcript()).map((entry) => [entry.status, entry.rule ?? null]), [[503, "warm-up"], [503, "warm-up"], [200, null]]);
  assert.deepEqual(await other.get("/mock/rules"), [{ name: "warm-up", matched: 3, applied: 2 }, { name: "rule 2", matched: 0, applied: 0 }]);
  assert.equal((await other.get("/mock/totals")).microdollars, 4 * 2.5 + 16 * 10);
  assert.equal(await other.stop(), 0);
});

for (const [model, kind] of [["reset-after-5", "broken"], ["close-after-5", "broken"], ["garbage-after-5", "broken"], ["error-after-5", "broken"]]) {
  test(`in mid-stream: ${model}`, async () => {
    const { said, error } = await follow(`mock/${model}`);
    assert.equal(said, "Lorem ipsum dolor sit amet");
    assert.ok(error, "the client noticed");
    const [entry] = await mock.transcriptWhen((seen) => seen.length === 1);
    assert.deepEqual([entry.outcome, entry.events, entry.completion_tokens], [kind, 5, 5]);
    const { cut, requests } = await mock.get("/mock/totals");
    assert.deepEqual([requests, cut.requests, cut.completion_tokens], [0, 1, 5]);
  });
}

test("whole answers break, too", async () => {
  for (const model of ["mock/reset", "mock/close", "mock/garbage"]) assert.ok((await ask(model).catch((e) => e)) instanceof OpenAI.APIConnectionError, model);
  for (const model of ["mock/reset-after-1", "mock/close-after-1", "mock/garbage-after-1", "mock/truncate"]) assert.ok((await ask(model).catch((e) => e)) instanceof Error, model);
  assert.equal(typeof (await ask("mock/wrong-type")), "string");
});

test("a content filter ends an answer early", async () => {
  const { chunks, said } = await follow("mock/filter-after-2");
  assert.equal(said, "Lorem ipsum");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "content_filter");
});

test("a stream without its last event, and one without usage", async () => {
  const response = await fetch(`${mock.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ model: "mock/no-done", messages, stream: true }) });
  assert.doesNotMatch(await response.text(), /\[DONE\]/);
  assert.equal((await ask("mock/no-usage")).usage, undefined);
});

test("hanging: the client's timeout ends it, and the mock notices at once", async () => {
  const error = await ask("mock/hang", {}, { timeout: 200 }).catch((e) => e);
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError);
  const [entry] = await mock.transcriptWhen((seen) => seen.length === 1);
  assert.equal(entry.outcome, "client_gone");
  assert.ok(entry.took_ms >= 150 && entry.took_ms < 5000, `${entry.took_ms}`);

  const controller = new AbortController();
  const seen = [];
  await assert.rejects(async () => {
    for await (const chunk of await ask("mock/hang-after-3", { stream: true }, { signal: controller.signal })) {
      seen.push(chunk);
      if (seen.length === 4) controller.abort();
    }
    throw new Error("aborted streams end quietly");
  });
  assert.equal(seen.length, 4);
  const left = (await mock.transcriptWhen((all) => all.length === 2)).at(-1);
  assert.deepEqual([left.outcome, left.events], ["client_gone", 3]);
});

test("times: first token, rate, slow headers", async () => {
  const begin = performance.now();
  const stream = await ask("mock/first-150+rate-100+tokens-11", { stream: true });
  const arrivals = [];
  for await (const chunk of stream) if (chunk.choices[0].delta.content) arrivals.push(performance.now() - begin);
  assert.ok(arrivals[0] >= 145, `${arrivals[0]}`);
  assert.ok(arrivals.at(-1) - arrivals[0] >= 90, `${arrivals}`);
  const whole = performance.now();
  await ask("mock/first-50+rate-100+tokens-6");
  assert.ok(performance.now() - whole >= 100);
  const slow = performance.now();
  assert.ok(text(await ask("mock/slow-headers-200")));
  assert.ok(performance.now() - slow >= 180);
});

test("the transcript knows what came, and no text unless it is asked to", async () => {
  await ask("gpt-4o", { seed: 7, logit_bias: { 5: -1 }, user: "u9", unheard_of: 1 });
  const [entry] = await mock.transcript();
  assert.deepEqual([entry.seq, entry.path, entry.model, entry.user, entry.messages, entry.status], [1, "/v1/chat/completions", "gpt-4o", "u9", 1, 200]);
  assert.deepEqual(entry.fields, ["model", "messages", "seed", "logit_bias", "user", "unheard_of"]);
  assert.doesNotMatch(JSON.stringify(entry), /ferry|sk-test/);
  const file = join(temporaryDirectory(), "seen.jsonl");
  const curious = await MockLlm.start("--transcript", file, "--text");
  await fetch(`${curious.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ model: "m", messages }) });
  assert.match(JSON.parse((await curious.transcript())[0].body).messages[0].content, /ferry/);
  assert.equal(JSON.parse(readFileSync(file, "utf8").trim()).model, "m");
  await curious.stop();
});

test("totals agree with what clients were told, to the micro-dollar", async () => {
  const usages = (await Promise.all(Array.from({ length: 40 }, (_, i) => ask(`mock/tokens-${i}+prompt-tokens-${i * 3}`)))).map((c) => c.usage);
  const expected = usages.reduce((sum, usage) => sum + Math.floor(usage.prompt_tokens * 2.5 + usage.completion_tokens * 10 + 0.5), 0);
  const totals = await mock.get("/mock/totals");
  assert.equal(totals.microdollars, expected);
  assert.equal(totals.completion_tokens, usages.reduce((sum, usage) => sum + usage.completion_tokens, 0));
  assert.deepEqual([totals.requests, totals.outcomes.complete, totals.statuses["200"], totals.in_flight], [40, 40, 40, 0]);
});

test("Anthropic's and Gemini's formats", async () => {
  const post = async (path, body) => (await fetch(mock.url + path, { method: "POST", body: JSON.stringify(body) })).text();
  const message = JSON.parse(await post("/v1/messages", { model: "claude", max_tokens: 4, messages }));
  assert.deepEqual([message.content[0].text, message.stop_reason, message.usage.output_tokens], ["Lorem ipsum dolor sit", "max_tokens", 4]);
  const events = (await post("/v1/messages", { model: "claude", max_tokens: 4, messages, stream: true })).match(/^event: .*/gm);
  assert.deepEqual(events, ["message_start", "ping", "content_block_start", ...Array(4).fill("content_block_delta"), "content_block_stop", "message_delta", "message_stop"].map((e) => `event: ${e}`));
  const contents = [{ role: "user", parts: [{ text: "hi" }] }];
  const whole = JSON.parse(await post("/v1beta/models/gemini-2.0-flash:generateContent", { contents, generationConfig: { maxOutputTokens: 2 } }));
  assert.deepEqual([whole.candidates[0].content.parts[0].text, whole.candidates[0].finishReason], ["Lorem ipsum", "MAX_TOKENS"]);
  const list = JSON.parse(await post("/v1beta/models/tokens-3:streamGenerateContent", { contents }));
  assert.equal(list.length, 4);
  assert.match(await post("/v1beta/models/tokens-3:streamGenerateContent?alt=sse", { contents }), /^data: \{.*\}\r\n\r\n/);
});

test("answers fit OpenAI's own contract", { skip: noContract }, async () => {
  const fits = openAiContract();
  const tools = [{ type: "function", function: { name: "tide" } }];
  for (const more of [{}, { n: 2, logprobs: true }, { tools, tool_choice: "required" }]) {
    fits("CreateChatCompletionResponse", JSON.parse(JSON.stringify(await ask("gpt-4o", more))));
    for (const chunk of (await follow("gpt-4o", { ...more, stream_options: { include_usage: true } })).chunks) fits("CreateChatCompletionStreamResponse", chunk);
  }
  fits("CreateEmbeddingResponse", await client.embeddings.create({ model: "e", input: "x", encoding_format: "float" }));
  fits("ListModelsResponse", await mock.get("/v1/models"));
  const limited = await fetch(`${mock.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ model: "mock/429", messages }) });
  fits("ErrorResponse", await limited.json());
});

test("a directive for every request may be given again for more", async () => {
  const other = await MockLlm.start("--do", "tokens=2", "--do", "finish=length");
  const answer = await (await fetch(`${other.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "one two three four" }] }) })).json();
  assert.equal(answer.usage.completion_tokens, 2);
  assert.equal(answer.choices[0].finish_reason, "length");
  assert.equal(await other.stop(), 0);
});

test("wrong command lines are refused with what to do", async () => {
  await assert.rejects(MockLlm.start("--do", "tokns=5"), /did you mean "tokens"/);
  await assert.rejects(MockLlm.start("--script", "/nowhere.yaml"), /cannot be read/);
  await assert.rejects(MockLlm.start("--price", "cheap"), /dollars for a million/);
});
