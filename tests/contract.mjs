// Checks answers against the schemas of the server's own /openapi.json.
import assert from "node:assert/strict";
import Ajv from "ajv/dist/2020.js";

export async function validator(server) {
  const contract = (await server.get("/openapi.json")).json;
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addSchema(contract, "contract");
  return (schema, value) => {
    const check = ajv.getSchema(`contract#/components/schemas/${schema}`);
    assert.ok(check, `no schema ${schema}`);
    assert.ok(check(value), `${schema}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(value)?.slice(0, 400)}`);
  };
}
