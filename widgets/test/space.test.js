import assert from "node:assert/strict";
import { test } from "node:test";
import { connectModel } from "../src/lifecycle.js";
import { pictured } from "../src/space-picture.js";
import {
  fieldsOf,
  isCall,
  moved,
  newRow,
  shownField,
  shownProblems,
  withKind,
  withSuggestion,
} from "../src/space-rows.js";
import { connection, createStore, edit, waitUntilChecked } from "../src/space-store.js";

const look = { bar: "blue", none: "grey", text: "black", font: "sans" };

/** A model that keeps what it is sent. */
function model() {
  /** @type {any[]} */
  const sent = [];
  /** @type {Record<string, (...args: any[]) => any>} */
  const listeners = {};
  const made = /** @type {any} */ ({
    sent,
    send: (/** @type {any} */ message) => sent.push(message),
    on: (/** @type {string} */ name, /** @type {any} */ call) => {
      listeners[name] = call;
    },
    off: (/** @type {string} */ name) => delete listeners[name],
    tell: (/** @type {any} */ message) => listeners["msg:custom"](message, []),
    close: () => listeners.comm_live_update(),
  });
  return made;
}

/** @param {string} name */
const row = (name) => ({ ...newRow([], "number"), id: name, name });
const answer = (/** @type {any} */ store, /** @type {any} */ more = {}) => ({
  type: "checked",
  token: store.token,
  seq: store.seq,
  problems: {},
  notes: {},
  line_problems: {},
  general: [],
  text: "the cell",
  blocked_reason: "",
  grid: "",
  ...more,
});

test("a new row has a unique id", () => {
  const one = newRow([], "number");
  const two = newRow([one], "choice");
  assert.notEqual(one.id, two.id);
  assert.equal(two.kind, "choice");
  assert.equal(newRow([{ ...two, id: "r7" }], "require").id, "n1");
});

test("a row is moved, at most to the ends", () => {
  const rows = ["a", "b", "c"].map(row);
  const names = (/** @type {any[]} */ all) => all.map(({ name }) => name).join("");
  assert.equal(names(moved(rows, "a", 1)), "bac");
  assert.equal(names(moved(rows, "a", 9)), "bca");
  assert.equal(names(moved(rows, "c", -1)), "cab");
  assert.equal(names(moved(rows, "gone", 0)), "abc");
});

test("another kind keeps the texts of the row", () => {
  const typed = { ...row("a"), lower: "1", upper: "9", log: true };
  const choice = withKind(typed, "choice");
  assert.deepEqual([choice.kind, choice.lower, choice.log], ["choice", "1", false]);
  assert.equal(withKind(typed, "integer").log, true);
  assert.equal(withKind(choice, "number").upper, "9");
});

test("the upper bound of an integer without a step is exclusive", () => {
  const whole = { ...row("a"), kind: "integer" };
  const labels = (/** @type {any} */ one) => fieldsOf(one).map((field) => shownField(one, field).label);
  assert.deepEqual(labels(whole), ["lower", "below", "step"]);
  assert.deepEqual(labels({ ...whole, step: "2" }), ["lower", "upper", "step"]);
  assert.deepEqual(labels(row("a")), ["lower", "upper", "step"]);
  assert.deepEqual(labels({ ...whole, kind: "require" }), ["require"]);
});

test("an empty field of a new row has no error before it was visited", () => {
  const problems = { name: "a name is needed", lower: "abc is no number" };
  const typed = { ...row(""), lower: "abc" };
  assert.deepEqual(Object.keys(shownProblems(typed, problems, () => false)), ["lower"]);
  assert.deepEqual(Object.keys(shownProblems(typed, problems, () => true)), ["name", "lower"]);
});

test("a suggestion changes only the fields of its parameter", () => {
  const rows = [row("lr"), row("b"), { ...row("lr"), kind: "require" }];
  const after = withSuggestion(rows, { lr: { upper: "1" } });
  assert.deepEqual(
    after.map(({ upper }) => upper),
    ["1", "", ""],
  );
});

test("a call is checked when its field loses the focus", () => {
  assert.ok(isCall("load("));
  assert.ok(!isCall("1e-3"));
});

test("the kernel is asked once after a pause in typing", async () => {
  const [asked, store] = [model(), createStore()];
  const end = connectModel(asked, store, connection);
  assert.deepEqual(asked.sent, [{ type: "ready", token: store.token, seq: 0, id: store.requestId }]);
  for (const name of ["l", "lr"]) edit(asked, store, [row(name)]);
  assert.equal(asked.sent.length, 1);
  await settledBy(asked, store);
  assert.equal(asked.sent.length, 2);
  assert.equal(asked.sent[1].rows[0].name, "lr");
  end();
});

/** @param {any} asked @param {any} store */
async function settledBy(asked, store) {
  const waiting = waitUntilChecked(asked, store);
  asked.tell(answer(store));
  await waiting;
}

test("an answer to an earlier change is ignored", () => {
  const [asked, store] = [model(), createStore()];
  const end = connectModel(asked, store, connection);
  edit(asked, store, [row("a")], "now");
  const late = answer(store, { text: "late" });
  edit(asked, store, [row("b")], "now");
  asked.tell(late);
  assert.equal(store.text, "");
  asked.tell({ ...answer(store), token: "another page's" });
  assert.equal(store.text, "");
  asked.tell(answer(store));
  assert.equal(store.text, "the cell");
  end();
});

test("an unchecked change is reported until the kernel answers", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const [asked, store] = [model(), createStore()];
  const end = connectModel(asked, store, connection);
  edit(asked, store, [row("a")], "now");
  edit(asked, store, [row("ab")], "now");
  mock.timers.tick(45_000);
  assert.match(store.error, /^The latest changes are not checked yet: the kernel has not answered within 45 s/);
  asked.tell({ ...answer(store), id: store.requestId });
  assert.equal(store.error, "");
  end();
});

test("a closed connection is not waited for", async () => {
  const [asked, store] = [model(), createStore()];
  const end = connectModel(asked, store, connection);
  edit(asked, store, [row("a")], "now");
  asked.close();
  await assert.rejects(waitUntilChecked(asked, store), /the kernel does not answer/);
  end();
});

test("a picture has a bar for each interval, and a separate one for samples without a value", () => {
  const [[trace], layout] = /** @type {any} */ (pictured({ text: "", counts: [1, 4, 3], labels: null, none: 8 }, look));
  assert.deepEqual(trace.y, [0.25, 1, 0.75, 0.5]);
  assert.deepEqual(trace.marker.color, ["blue", "blue", "blue", "grey"]);
  assert.ok(trace.x[3] > 3);
  assert.equal(layout.annotations.length, 0);
});

test("few values of a choice are labels below their bars", () => {
  const labels = ["<b>sgd</b>", "adam"];
  const [, layout] = /** @type {any} */ (pictured({ text: "", counts: [1, 1], labels, none: 0 }, look));
  assert.deepEqual(
    layout.annotations.map((/** @type {any} */ { text }) => text),
    ["&lt;b&gt;sgd&lt;/…", "adam"],
  );
  const many = Array.from({ length: 20 }, (_, i) => String(i));
  const picture = { text: "", counts: many.map(() => 1), labels: many, none: 0 };
  assert.equal(/** @type {any} */ (pictured(picture, look))[1].annotations.length, 0);
});
