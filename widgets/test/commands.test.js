import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createStore as createHeaderStore, receiveAnswer, receiveState } from "../src/header-store.js";
import { readCount, steppedLimit } from "../src/header-text.js";
import { ANSWER_TIMEOUT } from "../src/requests.js";
import { parameterOf, pointColumns, readPoint, readValue, toTyped } from "../src/trial-point.js";
import { nextCommand, pauseLabel } from "../src/trial-status.js";
import { createStore, receive, sendCommand, sendPoint } from "../src/trial-store.js";

/** @typedef {import("../src/trial-rows.js").Row} Row */

mock.timers.enable({ apis: ["setTimeout"] }); // of orders that are never answered here

const columns = [
  { key: "metric/a/b", label: "a/b", role: "metric" },
  { key: "config/lr", label: "lr", role: "param", kind: "float" },
  { key: "config/net/depth", label: "net/depth", role: "param", kind: "int" },
  { key: "config/act", label: "act", role: "param", kind: "choice", choices: ["relu", "1", 1, null, true] },
  { key: "config/note", label: "note", role: "param", kind: "any" },
  { key: "config/old", label: "old", role: "param", kind: null },
];

test("a value is read by its parameter's kind, or is an error", () => {
  /** @type {[string | null, string, any][]} */
  const right = [
    ["int", " 12 ", 12],
    ["int", "-1_000", -1000],
    ["float", "1e-3", 0.001],
    ["float", ".5", 0.5],
    ["float", "3", 3],
    ["any", "None", null],
    ["any", "True", true],
    ["any", "'a b'", "a b"],
    ["any", '"5"', "5"],
    ["any", "[1, 2]", [1, 2]],
    ["any", "plain text", "plain text"],
    ["any", "constructor", "constructor"],
  ];
  for (const [kind, text, value] of right) assert.deepEqual(readValue(kind, text), { value }, `${kind} ${text}`);
  /** @type {[string, string, string][]} */
  const wrong = [
    ["int", "", "expected a value"],
    ["int", "1.5", "expected an integer"],
    ["int", "1e3", "expected an integer"],
    ["int", "99999999999999999999", "too large for this form: use experiment.add in Python"],
    ["float", "abc", "expected a number"],
    ["float", "nan", "expected a number"],
    ["float", "1e999", "expected a number"],
    ["float", "0x10", "expected a number"],
    ["any", " ", "expected a value"],
  ];
  for (const [kind, text, error] of wrong) assert.deepEqual(readValue(kind, text), { error }, `${kind} ${text}`);
});

test("a point has only parameters of the space", () => {
  assert.deepEqual(pointColumns(columns).map(parameterOf), ["lr", "net/depth", "act", "note"]);
  assert.deepEqual([null, true, 0.00310234, "x"].map(toTyped), ["None", "True", "0.00310234", "x"]);
});

test("a point has the changed fields, and an error for each invalid one", () => {
  const fields = pointColumns(columns);
  const before = ["0.1", "3", "0", "x"];
  assert.deepEqual(readPoint(fields, before, before), { config: {}, errors: ["", "", "", ""] });
  assert.deepEqual(readPoint(fields, ["0.2", "4", "2", ""], before), {
    config: { lr: 0.2, "net/depth": 4, act: 1 },
    errors: ["", "", "", "expected a value"],
  });
  assert.deepEqual(readPoint(fields, ["0.1", "3", "3", "x"], before).config, { act: null });
  assert.deepEqual(readPoint(fields, ["", "", "", ""], ["", "", "", ""]).config, {}, "all of it is sampled");
});

test("the Pause button of a trial pauses, cancels a pause and resumes", () => {
  const pausing = /** @type {const} */ ({ command: "pause", accepted: true });
  const asked = /** @type {const} */ ({ command: "pause", accepted: false });
  const stopping = /** @type {const} */ ({ command: "stop", accepted: true });
  const resuming = /** @type {const} */ ({ command: "resume", accepted: true });
  /** @type {[string, any, boolean, string, string | null][]} */
  const cases = [
    ["running", undefined, false, "Pause", "pause"],
    ["running", asked, false, "waiting…", null],
    ["running", pausing, false, "pausing…", "resume"],
    ["running", stopping, false, "", null],
    ["paused", undefined, false, "Resume", "resume"],
    ["paused", resuming, false, "resuming…", null],
    ["paused", undefined, true, "", null],
    ["pending", undefined, false, "", null],
    ["finished", undefined, false, "", null],
    ["unfinished", undefined, false, "", null],
  ];
  for (const [status, ordered, byScheduler, label, order] of cases) {
    assert.equal(pauseLabel(status, ordered, byScheduler), label, `${status} ${JSON.stringify(ordered)}`);
    assert.equal(nextCommand(status, ordered, byScheduler), order, `${status} ${JSON.stringify(ordered)}`);
  }
});

/** A table's store with one trial, and what is sent from it. */
function table() {
  const store = createStore();
  /** @type {any[]} */
  const sent = [];
  /** @type {string[]} */
  const ids = [];
  const model = /** @type {any} */ ({
    send: (/** @type {any} */ { id, ...message }) => {
      ids.push(id);
      sent.push(message);
    },
  });
  const row = (/** @type {string} */ status) =>
    receive(store, { type: "table", reset: false, columns: [], rows: [[0, status]], best: [] });
  receive(store, { type: "table", reset: true, columns: [], rows: [[0, "running"]], best: [] });
  const press = (/** @type {"stop" | "pause"} */ button) => sendCommand(model, store, 0, button);
  return { store, sent, ids, row, press, model };
}

test("a pause is pending until the trial is paused, and can be cancelled until then", () => {
  const { store, sent, row, press } = table();
  press("pause");
  press("pause");
  assert.deepEqual(sent, [{ type: "pause", trial: 0 }], "once");
  receive(store, { type: "pausing", trial: 0 });
  row("running");
  assert.deepEqual(store.commands.get(0), { command: "pause", accepted: true });
  press("pause");
  assert.deepEqual(sent.at(-1), { type: "resume", trial: 0 });
  row("running");
  assert.deepEqual(store.commands.get(0), { command: "resume", accepted: false }, "not answered yet");
  receive(store, { type: "resuming", trial: 0 });
  assert.equal(store.commands.get(0), undefined);
  press("pause");
  row("paused");
  receive(store, { type: "pausing", trial: 0 });
  assert.equal(store.commands.get(0), undefined, "the event came before the answer");
  press("pause");
  receive(store, { type: "resuming", trial: 0 });
  assert.deepEqual(store.commands.get(0), { command: "resume", accepted: true });
  row("pending");
  assert.equal(store.commands.get(0), undefined);
});

test("a refusal names its command, and stop has precedence over pause", () => {
  const { store, sent, press } = table();
  press("pause");
  receive(store, { type: "refused", command: "pause", trial: 0, message: "no checkpoint" });
  assert.equal(store.refusal, "trial 0 is not paused: no checkpoint");
  assert.equal(store.commands.size, 0);
  press("stop");
  press("stop");
  press("pause");
  assert.deepEqual(
    sent.map(({ type }) => type),
    ["pause", "stop"],
  );
  receive(store, { type: "pausing", trial: 0 });
  assert.deepEqual(store.commands.get(0), { command: "stop", accepted: false }, "an answer to an order that is void");
});

test("the table has the trials that the scheduler has paused", () => {
  const { store, sent, press } = table();
  receive(store, { type: "table", reset: false, columns: [], rows: [[0, "paused"]], best: [], by_scheduler: [0] });
  press("pause");
  assert.deepEqual(sent, []);
});

test("a point waits for its answer", () => {
  const { store, sent, model } = table();
  sendPoint(model, store, 0, { lr: 0.1 }, true);
  assert.deepEqual(sent, [{ type: "add", config: { lr: 0.1 }, trial: 0, checkpoint: true }]);
  assert.equal(store.point.phase, "waiting");
  receive(store, { type: "refused", command: "add", trial: 0, message: "no such parameter" });
  assert.deepEqual(store.point, { trial: 0, phase: "", message: "no such parameter" });
  receive(store, { type: "added", trial: null });
  assert.deepEqual(store.point, { trial: null, phase: "added", message: "" });
});

test("a command without an answer times out, and a late answer still counts", () => {
  const { store, ids, press, model } = table();
  press("pause");
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.commands.size, 0, "the button can be pressed again");
  assert.match(store.refusal, /^trial 0 is not paused: the kernel has not answered within 45 s/);
  const late = { type: "pausing", trial: 0, id: ids[0] };
  store.requests.receive(late);
  receive(store, late);
  assert.equal(store.refusal, "");

  press("stop");
  receive(store, { type: "table", reset: false, columns: [], rows: [[0, "stopped"]], best: [] });
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.refusal, "", "its status has said that it has come about");

  sendPoint(model, store, null, { lr: 0.1 }, false);
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.point.phase, "");
  assert.match(store.point.message, /^the kernel has not answered/);

  store.requests.send(model, { type: "detail", trial: 0, rank: null });
  assert.ok(store.requests.isPending("detail"), "not asked twice");
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.ok(!store.requests.isPending("detail"));
  assert.match(store.refusedDetails.get(0) ?? "", /^the kernel has not answered/);
  receive(store, { type: "detail", trial: 0, id: ids.at(-1) });
  assert.equal(store.refusedDetails.size, 0);
});

test("commands of the header time out unless the state shows them as done", () => {
  const store = createHeaderStore();
  /** @type {any[]} */
  const sent = [];
  let drawn = 0;
  store.views.add(() => drawn++);
  const model = /** @type {any} */ ({ send: (/** @type {any} */ message) => sent.push(message) });
  receiveState(store, { live: true });
  store.stop = "waiting";
  store.requests.send(model, { type: "stop" });
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.stop, "");
  assert.match(store.refusal, /^Not stopped: the kernel has not answered within 45 s/);
  assert.equal(drawn, 1);
  receiveAnswer(store, { type: "stopping", id: sent[0].id });
  assert.deepEqual([store.stop, store.refusal], ["stopping", ""]);

  store.extend = "waiting";
  store.requests.send(model, { type: "extend", samples: 2 });
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.extend, "");
  assert.match(store.refusal, /^No samples added: /);

  store.requestedLimit = 3;
  store.requests.send(model, { type: "max_concurrent", max_concurrent: 3 });
  receiveState(store, { live: true, max_concurrent: 3 });
  store.refusal = "";
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.refusal, "");

  receiveState(store, { live: false });
  store.resume = "waiting";
  store.requests.send(model, { type: "resume", failed: false });
  const resuming = { type: "resuming", pending: true, id: sent.at(-1).id };
  store.requests.receive(resuming);
  receiveAnswer(store, resuming);
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(store.resume, "resuming", "it is at it");
  mock.timers.tick(300_000);
  assert.equal(store.resume, "");
  assert.match(store.refusal, /^Not resumed: the kernel has not answered within 300 s/);
});

test("an experiment is resuming until the next state", () => {
  const store = createHeaderStore();
  receiveState(store, { live: false });
  store.resume = "waiting";
  receiveAnswer(store, { type: "resuming" });
  assert.equal(store.resume, "resuming");
  receiveAnswer(store, { type: "done", command: "resume" });
  assert.equal(store.resume, "resumed", "no state has come since");
  receiveState(store, { live: true });
  assert.equal(store.resume, "");
  store.resume = "waiting";
  receiveState(store, { live: false });
  receiveAnswer(store, { type: "resuming" });
  receiveAnswer(store, { type: "refused", command: "resume", message: "nothing is left to do" });
  assert.deepEqual([store.resume, store.refusal], ["", "Not resumed: nothing is left to do"]);
  receiveAnswer(store, { type: "resuming" });
  receiveState(store, { live: false });
  receiveAnswer(store, { type: "done", command: "resume" });
  assert.equal(store.resume, "", "it has run and come to its end again");
});

test("the requested limit is shown until the state has it or it is refused", () => {
  const store = createHeaderStore();
  receiveState(store, { live: true, max_concurrent: null });
  store.requestedLimit = 3;
  receiveState(store, { live: true, max_concurrent: null });
  assert.equal(store.requestedLimit, 3);
  receiveState(store, { live: true, max_concurrent: 3 });
  assert.equal(store.requestedLimit, undefined);
  store.requestedLimit = null;
  receiveAnswer(store, { type: "refused", command: "max_concurrent", message: "no" });
  assert.deepEqual([store.requestedLimit, store.refusal], [undefined, "Limit not changed: no"]);
});

test("steps of the limit, and typed counts", () => {
  assert.deepEqual([steppedLimit(2, 4, 1), steppedLimit(2, 4, -1), steppedLimit(1, 4, -1)], [3, 1, 1]);
  assert.deepEqual([steppedLimit(null, 4, -1), steppedLimit(null, 4, 1), steppedLimit(null, null, -1)], [3, null, 1]);
  assert.deepEqual(
    [readCount(" 12 "), readCount("0"), readCount("-1")],
    [12, "expected an integer >= 1", "expected an integer >= 1"],
  );
  for (const text of ["", "x", "1.5", "1e99"]) assert.equal(readCount(text), "expected an integer >= 1");
});
