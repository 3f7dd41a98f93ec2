// The page of a server that needs keys: it asks for one, works with it, and forgets it with its tab.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

test("the page asks for a key until one works", async () => {
  const directory = temporaryDirectory();
  const made = spawnSync(binary, ["keys", "create", "--data", directory, "--scopes", "chat,ingest", "--models", "tessera/extractive"], { encoding: "utf8", env: { PATH: process.env.PATH } });
  assert.equal(made.status, 0, made.stderr);
  const key = made.stdout.trim();
  const server = await Server.start({ directory, settings: { "auth.mode": "keys" } });
  const stored = await server.post("/ingest", { text: "The garden gate is locked at nine in the evening." }, { Authorization: `Bearer ${key}` });
  assert.equal(stored.status, 201);
  const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await page.locator("#ask-key[open]").waitFor();
    await page.fill("#key", "tsk_wrong");
    await page.keyboard.press("Enter");
    await page.locator("#key-why", { hasText: "not known here" }).waitFor();
    await page.fill("#key", key);
    await page.keyboard.press("Enter");
    await page.locator("#stats", { hasText: "1 document" }).waitFor();
    assert.equal(await page.locator("#ask-key[open]").count(), 0);
    await page.fill("#message", "When is the garden gate locked?");
    await page.keyboard.press("Enter");
    const answer = page.locator(".answer:not(.working)");
    await answer.waitFor();
    assert.match(await answer.textContent(), /nine in the evening/);
    assert.match(await page.locator(".where").textContent(), /answered by tessera\/extractive/, "the server's choice, among what the key may use");
    for (const path of ["/docs", "/"]) {
      await page.setViewportSize({ width: 390, height: 844 });
      await page.goto(server.url + path);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, `${path} fits a phone`);
    }
    assert.ok((await page.locator("header").boundingBox()).height < 110, "and leaves most of it to the answers");
    await page.reload();
    await page.locator("#stats", { hasText: "1 document" }).waitFor();
    const other = await (await browser.newContext()).newPage();
    await other.goto(server.url);
    await other.locator("#ask-key[open]").waitFor();
  } finally {
    await browser.close();
    assert.equal(await server.stop(), 0);
    rmSync(directory, { recursive: true });
  }
});
