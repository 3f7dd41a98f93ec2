// The real llama-server and whisper-server, fetched by tests/services/fetch.py, and models for them.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./server.mjs";

const prefix = join(root, ".svc");

/** For test(..., { skip: missing }): why the programs are not there, or false. */
export const missing = existsSync(join(prefix, "version")) ? false
  : existsSync(join(prefix, "missing")) ? readFileSync(join(prefix, "missing"), "utf8").trim()
  : "llama-server and whisper-server were not fetched: tests/services/fetch.py";

export const program = (name) => join(prefix, "bin", name);

/** Writes a model (chat, embed, rank or hear) to `file`. */
export function writeModel(kind, file, ...options) {
  execFileSync("python3", [join(root, "tests/services/models.py"), kind, file, ...options]);
  return file;
}
