import assert from "node:assert/strict";
import { test } from "node:test";
import { format, guard } from "../src/page.js";
import { bestFirst, comparator, compareCells, mergeRows, precise, visibleWindow } from "../src/trial-rows.js";
import trials from "../src/trials.js";

/** @typedef {import("../src/trial-rows.js").Row} Row */

/** @type {Row[]} */
const rows = [
  [0, "finished", 0.001, "adam", 0.9, 0.95],
  [1, "failed", 0.1, "sgd", "NaN", 0.4],
  [2, "running", 0.02, "Adam W", 0.5, 0.6],
  [3, "stopped", 0.5, "<img>", "Infinity", "Infinity"],
  [4, "pending", 0.00310234, true, null, null],
];
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
    [null, "None"],
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

test("the best trials are first: the front, other values, failed trials, those without a value", () => {
  /** @type {Row[]} */
  const some = [
    [0, "finished", 0.5],
    [1, "failed", 0.99],
    [2, "running", 0.9],
    [3, "pending", ""],
    [4, "finished", "NaN"],
    [5, "stopped", 0.7],
    [6, "finished", 0.5],
  ];
  const numbers = (/** @type {string} */ mode, /** @type {number[]} */ front = []) =>
    [...some].sort(bestFirst(2, mode, new Set(front))).map((row) => row[0]);
  assert.deepEqual(numbers("max"), [2, 5, 0, 6, 1, 3, 4]);
  assert.deepEqual(numbers("min"), [0, 6, 5, 2, 1, 3, 4]);
  assert.deepEqual(numbers("max", [6]), [6, 2, 5, 0, 1, 3, 4]);
});

test("a cell has all its digits on hover", () => {
  assert.deepEqual([0.1234567890123, null, true, "", "NaN"].map(precise), [
    "0.1234567890123",
    "None",
    "True",
    "",
    "NaN",
  ]);
});

test("10,000 rows are sorted by a number in a few milliseconds", () => {
  /** @type {Row[]} */
  const many = Array.from({ length: 10000 }, (_, i) => [i, "running", Math.sin(i * i)]);
  many.sort(comparator(2, 1));
  assert.ok(many.every((row, i) => i === 0 || Number(many[i - 1][2]) <= Number(row[2])));
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
  assert.equal(heard.size, 4, "messages, the state of the connection, the selection, and the columns");
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
