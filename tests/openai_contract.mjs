// Checks answers against OpenAI's own OpenAPI document, when it is beside the checkout.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";
import { root } from "./server.mjs";

const file = join(root, "../shared/data/openai/openapi.json");

/** Why such a test is skipped; false when it need not be. */
export const noContract = !existsSync(file) && "OpenAI's openapi.json is not here";

/** OpenAPI 3.0's "nullable" in the words of JSON Schema. */
function withNull(schema) {
  if (schema === null || typeof schema !== "object") return schema;
  if (Array.isArray(schema)) return schema.map(withNull);
  const plain = Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "nullable" || typeof schema.nullable !== "boolean").map(([key, value]) => [key, withNull(value)]));
  return schema.nullable === true ? { anyOf: [plain, { type: "null" }] } : plain;
}

/** fits(name, value) fails when `value` is no such schema of OpenAI's. */
export function openAiContract() {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema(withNull(JSON.parse(readFileSync(file, "utf8"))), "openai");
  return (name, value) => {
    const check = ajv.getSchema(`openai#/components/schemas/${name}`);
    assert.ok(check(value), `${name}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(value)}`);
  };
}
