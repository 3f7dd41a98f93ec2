// The official OpenAI client against the real binary.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { Server } from "../server.mjs";

let server, client;
before(async () => {
  server = await Server.start({ settings: { "mock.enabled": true } });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  await server.post("/ingest", { document_id: "vpn", title: "VPN", text: "The VPN gateway is vpn.example.org. Certificates expire after ninety days.\n" });
});
after(async () => assert.equal(await server.stop(), 0));

const messages = [{ role: "user", content: "After how many days do VPN certificates expire?" }];

test("completes a chat from the documents", async () => {
  const answer = await client.chat.completions.create({ model: "tessera/extractive", messages });
  assert.equal(answer.object, "chat.completion");
  assert.match(answer.choices[0].message.content, /ninety days/);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
  assert.equal(answer.tessera.sources[0].document_id, "vpn");
});

test("streams a chat, with usage when asked for", async () => {
  const stream = await client.chat.completions.create({ model: "tessera/extractive", messages, stream: true, stream_options: { include_usage: true } });
  let text = "", usage = null, finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /ninety days/);
  assert.equal(finish, "stop");
  assert.ok(usage.completion_tokens > 0);
});

test("embeds texts as floats and as base64, the same", async () => {
  const floats = await client.embeddings.create({ model: "tessera/static-256", input: ["a cat", "a dog"], encoding_format: "float" });
  assert.equal(floats.data.length, 2);
  assert.equal(floats.data[0].embedding.length, 256);
  const norm = Math.hypot(...floats.data[0].embedding);
  assert.ok(Math.abs(norm - 1) < 1e-3, `norm ${norm}`);
  const base64 = await client.embeddings.create({ model: "tessera/static-256", input: "a cat" });
  base64.data[0].embedding.forEach((v, i) => assert.ok(Math.abs(v - floats.data[0].embedding[i]) < 1e-6));
  const short = await client.embeddings.create({ model: "tessera/static-256", input: "a cat", dimensions: 64, encoding_format: "float" });
  assert.equal(short.data[0].embedding.length, 64);
});

test("lists models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("tessera/extractive"));
  assert.equal((await client.models.retrieve("tessera/extractive")).id, "tessera/extractive");
});

test("errors arrive as the client's own error types", async () => {
  await assert.rejects(client.chat.completions.create({ model: "none", messages }), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model: "tessera/extractive", messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(client.chat.completions.create({ model: "tessera/extractive", messages, temperature: 9 }), OpenAI.BadRequestError);
});

test("the mock model answers through the same door", async () => {
  const answer = await client.chat.completions.create({ model: "mock/echo", messages: [{ role: "user", content: "hello there" }] });
  assert.match(answer.choices[0].message.content, /hello there/);
});
