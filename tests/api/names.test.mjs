// What people bring along: keys in their environment, files of other systems, settings of one provider.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer, request as ask } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MockLlm } from "../mock_llm.mjs";
import { Server, binary, parseEvents, temporaryDirectory } from "../server.mjs";

let mock, here;
before(async () => {
  mock = await MockLlm.start();
  here = temporaryDirectory();
});
beforeEach(() => mock.reset());
after(async () => assert.equal(await mock.stop(), 0));

const messages = [{ role: "user", content: "What does the ferry cost?" }];
const complete = (server, body) => server.post("/v1/chat/completions", { messages, ...body });

async function serving({ yaml = "", env = {}, settings = {} }, check) {
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, yaml);
  const server = await Server.start({ settings: { config, ...settings }, env });
  try {
    await check(server);
  } finally {
    await server.stop();
  }
}

function check(yaml, verb = "check", env = {}) {
  const file = join(here, "checked.yaml");
  writeFileSync(file, yaml);
  const done = spawnSync(binary, ["config", verb, "--config", file], { env: { PATH: process.env.PATH, HOME: here, ...env }, cwd: here, encoding: "utf8" });
  return { code: done.status, said: done.stdout + done.stderr };
}

test("files of other systems load as they are written", () => {
  const shown = check(`model_backend: llama_cpp
gpu: true
model_max_batch_size: 32
embeddings_batch_size: 256
num_workers: 4
api: {priority_queue: true, high_priority_timeout: 500, default_priority_timeout: 2000}
vector_db: {storage_path: /mnt/nvme0/vector_db, chunk_size: 1000, chunk_overlap: 200, top_k: 3}
llm: {llama_cpp: {n_ctx: 8192}, openai: {model: gpt-4o, timeout: 60, max_retries: 3}}
`, "show");
  assert.equal(shown.code, 0, shown.said);
  for (const line of ["n_gpu_layers: 999", "n_parallel: 32", "batch_size: 256", "shards: 4", "priority_queue: true", "size: 1000", "n_ctx: 8192", "models: \\[gpt-4o\\]", "attempts_max: 4", "directory: /mnt/nvme0/vector_db"]) {
    assert.match(shown.said, new RegExp(` ${line}`));
  }
  const refused = check("gpu_memory_fraction: 0.8\ndatabase: {pool_size: 10}\n");
  assert.equal(refused.code, 2);
  assert.match(refused.said, /llama_cpp\.n_gpu_layers[^]*storage\.directory/);
});

test("an address with a password is refused without repeating it", () => {
  for (const verb of ["check", "show"]) {
    const { code, said } = check("providers:\n- {name: a, base_url: \"http://joe:hunter2secret@127.0.0.1/v1\"}\n", verb);
    assert.equal(code, 2);
    assert.match(said, /api_key_env/);
    assert.ok(!said.includes("hunter2secret"));
  }
});

test("a key alone: the sole provider answers whatever model is asked for", async () => {
  await serving({ env: { OPENAI_API_KEY: "sk-1", OPENAI_BASE_URL: `${mock.url}/v1` } }, async (server) => {
    for (const model of ["gpt-4.1", "gpt-4o-mini", "openai/gpt-4.1"]) {
      const reply = await complete(server, { model });
      assert.equal(reply.status, 200, reply.text);
    }
    assert.deepEqual((await mock.transcript()).map((each) => each.model), ["gpt-4.1", "gpt-4o-mini", "gpt-4.1"]);
    const vectors = await server.post("/v1/embeddings", { model: "text-embedding-3-small", input: "a" });
    assert.equal(vectors.status, 200, vectors.text);
    assert.equal((await complete(server, { model: "tessera/extractiv" })).json.error.code, "MODEL_NOT_FOUND", "not sent away");
  });
  await serving({ env: { OPENAI_API_KEY: "sk-1", OPENAI_BASE_URL: `${mock.url}/v1`, ANTHROPIC_API_KEY: "a-1" } }, async (server) => {
    const names = (await server.get("/v1/models")).json.data.map((each) => each.id);
    assert.ok(names.includes("claude-sonnet-4-5"), names.join());
    assert.equal((await complete(server, { model: "gpt-4.1" })).json.error.code, "MODEL_NOT_FOUND", "two: say which");
  });
});

test("tries of one provider, its interface's version, and pieces of a stream are as its entry says", async () => {
  const seen = [];
  const azure = createServer((request, response) => {
    seen.push(request.url);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ id: "x", object: "chat.completion", created: 1, model: "d", choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Seven." } }] }));
  });
  await new Promise((resolve) => azure.listen(0, "127.0.0.1", resolve));
  const yaml = `providers:
  - {name: once, base_url: "${mock.url}/v1", api_key: k, attempts_max: 1}
  - {name: usual, base_url: "${mock.url}/v1", api_key: k}
  - {name: often, base_url: "${mock.url}/v1", api_key: k, attempts_max: 5}
  - {name: blue, type: azure, base_url: "http://127.0.0.1:${azure.address().port}/openai", api_key: k, api_version: 2025-04-01-preview}
models:
  - {name: blocks, upstream: tokens-40+chunk-40, providers: [usual], stream_chunk_size: 20}
llm: {backoff_min_ms: 1, backoff_max_ms: 2, breaker_failures: 0}
`;
  try {
    await serving({ yaml }, async (server) => {
      for (const [name, tries] of [["once", 1], ["usual", 3], ["often", 5]]) {
        await mock.reset();
        assert.ok((await complete(server, { model: `${name}/503` })).status >= 500);
        assert.equal((await mock.transcript()).length, tries, name);
      }
      assert.equal((await complete(server, { model: "blue/d" })).status, 200);
      assert.deepEqual(seen, ["/openai/deployments/d/chat/completions?api-version=2025-04-01-preview"]);
      const chat = await server.post("/chat", { message: "What does the ferry cost?", model: "blocks", stream: true });
      const pieces = parseEvents(chat.text).filter((each) => each.event === "token").map((each) => JSON.parse(each.data).text);
      assert.ok(pieces.length > 5 && pieces.every((piece) => piece.length <= 20), JSON.stringify(pieces));
    });
  } finally {
    azure.close();
  }
});

test("a missing or unknown model is told as what it is wanted for", async () => {
  await serving({ settings: { "mock.enabled": true } }, async (server) => {
    const speech = (model) => {
      const form = new FormData();
      if (model) form.append("model", model);
      form.append("file", new Blob(["RIFF"]), "a.wav");
      return server.request("POST", "/v1/audio/transcriptions", form);
    };
    const none = await speech();
    assert.deepEqual([none.status, none.json.error.code, none.json.error.param], [400, "MISSING_FIELD", "model"]);
    assert.match(none.json.error.message, /transcribe speech/);
    const strange = await speech("whisper-9");
    assert.deepEqual([strange.status, strange.json.error.code], [404, "MODEL_NOT_FOUND"]);
    assert.doesNotMatch(none.json.error.message + strange.json.error.message, /extractive/);
    const vectors = await server.post("/v1/embeddings", { model: "e9", input: "a" });
    assert.equal(vectors.status, 404);
    assert.match(vectors.json.error.message, /no embedding model 'e9'.*tessera\/static-256/);
    assert.doesNotMatch(vectors.json.error.message, /collection/);
  });
});

test("calls go through the proxies that the environment names", async () => {
  const seen = [];
  const proxy = createServer((request, response) => {  // http: requests in absolute form
    seen.push(`${request.method} ${request.url}`);
    const onward = ask(mock.url + new URL(request.url).pathname, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  proxy.on("connect", (request, socket) => {  // https: a tunnel, which this one refuses
    seen.push(`CONNECT ${request.url}`);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${proxy.address().port}`;
  const env = { http_proxy: address, HTTPS_PROXY: address, NO_PROXY: "127.0.0.1" };
  const yaml = `providers:
  - {name: plain, base_url: "http://models.invalid/v1", api_key: k}
  - {name: secure, base_url: "https://models.invalid/v1", api_key: k}
  - {name: direct, base_url: "${mock.url}/v1", api_key: k}
llm: {attempts_max: 1}
`;
  try {
    await serving({ yaml, env }, async (server) => {
      const reply = await complete(server, { model: "plain/tokens-5" });
      assert.equal(reply.status, 200, reply.text);
      assert.ok((await complete(server, { model: "secure/m" })).status >= 500);
      assert.equal((await complete(server, { model: "direct/tokens-5" })).status, 200);
    });
    assert.deepEqual(seen, ["POST http://models.invalid/v1/chat/completions", "CONNECT models.invalid:443"], "and what NO_PROXY names goes directly");
    seen.length = 0;
    await serving({ yaml, env, settings: { "llm.allow_private_addresses": false } }, async (server) => {
      assert.ok((await complete(server, { model: "plain/m" })).status >= 500);
      assert.ok((await complete(server, { model: "secure/m" })).status >= 500);
    });
    assert.deepEqual(seen, [], "a proxy would connect in our place, to wherever the name leads");
  } finally {
    proxy.close();
  }
});
