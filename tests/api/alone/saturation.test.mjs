// A server on one processor, as busy as it can be: nothing that has to get its turn there may go without. Takes both
// processors, so it runs beside no other test.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { MockLlm } from "../../mock_llm.mjs";
import { Server, temporaryDirectory } from "../../server.mjs";

test("the ledger is written as fast as 64 busy connections fill it", async () => {
  const cpus = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" }).match(/: (.*)\n/)[1].split(/[,-]/);
  const mock = await MockLlm.start("--keep", "1");
  const config = join(temporaryDirectory(), "tessera.yaml");
  writeFileSync(config, `providers:\n  - {name: up, base_url: "${mock.url}/v1", api_key: k, models: [gpt-4o-mini], concurrent_max: 20000}\n`);
  const server = await Server.start({ settings: { config, "server.shards": 1, "log.level": "error" }, launcher: ["taskset", "-c", cpus[0]] });
  const script = join(temporaryDirectory(), "post.lua");
  const body = JSON.stringify({ model: "gpt-4o-mini", max_completion_tokens: 1, messages: [{ role: "user", content: "When?" }] });
  writeFileSync(script, `wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = '${body}'\n`);
  const { stdout } = await promisify(execFile)("taskset", ["-c", cpus.at(-1), "wrk", "-t1", "-c64", "-d6s", "-s", script, `${server.url}/v1/chat/completions`]);
  const requests = Number(stdout.match(/(\d+) requests in/)[1]);
  const refused = Number(stdout.match(/Non-2xx or 3xx responses: (\d+)/)?.[1] ?? 0);
  assert.ok(requests > 1000, stdout);
  assert.ok(refused < requests / 20, `${refused} of ${requests} were refused`);
  const calls = (await mock.get("/mock/totals")).requests;
  let entered;
  for (const deadline = Date.now() + 5000; Date.now() < deadline && entered !== calls; await new Promise((resolve) => setTimeout(resolve, 50))) {
    entered = (await server.get("/api/usage?group_by=model")).json.total.calls;
  }
  assert.equal(entered, calls, "each call once");
  assert.equal(await server.stop(), 0);
  assert.equal(await mock.stop(), 0);
});
