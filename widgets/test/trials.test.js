import assert from "node:assert/strict";
import { test } from "node:test";
import { format, guard } from "../src/page.js";
import { comparator, compareCells, mergeRows, parseFilter, visibleWindow } from "../src/trial-rows.js";
import trials from "../src/trials.js";

/** @typedef {import("../src/trial-rows.js").Row} Row */

const columns = [
  { key: "config/lr", label: "lr", role: "param" },
  { key: "config/opt", label: "opt", role: "param" },
  { key: "accuracy", label: "accuracy", role: "metric" },
  { key: "accuracy/best", label: "best accuracy", role: "best" },
];
/** @type {Row[]} */
const rows = [
  [0, "finished", 0.001, "adam", 0.9, 0.95],
  [1, "failed", 0.1, "sgd", "NaN", 0.4],
  [2, "running", 0.02, "Adam W", 0.5, 0.6],
  [3, "stopped", 0.5, "<img>", "Infinity", "Infinity"],
  [4, "pending", 0.00310234, true, null, null],
];
/** @param {string} text */
const found = (text) => {
  const { error, test: matches } = parseFilter(text, columns);
  return error || rows.filter(matches).map((row) => row[0]);
};

test("numbers have four significant digits, and an exponent if they are small or large", () => {
  /** @type {[import("../src/trial-rows.js").Cell, string][]} */
  const cases = [
    [0.98, "0.98"],
    [0.123456, "0.1235"],
    [128, "128"],
    [0, "0"],
    [-0.0031, "-0.0031"],
    [12345.6, "12346"],
    [999999, "999999"],
    [12344.5, "12344"],
    [999999.7, "1000000"],
    [9999.7, "10000"],
    [1234.5, "1234"],
    [0.015625, "0.01562"],
    [0.000099999, "0.0001"],
    [1234567, "1234567"],
    [1234567.8, "1.235e+06"],
    [0.0001, "0.0001"],
    [0.00001234567, "1.235e-05"],
    [-1e-10, "-1e-10"],
    [1e300, "1e+300"],
    [true, "True"],
    [false, "False"],
    [null, ""],
    [undefined, ""],
    [Number.NaN, "NaN"],
    ["NaN", "NaN"],
    ["adam", "adam"],
  ];
  for (const [value, text] of cases) assert.equal(format(value), text);
});

test("numbers are before text, and missing values are last in both directions", () => {
  const cells = ["b", 10, null, 9, "NaN", "Infinity", "a", "-Infinity"];
  const sorted = (/** @type {number} */ direction) => [...cells].sort((a, b) => compareCells(a, b, direction));
  assert.deepEqual(sorted(1), ["-Infinity", 9, 10, "Infinity", "a", "b", null, "NaN"]);
  assert.deepEqual(sorted(-1), ["b", "a", "Infinity", 10, 9, "-Infinity", null, "NaN"]);
  assert.equal(compareCells(false, true, 1), -1);
});

test("rows of equal cells keep the order of their numbers", () => {
  /** @type {Row[]} */
  const equal = [5, 3, 9, 1].map((number) => [number, "running", number === 9 ? 1 : 2]);
  const numbers = (/** @type {number} */ direction) => [...equal].sort(comparator(2, direction)).map((row) => row[0]);
  assert.deepEqual(numbers(1), [9, 1, 3, 5]);
  assert.deepEqual(numbers(-1), [1, 3, 5, 9]);
  assert.deepEqual([...rows].sort(comparator(0, -1))[0][0], 4);
  assert.deepEqual(
    [...rows].sort(comparator(1, 1)).map((row) => row[1]),
    ["pending", "running", "finished", "stopped", "failed"],
  );
});

test("10,000 rows are sorted by a number in a few milliseconds", () => {
  /** @type {Row[]} */
  const many = Array.from({ length: 10000 }, (_, i) => [i, "running", Math.sin(i * i)]);
  many.sort(comparator(2, 1));
  assert.ok(many.every((row, i) => i === 0 || Number(many[i - 1][2]) <= Number(row[2])));
});

test("a filter has words and comparisons", () => {
  assert.deepEqual(found(""), [0, 1, 2, 3, 4]);
  assert.deepEqual(found("ADAM"), [0, 2]);
  assert.deepEqual(found('"adam w"'), [2]);
  assert.deepEqual(found("lr < 0.01"), [0, 4]);
  assert.deepEqual(found("lr<=0.001"), [0]);
  assert.deepEqual(found("lr >= 1e-1"), [1, 3]);
  assert.deepEqual(found("config/lr > .1"), [3]);
  assert.deepEqual(found("LR = 0.1"), [1]);
  assert.deepEqual(found("lr = 0.003102"), [4], "as it is shown");
  assert.deepEqual(found("status = failed"), [1]);
  assert.deepEqual(found("status = stopped"), [3]);
  assert.deepEqual(found('status == "stopped early"'), [3]);
  assert.deepEqual(found("status != stopped"), [0, 1, 2, 4]);
  assert.deepEqual(found("opt != adam"), [1, 2, 3, 4]);
  assert.deepEqual(found("opt = true"), [4]);
  assert.deepEqual(found("accuracy = nan"), [1]);
  assert.deepEqual(found("accuracy = none"), [4]);
  assert.deepEqual(found("accuracy > 0"), [0, 2, 3]);
  assert.deepEqual(found("accuracy < inf"), [0, 2]);
  assert.deepEqual(found("best accuracy > 0.9"), [0, 3], "a name of two words");
  assert.deepEqual(found("trial >= 2 and lr < 0.1"), [2, 4]);
  assert.deepEqual(found("adam lr < 0.01"), [0]);
  assert.deepEqual(found("<img>"), "expected a column name before <img>");
  assert.deepEqual(found('"<img>"'), [3]);
});

test("errors of a filter", () => {
  assert.equal(found("foo < 1"), "unknown column foo");
  assert.equal(found("lr <"), "expected a value after <");
  assert.equal(found("lr < abc"), "expected a number after <, got abc");
  assert.equal(found("= 3"), "expected a column name before =");
});

test("names with characters of regular expressions", () => {
  const odd = [{ key: "a.b(c)[0]", label: "a.b(c)[0]", role: "param" }];
  /** @type {Row} */
  const row = [0, "running", 2];
  assert.deepEqual([parseFilter("a.b(c)[0] > 1", odd).error, parseFilter("a.b(c)[0] > 1", odd).test(row)], ["", true]);
});

test("rows are merged by number, and cleared by a reset", () => {
  /** @type {Map<number, Row>} */
  const known = new Map();
  mergeRows(known, { reset: true, rows: rows.slice(0, 3) });
  mergeRows(known, { reset: false, rows: [[1, "running", 7]] });
  assert.deepEqual([...known.keys()], [0, 1, 2]);
  assert.deepEqual(known.get(1), [1, "running", 7]);
  mergeRows(known, { reset: true, rows: [] });
  assert.equal(known.size, 0);
});

test("only visible rows and some around them are in the document", () => {
  assert.deepEqual(visibleWindow(0, 10000), [0, 21]);
  assert.deepEqual(visibleWindow(26 * 100, 10000), [92, 121]);
  assert.deepEqual(visibleWindow(1e9, 10000), [9980, 10000]);
  assert.deepEqual(visibleWindow(500, 3), [0, 3]);
  assert.deepEqual(visibleWindow(0, 0), [0, 0]);
  assert.deepEqual(visibleWindow(-20, 100), [0, 21]);
});

test("initialize asks for the data, and removes its listeners on dispose", () => {
  /** @type {object[]} */
  const sent = [];
  const heard = new Set();
  const model = /** @type {any} */ ({
    on: (/** @type {string} */ _, /** @type {() => void} */ callback) => heard.add(callback),
    off: (/** @type {string} */ _, /** @type {() => void} */ callback) => heard.delete(callback),
    send: (/** @type {object} */ message) => sent.push(message),
  });
  const end = trials().initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  assert.equal(heard.size, 3, "messages, the state of the connection, and the selection");
  end();
  assert.equal(heard.size, 0);
});

test("an error is shown each time, and reported once", () => {
  /** @type {any[]} */
  const sent = [];
  /** @type {string[]} */
  const shown = [];
  const model = /** @type {any} */ ({ send: (/** @type {object} */ message) => sent.push(message) });
  const fails = (/** @type {string} */ where, /** @type {string} */ text) =>
    guard(
      model,
      where,
      (said) => shown.push(said),
      () => {
        throw new Error(text);
      },
    );
  for (const text of ["a", "a", "b"]) fails("drawing", text);
  fails("click", "b");
  assert.deepEqual(
    sent.map(({ where, message }) => [where, message]),
    [
      ["drawing", "Error: a"],
      ["drawing", "Error: b"],
      ["click", "Error: b"],
    ],
  );
  assert.equal(shown.length, 4);
  assert.equal(
    guard(
      model,
      "drawing",
      () => {},
      () => 7,
    ),
    7,
  );
});
