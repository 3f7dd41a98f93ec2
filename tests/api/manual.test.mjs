// The manual tells the truth: its shell examples run as they stand, against a server of their own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync, copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { Server, binary, root, temporaryDirectory } from "../server.mjs";

let server, work;
before(async () => {
  server = await Server.start();
  work = temporaryDirectory();
  mkdirSync(join(work, "notes"));
  writeFileSync(join(work, "notes/a.md"), "# Coffee\n\nThe coffee machine is cleaned every Friday.\n");
  copyFileSync(join(root, "tests/api/testdata/report.pdf"), join(work, "report.pdf"));
});
after(async () => assert.equal(await server.stop(), 0));

/** Runs a shell block; curl fails on an HTTP error, and the first failing command fails the block. */
function run(block) {
  const script = `set -euo pipefail\ncurl() { command curl -sS --fail-with-body "$@"; }\n${block.replaceAll("http://127.0.0.1:8080", server.url)}`;
  const env = { PATH: `${dirname(binary)}:${process.env.PATH}`, HOME: work, TESSERA_STORAGE_DIRECTORY: server.directory, NO_COLOR: "1" };
  const child = spawn("bash", ["-c", script], { cwd: work, env });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (output += data));
  return new Promise((resolve) => child.once("exit", (code) => resolve({ code, output })));
}

/** Shell blocks of a page that speak to the server; others (make, export, serve, sqlite3) are not for a test's shell. */
function examples(page) {
  const text = readFileSync(join(root, "docs", page), "utf8");
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((m) => m[1]).filter((block) => /^(curl|tessera (ask|search|ingest))/m.test(block));
}

const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
let found = 0;
for (const page of pages) {
  for (const block of examples(page)) {
    ++found;
    test(`${page}: ${block.split("\n")[0]}`, async () => {
      const { code, output } = await run(block);
      assert.equal(code, 0, `${block}\n${output}`);
      assert.ok(output.length > 0);
    });
  }
}
test("the manual has examples", () => assert.ok(found >= 6, `${found}`));

test("JSON in the manual is JSON", () => {
  for (const page of pages) {
    const text = readFileSync(join(root, "docs", page), "utf8");
    for (const [, block] of text.matchAll(/```json\n([\s\S]*?)```/g)) assert.doesNotThrow(() => JSON.parse(block), `${page}: ${block}`);
  }
});
