// Who answers a request, and with what: the model auto, what a model's entry fills in, conversations that are too long.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, binary, temporaryDirectory } from "../server.mjs";

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

test("a key limited to some models is answered by no other: fallbacks, auto and requests that name none", async () => {
  const directory = temporaryDirectory();
  const config = join(directory, "tessera.yaml");
  writeFileSync(config, `providers:
  - {name: home, location: local, base_url: "${home.url}/v1", models: [llama3]}
  - {name: cloud, location: cloud, base_url: "${cloud.url}/v1", api_key: k-cloud-1234, models: [gpt-4o-mini, gpt-4o]}
llm: {attempts_max: 1, fallbacks: [gpt-4o]}
`);
  const key = (models) => execFileSync(binary, ["keys", "create", "--data", directory, ...(models ? ["--models", models] : [])], { encoding: "utf8", env: { PATH: process.env.PATH } }).trim();
  const keys = { all: key(), home: key("llama3"), mini: key("gpt-4o-mini"), last: key("missing,gpt-4o"), none: key("missing"), both: key("llama3,gpt-4o") };
  const server = await Server.start({ settings: { config, "auth.mode": "keys" }, directory });
  const as = (name) => ({ Authorization: `Bearer ${keys[name]}` });
  const asked = async (name, more = {}, path = "/v1/chat/completions") => {
    const answer = await server.post(path, { ...(path === "/chat" ? { message: "What does the ferry cost?" } : { messages }), ...more }, as(name));
    return answer.json.model ?? `${answer.status} ${answer.json.error.code}`;
  };
  const listed = async (name) => (await server.get("/v1/models", as(name))).json.data.map((model) => model.id).filter((id) => !id.startsWith("tessera/"));
  for (const path of ["/v1/chat/completions", "/chat"]) {
    assert.equal(await asked("all", {}, path), "llama3", path);
    assert.equal(await asked("mini", {}, path), "gpt-4o-mini", `${path}: auto, among the key's`);
    assert.equal(await asked("mini", { model: "auto" }, path), "gpt-4o-mini", path);
    assert.equal(await asked("last", {}, path), "gpt-4o", `${path}: the first of the key's that there is`);
    assert.equal(await asked("none", {}, path), "403 MODEL_NOT_ALLOWED", path);
    assert.equal(await asked("mini", { model: "gpt-4o" }, path), "403 MODEL_NOT_ALLOWED", path);
  }
  assert.deepEqual(await listed("mini"), ["gpt-4o-mini", "auto"]);
  assert.deepEqual(await listed("last"), ["gpt-4o"]);
  await home.stop();
  await cloud.reset();
  assert.equal(await asked("all", { model: "llama3" }), "gpt-4o", "the fallback");
  assert.equal(await asked("both", { model: "llama3" }), "gpt-4o", "which this key lists");
  const before = (await cloud.transcript()).length;
  for (const model of ["llama3", "auto", undefined]) {
    for (const stream of [false, true]) assert.match(await asked("home", { model, stream }), /^50[234] /, `${model}`);
    assert.match(await asked("home", { model }, "/chat"), /^50[234] /, `${model}`);
  }
  assert.equal((await cloud.transcript()).length, before, "nobody else was asked");
  assert.equal(await server.stop(), 0);
  home = await MockLlm.start("--text");
});

test("people go before batches, which say so in a header or by their service tier", async () => {
  await serving(`providers:
  - {name: home, base_url: "${home.url}/v1", models: [llama3], concurrent_max: 1}
llm: {attempts_max: 1, high_priority_timeout_ms: 20s, default_priority_timeout_ms: 20s}
`, async (server) => {
    const waiting = async (count) => {
      const deadline = Date.now() + 5000;
      while (!(await server.get("/metrics")).text.includes(`tessera_llm_queue_length{endpoint="home"} ${count}\n`)) assert.ok(Date.now() < deadline, `${count} wait`);
    };
    for (const [batch, more, headers] of [["header", {}, { "X-Tessera-Priority": "background" }], ["tier", { service_tier: "flex" }, {}]]) {
      await home.reset();
      const first = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ messages, model: "llama3", user: "first", stream: true, mock: { tokens: 8, rate: 10 } }) });
      const reader = first.body.getReader();
      await reader.read();  // it has the only place now
      const later = server.post("/v1/chat/completions", { messages, model: "llama3", user: batch, ...more }, headers);
      await waiting(1);
      const sooner = server.post("/chat", { message: "What does the ferry cost?", model: "llama3" }, { "X-Tessera-Priority": "interactive" });
      await waiting(2);
      while (!(await reader.read()).done);
      assert.deepEqual((await Promise.all([later, sooner])).map((reply) => reply.status), [200, 200]);
      assert.deepEqual((await seenBy(home, 3)).map((body) => body.user ?? "person"), ["first", "person", batch]);
    }
    const odd = await server.post("/chat", { message: "Now!" }, { "X-Tessera-Priority": "urgent" });
    assert.deepEqual([odd.status, odd.json.error.code], [400, "INVALID_HEADER"]);
    const contract = (await server.get("/openapi.json")).json.paths;
    assert.ok(contract["/chat"].post.parameters.some((each) => each.in === "header" && each.name === "X-Tessera-Priority"));
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

const long = [{ role: "system", content: "Be brief." }, ...Array.from({ length: 30 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: `${i}: ${"the ferry to Holm ".repeat(10)}` })), { role: "user", content: "What does it cost?" }];
const small = (overflow) => `providers:
  - {name: cloud, base_url: "${cloud.url}/v1", api_key: k-cloud-1234, models: [plain]}
  - {name: home, type: ollama, base_url: "${home.url}/v1", models: [gpt-4]}
models:
  - {name: small, upstream: plain, context_window: 400, max_tokens: 50}
llm: {attempts_max: 1, context_overflow: ${overflow}}
`;

test("a conversation that is too long is refused with OpenAI's own code, never cut in silence", async () => {
  await serving(small("error"), async (server) => {
    for (const stream of [false, true]) {
      for (const extra of [{}, { tessera: { use_rag: false } }]) {
        const reply = await complete(server, { model: "small", messages: long, stream, ...extra });
        assert.equal(reply.status, 400, reply.text);
        const { code, type, param, message } = reply.json.error;
        assert.deepEqual([code, type, param], ["context_length_exceeded", "invalid_request_error", "messages"]);
        assert.match(message, /about \d+ tokens, and 50 are wanted for the answer; the model takes 400/);
      }
    }
    assert.equal((await cloud.transcript()).length, 0, "nobody was asked");
    const chat = await server.post("/chat", { message: "the ferry to Holm ".repeat(200), model: "small" });
    assert.deepEqual([chat.status, chat.json.error.code], [400, "CONTEXT_TOO_LONG"]);
    assert.equal((await complete(server, { model: "small" })).status, 200);
    // Ollama would cut it without a word; of gpt-4 it is known how much it takes.
    const cut = await complete(server, { model: "home/gpt-4", messages: Array(300).fill(long[1]) });
    assert.equal(cut.json.error?.code, "context_length_exceeded", cut.text);
    assert.equal((await home.transcript()).length, 0);
    // What the provider itself says is told the same way.
    const told = await complete(server, { model: "plain", mock: { status: 400, message: "This model's maximum context length is 8192 tokens." } });
    assert.deepEqual([told.status, told.json.error.code], [400, "context_length_exceeded"]);
  });
});

test("trimming leaves out the oldest messages and says so", async () => {
  await serving(small("trim"), async (server) => {
    for (const stream of [false, true]) {
      for (const extra of [{}, { tessera: { use_rag: false } }]) {
        await cloud.reset();
        const reply = await complete(server, { model: "small", messages: long, stream, ...extra });
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.headers.get("x-tessera-degraded"), "context_trimmed");
        const [sent] = await seenBy(cloud);
        assert.deepEqual([sent.messages[0], sent.messages.at(-1)], [long[0], long.at(-1)], "instructions and the question stay");
        assert.ok(sent.messages.length > 2 && sent.messages.length < 12, `${sent.messages.length} messages`);
      }
    }
    assert.equal((await complete(server, { model: "small" })).headers.get("x-tessera-degraded"), null);
    for (let i = 0; i < 6; ++i) {
      const reply = await server.post("/chat", { session_id: "long-talk", message: `${i}: ${"the ferry to Holm ".repeat(15)}`, model: "small", config: { use_rag: "off" } });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.headers.get("x-tessera-degraded"), reply.json.degraded.join(", ") || null);
      if (i === 5) assert.deepEqual(reply.json.degraded, ["context_trimmed"]);
    }
    const hopeless = await complete(server, { model: "small", messages: [{ role: "user", content: "ferry ".repeat(1000) }] });
    assert.deepEqual([hopeless.status, hopeless.json.error.code], [400, "context_length_exceeded"]);
  });
});
