// Takes the picture that opens the README: node tests/ui/screenshot.mjs. Needs the release build and Chromium.
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { chromium } from "playwright-core";
import { Server, binary, root } from "../server.mjs";

const server = await Server.start();
const manual = ["what-is-tessera", "getting-started", "documents", "search", "chat", "models", "operations", "security"].map((name) => join(root, `docs/${name}.md`));
const loaded = spawnSync(binary, ["ingest", "--server", server.url, ...manual], { encoding: "utf8", env: { PATH: process.env.PATH, NO_COLOR: "1" } });
if (loaded.status !== 0) throw new Error(loaded.stderr);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 720 }, deviceScaleFactor: 1.5, colorScheme: "light" });
await page.goto(server.url);
for (const question of ["Which file formats can Tessera read?", "How do I back up my data?"]) {
  await page.fill("#message", question);
  await page.keyboard.press("Enter");
  await page.locator(".turn").last().locator(".answer:not(.working)").waitFor();
}
await page.evaluate(() => document.activeElement.blur());
await page.screenshot({ path: join(root, "docs/images/page.png") });
await browser.close();
await server.stop();
