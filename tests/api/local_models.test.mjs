// Local models, with the real llama-server: found by their files, started by the first request, started again when killed.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, binary, parseEvents, temporaryDirectory } from "../server.mjs";
import { missing, program, writeModel } from "../services.mjs";

const say = "The ferry leaves at seven each morning.";
let server, directory;

before(async () => {
  if (missing) return;
  directory = temporaryDirectory();
  writeModel("chat", join(directory, "writer.Q8_0.gguf"), "--say", say);
  writeModel("embed", join(directory, "vectors.gguf"), "--width", "96");
  server = await Server.start({
    settings: {
      "llama_cpp.command": program("llama-server"),
      "llama_cpp.model_path": join(directory, "writer.Q8_0.gguf"),
      "llama_cpp.embedding_model_path": join(directory, "vectors.gguf"),
      "llama_cpp.n_threads": 1,
      "embedding.provider": "llama_cpp",
    },
  });
});
after(async () => {
  if (server) assert.equal(await server.stop(), 0);
});

const pools = async () => (await server.get("/api/health/detailed")).json.components.local_models.pools;
const chat = () => server.post("/v1/chat/completions", { messages: [{ role: "user", content: "When?" }] });

test("a local model is listed, is the default, and answers", { skip: missing }, async () => {
  const { json } = await server.get("/v1/models");
  assert.ok(json.data.some((model) => model.id.endsWith("writer.Q8_0")), JSON.stringify(json));
  const answer = await chat();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.choices[0].message.content, say);
  assert.ok(answer.json.usage.completion_tokens > 5);
});

test("its stream comes through", { skip: missing }, async () => {
  const { status, text } = await server.post("/v1/chat/completions", { model: "llama_cpp/writer.Q8_0", stream: true, messages: [{ role: "user", content: "When?" }] });
  assert.equal(status, 200, text);
  const events = parseEvents(text).map((event) => event.data);
  assert.equal(events.at(-1), "[DONE]");
  const words = events.slice(0, -1).map((data) => JSON.parse(data).choices[0]?.delta.content ?? "").join("");
  assert.equal(words, say);
});

test("documents are embedded by a local model", { skip: missing }, async () => {
  const taken = await server.post("/ingest", { document_id: "ferry", text: "The ship sails from the harbour in the morning.\n" });
  assert.ok(taken.status < 300, taken.text);
  const { json } = await server.post("/api/search", { query: "harbour ship", mode: "dense" });
  assert.equal(json.results[0].document_id, "ferry");
});

test("health and metrics tell of the processes", { skip: missing }, async () => {
  const all = await pools();
  const writer = all.find((pool) => pool.kind === "chat");
  assert.deepEqual([writer.status, writer.active_instances, writer.busy_instances, writer.queue_length], ["HEALTHY", 1, 0, 0]);
  const metrics = (await server.get("/metrics")).text;
  assert.match(metrics, /tessera_engine_instances\{kind="chat",model="writer.Q8_0"\} 1/);
  for (const name of ["busy_instances", "queue_length", "restarts", "requests", "continued_requests"]) {
    assert.match(metrics, new RegExp(`^tessera_engine_${name}\\{kind="chat",model="writer.Q8_0"\\} \\d+$`, "m"));
  }
});

test("a killed process comes back, and requests are answered meanwhile", { skip: missing }, async () => {
  const children = execFileSync("ps", ["--ppid", String(server.child.pid), "-o", "pid="], { encoding: "utf8" }).trim().split(/\s+/);
  assert.ok(children.length >= 2);
  for (const child of children) process.kill(Number(child), "SIGKILL");
  const answers = await Promise.all(Array.from({ length: 20 }, chat));
  for (const answer of answers) assert.equal(answer.json?.choices?.[0].message.content, say, answer.text);
  assert.ok((await pools()).some((pool) => pool.restarts > 0));
});

test("the key of the processes is nowhere to be seen", { skip: missing }, async () => {
  const arguments_ = execFileSync("ps", ["-A", "-o", "args="], { encoding: "utf8" });
  assert.ok(arguments_.includes(join(directory, "writer.Q8_0.gguf")));
  assert.ok(!/--api-key/.test(arguments_.split("\n").filter((line) => line.includes(directory)).join("\n")));
});

test("processes end with the server, however it ends", { skip: missing }, async () => {
  const other = await Server.start({
    settings: { "llama_cpp.command": program("llama-server"), "llama_cpp.model_path": join(directory, "writer.Q8_0.gguf"), "llama_cpp.start": "boot" },
  });
  const alive = () => execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" }).split("\n").filter((line) => line.includes("writer.Q8_0.gguf") && line.includes(" -m ")).length;
  const before_ = alive();
  while ((await other.get("/api/health/detailed")).json.components.local_models.pools[0].active_instances < 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(alive(), Math.max(before_, 2));
  await other.kill();
  while (alive() >= 2) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("a command starts no model that it does not ask, even where a server would at boot", () => {
  const here = temporaryDirectory();
  const started = join(here, "started");
  const command = join(here, "llama-server");
  writeFileSync(command, `#!/bin/sh\ntouch ${started}\nexec sleep 60\n`, { mode: 0o755 });
  writeModel("chat", join(here, "idle.gguf"), "--say", say);
  writeFileSync(join(here, "note.md"), "The ferry leaves at seven each morning.\n");
  writeFileSync(join(here, "tessera.yaml"), `llama_cpp: {start: boot, command: "${command}", model_path: "${join(here, "idle.gguf")}"}\n`);
  const env = { PATH: process.env.PATH, HOME: here, NO_COLOR: "1" };
  const run = (...args) => execFileSync(binary, [...args, "--config", join(here, "tessera.yaml"), "--data", join(here, "data")], { env, cwd: here, encoding: "utf8" });
  run("ingest", join(here, "note.md"));
  assert.match(run("search", "when does the ferry leave"), /seven/);
  assert.ok(!existsSync(started));
});

test("models list and suggest", { skip: missing }, () => {
  const env = { PATH: process.env.PATH, LLAMA_MODEL_PATH: join(directory, "writer.Q8_0.gguf"), NO_COLOR: "1" };
  const listed = JSON.parse(execFileSync(binary, ["models", "list", "--json"], { env, cwd: directory, encoding: "utf8" }));
  assert.ok(listed.some((model) => model.id === "llama_cpp/writer.Q8_0" && model.note.includes("Q8")));
  const yaml = execFileSync(binary, ["models", "suggest", "--yaml", "--cores", "16", "--memory", "32", "--users", "8"], { env, cwd: directory, encoding: "utf8" });
  assert.match(yaml, /model_pool_size: 2/);
});

test("what models suggest prints can be loaded, for every scenario", () => {
  const here = temporaryDirectory();
  const env = { PATH: process.env.PATH, HOME: here, NO_COLOR: "1" };
  const file = join(here, "s.yaml");
  for (const users of [1, 8, 200]) {
    for (const size of [["2", "4"], ["8", "32"], ["64", "512"]]) {
      for (const wish of [[], ["--fast"], ["--accurate"], ["--gpu"]]) {
        const asked = ["--users", String(users), "--cores", size[0], "--memory", size[1], ...wish];
        writeFileSync(file, execFileSync(binary, ["models", "suggest", "--yaml", ...asked], { env, cwd: here }));
        const checked = spawnSync(binary, ["config", "check", "--config", file], { env, cwd: here, encoding: "utf8" });
        assert.equal(checked.status, 0, `${asked}: ${checked.stderr}`);
      }
    }
  }
  assert.match(execFileSync(binary, ["models", "suggest", "--yaml", "--users", "200", "--cores", "64", "--memory", "512"], { env, cwd: here, encoding: "utf8" }), /n_parallel: 32\n/);
});
