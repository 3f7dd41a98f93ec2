// Hostile files, a full disk, a database from the future: each a clear error, the server up, other requests unharmed.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, openSync, readSync, closeSync, renameSync, rmSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { crc32, deflateRawSync } from "node:zlib";
import { Server, binary, temporaryDirectory } from "../server.mjs";

const kDocx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
let work;
before(() => (work = temporaryDirectory()));
after(() => rmSync(work, { recursive: true, force: true }));

const form = (name, bytes, type) => {
  const data = new FormData();
  data.append("file", new Blob([bytes], { type }), name);
  return data;
};

/** CRC-32 for Node versions whose zlib has none. */
function checksum(bytes) {
  if (crc32) return crc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; ++k) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

/** A ZIP archive of [name, bytes] entries, deflated. */
function zip(entries) {
  const parts = [], directory = [];
  let offset = 0;
  for (const [name, bytes] of entries) {
    const packed = deflateRawSync(bytes, { level: 9 });
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50, 0); head.writeUInt16LE(20, 4); head.writeUInt16LE(8, 8);
    head.writeUInt32LE(checksum(bytes), 14); head.writeUInt32LE(packed.length, 18); head.writeUInt32LE(bytes.length, 22); head.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0); entry.writeUInt16LE(20, 4); entry.writeUInt16LE(20, 6); entry.writeUInt16LE(8, 10);
    head.copy(entry, 16, 14, 28); entry.writeUInt32LE(offset, 42);
    parts.push(head, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    offset += 30 + name.length + packed.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0); end.writeUInt16LE(entries.length, 8); end.writeUInt16LE(entries.length, 10); end.writeUInt32LE(central.length, 12); end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

const documentXml = (text) => Buffer.from(`<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>${text}</w:t></w:r></w:p></w:body></w:document>`);

/** A one-page PDF that says `text`. */
function pdf(text) {
  const stream = `BT /F1 24 Tf 72 700 Td (${text}) Tj ET`;
  const objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"];
  let out = "%PDF-1.4\n";
  const offsets = objects.map((body, i) => {
    const at = out.length;
    out += `${i + 1} 0 obj\n${body}\nendobj\n`;
    return at;
  });
  const xref = out.length;
  out += `xref\n0 6\n0000000000 65535 f \n${offsets.map((o) => `${String(o).padStart(10, "0")} 00000 n \n`).join("")}trailer << /Size 6 /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  return Buffer.from(out);
}

test("PDF and DOCX are read; encrypted ones and zip bombs are refused", async () => {
  const server = await Server.start();
  const good = await server.post("/ingest", form("report.pdf", pdf("The turbine is inspected in March"), "application/pdf"));
  assert.equal(good.status, 201, good.text);
  const word = await server.post("/ingest", form("memo.docx", zip([["word/document.xml", documentXml("The memo is about the roof.")]]), kDocx));
  assert.equal(word.status, 201, word.text);
  assert.match((await server.post("/api/search", { query: "turbine inspected" })).json.results[0].text, /March/);

  writeFileSync(join(work, "plain.pdf"), pdf("secret"));
  const qpdf = spawnSync("qpdf", ["--encrypt", "user", "owner", "256", "--", join(work, "plain.pdf"), "-"], { maxBuffer: 1e8 });
  assert.equal(qpdf.status, 0, String(qpdf.stderr));
  const encrypted = await server.post("/ingest", form("secret.pdf", qpdf.stdout, "application/pdf"));
  assert.deepEqual([encrypted.status, encrypted.json.error.code], [422, "ENCRYPTED_DOCUMENT"]);

  const bomb = zip([["word/document.xml", Buffer.concat([documentXml("x").subarray(0, 150), Buffer.alloc(300 * 1024 * 1024, 0x20)])]]);
  assert.ok(bomb.length < 1e6);
  const exploded = await server.post("/ingest", form("bomb.docx", bomb, kDocx));
  assert.ok([413, 422].includes(exploded.status), exploded.text);
  assert.equal((await server.get("/api/vector_db/stats")).json.documents, 2);
  assert.equal(await server.stop(), 0);
});

test("a PDF reader that never ends is stopped, and other requests are served meanwhile", async () => {
  const reader = join(work, "endless.sh");
  writeFileSync(reader, "#!/bin/sh\nwhile :; do :; done\n");
  chmodSync(reader, 0o755);
  const server = await Server.start({ settings: { "parse.pdf_command": reader, "parse.pdf_timeout_ms": 1000 } });
  const started = Date.now();
  const slow = server.post("/ingest", form("endless.pdf", pdf("x"), "application/pdf"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const during = await server.post("/ingest", { text: "A quick note about kayaks." });
  assert.equal(during.status, 201);
  assert.ok(Date.now() - started < 900, "not held up by the reader");
  const answer = await slow;
  assert.deepEqual([answer.status, answer.json.error.code], [422, "DOCUMENT_TIMEOUT"]);
  assert.equal((await server.get("/api/vector_db/stats")).json.documents, 1);
  assert.equal(await server.stop(), 0);
});

test("a full disk is an error by name, keeps what was acknowledged, and passes", async () => {
  const directory = temporaryDirectory();
  const server = await Server.start({ directory, launcher: ["prlimit", "--fsize=3000000"] });
  const text = (i) => `Document ${i}. ` + Array.from({ length: 1500 }, (_, k) => `word${i}x${k}`).join(" ");
  const stored = [];
  let refused = null;
  for (let i = 0; i < 400 && !refused; ++i) {
    const answer = await server.post("/ingest", { document_id: `d${i}`, text: text(i) });
    if (answer.status === 201) stored.push(i);
    else refused = answer;
  }
  assert.ok(stored.length > 3);
  assert.equal(refused.status, 503, refused.text);
  assert.match(refused.json.error.code, /^STORAGE_/);
  assert.equal((await server.get("/health")).status, 200);
  for (const i of stored) assert.equal((await server.get(`/api/documents/d${i}`)).status, 200);
  const { json } = await server.post("/api/search", { query: `word${stored[0]}x7`, mode: "lexical" });
  assert.equal(json.results[0].document_id, `d${stored[0]}`);
  await server.stop();
  const again = await Server.start({ directory });
  for (const i of stored) assert.equal((await again.get(`/api/documents/d${i}`)).status, 200);
  assert.equal((await again.post("/ingest", { document_id: "after", text: "There is room again." })).status, 201);
  assert.equal(await again.stop(), 0);
  rmSync(directory, { recursive: true });
});

test("a database from a newer version is left alone", async () => {
  const directory = temporaryDirectory();
  const server = await Server.start({ directory });
  await server.post("/ingest", { text: "One." });
  await server.stop();
  const file = openSync(join(directory, "tessera.db"), "r+");
  const version = Buffer.alloc(4);
  readSync(file, version, 0, 4, 60);  // user_version in SQLite's header
  version.writeUInt32BE(version.readUInt32BE() + 1000);
  writeSync(file, version, 0, 4, 60);
  closeSync(file);
  const run = spawnSync(binary, ["serve", "--port", "0", "--data", directory], { encoding: "utf8", timeout: 20000, env: { PATH: process.env.PATH } });
  assert.notEqual(run.status, 0);
  assert.match(run.stderr, /newer/i);
  rmSync(directory, { recursive: true });
});

test("a watched directory is followed: new, changed, renamed and removed files, over a restart", async () => {
  const root = temporaryDirectory();
  const directory = temporaryDirectory();
  mkdirSync(join(root, "sub"));
  writeFileSync(join(root, "a.md"), "# Apples\n\nApples are red.\n");
  writeFileSync(join(root, "sub/b.md"), "# Bananas\n\nBananas are yellow.\n");
  writeFileSync(join(root, "broken.pdf"), "not a pdf");
  const settings = { "ingest.roots": root };
  let server = await Server.start({ settings, directory });
  const { task_id } = (await server.post("/api/ingest/directory", { path: root, watch: true })).json;
  const titles = async () => (await server.get("/api/documents")).json.items.map((d) => d.title).sort().join();
  const until = async (wanted, check) => {
    for (let i = 0; i < 400; ++i) {
      if ((await check()) === wanted) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.equal(await check(), wanted);
  };
  await until("watching", async () => (await server.get(`/api/tasks/${task_id}`)).json.state);
  const task = (await server.get(`/api/tasks/${task_id}`)).json;
  assert.deepEqual([task.added, task.failed], [2, 1]);
  assert.match(task.failures[0].item, /broken\.pdf/);
  assert.equal(await titles(), "Apples,Bananas");
  mkdirSync(join(root, "new"));
  writeFileSync(join(root, "new/c.md"), "# Cherries\n\nCherries are small.\n");
  await until("Apples,Bananas,Cherries", titles);
  unlinkSync(join(root, "a.md"));
  writeFileSync(join(root, "sub/b.md"), "# Blueberries\n\nBlueberries are blue.\n");
  await until("Blueberries,Cherries", titles);
  await server.stop();
  renameSync(join(root, "new/c.md"), join(root, "new/d.md"));
  writeFileSync(join(root, "new/e.md"), "# Elderberries\n\nElderberries are dark.\n");
  server = await Server.start({ settings, directory });
  await until("Blueberries,Cherries,Elderberries", titles);
  assert.equal((await server.request("DELETE", `/api/tasks/${task_id}`)).status, 200);
  await until("cancelled", async () => (await server.get(`/api/tasks/${task_id}`)).json.state);
  assert.equal(await server.stop(), 0);
  rmSync(root, { recursive: true });
  rmSync(directory, { recursive: true });
});
