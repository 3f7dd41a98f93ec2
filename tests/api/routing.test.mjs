// Who answers a request, and with what: the model auto, what a model's entry fills in, conversations that are too long.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, temporaryDirectory } from "../server.mjs";

const messages = [{ role: "user", content: "What does the ferry to Holm cost?" }];
let home, cloud;

before(async () => [home, cloud] = await Promise.all([MockLlm.start("--text"), MockLlm.start("--text")]));
beforeEach(() => Promise.all([home.reset(), cloud.reset()]));
after(() => Promise.all([home.stop(), cloud.stop()]));

/** A server for one test. */
async function serving(yaml, run) {
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, yaml);
  const server = await Server.start({ settings: { config } });
  try {
    await run(server);
  } finally {
    assert.equal(await server.stop(), 0);
  }
}
const complete = (server, more = {}) => server.post("/v1/chat/completions", { messages, ...more });
/** The bodies that a provider saw. */
const seenBy = async (mock, count = 1) => (await mock.transcriptWhen((calls) => calls.length >= count)).map((call) => JSON.parse(call.body));

test("auto asks what is local first, then the cloud, in /chat and /v1, named or not", async () => {
  await serving(`providers:
  - {name: cloud, location: cloud, base_url: "${cloud.url}/v1", api_key: k-cloud-1234, models: [gpt-4o-mini, gpt-4o]}
  - {name: home, location: local, base_url: "${home.url}/v1", models: [llama3, other]}
llm: {attempts_max: 1}
`, async (server) => {
    const asks = {
      "/v1, no model": async () => (await complete(server)).json.model,
      "/v1, auto": async () => (await complete(server, { model: "auto" })).json.model,
      "/chat, no model": async () => (await server.post("/chat", { message: "What does the ferry cost?" })).json.model,
      "/chat, auto": async () => (await server.post("/chat", { message: "What does the ferry cost?", model: "auto" })).json.model,
    };
    for (const [how, asked] of Object.entries(asks)) assert.equal(await asked(), "llama3", how);
    assert.equal((await cloud.transcript()).length, 0);
    const listed = (await server.get("/v1/models")).json.data.map((model) => model.id);
    for (const name of ["auto", "llama3", "gpt-4o"]) assert.ok(listed.includes(name), `${name} in ${listed}`);
    await home.stop();
    for (const [how, asked] of Object.entries(asks)) assert.equal(await asked(), "gpt-4o-mini", how);
    home = await MockLlm.start("--text");
  });
});

test("auto with nobody configured quotes the documents", async () => {
  await serving("chat: {default_model: auto}\n", async (server) => {
    for (const model of [undefined, "auto"]) {
      assert.equal((await server.post("/chat", { message: "What does the ferry cost?", model })).json.model, "tessera/extractive");
      assert.equal((await complete(server, { model })).json.model, "tessera/extractive");
    }
  });
});

test("what a chat does not say comes from the model's entry, then from chat.*", async () => {
  await serving(`providers:
  - {name: cloud, base_url: "${cloud.url}/v1", api_key: k-cloud-1234, models: [plain, gpt-5]}
models:
  - {name: smart, upstream: plain, temperature: 0.9, max_tokens: 77}
  - {name: narrow, upstream: plain, top_p: 0.5}
chat: {temperature: 0.4, max_tokens: 55}
llm: {attempts_max: 1}
`, async (server) => {
    const sent = async (model, config) => {
      await cloud.reset();
      const reply = await server.post("/chat", { message: "What does the ferry cost?", model, config });
      assert.equal(reply.status, 200, reply.text);
      const [{ temperature, top_p, max_tokens, max_completion_tokens }] = await seenBy(cloud);
      return { temperature, top_p, most: max_tokens ?? max_completion_tokens };
    };
    assert.deepEqual(await sent("smart"), { temperature: 0.9, top_p: undefined, most: 77 });
    assert.deepEqual(await sent("smart", { temperature: 0.1, max_tokens: 9 }), { temperature: 0.1, top_p: undefined, most: 9 });
    assert.deepEqual(await sent("narrow"), { temperature: undefined, top_p: 0.5, most: 55 });
    assert.deepEqual(await sent("plain"), { temperature: 0.4, top_p: undefined, most: 55 });
    assert.deepEqual(await sent("gpt-5"), { temperature: undefined, top_p: undefined, most: 2000 }, "shipped; and it refuses a temperature");
    await cloud.reset();
    await complete(server, { model: "smart" });
    assert.deepEqual(Object.keys((await seenBy(cloud))[0]).sort(), ["messages", "model"], "/v1 passes on what the client wrote");
  });
});
