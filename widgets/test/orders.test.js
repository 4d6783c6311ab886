import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { begin as beginHead, takeAnswer, takeState } from "../src/head-store.js";
import { readCount, steppedLimit } from "../src/head-text.js";
import { ANSWERED } from "../src/requests.js";
import { parameterOf, pointColumns, readPoint, readValue, typed } from "../src/trial-point.js";
import { nextOrder, pauseLabel } from "../src/trial-status.js";
import { begin, orderPoint, orderTrial, take } from "../src/trial-store.js";

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

test("a value is read as its parameter's kind says, or it is said what is wrong", () => {
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
    ["int", "", "a value is needed"],
    ["int", "1.5", "a whole number is needed"],
    ["int", "1e3", "a whole number is needed"],
    ["int", "99999999999999999999", "too large: give it in Python"],
    ["float", "abc", "a number is needed"],
    ["float", "nan", "a number is needed"],
    ["float", "1e999", "a number is needed"],
    ["float", "0x10", "a number is needed"],
    ["any", " ", "a value is needed"],
  ];
  for (const [kind, text, error] of wrong) assert.deepEqual(readValue(kind, text), { error }, `${kind} ${text}`);
});

test("only parameters of the space can be given, under their own names", () => {
  assert.deepEqual(pointColumns(columns).map(parameterOf), ["lr", "net/depth", "act", "note"]);
  assert.deepEqual([null, true, 0.00310234, "x"].map(typed), ["None", "True", "0.00310234", "x"]);
});

test("a point has what was changed, and each wrong field its reason", () => {
  const fields = pointColumns(columns);
  const before = ["0.1", "3", "0", "x"];
  assert.deepEqual(readPoint(fields, before, before), { config: {}, errors: ["", "", "", ""] });
  assert.deepEqual(readPoint(fields, ["0.2", "4", "2", ""], before), {
    config: { lr: 0.2, "net/depth": 4, act: 1 },
    errors: ["", "", "", "a value is needed"],
  });
  assert.deepEqual(readPoint(fields, ["0.1", "3", "3", "x"], before).config, { act: null });
  assert.deepEqual(readPoint(fields, ["", "", "", ""], ["", "", "", ""]).config, {}, "all of it is sampled");
});

test("a trial's second button pauses, takes that back and resumes, where it makes sense", () => {
  const pausing = /** @type {const} */ ({ order: "pause", taken: true });
  const asked = /** @type {const} */ ({ order: "pause", taken: false });
  const stopping = /** @type {const} */ ({ order: "stop", taken: true });
  const resuming = /** @type {const} */ ({ order: "resume", taken: true });
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
    assert.equal(nextOrder(status, ordered, byScheduler), order, `${status} ${JSON.stringify(ordered)}`);
  }
});

/** A table's store with one trial, and what is sent from it. */
function table() {
  const store = begin();
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
    take(store, { type: "table", reset: false, columns: [], rows: [[0, status]], best: null });
  take(store, { type: "table", reset: true, columns: [], rows: [[0, "running"]], best: null });
  const press = (/** @type {"stop" | "pause"} */ button) => orderTrial(model, store, 0, button);
  return { store, sent, ids, row, press, model };
}

test("pausing is on its way until the trial is paused, and can be taken back until then", () => {
  const { store, sent, row, press } = table();
  press("pause");
  press("pause");
  assert.deepEqual(sent, [{ type: "pause", trial: 0 }], "once");
  take(store, { type: "pausing", trial: 0 });
  row("running");
  assert.deepEqual(store.orders.get(0), { order: "pause", taken: true });
  press("pause");
  assert.deepEqual(sent.at(-1), { type: "resume", trial: 0 });
  row("running");
  assert.deepEqual(store.orders.get(0), { order: "resume", taken: false }, "not answered yet");
  take(store, { type: "resuming", trial: 0 });
  assert.equal(store.orders.get(0), undefined);
  press("pause");
  row("paused");
  take(store, { type: "pausing", trial: 0 });
  assert.equal(store.orders.get(0), undefined, "the event came before the answer");
  press("pause");
  take(store, { type: "resuming", trial: 0 });
  assert.deepEqual(store.orders.get(0), { order: "resume", taken: true });
  row("pending");
  assert.equal(store.orders.get(0), undefined);
});

test("a refusal says which order it refuses, and stop goes before pause", () => {
  const { store, sent, press } = table();
  press("pause");
  take(store, { type: "refused", order: "pause", trial: 0, message: "no checkpoint" });
  assert.equal(store.refused, "trial 0 is not paused: no checkpoint");
  assert.equal(store.orders.size, 0);
  press("stop");
  press("stop");
  press("pause");
  assert.deepEqual(
    sent.map(({ type }) => type),
    ["pause", "stop"],
  );
  take(store, { type: "pausing", trial: 0 });
  assert.deepEqual(store.orders.get(0), { order: "stop", taken: false }, "an answer to an order that is void");
});

test("the scheduler's pauses are told with the table", () => {
  const { store, sent, press } = table();
  take(store, { type: "table", reset: false, columns: [], rows: [[0, "paused"]], best: null, by_scheduler: [0] });
  press("pause");
  assert.deepEqual(sent, []);
});

test("a point waits for its answer", () => {
  const { store, sent, model } = table();
  orderPoint(model, store, 0, { lr: 0.1 }, true);
  assert.deepEqual(sent, [{ type: "add", config: { lr: 0.1 }, trial: 0, checkpoint: true }]);
  assert.equal(store.point.phase, "waiting");
  take(store, { type: "refused", order: "add", trial: 0, message: "no such parameter" });
  assert.deepEqual(store.point, { trial: 0, phase: "", message: "no such parameter" });
  take(store, { type: "added", trial: null });
  assert.deepEqual(store.point, { trial: null, phase: "added", message: "" });
});

test("an order that nobody answers is given up with a sentence, and an answer after all counts", () => {
  const { store, ids, press, model } = table();
  press("pause");
  mock.timers.tick(ANSWERED);
  assert.equal(store.orders.size, 0, "the button can be pressed again");
  assert.match(store.refused, /^trial 0 is not paused: the kernel has not answered within 45 s/);
  const late = { type: "pausing", trial: 0, id: ids[0] };
  store.requests.heard(late);
  take(store, late);
  assert.equal(store.refused, "");

  press("stop");
  take(store, { type: "table", reset: false, columns: [], rows: [[0, "stopped"]], best: null });
  mock.timers.tick(ANSWERED);
  assert.equal(store.refused, "", "its status has said that it has come about");

  orderPoint(model, store, null, { lr: 0.1 }, false);
  mock.timers.tick(ANSWERED);
  assert.equal(store.point.phase, "");
  assert.match(store.point.message, /^the kernel has not answered/);

  store.requests.ask(model, { type: "detail", trial: 0, rank: null });
  assert.ok(store.requests.waits("detail"), "not asked twice");
  mock.timers.tick(ANSWERED);
  assert.ok(!store.requests.waits("detail"));
  assert.match(store.unanswered.get(0) ?? "", /^the kernel has not answered/);
  take(store, { type: "detail", trial: 0, id: ids.at(-1) });
  assert.equal(store.unanswered.size, 0);
});

test("the head's orders are given up as well, but for what its state has brought", () => {
  const store = beginHead();
  /** @type {any[]} */
  const sent = [];
  let drawn = 0;
  store.views.add(() => drawn++);
  const model = /** @type {any} */ ({ send: (/** @type {any} */ message) => sent.push(message) });
  takeState(store, { live: true });
  store.stop = "waiting";
  store.requests.ask(model, { type: "stop" });
  mock.timers.tick(ANSWERED);
  assert.equal(store.stop, "");
  assert.match(store.message, /^Not stopped: the kernel has not answered within 45 s/);
  assert.equal(drawn, 1);
  takeAnswer(store, { type: "stopping", id: sent[0].id });
  assert.deepEqual([store.stop, store.message], ["stopping", ""]);

  store.extend = "waiting";
  store.requests.ask(model, { type: "extend", samples: 2 });
  mock.timers.tick(ANSWERED);
  assert.equal(store.extend, "");
  assert.match(store.message, /^No more samples: /);

  store.maxConcurrent = 3;
  store.requests.ask(model, { type: "max_concurrent", max_concurrent: 3 });
  takeState(store, { live: true, max_concurrent: 3 });
  store.message = "";
  mock.timers.tick(ANSWERED);
  assert.equal(store.message, "");

  takeState(store, { live: false });
  store.again = "waiting";
  store.requests.ask(model, { type: "resume", failed: false });
  const resuming = { type: "resuming", pending: true, id: sent.at(-1).id };
  store.requests.heard(resuming);
  takeAnswer(store, resuming);
  mock.timers.tick(ANSWERED);
  assert.equal(store.again, "resuming", "it is at it");
  mock.timers.tick(300_000);
  assert.equal(store.again, "");
  assert.match(store.message, /^Not resumed: the kernel has not answered within 300 s/);
});

test("an experiment is resuming until its state says more", () => {
  const store = beginHead();
  takeState(store, { live: false });
  store.again = "waiting";
  takeAnswer(store, { type: "resuming" });
  assert.equal(store.again, "resuming");
  takeAnswer(store, { type: "done", order: "resume" });
  assert.equal(store.again, "resumed", "no state has come since");
  takeState(store, { live: true });
  assert.equal(store.again, "");
  store.again = "waiting";
  takeState(store, { live: false });
  takeAnswer(store, { type: "resuming" });
  takeAnswer(store, { type: "refused", order: "resume", message: "nothing is left to do" });
  assert.deepEqual([store.again, store.message], ["", "Not resumed: nothing is left to do"]);
  takeAnswer(store, { type: "resuming" });
  takeState(store, { live: false });
  takeAnswer(store, { type: "done", order: "resume" });
  assert.equal(store.again, "", "it has run and come to its end again");
});

test("how many at once is as it was asked for, until the state has it or it is refused", () => {
  const store = beginHead();
  takeState(store, { live: true, max_concurrent: null });
  store.maxConcurrent = 3;
  takeState(store, { live: true, max_concurrent: null });
  assert.equal(store.maxConcurrent, 3);
  takeState(store, { live: true, max_concurrent: 3 });
  assert.equal(store.maxConcurrent, undefined);
  store.maxConcurrent = null;
  takeAnswer(store, { type: "refused", order: "max_concurrent", message: "no" });
  assert.deepEqual([store.maxConcurrent, store.message], [undefined, "Not changed: no"]);
});

test("steps of how many at once, and counts that are typed", () => {
  assert.deepEqual([steppedLimit(2, 4, 1), steppedLimit(2, 4, -1), steppedLimit(1, 4, -1)], [3, 1, 1]);
  assert.deepEqual([steppedLimit(null, 4, -1), steppedLimit(null, 4, 1), steppedLimit(null, null, -1)], [3, null, 1]);
  assert.deepEqual([readCount(" 12 "), readCount("0"), readCount("-1")], [12, "1 or more", "1 or more"]);
  for (const text of ["", "x", "1.5", "1e99"]) assert.equal(readCount(text), "a whole number is needed");
});
