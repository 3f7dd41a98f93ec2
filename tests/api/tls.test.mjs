// Providers behind TLS: HTTP/2 where they offer it, certificates verified always, authorities of one's own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { createServer } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const here = temporaryDirectory();
const messages = [{ role: "user", content: "What does the ferry cost?" }];
const upstreams = [];
after(() => upstreams.forEach((one) => one.close()));

/** A key and a certificate that signs itself, for one name. */
function identity(name, subject) {
  const [key, cert] = [join(here, `${name}.key`), join(here, `${name}.pem`)];
  const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
    "-out", cert, "-subj", `/CN=${name}`, "-addext", `subjectAltName=${subject}`], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return { file: cert, key: readFileSync(key), cert: readFileSync(cert) };
}

/** A provider that answers "two words", streamed in as many events as words, and keeps what it saw. */
async function provider(create, options) {
  const seen = { requests: [], connections: 0, left: 0 };
  const server = create(options, async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const asked = JSON.parse(body);
    seen.requests.push({ version: request.httpVersion, path: request.url, key: request.headers.authorization });
    const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
    const frame = { id: "c1", created: 1, model: asked.model };
    if (!asked.stream) {
      response.setHeader("content-type", "application/json");
      const choices = [{ index: 0, message: { role: "assistant", content: "two words" }, finish_reason: "stop" }];
      response.end(JSON.stringify({ ...frame, object: "chat.completion", choices, usage }));
      return;
    }
    response.setHeader("content-type", "text/event-stream");
    const event = (delta, more = {}) => response.write(`data: ${JSON.stringify({ ...frame, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`);
    event({ role: "assistant", content: "two" });
    response.on("close", () => (seen.left = Date.now()));
    if (asked.max_completion_tokens === 1) return;  // and then nothing: until the client leaves
    event({ content: " words" });
    event({}, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
    event({}, { choices: [], usage });
    response.end("data: [DONE]\n\n");
  });
  server.on("secureConnection", () => ++seen.connections);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  upstreams.push(server);
  return { seen, url: `https://127.0.0.1:${server.address().port}/v1` };
}

async function serving(upstream, settings, use) {
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:\n  - {name: p, base_url: "${upstream.url}", api_key: sk-of-the-provider, models: [m]}\nllm: {attempts_max: 1}\n`);
  const server = await Server.start({ settings: { config, ...settings } });
  try {
    await use(server);
  } finally {
    assert.equal(await server.stop(), 0);
  }
}

const ask = (server, more = {}) => server.post("/v1/chat/completions", { model: "p/m", messages, ...more });
let own;
before(() => (own = identity("own", "IP:127.0.0.1")));

test("HTTP/2 is spoken with a provider that offers it: answers, streams, many calls on few connections", async () => {
  const upstream = await provider(createSecureServer, { ...own, allowHTTP1: true });
  await serving(upstream, { "llm.ca_file": own.file }, async (server) => {
    const whole = await ask(server);
    assert.equal(whole.status, 200, whole.text);
    assert.equal(whole.json.choices[0].message.content, "two words");
    const streamed = await ask(server, { stream: true });
    assert.match(streamed.text, /"two"[^]*" words"[^]*data: \[DONE\]/);
    const many = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(server, { stream: i % 2 === 0, user: `u${i}` })));
    assert.deepEqual([...new Set(many.map((one) => one.status))], [200]);
    const usage = (await server.get("/api/usage?group_by=model")).json;
    assert.deepEqual([usage.total.calls, usage.total.prompt_tokens, usage.total.completion_tokens], [42, 42 * 7, 42 * 2], JSON.stringify(usage));
  });
  assert.equal(upstream.seen.requests.length, 42);
  for (const request of upstream.seen.requests) {
    assert.deepEqual(request, { version: "2.0", path: "/v1/chat/completions", key: "Bearer sk-of-the-provider" });
  }
  assert.ok(upstream.seen.connections <= 4, `${upstream.seen.connections} connections`);
});

test("a client that leaves ends its HTTP/2 stream and nobody else's", async () => {
  const upstream = await provider(createSecureServer, own);
  await serving(upstream, { "llm.ca_file": own.file, "server.shards": 1 }, async (server) => {
    const leaving = new AbortController();
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, signal: leaving.signal };
    const response = await fetch(`${server.url}/v1/chat/completions`, { ...options, body: JSON.stringify({ model: "p/m", messages, stream: true, max_completion_tokens: 1 }) });
    const reader = response.body.getReader();
    assert.match(new TextDecoder().decode((await reader.read()).value), /"two"/);
    const beside = ask(server);
    leaving.abort();
    const left = Date.now();
    assert.equal((await beside).status, 200);
    while (upstream.seen.left === 0 && Date.now() - left < 3000) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(upstream.seen.left > 0 && upstream.seen.left - left <= 100, `the stream went on for ${upstream.seen.left - left} ms`);
    assert.equal((await ask(server)).status, 200);
  });
  assert.ok(upstream.seen.connections <= 2, `${upstream.seen.connections} connections`);
});

test("a provider that speaks only HTTP/1.1 over TLS is served as well", async () => {
  const upstream = await provider(createServer, own);
  await serving(upstream, { "llm.ca_file": own.file }, async (server) => {
    assert.equal((await ask(server)).json.choices[0].message.content, "two words");
    assert.match((await ask(server, { stream: true })).text, /data: \[DONE\]/);
  });
  assert.deepEqual(upstream.seen.requests.map((request) => request.version), ["1.1", "1.1"]);
});

test("who cannot prove their name gets neither key nor text", async () => {
  const elsewhere = identity("elsewhere", "DNS:models.example");
  for (const [certificate, authorities] of [[own, ""], [elsewhere, elsewhere.file], [own, elsewhere.file]]) {
    const upstream = await provider(createSecureServer, { ...certificate, allowHTTP1: true });
    await serving(upstream, { "llm.ca_file": authorities }, async (server) => {
      const refused = await ask(server);
      assert.equal(refused.status, 502, refused.text);
      assert.match(refused.json.error.message, /certificate.*llm\.ca_file/);
      assert.match(server.log, /self-signed certificate|no alternative certificate subject name matches/, "the operator is told what is wrong with it");
      assert.ok(!refused.text.includes("sk-of-the-provider") && !server.log.includes("sk-of-the-provider"));
    });
    assert.equal(upstream.seen.requests.length, 0);
  }
});

test("a file of authorities that is none is refused at the start, and said why", () => {
  const nothing = join(here, "nothing.pem");
  writeFileSync(nothing, "not a certificate\n");
  for (const [file, why] of [[join(here, "missing.pem"), /cannot be read/], [nothing, /no certificate/]]) {
    const config = join(here, "ca.yaml");
    writeFileSync(config, `llm: {ca_file: "${file}"}\n`);
    const done = spawnSync(binary, ["config", "check", "--config", config], { env: { PATH: process.env.PATH, HOME: here }, cwd: here, encoding: "utf8" });
    assert.equal(done.status, 2, done.stdout + done.stderr);
    assert.match(done.stdout + done.stderr, why);
    assert.match(done.stdout + done.stderr, /llm\.ca_file/);
  }
});
