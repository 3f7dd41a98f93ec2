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
