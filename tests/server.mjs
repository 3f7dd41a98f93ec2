// Starts the real binary on a free loopback port with a data directory of its own, and stops it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
export const binary = process.env.TESSERA_BINARY ?? join(root, "build/release/tessera");

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

export function temporaryDirectory() {
  return mkdtempSync(join(tmpdir(), "tessera-test-"));
}

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Server {
  /** `settings`: {"chunk.size": 128}; `directory`: keep using a data directory; `env`: further environment. */
  static async start({ settings = {}, directory, env = {}, launcher = [] } = {}) {
    const server = new Server();
    server.ownsDirectory = !directory;
    server.directory = directory ?? temporaryDirectory();
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const command = [...launcher, binary, "serve", "--port", String(server.port), "--data", server.directory, ...flags];
    const clean = { PATH: process.env.PATH, HOME: server.directory, TMPDIR: tmpdir(), NO_COLOR: "1" };
    server.child = spawn(command[0], command.slice(1), { env: { ...clean, ...env }, cwd: server.directory, stdio: ["ignore", "pipe", "pipe"] });
    server.log = "";
    server.child.stdout.on("data", (data) => (server.log += data));
    server.child.stderr.on("data", (data) => (server.log += data));
    // A test that fails before its stop must not keep the run waiting for this server, nor leave it behind.
    server.child.unref();
    server.child.stdout.unref();
    server.child.stderr.unref();
    running.add(server.child);
    server.exited = new Promise((resolve) => server.child.once("exit", (code, signal) => { running.delete(server.child); resolve({ code, signal }); }));
    await server.#ready();
    return server;
  }

  async #ready() {
    const deadline = Date.now() + 20_000;
    while (Date.now() < deadline) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`the server ended at start:\n${this.log}`);
      try {
        if ((await fetch(`${this.url}/health/ready`)).ok) return;
      } catch { /* not listening yet */ }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`the server did not become ready:\n${this.log}`);
  }

  async request(method, path, body, headers = {}) {
    const options = { method, headers: { ...headers } };
    if (body instanceof FormData || typeof body === "string" || body instanceof Uint8Array) options.body = body;
    else if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers["Content-Type"] ??= "application/json";
    }
    const response = await fetch(this.url + path, options);
    const text = await response.text();
    let json;
    try { json = JSON.parse(text); } catch { /* not every answer is JSON */ }
    return { status: response.status, headers: response.headers, text, json };
  }
  get(path, headers) { return this.request("GET", path, undefined, headers); }
  post(path, body, headers) { return this.request("POST", path, body, headers); }
  delete(path) { return this.request("DELETE", path); }

  async kill() {
    this.child.ref();
    this.child.kill("SIGKILL");
    return this.exited;
  }

  /** SIGTERM; resolves to the exit code. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.ref();
      this.child.kill("SIGTERM");
    }
    const { code, signal } = await this.exited;
    if (this.ownsDirectory) rmSync(this.directory, { recursive: true, force: true });
    return code ?? signal;
  }
}

/** Server-sent events of a response body as [{id, event, data}]. */
export function parseEvents(text) {
  return text.split("\n\n").filter((block) => block && !block.startsWith(":")).map((block) => {
    const event = { id: null, event: "message", data: "" };
    for (const line of block.split("\n")) {
      const [name, ...rest] = line.split(": ");
      const value = rest.join(": ");
      if (name === "id") event.id = Number(value);
      if (name === "event") event.event = value;
      if (name === "data") event.data += value;
    }
    return event;
  });
}
