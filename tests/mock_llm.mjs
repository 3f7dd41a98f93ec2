// Starts `tessera mock-llm` on a free port, and stops it.
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { binary } from "./server.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class MockLlm {
  static async start(...flags) {
    const mock = new MockLlm();
    const command = [binary, "mock-llm", "--port", "0", ...flags];
    mock.child = spawn(command[0], command.slice(1), { env: { PATH: process.env.PATH, HOME: tmpdir(), NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"] });
    running.add(mock.child);
    mock.output = "";
    mock.exited = new Promise((resolve) => mock.child.once("exit", (code, signal) => { running.delete(mock.child); resolve(code ?? signal); }));
    mock.child.stderr.on("data", (data) => (mock.output += data));
    mock.url = await new Promise((resolve, reject) => {
      mock.child.stdout.on("data", (data) => {
        mock.output += data;
        const found = mock.output.match(/listening on (http:\S+)\n/);
        if (found) resolve(found[1]);
      });
      mock.exited.then((code) => reject(new Error(`mock-llm ended with ${code}:\n${mock.output}`)));
    });
    mock.child.unref();
    mock.child.stdout.unref();
    mock.child.stderr.unref();
    return mock;
  }

  async get(path) { return (await fetch(this.url + path)).json(); }
  async transcript() {
    const text = await (await fetch(`${this.url}/mock/transcript`)).text();
    return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }
  /** The transcript as soon as `wanted(transcript)` holds. */
  async transcriptWhen(wanted) {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const seen = await this.transcript();
      if (wanted(seen)) return seen;
      if (Date.now() > deadline) throw new Error(`the transcript never came to be: ${JSON.stringify(seen)}`);
    }
  }
  async reset() { await fetch(`${this.url}/mock/reset`, { method: "POST" }); }
  async stop() {
    this.child.ref();
    this.child.kill("SIGTERM");
    return this.exited;
  }
}
