// The page in headless Chromium: ask, read the cited answer, open a passage, drop a file, stay inert.
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Server, root } from "../server.mjs";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const shots = join(root, "build/screenshots");
let server, browser, page;
const problems = [];

before(async () => {
  assert.ok(executable, "Chromium is missing: apt-get install chromium");
  mkdirSync(shots, { recursive: true });
  server = await Server.start();
  await server.post("/ingest", { document_id: "garden", title: "Garden rules", text: "# Garden rules\n\nThe garden gate is locked at nine in the evening.\n\n# Compost\n\nCompost is turned every second Saturday.\n" });
  await server.post("/ingest", { document_id: "evil", title: "<img src=x onerror=alert(1)>", text: "The hostile gnome says <script>alert('owned')</script> and <img src=x onerror=alert(2)> at midnight.\n" });
  browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("pageerror", (error) => problems.push(`script error: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("dialog", (dialog) => { problems.push(`a document opened a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => new URL(request.url()).origin !== server.url && !request.url().startsWith("data:") && !request.url().startsWith("blob:") && problems.push(`foreign request: ${request.url()}`));
  await page.goto(server.url);
});
after(async () => {
  await browser?.close();
  assert.equal(await server.stop(), 0);
});

async function ask(question) {
  await page.fill("#message", question);
  await page.keyboard.press("Enter");
  const answer = page.locator(".turn").last().locator(".answer:not(.working)");
  await answer.waitFor();
  return answer;
}

test("shows what is here", async () => {
  await page.locator("#stats", { hasText: "2 documents" }).waitFor();
  await page.screenshot({ path: join(shots, "start.png") });
});

test("streams a cited answer and opens its passage with the quoted bytes marked", async () => {
  const answer = await ask("When is the garden gate locked?");
  assert.match(await answer.textContent(), /nine in the evening/);
  await page.locator(".where", { hasText: "tessera/extractive" }).waitFor();
  await answer.locator(".cite").first().click();
  const mark = page.locator("#passage mark");
  await mark.waitFor();
  assert.match(await mark.textContent(), /nine in the evening/);
  await page.screenshot({ path: join(shots, "passage.png") });
  await page.click("#close");
});

test("hostile documents are text and nothing else", async () => {
  const answer = await ask("What does the hostile gnome say at midnight?");
  assert.match(await answer.textContent(), /<script>|<img/);
  assert.equal(await page.locator(".answer script, .answer img, aside img, aside script").count(), 0);
  const card = page.locator(".source", { hasText: "onerror" }).first();
  await card.click();
  await page.locator("#passage mark").waitFor();
  await page.click("#close");
});

test("a dropped file becomes a source", async () => {
  const transfer = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["# Sauna\n\nThe sauna is heated on Wednesdays.\n"], "sauna.md", { type: "text/markdown" }));
    return data;
  });
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  await page.locator(".toast", { hasText: "Added sauna.md" }).waitFor();
  const answer = await ask("On which day is the sauna heated?");
  assert.match(await answer.textContent(), /Wednesdays/);
  await page.screenshot({ path: join(shots, "answer.png") });
});

test("fits a telephone", async () => {
  await page.setViewportSize({ width: 390, height: 780 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
  await page.screenshot({ path: join(shots, "phone.png") });
});

test("no script error, no dialog, no foreign request, no broken policy", () => assert.deepEqual(problems, []));
