// kill -9 at random moments of an ingest: what was acknowledged is there, whole; nothing is there by half.
// TESSERA_CRASH_ROUNDS sets how many times (default 200).
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { Server, temporaryDirectory } from "../server.mjs";

const rounds = Number(process.env.TESSERA_CRASH_ROUNDS ?? 200);

/** A repeatable generator, so that a failing run can be run again with the same choices. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

const marker = (id, version) => `mark${id}v${version}x`;
const body = (id, version) =>
  ({ document_id: `doc${id}`, title: `Document ${id}`, text: Array.from({ length: 30 }, (_, i) => `## Part ${i}\n\nPart ${i} of document ${id} carries ${marker(id, version)} and some more words to fill a chunk.\n`).join("\n") });

async function verify(server, acknowledged, attempted) {
  for (const [id, last] of attempted) {
    const { status, json } = await server.get(`/api/documents/doc${id}`);
    const kept = acknowledged.get(id);
    if (status === 404) {
      // Gone is right only when a deletion was acknowledged or under way, or nothing was acknowledged at all.
      assert.ok(kept === undefined || kept === "deleted" || last === "deleted", `doc${id}: acknowledged as ${kept}, but not there`);
      continue;
    }
    assert.equal(status, 200);
    const versions = [...new Set([...json.text.matchAll(/mark\d+v(\d+)x/g)].map((m) => Number(m[1])))];
    assert.equal(versions.length, 1, `doc${id} mixes versions ${versions}`);
    assert.ok(versions[0] === kept || versions[0] === last || kept === "deleted", `doc${id}: version ${versions[0]}, acknowledged ${kept}, attempted ${last}`);
    if (kept !== undefined && kept !== "deleted" && last !== "deleted") assert.ok(versions[0] >= kept, `doc${id} went back to ${versions[0]} from ${kept}`);
    assert.equal(json.document.chunks, json.chunks.length);
    const { results } = (await server.post("/api/search", { query: marker(id, versions[0]), mode: "lexical", top_k: 1000 })).json;
    assert.equal(results.length, json.chunks.length, `doc${id}: every chunk is searchable`);
    acknowledged.set(id, versions[0]);
    attempted.set(id, versions[0]);
  }
}

test(`${rounds} times kill -9 during ingest lose nothing acknowledged and leave no half document`, async () => {
  const seed = Number(process.env.TESSERA_CRASH_SEED ?? Date.now() % 1e9);
  console.log(`# seed ${seed}`);
  const random = generator(seed);
  const directory = temporaryDirectory();
  const acknowledged = new Map();
  const attempted = new Map();
  let version = 0, acknowledgements = 0;
  for (let round = 0; round < rounds; ++round) {
    const server = await Server.start({ directory });
    await verify(server, acknowledged, attempted);
    let killed = false;
    const writer = async () => {
      while (!killed) {
        const id = Math.floor(random() * 12);
        if (attempted.get(id) !== acknowledged.get(id)) { await new Promise((resolve) => setTimeout(resolve, 1)); continue; }
        const remove = random() < 0.15 && typeof acknowledged.get(id) === "number";
        const mine = remove ? "deleted" : ++version;
        attempted.set(id, mine);
        try {
          const { status } = remove ? await server.delete(`/api/documents/doc${id}`) : await server.post("/ingest", body(id, mine));
          if (status >= 400) throw new Error(`status ${status}`);
          acknowledged.set(id, mine);
          ++acknowledgements;
        } catch (error) {
          if (!killed) throw error;
        }
      }
    };
    const writers = [writer(), writer(), writer()];
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 120));
    killed = true;
    await server.kill();
    await Promise.allSettled(writers).then((all) => all.forEach((r) => assert.equal(r.status, "fulfilled", String(r.reason))));
  }
  const server = await Server.start({ directory });
  await verify(server, acknowledged, attempted);
  assert.equal(await server.stop(), 0);
  console.log(`# ${acknowledgements} acknowledged writes survived ${rounds} kills`);
  assert.ok(acknowledgements > rounds, "the test wrote something between kills");
  rmSync(directory, { recursive: true });
});
