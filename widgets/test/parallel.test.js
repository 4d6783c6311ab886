import assert from "node:assert/strict";
import test from "node:test";
import parallel from "../src/parallel.js";
import {
  arrange,
  axisOf,
  categoryOf,
  lineOf,
  plain,
  roundBetween,
  roundLogBetween,
  short,
  tally,
  within,
} from "../src/parallel-data.js";
import { emptyText, noteText } from "../src/parallel-text.js";

/** @param {string} key @param {any} [more] */
const param = (key, more = {}) => ({ key, label: key, role: "param", log: false, choices: null, ...more });
const metric = { key: "m", label: "accuracy", role: "metric" };

test("numbers have a linear axis, those of a logarithmic domain a logarithmic one", () => {
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

test("ticks are round numbers; a single value is the only tick", () => {
  assert.equal(axisOf(param("x"), [1, 3.5]).ticks, null);
  const whole = (/** @type {number[]} */ ...cells) => axisOf(param("n"), cells).ticks?.map(([, text]) => text);
  assert.deepEqual(whole(1, 3), ["1", "2", "3"], "no fractions between integers");
  assert.deepEqual(whole(10, 40), ["10", "20", "30", "40"]);
  const log = (/** @type {number[]} */ ...cells) => axisOf(param("lr", { log: true }), cells);
  assert.deepEqual([log(0.0002512).ticks, log(0.0002512).ends], [[[Math.log10(0.0002512), "0.0002512"]], ["", ""]]);
  assert.deepEqual([axisOf(param("x"), [2.5, 2.5]).ticks, axisOf(param("x"), [2]).ends], [[[2.5, "2.5"]], ["", ""]]);
  assert.deepEqual(log(0.0004, 0.23).ends, ["0.0004", "0.23"]);
  assert.deepEqual(
    log(0.0004, 0.23).ticks?.map(([, text]) => text),
    ["0.001", "0.01", "0.1"],
  );
  assert.deepEqual(
    log(0.0002, 0.0008).ticks?.map(([, text]) => text),
    ["0.0002", "0.0004", "0.0006", "0.0008"],
  );
  const none = axisOf(param("x"), [0, null, 8]);
  assert.deepEqual(
    [none.ticks?.map(([at]) => at), none.ends],
    [
      [0, 2, 4, 6, 8],
      ["None", "8"],
    ],
  );
  assert.deepEqual(axisOf(param("x"), [3, null]).ends, ["None", ""]);
  assert.deepEqual(axisOf(param("x"), [3, "", 4]).ends, ["None", "4"], "a cell without a value");
  assert.ok(roundLogBetween(1e-30, 1).length <= 7);
  assert.deepEqual(roundLogBetween(0.001, 0.1), [0.001, 0.01, 0.1]);
});

test("a trial without a value of a parameter is below the others", () => {
  const axis = axisOf(param("x"), [0, null, 8, "NaN"]);
  assert.equal(axis.none, -1);
  assert.deepEqual(axis.values, [0, -1, 8, -1]);
  assert.deepEqual(axis.range, [-1, 8]);
});

test("text, booleans and choices are categories in their order", () => {
  const axis = axisOf(param("act", { choices: ["relu", null, "gelu"] }), ["gelu", null, "new", "relu"]);
  assert.deepEqual(axis.categories, ["relu", "None", "gelu", "new"]);
  assert.deepEqual(axis.values, [2, 1, 3, 0]);
  assert.deepEqual(axisOf(param("hidden", { choices: [64, 128] }), [128, 96, 64]).categories, ["64", "128", "96"]);
  assert.deepEqual(axisOf(param("flag"), [true, false]).categories, ["True", "False"]);
  assert.equal(axisOf(param("mixed"), [1, "auto"]).kind, "categories");
  assert.equal(categoryOf(undefined), "None");
});

test("trials without a finite value of the metric are left out", () => {
  const rows = [0.5, null, "NaN", 0.7].map((value, i) => ({ number: i + 1, status: "running", cells: [i, value] }));
  const made = arrange([param("x"), metric], rows);
  assert.deepEqual(
    made.rows.map((row) => row.number),
    [1, 4],
  );
  assert.deepEqual(
    made.axes.map((axis) => axis.key),
    ["x", "m"],
  );
  const none = arrange([param("x")], rows);
  assert.equal(none.metric, null);
  assert.equal(none.rows.length, 4);
});

test("the note counts started trials; only running ones may still report", () => {
  const statuses = ["finished", "failed", "running", "pending", "running", "pending"];
  const rows = statuses.map((status, number) => ({ number, status, cells: [1, number % 4 ? null : 0.5] }));
  const counts = tally([param("x"), metric], rows, [0, 1, 3]);
  assert.deepEqual(counts, { started: 4, drawn: 2, selected: 1, withoutValue: 1, ended: 1 });
  const none = { ...counts, selected: 0 };
  assert.equal(noteText(none, "accuracy", false, 0), "1 of 4 trials have no accuracy; 1 more have none yet");
  assert.equal(noteText({ ...none, ended: 0 }, "accuracy", false, 0), "1 of 4 trials have no accuracy yet");
  assert.equal(noteText({ ...none, withoutValue: 0 }, "accuracy", false, 0), "1 of 4 trials have no accuracy");
  const text = noteText({ ...counts, ended: 0, withoutValue: 0 }, null, true, 2);
  assert.equal(text, "1 of 2 trials selected; 2 parameters with the fewest values are not shown");
  assert.equal(emptyText({ ...none, drawn: 0 }, "accuracy"), "No trial has reported accuracy yet.");
  assert.equal(emptyText({ ...none, withoutValue: 0 }, "accuracy"), "No trial has reported accuracy.");
  assert.match(emptyText(tally([param("x")], [], []), null), /^No reports yet/);
  assert.equal(tally([param("x")], rows, []).drawn, 4);
});

test("with more than twelve axes those with the most values are kept, in their order", () => {
  const columns = [...Array(20).keys()].map((i) => param(`p${i}`));
  const rows = [...Array(30).keys()].map((i) => ({
    number: i,
    status: "finished",
    cells: [...columns.map((_, j) => i % (20 - j)), i],
  }));
  const made = arrange([...columns, metric], rows);
  assert.deepEqual(
    made.axes.map((axis) => axis.key),
    [...[...Array(11).keys()].map((i) => `p${i}`), "m"],
  );
  assert.equal(made.dropped, 9);
  const constant = rows.map((row) => ({
    ...row,
    cells: [...columns.map((_, j) => (j < 3 ? row.number : 1)), 1],
  }));
  assert.deepEqual(
    arrange([...columns, metric], constant).axes.map((axis) => axis.key),
    ["p0", "p1", "p2", "m"],
  );
});

test("brushed trials are within a range of every brushed axis", () => {
  const rows = [...Array(6).keys()].map((i) => ({ number: i, status: "finished", cells: [i, 5 - i] }));
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

test("the best trial has the greatest colour in both modes, unselected trials the smallest", () => {
  const rows = [1, 2, 3].map((value, i) => ({ number: i + 1, status: "finished", cells: [value] }));
  const axis = axisOf({ ...metric, role: "metric" }, [1, 2, 3]);
  const theme = { dark: false, grey: "#ddd", single: "#00f" };
  const most = lineOf(axis, rows, false, [], theme);
  assert.deepEqual([most.color, most.cmax], [[1, 2, 3], 3]);
  const least = lineOf(axis, rows, true, [2], theme);
  assert.deepEqual([least.color, least.cmax], [[least.cmin, -2, least.cmin], -1]);
  assert.ok(least.cmin < -3);
  assert.deepEqual(least.colorscale[0], [0, "#ddd"]);
  assert.deepEqual(least.colorbar.ticktext[0], "1");
  assert.deepEqual(least.colorbar.tickvals, [-3, -2.5, -2, -1.5, -1].slice(0, least.colorbar.tickvals.length));
  assert.deepEqual(most.colorbar.tickvals, most.colorbar.ticktext.map(Number));
  assert.deepEqual(lineOf(null, rows, false, [], theme).color, [1, 1, 1]);
});

test("round numbers are between the ends", () => {
  assert.deepEqual(roundBetween(0.806, 0.988), [0.85, 0.9, 0.95]);
  assert.deepEqual(roundBetween(0, 40), [0, 10, 20, 30, 40]);
  assert.ok(roundBetween(-1e-9, 1e-9).length > 2);
});

test("text for plotly is neither markup nor TeX; long text keeps both its ends", () => {
  assert.equal(plain("<b>$x$ & y"), "&lt;b&gt;&#36;x&#36; &amp; y");
  assert.equal(short("parameter_number_17", 10), "para…er_17");
  assert.equal(short("short"), "short");
});

test("messages are kept without a view, and the selection of another widget is not sent back", () => {
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
    best: [1],
  };
  on.get("msg:custom")?.(table, []);
  on.get("change:selection")?.();
  assert.equal(sent.length, 1);
  on.get("msg:custom")?.({ ...table, rows: null }, []);
  assert.equal(sent[1].type, "error");
  end();
  assert.equal(on.size, 0);
});

test("with several objectives each has an axis, and a trial needs a value of the chosen one only", () => {
  const columns = [
    { key: "metric/a", label: "a", role: "metric" },
    { key: "value/a", label: "best a", role: "value" },
    { key: "metric/b", label: "b", role: "metric" },
    { key: "config/lr", label: "lr", role: "param" },
  ];
  const rows = [
    { number: 0, status: "finished", cells: [1, 2, 3, 0.1] },
    { number: 1, status: "finished", cells: [1, 2, null, 0.2] },
  ];
  const first = arrange(columns, rows, ["a", "b"], 0);
  assert.deepEqual([first.axes.map(({ label }) => label), first.rows.length], [["lr", "b", "best a"], 2]);
  const second = arrange(columns, rows, ["a", "b"], 1);
  assert.deepEqual([second.axes.map(({ label }) => label), second.rows.length], [["lr", "best a", "b"], 1]);
  assert.equal(second.metric?.label, "b");
  assert.equal(tally(columns, rows, [], "b").ended, 1);
});
