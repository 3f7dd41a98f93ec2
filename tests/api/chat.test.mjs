// Chat with citations: JSON, server-sent events, NDJSON, resuming, sessions.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, parseEvents } from "../server.mjs";
import { validator } from "../contract.mjs";

let server, validate;
before(async () => {
  server = await Server.start({ settings: { "mock.enabled": true, "mock.token_delay_ms": 20 } });
  validate = await validator(server);
  await server.post("/ingest", { document_id: "printer", title: "Printers", text: "# Printers\n\nThe printer on the third floor is called Gutenberg. Its paper is kept in room 312.\n\n# Scanners\n\nScans are deleted after thirty days.\n" });
  await server.post("/ingest", { document_id: "canteen", title: "Canteen", text: "The canteen opens at eleven thirty. Vegetarian meals are served daily.\n" });
});
after(async () => assert.equal(await server.stop(), 0));

async function checkSources(sources) {
  for (const source of sources) {
    const { json } = await server.get(`/api/documents/${source.document_id}`);
    assert.equal(Buffer.from(json.text).subarray(source.start, source.end).toString(), source.snippet);
  }
}

test("an answer quotes the sentence that answers and cites it", async () => {
  const { status, json, headers } = await server.post("/chat", { message: "What is the printer on the third floor called?" });
  assert.equal(status, 200);
  validate("ChatResponse", json);
  assert.match(json.answer, /Gutenberg.*\[\d\]/s);
  assert.equal(json.model, "tessera/extractive");
  const cited = json.sources.filter((s) => s.cited);
  assert.ok(cited.length >= 1);
  assert.equal(cited[0].document_id, "printer");
  await checkSources(json.sources);
  assert.match(headers.get("server-timing"), /total;dur=/);
  assert.ok(headers.get("x-request-id"));
});

test("it says plainly when nothing relevant was found", async () => {
  const { json } = await server.post("/chat", { message: "Who won the football world cup of 1974?" });
  assert.doesNotMatch(json.answer, /\[\d\]/);
  assert.ok(json.sources.every((s) => !s.cited));
  assert.match(json.answer, /nothing|not find|no passage/i);
});

test("server-sent events are numbered and end with the whole answer", async () => {
  const { status, headers, text } = await server.post("/chat", { message: "When does the canteen open?", stream: true });
  assert.equal(status, 200);
  assert.match(headers.get("content-type"), /text\/event-stream/);
  const events = parseEvents(text);
  assert.deepEqual(events.map((e) => e.id), events.map((_, i) => i + 1));
  const names = events.map((e) => e.event);
  assert.equal(names.at(-1), "done");
  assert.ok(names.indexOf("sources") < names.indexOf("token"));
  const done = JSON.parse(events.at(-1).data);
  validate("ChatResponse", done);
  const streamed = events.filter((e) => e.event === "token").map((e) => JSON.parse(e.data).text).join("");
  assert.equal(streamed, done.answer);
  assert.match(done.answer, /eleven thirty/);
});

test("a stream goes on after Last-Event-ID, with the same events", async () => {
  const whole = await server.post("/chat", { message: "Where is the paper?" }, { Accept: "text/event-stream" });
  const id = whole.headers.get("x-stream-id");
  const events = parseEvents(whole.text);
  const rest = await server.get(`/api/streams/${id}`, { "Last-Event-ID": String(events[1].id) });
  assert.deepEqual(parseEvents(rest.text), events.slice(2));
  assert.equal((await server.get("/api/streams/none")).status, 404);
});

test("a cancelled stream ends early and its generation stops", async () => {
  const response = await fetch(`${server.url}/chat`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: "please repeat ".repeat(200), model: "mock/echo", stream: true, config: { use_rag: false } }) });
  const id = response.headers.get("x-stream-id");
  const reader = response.body.getReader();
  await reader.read();
  assert.equal((await server.delete(`/api/streams/${id}`)).status, 200);
  let text = "";
  for (let part; !(part = await reader.read()).done;) text += Buffer.from(part.value).toString();
  const last = parseEvents(text).at(-1);
  assert.equal(last.event, "error");
  assert.equal(JSON.parse(last.data).error.type, "cancelled");
});

test("NDJSON streams the same events", async () => {
  const { headers, text } = await server.post("/api/chat", { message: "When does the canteen open?" });
  assert.match(headers.get("content-type"), /ndjson/);
  assert.match(headers.get("cache-control"), /no-store/);
  const events = text.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(events.at(-1).event, "done");
  assert.match(events.at(-1).data.answer, /eleven thirty/);
});

test("ask is the one-shot form", async () => {
  const { json } = await server.post("/api/ask", { prompt: "How long are scans kept before they are deleted?" });
  validate("AskResponse", json);
  assert.match(json.answer, /thirty days/);
  assert.equal(json.context_used, true);
});

test("sessions keep their messages, by person", async () => {
  const first = (await server.post("/chat", { message: "When does the canteen open?", user_id: "ada", session_id: "s-ada" })).json;
  assert.equal(first.session_id, "s-ada");
  await server.post("/chat", { message: "And who is Gutenberg?", user_id: "ada", session_id: "s-ada" });
  const list = (await server.get("/api/sessions?user_id=ada")).json;
  validate("SessionList", list);
  assert.deepEqual(list.items.map((s) => [s.session_id, s.messages]), [["s-ada", 4]]);
  const messages = (await server.get("/api/sessions/s-ada/messages")).json;
  validate("MessageList", messages);
  assert.deepEqual(messages.items.map((m) => m.role), ["user", "assistant", "user", "assistant"]);
  const foreign = await server.post("/chat", { message: "hello", user_id: "bob", session_id: "s-ada" });
  assert.equal(foreign.status, 404);
  assert.deepEqual((await server.delete("/api/users/ada")).json, { sessions: 1 });
  assert.equal((await server.get("/api/sessions/s-ada")).status, 404);
});

test("a deadline that is too short is an error that says so", async () => {
  const { status, json } = await server.post("/chat", { message: "repeat ".repeat(100), model: "mock/echo", config: { use_rag: false, deadline_ms: 50 } });
  assert.equal(status, 504);
  assert.equal(json.error.type, "deadline");
});

test("what this server does not have is refused, not ignored", async () => {
  for (const field of ["use_web_search", "use_memory"]) {
    const { status, json } = await server.post("/chat", { message: "x", config: { [field]: true } });
    assert.equal(status, 400);
    assert.equal(json.error.param, field);
  }
  assert.equal((await server.post("/chat", { message: "x", model: "no-such-model" })).status, 404);
});
