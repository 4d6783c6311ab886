import assert from "node:assert/strict";
import test from "node:test";
import parallel from "../src/parallel.js";
import { arrange, axisOf, lineOf, plain, roundBetween, short, within, wordOf } from "../src/parallel-data.js";

/** @param {string} key @param {any} [more] */
const param = (key, more = {}) => ({ key, label: key, role: "param", log: false, choices: null, ...more });
const metric = { key: "m", label: "accuracy", role: "metric" };

test("numbers lie on a linear axis, those of a logarithmic space on their logarithms", () => {
  const linear = axisOf(param("x"), [1, 3, 2]);
  assert.deepEqual([linear.kind, linear.values, linear.range, linear.none], ["linear", [1, 3, 2], [1, 3], null]);
  const log = axisOf(param("lr", { log: true }), [0.001, 0.1]);
  assert.deepEqual([log.kind, log.values.map(Math.round), log.range.map(Math.round)], ["log", [-3, -1], [-3, -1]]);
  assert.equal(axisOf(param("lr", { log: true }), [0, 0.1]).kind, "linear");
});

test("an axis of one value has an extent", () => {
  assert.deepEqual(axisOf(param("x"), [2, 2]).range, [1.8, 2.2]);
  assert.deepEqual(axisOf(param("x"), [0]).range, [-1, 1]);
  assert.deepEqual(axisOf(param("x", { log: true }), [1]).range, [-0.5, 0.5]);
  assert.deepEqual(axisOf(param("x", { choices: ["a"] }), ["a"]).range, [0, 1]);
});

test("a trial without a value of a parameter stands below the others", () => {
  const axis = axisOf(param("x"), [0, null, 8, "NaN"]);
  assert.equal(axis.none, -1);
  assert.deepEqual(axis.values, [0, -1, 8, -1]);
  assert.deepEqual(axis.range, [-1, 8]);
});

test("text, booleans and choices have places in their order", () => {
  const axis = axisOf(param("act", { choices: ["relu", null, "gelu"] }), ["gelu", null, "new", "relu"]);
  assert.deepEqual(axis.words, ["relu", "none", "gelu", "new"]);
  assert.deepEqual(axis.values, [2, 1, 3, 0]);
  assert.deepEqual(axisOf(param("hidden", { choices: [64, 128] }), [128, 96, 64]).words, ["64", "128", "96"]);
  assert.deepEqual(axisOf(param("flag"), [true, false]).words, ["true", "false"]);
  assert.equal(axisOf(param("mixed"), [1, "auto"]).kind, "words");
  assert.equal(wordOf(undefined), "none");
});

test("trials without a finite value of the metric are left out and counted", () => {
  const rows = [0.5, null, "NaN", 0.7].map((value, i) => ({ number: i + 1, cells: [i, value] }));
  const made = arrange([param("x"), metric], rows);
  assert.deepEqual(
    made.rows.map((row) => row.number),
    [1, 4],
  );
  assert.equal(made.without, 2);
  assert.deepEqual(
    made.axes.map((axis) => axis.key),
    ["x", "m"],
  );
  const none = arrange([param("x")], rows);
  assert.equal(none.metric, null);
  assert.equal(none.rows.length, 4);
});

test("of more than twelve axes those stay that vary most, in their order", () => {
  const columns = [...Array(20).keys()].map((i) => param(`p${i}`));
  const rows = [...Array(30).keys()].map((i) => ({ number: i, cells: [...columns.map((_, j) => i % (20 - j)), i] }));
  const made = arrange([...columns, metric], rows);
  assert.deepEqual(
    made.axes.map((axis) => axis.key),
    [...[...Array(11).keys()].map((i) => `p${i}`), "m"],
  );
  assert.equal(made.dropped, 9);
  const constant = rows.map((row) => ({
    number: row.number,
    cells: [...columns.map((_, j) => (j < 3 ? row.number : 1)), 1],
  }));
  assert.deepEqual(
    arrange([...columns, metric], constant).axes.map((axis) => axis.key),
    ["p0", "p1", "p2", "m"],
  );
});

test("the brush's trials lie within one range of every axis that has any", () => {
  const rows = [...Array(6).keys()].map((i) => ({ number: i, cells: [i, 5 - i] }));
  const { axes } = arrange([param("x"), param("y")], rows);
  const brushed = (/** @type {[string, [number, number][]][]} */ ...entries) => within(axes, rows, new Map(entries));
  assert.deepEqual(brushed(["x", [[1, 3]]]), [1, 2, 3]);
  assert.deepEqual(
    brushed([
      "x",
      [
        [0, 0.5],
        [4, 9],
      ],
    ]),
    [0, 4, 5],
  );
  assert.deepEqual(brushed(["x", [[1, 4]]], ["y", [[-Infinity, 2]]]), [3, 4]);
  assert.deepEqual(brushed(["gone", [[7, 8]]]), [0, 1, 2, 3, 4, 5]);
});

test("the best has the greatest colour in either mode, what is not selected the smallest", () => {
  const rows = [1, 2, 3].map((value, i) => ({ number: i + 1, cells: [value] }));
  const axis = axisOf({ ...metric, role: "metric" }, [1, 2, 3]);
  const theme = { dark: false, grey: "#ddd", one: "#00f" };
  const most = lineOf(axis, rows, false, [], theme);
  assert.deepEqual([most.color, most.cmax], [[1, 2, 3], 3]);
  const least = lineOf(axis, rows, true, [2], theme);
  assert.deepEqual([least.color, least.cmax], [[least.cmin, -2, least.cmin], -1]);
  assert.ok(least.cmin < -3);
  assert.deepEqual(least.colorscale[0], [0, "#ddd"]);
  assert.deepEqual(least.colorbar.ticktext[0], "1");
  assert.equal(least.colorbar.tickvals[0], -1);
  assert.deepEqual(lineOf(null, rows, false, [], theme).color, [1, 1, 1]);
});

test("round numbers lie between the ends", () => {
  assert.deepEqual(roundBetween(0.806, 0.988), [0.85, 0.9, 0.95]);
  assert.deepEqual(roundBetween(0, 40), [0, 10, 20, 30, 40]);
  assert.ok(roundBetween(-1e-9, 1e-9).length > 2);
});

test("text for plotly is neither markup nor TeX; long text keeps both its ends", () => {
  assert.equal(plain("<b>$x$ & y"), "&lt;b&gt;&#36;x&#36; &amp; y");
  assert.equal(short("parameter_number_17", 10), "para…er_17");
  assert.equal(short("short"), "short");
});

test("messages are kept without a view, and the selection of another is not sent back", () => {
  /** @type {Map<string, (...args: any[]) => void>} */
  const on = new Map();
  /** @type {any[]} */
  const sent = [];
  const model = /** @type {any} */ ({
    get: () => [],
    send: (/** @type {any} */ message) => sent.push(message),
    on: (/** @type {string} */ name, /** @type {any} */ call) => on.set(name, call),
    off: (/** @type {string} */ name) => on.delete(name),
  });
  const end = parallel().initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  const table = {
    type: "table",
    reset: true,
    columns: [param("x"), metric],
    rows: [[1, "running", 2, 0.5]],
    metric: "accuracy",
    mode: "max",
    best: 1,
  };
  on.get("msg:custom")?.(table, []);
  on.get("change:selection")?.();
  assert.equal(sent.length, 1);
  on.get("msg:custom")?.({ ...table, rows: null }, []);
  assert.equal(sent[1].type, "error");
  end();
  assert.equal(on.size, 0);
});
