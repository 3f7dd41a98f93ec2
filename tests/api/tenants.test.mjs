// Two keys of two apps in random operations over all of the API: neither ever sees anything of the other's.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Server, binary, parseEvents, temporaryDirectory } from "../server.mjs";

const seed = Number(process.env.TESSERA_TENANTS_SEED ?? Date.now() % 1_000_000);
const steps = Number(process.env.TESSERA_TENANTS_STEPS ?? 400);

// mulberry32: a run is repeated by its seed.
let state = seed;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

/** One app with what it should see. Both apps use the same names and ids for everything. */
class App {
  constructor(name, word, key) {
    Object.assign(this, { name, word, key, documents: new Map(), collections: new Set(), sessions: new Set(), streams: [], tasks: [], keys: [], calls: 0, workflows: new Map(), budgets: new Map(), responses: [] });
  }
  /** A call that the ledger has an entry of. */
  called(workflow) {
    this.calls += 1;
    this.workflows.set(workflow, (this.workflows.get(workflow) ?? 0) + 1);
  }
}

/** A provider that keeps responses, and knows one key for all apps. */
function provider() {
  const kept = new Set();
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (data) => (text += data));
    request.on("end", () => {
      const send = (status, value) => {
        response.writeHead(status, { "Content-Type": "application/json" });
        response.end(JSON.stringify(value));
      };
      const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, input_tokens: 10, output_tokens: 5 };
      if (request.url.includes("/chat/")) return send(200, { id: "c", object: "chat.completion", created: 1, model: "gpt-4o", choices: [{ index: 0, message: { role: "assistant", content: "Far." }, finish_reason: "stop" }], usage });
      const id = request.url.match(/\/responses\/([^/?]+)/)?.[1] ?? `resp_${kept.size}_kept`;
      if (request.method === "POST") kept.add(id);
      else if (!kept.has(id)) return send(404, { error: { message: "not found" } });
      return send(200, { id, object: "response", status: "completed", model: "gpt-4o", output: [], usage });
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

test(`apps are apart (seed ${seed})`, async (t) => {
  const directory = temporaryDirectory();
  const notes = temporaryDirectory();
  mkdirSync(join(notes, "sub"));
  writeFileSync(join(notes, "sub", "shared.md"), "# Shared\n\nA file that both may take in.\n");
  const make = (app) => {
    const made = spawnSync(binary, ["keys", "create", "--data", directory, "--app", app, "--scopes", "all"], { encoding: "utf8", env: { PATH: process.env.PATH, NO_COLOR: "1" } });
    assert.equal(made.status, 0, made.stderr);
    return made.stdout.trim();
  };
  const apps = [new App("red", "vermilionsecret", make("red")), new App("blue", "ultramarinesecret", make("blue"))];
  const upstream = await provider();
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:\n  - {name: cloud, base_url: "http://127.0.0.1:${upstream.address().port}/v1", api_key: sk-tenants, location: cloud, models: [gpt-4o]}\n`);
  const server = await Server.start({ directory, settings: { "auth.mode": "keys", "mock.enabled": true, "ingest.roots": notes, "chat.default_model": "tessera/extractive", config } });

  const otherOf = (app) => apps.find((a) => a !== app);
  /** Asks as `app`; whatever comes back must hold nothing of the other's. */
  async function ask(app, method, path, body, headers = {}) {
    const answer = await server.request(method, path, body, { Authorization: `Bearer ${app.key}`, ...headers });
    const seen = answer.text + JSON.stringify([...answer.headers]);
    for (const mark of [otherOf(app).word, otherOf(app).key, ...otherOf(app).keys.map((k) => k.key_id), ...otherOf(app).streams, ...otherOf(app).tasks, ...otherOf(app).responses]) {
      assert.ok(!seen.includes(mark) || path.includes(mark) || JSON.stringify(body ?? "").includes(mark), `${app.name} ${method} ${path} saw ${mark}: ${answer.text.slice(0, 300)}`);
    }
    assert.ok(answer.status < 500, `${method} ${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer;
  }
  const collection = () => `c${below(3)}`;
  const documentId = () => `d${below(8)}`;
  const sessionId = () => `s${below(5)}`;
  const question = (app) => pick([`What does ${app.word} say?`, "Who keeps the secret of the lighthouse?", `${otherOf(app).word}`]);
  const put = (app, id, c) => {
    const before = app.documents.get(id);
    if (before === undefined || before === c) {
      app.documents.set(id, c);
      app.collections.add(c);
      return true;
    }
    return false;
  };

  const operations = {
    async ingest(app) {
      const [id, c] = [documentId(), collection()];
      const fits = put(app, id, c);
      const { status } = await ask(app, "POST", "/ingest", { document_id: id, collection: c, title: `${app.word} ${id}`, text: `The lighthouse keeps ${app.word} number ${below(1000)}.`, metadata: { mark: app.word } });
      assert.equal(status < 300, fits, `ingest of ${id} into ${c}: ${status}`);
    },
    async batch(app) {
      const lines = Array.from({ length: 3 }, () => ({ document_id: documentId(), collection: collection(), text: `Batch of ${app.word} ${below(1000)}.` }));
      const { status, text } = await ask(app, "POST", "/api/ingest/batch", lines.map((l) => JSON.stringify(l)).join("\n"), { "Content-Type": "application/x-ndjson" });
      assert.equal(status, 200);
      // Lines that name a document of another collection fail alone; the model follows what was said of each.
      text.trim().split("\n").forEach((line, i) => {
        if (!JSON.parse(line).error) put(app, lines[i].document_id, lines[i].collection);
      });
    },
    async getDocument(app) {
      const id = documentId();
      const { status, json } = await ask(app, "GET", `/api/documents/${id}`);
      assert.equal(status === 200, app.documents.has(id), id);
      if (status === 200) assert.ok(json.text.includes(app.word));
    },
    async listDocuments(app) {
      const c = collection();
      const { status, json } = await ask(app, "GET", `/api/documents?collection=${c}&limit=100`);
      if (!app.collections.has(c)) return assert.equal(status, 404);
      const expected = [...app.documents].filter(([, of]) => of === c).map(([id]) => id).sort();
      assert.deepEqual(json.items.map((d) => d.document_id).filter((id) => /^d\d$/.test(id)).sort(), expected);
    },
    async deleteDocument(app) {
      const id = documentId();
      const { status } = await ask(app, "DELETE", `/api/documents/${id}`);
      assert.equal(status === 200, app.documents.delete(id), id);
    },
    async collections(app) {
      const { json } = await ask(app, "GET", "/api/collections?limit=100");
      assert.deepEqual(json.items.map((c) => c.name).sort(), [...app.collections].sort());
      for (const c of json.items.filter((c) => c.name !== "dir")) {
        assert.equal(c.documents, [...app.documents.values()].filter((of) => of === c.name).length, `documents of ${c.name}`);
      }
    },
    async createCollection(app) {
      const c = collection();
      const { status } = await ask(app, "POST", "/api/collections", { name: c });
      assert.ok(status < 300, `create ${c}: ${status}`);
      app.collections.add(c);
    },
    async deleteCollection(app) {
      if (below(4)) return;
      const c = collection();
      const { status } = await ask(app, "DELETE", `/api/collections/${c}`);
      assert.equal(status === 200, app.collections.delete(c), c);
      for (const [id, of] of app.documents) if (of === c) app.documents.delete(id);
    },
    async search(app) {
      const c = collection();
      const { status, json } = await ask(app, "POST", "/api/search", { query: question(app).replace(otherOf(app).word, "lighthouse"), collection: c, top_k: 50, mode: pick(["hybrid", "dense", "lexical"]) });
      if (!app.collections.has(c)) return assert.equal(status, 404);
      for (const hit of json.results) assert.equal(app.documents.get(hit.document_id), c);
    },
    async filter(app) {
      const c = collection();
      const { status, json } = await ask(app, "POST", "/api/search", { query: "lighthouse", collection: c, filter: { mark: { $ne: app.word } }, top_k: 50 });
      if (status === 200) for (const hit of json.results) assert.ok(app.documents.has(hit.document_id));
    },
    async chat(app) {
      const id = sessionId();
      const { status, json } = await ask(app, "POST", "/chat", { session_id: id, message: `${app.word}: who keeps the lighthouse?`, user_id: "ann", collection: pick([...app.collections, "c0"]), model: "tessera/extractive" });
      app.sessions.add(id); // opened before its collection is looked for
      if (status !== 200) return assert.equal(status, 404);
      for (const source of json.sources) assert.ok(app.documents.has(source.document_id) || source.title.includes("Shared"));
    },
    async stream(app) {
      const { status, text, headers } = await ask(app, pick(["POST"]), "/chat", { message: `${app.word} again`, user_id: "ann", model: "mock/echo", stream: true });
      assert.equal(status, 200);
      const id = headers.get("x-stream-id");
      app.streams.push(id);
      const done = parseEvents(text).find((e) => e.event === "done");
      app.sessions.add(JSON.parse(done.data).session_id);
      const again = await ask(app, "GET", `/api/streams/${id}`);
      assert.equal(again.status, 200);
    },
    async othersStream(app) {
      if (!otherOf(app).streams.length) return;
      const id = pick(otherOf(app).streams);
      assert.equal((await ask(app, "GET", `/api/streams/${id}`)).status, 404);
      assert.equal((await ask(app, "DELETE", `/api/streams/${id}`)).status, 404);
    },
    async ndjson(app) {
      const { status, text } = await ask(app, "POST", "/api/chat", { message: `Tell of ${app.word}`, model: "mock/echo", user_id: "ann" });
      assert.equal(status, 200);
      for (const line of text.trim().split("\n")) {
        const event = JSON.parse(line);
        if (event.event === "done") app.sessions.add(event.data.session_id);
      }
    },
    async oneShot(app) {
      const { status } = await ask(app, "POST", "/api/ask", { question: `${app.word}?` }).catch((e) => { throw e; });
      assert.ok([200, 400, 404].includes(status));
    },
    async completion(app) {
      const { status } = await ask(app, "POST", "/v1/chat/completions", { model: pick(["mock/echo", "tessera/extractive"]), user: "ann", messages: [{ role: "user", content: `${app.word} please` }], tessera: { collection: pick([...app.collections, "c0"]), use_rag: true } });
      assert.ok([200, 404].includes(status));
    },
    async createSession(app) {
      const id = sessionId();
      const { status } = await ask(app, "POST", "/api/sessions", { session_id: id, user_id: "ann", title: app.word });
      assert.ok(status < 300 || app.sessions.has(id), `create ${id}: ${status}`);
      app.sessions.add(id);
    },
    async sessions(app) {
      const { json } = await ask(app, "GET", "/api/sessions?limit=1000&user_id=ann");
      assert.deepEqual(json.items.map((s) => s.session_id).sort(), [...app.sessions].sort());
    },
    async messages(app) {
      const id = sessionId();
      const { status } = await ask(app, "GET", `/api/sessions/${id}/messages`);
      assert.equal(status === 200, app.sessions.has(id), id);
      assert.equal((await ask(app, "GET", `/api/sessions/${id}`)).status === 200, app.sessions.has(id), id);
      for (const foreign of [...otherOf(app).sessions].filter((s) => !app.sessions.has(s)).slice(0, 2)) {
        assert.equal((await ask(app, "GET", `/api/sessions/${foreign}/messages`)).status, 404);
      }
    },
    async deleteSession(app) {
      const id = sessionId();
      const { status } = await ask(app, "DELETE", `/api/sessions/${id}`);
      assert.equal(status === 200, app.sessions.delete(id), id);
    },
    async erase(app) {
      if (below(6)) return;
      const { status } = await ask(app, "DELETE", "/api/users/ann");
      assert.equal(status, 200);
      app.sessions.clear();
    },
    async directory(app) {
      if (app.tasks.length > 4) return;
      const { status, json } = await ask(app, "POST", "/api/ingest/directory", { path: join(notes, "sub"), collection: "dir" });
      assert.equal(status, 202);
      app.tasks.push(json.task_id);
      const { text } = await ask(app, "GET", `/api/tasks/${json.task_id}/events`);
      assert.match(text, /event: done/);
      app.collections.add("dir");
    },
    async tasks(app) {
      const { json } = await ask(app, "GET", "/api/tasks?limit=1000");
      assert.deepEqual(json.items.map((task) => task.task_id).sort(), [...app.tasks].sort());
      for (const id of otherOf(app).tasks.slice(0, 2)) {
        for (const [method, path] of [["GET", ""], ["DELETE", ""], ["GET", "/events"]]) assert.equal((await ask(app, method, `/api/tasks/${id}${path}`)).status, 404);
      }
    },
    async keys(app) {
      const own = (await ask(app, "POST", "/api/keys", { scopes: ["chat"], name: app.word })).json;
      app.keys.push(own);
      const { json } = await ask(app, "GET", "/api/keys");
      assert.equal(json.items.length, app.keys.length + 1);
      assert.ok(json.items.every((key) => key.app_id === app.name));
      for (const key of otherOf(app).keys.slice(-1)) assert.equal((await ask(app, "DELETE", `/api/keys/${key.key_id}`)).status, 404);
    },
    async usage(app) {
      const { json } = await ask(app, "GET", `/api/usage?group_by=${pick(["user", "workflow", "key,model"])}`);
      assert.equal(json.total.calls, app.calls);
      const of = pick([`${app.word}-${below(3)}`, `${otherOf(app).word}-${below(3)}`]);
      const one = (await ask(app, "GET", `/api/usage?group_by=model&workflow=${of}`)).json;
      assert.equal(one.total.calls, app.workflows.get(of) ?? 0, of);
      const csv = await ask(app, "GET", "/api/usage?group_by=app", undefined, { Accept: "text/csv" });
      if (app.calls) assert.ok(csv.text.split("\r\n")[1].startsWith(`${app.name},${app.calls},`), csv.text);
    },
    async call(app) {
      const workflow = `${app.word}-${below(3)}`;
      const { status } = await ask(app, "POST", "/v1/chat/completions", { model: "gpt-4o", user: app.word, messages: [{ role: "user", content: "How far?" }], max_tokens: 50 }, { "X-Tessera-Workflow": workflow });
      const refused = [...app.budgets.values()].some((limit) => limit === 0);
      assert.equal(status, refused ? 402 : 200);
      if (!refused) app.called(workflow);
    },
    async putBudget(app) {
      const [id, limit] = [`b${below(3)}`, pick([0, 1000])];
      const { status, json } = await ask(app, "PUT", `/api/budgets/${id}`, { limit_usd: limit, period: "total", ...pick([{}, { scope: "user", subject: app.word }, { scope: "user", subject: "*" }]) });
      assert.equal(status, 200);
      assert.equal(json.items[0].limit_usd, limit);
      app.budgets.set(id, limit);
    },
    async budgets(app) {
      const { json } = await ask(app, "GET", "/api/budgets");
      assert.deepEqual([...new Set(json.items.map((item) => item.budget_id))].sort(), [...app.budgets.keys()].sort());
      for (const item of json.items) assert.equal(item.limit_usd, app.budgets.get(item.budget_id));
    },
    async deleteBudget(app) {
      const id = `b${below(3)}`;
      const { status } = await ask(app, "DELETE", `/api/budgets/${id}`);
      assert.equal(status === 200, app.budgets.delete(id), id);
    },
    async respond(app) {
      const previous = pick([undefined, ...app.responses.slice(-2)]);
      const { status, json } = await ask(app, "POST", "/v1/responses", { model: "gpt-4o", user: app.word, input: "How far?", max_output_tokens: 50, previous_response_id: previous });
      if ([...app.budgets.values()].some((limit) => limit === 0)) return assert.equal(status, 402);
      assert.equal(status, 200);
      app.responses.push(json.id);
      app.called("");
    },
    async response(app) {
      if (!app.responses.length) return;
      const { status, json } = await ask(app, "GET", `/v1/responses/${app.responses.at(-1)}`);
      assert.deepEqual([status, json.id], [200, app.responses.at(-1)]);
    },
    async deleteResponse(app) {
      if (!app.responses.length) return;
      const [id] = app.responses.splice(below(app.responses.length), 1);
      assert.equal((await ask(app, "DELETE", `/v1/responses/${id}`)).status, 200);
      assert.equal((await ask(app, "GET", `/v1/responses/${id}`)).status, 404);
    },
    async othersResponse(app) {
      if (!otherOf(app).responses.length) return;
      const id = pick(otherOf(app).responses);
      for (const [method, path] of [["GET", ""], ["DELETE", ""], ["POST", "/cancel"], ["GET", "/input_items"]]) assert.equal((await ask(app, method, `/v1/responses/${id}${path}`)).status, 404);
      assert.equal((await ask(app, "POST", "/v1/responses", { model: "gpt-4o", input: "Go on", previous_response_id: id })).status, 404);
    },
    async shared(app) {
      for (const path of ["/v1/models", "/api/vector_db/stats", "/api/health/detailed", "/api/config", "/api/usage", "/api/budgets"]) await ask(app, "GET", path);
    },
  };

  try {
    for (let i = 0; i < steps; ++i) {
      const name = pick(Object.keys(operations));
      await operations[name](pick(apps)).catch((error) => {
        error.message = `step ${i} (${name}): ${error.message}`;
        throw error;
      });
    }
    // At the same time, too: answers must not be swapped under load.
    await Promise.all(Array.from({ length: 40 }, (_, i) => ask(apps[i % 2], "POST", "/v1/chat/completions", { model: "mock/echo", messages: [{ role: "user", content: `${apps[i % 2].word} ${i}` }] })
      .then(({ json }) => assert.ok(json.choices[0].message.content.includes(apps[i % 2].word)))));
  } finally {
    t.diagnostic(`seed ${seed}, ${steps} steps`);
    assert.equal(await server.stop(), 0);
  }
  upstream.closeAllConnections();
  upstream.close();
  for (const { key } of apps) assert.ok(!server.log.includes(key));
  rmSync(directory, { recursive: true });
  rmSync(notes, { recursive: true });
});
