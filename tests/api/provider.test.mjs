// A real provider's model answers from the same sources: an OpenAI-compatible server of the test's own plays the provider.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, parseEvents, temporaryDirectory } from "../server.mjs";

const key = "sk-test-4711-never-shown";
let provider, server, seen, script;

function embedding(text) {
  const vector = Array(16).fill(0);
  for (const word of text.toLowerCase().match(/\w+/g) ?? []) vector[[...word].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 16] += 1;
  return vector;
}

before(async () => {
  seen = [];
  provider = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      const json = JSON.parse(body || "{}");
      seen.push({ url: request.url, authorization: request.headers.authorization, json });
      if (request.url.endsWith("/embeddings")) {
        const inputs = [json.input].flat();
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify({ object: "list", model: json.model, data: inputs.map((text, index) => ({ object: "embedding", index, embedding: embedding(text) })), usage: { prompt_tokens: 1, total_tokens: 1 } }));
        return;
      }
      script(json, response);
    });
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:
  - name: local
    base_url: http://127.0.0.1:${provider.address().port}/v1
    api_key: ${key}
    models: [writer]
chat:
  default_model: local/writer
embedding:
  provider: local
  model: tiny-embed
  dimensions: 16
`);
  server = await Server.start({ settings: { config } });
  await server.post("/ingest", { document_id: "ferry", title: "Ferry", text: "The ferry to Holm leaves at seven each morning.\n" });
});
after(async () => {
  assert.equal(await server.stop(), 0);
  provider.close();
});

const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "writer-1", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
function stream(pieces) {
  return (json, response) => {
    response.setHeader("Content-Type", "text/event-stream");
    for (const piece of pieces) response.write(chunk({ content: piece }));
    response.write(chunk({}, "stop"));
    response.write(`data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "writer-1", choices: [], usage: { prompt_tokens: 50, completion_tokens: 9, total_tokens: 59 } })}\n\n`);
    response.end("data: [DONE]\n\n");
  };
}
const whole = (content) => (json, response) => {
  if (json.stream) return stream([content])(json, response);
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ id: "x", object: "chat.completion", created: 1, model: "writer-1", choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }], usage: { prompt_tokens: 50, completion_tokens: 9, total_tokens: 59 } }));
};

test("the model sees the sources, and markers without a source are removed", async () => {
  script = stream(["It leaves at se", "ven [", "1", "]. Also on Sundays [9", "]."]);
  seen.length = 0;
  const { text } = await server.post("/chat", { message: "When does the ferry leave?", stream: true });
  const done = JSON.parse(parseEvents(text).at(-1).data);
  assert.equal(done.answer, "It leaves at seven [1]. Also on Sundays.");
  assert.deepEqual([done.usage.prompt_tokens, done.usage.completion_tokens], [50, 9]);
  assert.equal(done.sources[0].document_id, "ferry");
  const asked = seen.find((s) => s.url.endsWith("/chat/completions"));
  assert.match(JSON.stringify(asked.json.messages), /The ferry to Holm leaves at seven/);
  assert.equal(asked.json.model, "writer");
  assert.match((await server.get("/metrics")).text, /tessera_chat_citations_removed_total 1/);
});

test("embeddings come from the provider, in its dimensions", async () => {
  const { results } = (await server.post("/api/search", { query: "ferry Holm", mode: "dense" })).json;
  assert.equal(results[0].document_id, "ferry");
  assert.equal((await server.get("/api/vector_db/stats")).json.dimensions, 16);
});

test("parameters and tools reach the provider untouched, tool calls come back", async () => {
  script = (json, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ id: "x", object: "chat.completion", created: 1, model: "writer-1", choices: [{ index: 0, message: { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "tide", arguments: "{}" } }] }, finish_reason: "tool_calls" }], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }));
  };
  seen.length = 0;
  const tools = [{ type: "function", function: { name: "tide", parameters: { type: "object" } } }];
  const { json } = await server.post("/v1/chat/completions", { model: "local/writer", messages: [{ role: "user", content: "tide?" }], tools, seed: 7, logit_bias: { 5: -1 } });
  assert.equal(json.choices[0].finish_reason, "tool_calls");
  assert.equal(json.choices[0].message.tool_calls[0].function.name, "tide");
  assert.deepEqual([seen[0].json.tools, seen[0].json.seed, seen[0].json.logit_bias], [tools, 7, { 5: -1 }]);
});

test("the provider's failures are told as what they are, and the key never shows", async () => {
  script = (json, response) => {
    response.statusCode = 400;
    response.end(JSON.stringify({ error: { message: `bad request with ${key}`, type: "invalid_request_error" } }));
  };
  const bad = await server.post("/v1/chat/completions", { model: "writer", messages: [{ role: "user", content: "x" }] });
  assert.ok([400, 502].includes(bad.status));
  script = (json, response) => response.destroy();
  const gone = await server.post("/chat", { message: "When does the ferry leave?", config: { deadline_ms: 3000 } });
  assert.ok([502, 503, 504].includes(gone.status), gone.text);
  script = whole("ok [1]");
  const config = await server.get("/api/config");
  for (const text of [server.log, config.text, gone.text, bad.text, (await server.get("/metrics")).text]) assert.ok(!text.includes(key));
  assert.equal((await server.post("/chat", { message: "When does the ferry leave?" })).json.answer, "ok [1]");
  assert.ok(seen.every((s) => s.authorization === `Bearer ${key}`));
});
