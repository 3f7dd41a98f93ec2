// API keys with the real binary: making them, what they open and what not, limits, and that nothing tells a secret.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { Server, binary, temporaryDirectory } from "../server.mjs";
import { validator } from "../contract.mjs";

const run = (args, env = {}) => spawnSync(binary, args, { encoding: "utf8", timeout: 30000, env: { PATH: process.env.PATH, NO_COLOR: "1", ...env } });
const makeKey = (directory, ...flags) => {
  const made = run(["keys", "create", "--data", directory, ...flags]);
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /^tsk_[A-Za-z0-9_-]{43}\n$/);
  return made.stdout.trim();
};
const bearer = (key) => ({ Authorization: `Bearer ${key}` });

let server, directory, admin, chat, other, limited, narrow;
const secrets = () => [admin, chat, other, limited, narrow];
before(async () => {
  directory = temporaryDirectory();
  admin = makeKey(directory, "--app", "phone", "--scopes", "all", "--name", "operator");
  chat = makeKey(directory, "--app", "phone");
  other = makeKey(directory, "--app", "web", "--scopes", "all");
  limited = makeKey(directory, "--app", "phone", "--rpm", "5");
  narrow = makeKey(directory, "--app", "phone", "--models", "mock/echo", "--tpm", "40");
  server = await Server.start({ directory, settings: { "auth.mode": "keys", "mock.enabled": true, "log.level": "debug" } });
});
after(async () => {
  assert.equal(await server.stop(), 0);
  rmSync(directory, { recursive: true });
});

test("without keys `serve` says how to make the first one, and other addresses need keys", () => {
  const empty = temporaryDirectory();
  const none = run(["serve", "--port", "0", "--data", empty, "--auth.mode", "keys"]);
  assert.equal(none.status, 1);
  assert.match(none.stderr, /tessera keys create --data '.*' --app default --scopes all/);
  const open = run(["serve", "--host", "0.0.0.0", "--port", "0", "--data", empty]);
  assert.equal(open.status, 2);
  assert.match(open.stderr, /tessera keys create/);
  rmSync(empty, { recursive: true });
});

test("a request without a key, or with a wrong one, is told what to do", async () => {
  for (const headers of [{}, { Authorization: "Basic dTpw" }, bearer("tsk_wrong"), bearer(chat.slice(0, -1)), bearer(`${chat}x`), { "api-key": "sk-123" }]) {
    for (const path of ["/api/collections", "/api/nowhere"]) {
      const answer = await server.get(path, headers);
      assert.equal(answer.status, 401, path);
      assert.equal(answer.json.error.code, "UNAUTHENTICATED");
      assert.match(answer.json.error.message, /tessera keys create/);
      assert.match(answer.headers.get("www-authenticate"), /^Bearer/);
    }
  }
  assert.equal((await server.post("/ingest", "x".repeat(3 << 20), { "Content-Type": "application/json" })).status, 413, "strangers may not fill our memory");
  for (const open of ["/health", "/health/ready", "/api/health", "/openapi.json", "/docs", "/"]) assert.equal((await server.get(open)).status, 200, open);
});

test("a key is shown by any of three headers", async () => {
  for (const headers of [bearer(chat), { authorization: `bearer  ${chat}` }, { "api-key": chat }, { "x-api-key": chat }]) {
    assert.equal((await server.get("/api/collections", headers)).status, 200);
  }
});

test("a key does what its scopes say, and the refusal names the scope", async () => {
  const refused = await server.post("/ingest", { text: "x" }, bearer(chat));
  assert.equal(refused.status, 403);
  assert.equal(refused.json.error.code, "SCOPE_MISSING");
  assert.match(refused.json.error.message, /"ingest"; this one has chat/);
  for (const path of ["/api/keys", "/api/config", "/metrics", "/api/health/detailed"]) assert.equal((await server.get(path, bearer(chat))).status, 403, path);
  assert.equal((await server.post("/ingest", { text: "A text of the phone app." }, bearer(admin))).status, 201);
  for (const path of ["/api/keys", "/api/config", "/metrics", "/api/health/detailed"]) assert.equal((await server.get(path, bearer(admin))).status, 200, path);
});

test("the official client works with a key, and without one gets its own error", async () => {
  const client = (apiKey) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  const ask = (apiKey, model = "mock/echo") => client(apiKey).chat.completions.create({ model, messages: [{ role: "user", content: "hello there" }] });
  assert.match((await ask(chat)).choices[0].message.content, /hello/);
  await assert.rejects(ask("sk-nobody"), OpenAI.AuthenticationError);
  await assert.rejects(ask(narrow, "mock/lorem"), (error) => error instanceof OpenAI.PermissionDeniedError && error.code === "MODEL_NOT_ALLOWED" && /mock\/echo only/.test(error.message));
  assert.match((await ask(narrow)).choices[0].message.content, /hello/);
});

test("requests a minute: headers count down, then 429 with the time to wait", async () => {
  for (let left = 4; left >= 0; --left) {
    const answer = await server.get("/api/collections", bearer(limited));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-ratelimit-limit"), "5");
    assert.equal(answer.headers.get("x-ratelimit-remaining"), String(left));
    assert.equal(answer.headers.get("x-ratelimit-remaining-requests"), String(left));
    assert.match(answer.headers.get("x-ratelimit-reset-requests"), /^(1m)?\d+(\.\d+)?s$/);
    assert.ok(Number(answer.headers.get("x-ratelimit-reset")) <= 61);
  }
  const refused = await server.get("/v1/models", bearer(limited));
  assert.equal(refused.status, 429);
  assert.equal(refused.json.error.code, "RATE_LIMITED");
  assert.ok(Number(refused.headers.get("retry-after")) >= 55);
  assert.equal(refused.headers.get("x-ratelimit-remaining"), "0");
  assert.equal((await server.get("/api/collections", bearer(chat))).status, 200, "another key of the app has its own limit");
});

test("tokens a minute: what the model used counts, streams too", async () => {
  const key = makeOver({ scopes: ["chat"], tokens_per_minute: 60 });
  const ask = async (stream) => server.post("/v1/chat/completions", { model: "mock/echo", stream, messages: [{ role: "user", content: "count ".repeat(12) }] }, bearer(await key));
  const first = await ask(false);
  assert.equal(first.status, 200, first.text);
  const used = first.json.usage.total_tokens;
  assert.ok(used > 20 && used < 60, `used ${used}`);
  assert.equal(first.headers.get("x-ratelimit-remaining-tokens"), String(60 - used));
  assert.equal((await ask(true)).status, 200);
  let last = await ask(true);
  for (let i = 0; i < 5 && last.status === 200; ++i) last = await ask(true);
  assert.equal(last.status, 429);
  assert.equal(last.json.error.code, "TOKENS_LIMITED");
  assert.ok(Number(last.headers.get("retry-after")) > 0);
});

async function makeOver(body) {
  const made = await server.post("/api/keys", body, bearer(admin));
  assert.equal(made.status, 201, made.text);
  return made.json.key;
}

test("keys are made, listed and revoked over HTTP, within one app", async () => {
  const validate = await validator(server);
  const made = await server.post("/api/keys", { name: "tablet", scopes: ["chat", "ingest"], models: ["mock/echo"], requests_per_minute: 9, expires_in_seconds: 3600 }, bearer(admin));
  validate("KeyCreated", made.json);
  assert.equal(made.headers.get("cache-control"), "no-store");
  assert.equal(made.json.app_id, "phone");
  assert.equal(made.json.hint, made.json.key.slice(-4));
  const list = await server.get("/api/keys", bearer(admin));
  validate("KeyList", list.json);
  assert.ok(list.json.items.some((key) => key.key_id === made.json.key_id && key.name === "tablet"));
  assert.ok(list.json.items.every((key) => key.app_id === "phone"));
  assert.ok(!list.text.includes(made.json.key));
  const page = (await server.get("/api/keys?limit=2", bearer(admin))).json;
  const rest = (await server.get(`/api/keys?cursor=${page.next_cursor}`, bearer(admin))).json;
  assert.deepEqual([...page.items, ...rest.items], list.json.items);

  assert.equal((await server.get("/api/collections", bearer(made.json.key))).status, 200);
  assert.equal((await server.request("DELETE", `/api/keys/${made.json.key_id}`, undefined, bearer(other))).status, 404, "another app's");
  assert.equal((await server.get("/api/collections", bearer(made.json.key))).status, 200);
  const revoked = await server.request("DELETE", `/api/keys/${made.json.key_id}`, undefined, bearer(admin));
  validate("KeyDetail", revoked.json);
  assert.ok(revoked.json.revoked_at);
  const after = await server.get("/api/collections", bearer(made.json.key));
  assert.equal(after.status, 401);
  assert.match(after.json.error.message, /revoked/);

  for (const [body, param] of [[{}, "scopes"], [{ scopes: [] }, "scopes"], [{ scopes: ["root"] }, "scopes"], [{ scopes: ["chat"], app_id: "web" }, "app_id"], [{ scopes: ["chat"], models: [""] }, "models"], [{ scopes: ["chat"], requests_per_minute: -1 }, "requests_per_minute"]]) {
    const refused = await server.post("/api/keys", body, bearer(admin));
    assert.ok([400, 403].includes(refused.status), JSON.stringify(body));
    assert.equal(refused.json.error.param, param);
  }
});

test("a key expires", async () => {
  const key = await makeOver({ scopes: ["chat"], expires_in_seconds: 1 });
  assert.equal((await server.get("/api/collections", bearer(key))).status, 200);
  let answer;
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    answer = await server.get("/api/collections", bearer(key));
    if (answer.status !== 200) break;
  }
  assert.equal(answer.status, 401);
  assert.match(answer.json.error.message, /expired/);
});

test("the command line manages the keys of a running server, and uses it, with a key", () => {
  const none = run(["keys", "list", "--data", directory]);
  assert.notEqual(none.status, 0);
  assert.match(none.stderr, /--key|TESSERA_KEY/);
  const made = run(["keys", "create", "--data", directory, "--key", admin, "--scopes", "chat,metrics", "--expires", "2h", "--json"]);
  assert.equal(made.status, 0, made.stderr);
  const { key, key_id, scopes } = JSON.parse(made.stdout);
  assert.deepEqual(scopes, ["chat", "metrics"]);
  const list = run(["keys", "list", "--server", server.url], { TESSERA_KEY: admin });
  assert.match(list.stdout, new RegExp(`${key_id} .*until .*chat,metrics`));
  assert.ok(!list.stdout.includes(key));
  const search = run(["search", "text", "--data", directory, "--json"], { TESSERA_KEY: key });
  assert.equal(search.status, 0, search.stderr);
  assert.equal(run(["keys", "revoke", key_id, "--data", directory], { TESSERA_KEY: admin }).status, 0);
  const refused = run(["search", "text", "--data", directory], { TESSERA_KEY: key });
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /revoked/);
  assert.match(run(["keys", "create", "--help"]).stdout, /--scopes/);
  assert.equal(run(["keys", "create", "--scopes", "root", "--server", server.url]).status, 1);
  assert.equal(run(["keys", "create", "--expires", "soon", "--server", server.url]).status, 2);
});

test("keys survive a restart, are managed while the server is stopped, and are nowhere to be read", async () => {
  assert.ok(!(await server.get("/api/config", bearer(admin))).text.includes("tsk_"));
  assert.ok(!(await server.get("/metrics", bearer(admin))).text.includes("tsk_"));
  assert.equal(await server.stop(), 0);
  const list = JSON.parse(run(["keys", "list", "--data", directory, "--json"]).stdout).items;
  assert.ok(list.some((key) => key.app_id === "web") && list.some((key) => key.app_id === "phone"));
  const victim = list.find((key) => key.hint === limited.slice(-4));
  assert.equal(run(["keys", "revoke", victim.key_id, "--data", directory]).status, 0);
  assert.equal(run(["keys", "revoke", "nothing", "--data", directory]).status, 1);
  for (const secret of secrets()) {
    assert.ok(!server.log.includes(secret), "in the log");
    for (const file of readdirSync(directory).filter((name) => name.startsWith("tessera.db"))) {
      assert.ok(!readFileSync(join(directory, file)).includes(secret), `in ${file}`);
    }
  }
  assert.match(server.log, /"key_id":"[0-9a-f-]{36}"/, "the log says which key it was");
  server = await Server.start({ directory, settings: { "auth.mode": "keys", "mock.enabled": true } });
  assert.equal((await server.get("/api/collections", bearer(chat))).status, 200);
  assert.equal((await server.get("/api/collections", bearer(limited))).status, 401);
});
