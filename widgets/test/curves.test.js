import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bestText,
  COPIES,
  groups,
  join,
  MAX_BACKGROUND,
  receiveUpdate,
  sampleTrials,
  smoothed,
  traces,
  trialAt,
  wholeStep,
} from "../src/curve-data.js";
import { placesOn, rungMarks } from "../src/curve-rungs.js";

const LOOK = /** @type {const} */ ({ x: "iteration", logx: false, logy: false, smooth: 0 });

/** @param {[number, number[], boolean?][]} segments trial, values, replace @param {object} [more] */
function update(segments, more = {}) {
  const iteration = segments.flatMap(([, values]) => values.map((_, i) => i + 1));
  const value = segments.flatMap(([, values]) => values);
  // Shifted by one byte each: what comes over the wire is not aligned.
  const shifted = (/** @type {Int32Array | Float64Array} */ column) => {
    const room = new Uint8Array(column.byteLength + 1);
    room.set(new Uint8Array(column.buffer), 1);
    return new DataView(room.buffer, 1);
  };
  const buffers = [Int32Array.from(iteration), Float64Array.from(iteration, (i) => i / 2), Float64Array.from(value)];
  const message = { reset: false, trials: [], segments: segments.map(([t, v, r]) => [t, v.length, !!r]), ...more };
  return /** @type {const} */ ([message, buffers.map(shifted)]);
}

/** @param {Map<number, any>} curves @param {number} trial */
const values = (curves, trial) => [...curves.get(trial).columns[2].subarray(0, curves.get(trial).n)];

test("points are appended and replaced, and cleared by a reset", () => {
  const curves = new Map();
  receiveUpdate(curves, ...update([[0, [1, 2]]], { trials: [[0, "running", "lr 0.1"]] }));
  receiveUpdate(
    curves,
    ...update([
      [0, [3]],
      [1, Array.from({ length: 100 }, (_, i) => i)],
    ]),
  );
  assert.deepEqual(values(curves, 0), [1, 2, 3]);
  assert.equal(curves.get(0).label, "lr 0.1");
  assert.deepEqual(values(curves, 1).slice(-2), [98, 99]);
  receiveUpdate(curves, ...update([[1, [7], true]]));
  assert.deepEqual(values(curves, 1), [7]);
  receiveUpdate(curves, ...update([[2, [5]]], { reset: true }));
  assert.deepEqual([...curves.keys()], [2]);
});

test("joined lines have a gap after each trial, and each point has its trial", () => {
  const curves = new Map();
  receiveUpdate(
    curves,
    ...update([
      [3, [1, 2]],
      [5, []],
      [9, [4, 5, 6]],
    ]),
  );
  const joined = join(curves, [3, 5, 9], LOOK);
  assert.deepEqual([...joined.y], [1, 2, Number.NaN, 4, 5, 6, Number.NaN]);
  assert.deepEqual([...joined.x], [1, 2, Number.NaN, 1, 2, 3, Number.NaN]);
  assert.deepEqual(
    [0, 1, 3, 5].map((point) => trialAt(joined, point)),
    [3, 3, 9, 9],
  );
  assert.deepEqual([...join(curves, [9], { ...LOOK, x: "time_s" }).x].slice(0, 3), [0.5, 1, 1.5]);
});

test("smoothing starts with the first value and skips values that are not finite", () => {
  assert.deepEqual(
    [...smoothed(Float64Array.of(2, 2, 2), 0.9)].map((v) => v.toFixed(9)),
    Array(3).fill("2.000000000"),
  );
  const [first, gap, next] = smoothed(Float64Array.of(1, Number.NaN, 3), 0.5);
  assert.equal(first, 1);
  assert.ok(Number.isNaN(gap));
  assert.ok(next > 2 && next < 3);
  const raw = Float64Array.of(1, 2);
  assert.equal(smoothed(raw, 0), raw);
});

test("each trial is in one group: best before selected before running", () => {
  const curves = new Map(
    ["running", "running", "finished", "failed"].map((status, i) => [i, { status, label: "", n: 0, columns: [] }]),
  );
  const found = groups(curves, [1], [1, 2]);
  assert.deepEqual(found, { other: [3], running: [0], selected: [2], best: [1], failed: [3] });
});

test("the repeats of the best configuration have a star, and a single best trial its number", () => {
  const curves = new Map();
  receiveUpdate(curves, ...update([0, 1, 2].map((trial) => [trial, [1, 2, 3]])));
  const named = (/** @type {number[]} */ best) =>
    traces(curves, best, [], LOOK, () => "red", null, true, []).data[6].text.filter(Boolean);
  assert.deepEqual(named([1]), [" ★ 1"]);
  assert.deepEqual(named([0, 2]), [" ★", " ★"]);
  assert.equal(bestText([0, 2]), ", best is the configuration of trials 0, 2");
});

test("the background is joined again only when it has changed", () => {
  const curves = new Map();
  receiveUpdate(
    curves,
    ...update([
      [0, [1, 2, 3]],
      [1, [4, 5, 6]],
    ]),
  );
  const first = traces(curves, [1], [], LOOK, () => "red", null, true, []);
  assert.equal(first.data.length, 8);
  assert.equal(first.lines.length, 8);
  assert.deepEqual(first.data[6].text, [" ★ 1", ""]);
  const second = traces(curves, [1], [], LOOK, () => "red", first.background, false, []);
  assert.equal(second.data[0].x, first.data[0].x);
  assert.notEqual(traces(curves, [1], [0], LOOK, () => "red", first.background, false, []).data[0].x, first.data[0].x);
});

test("trials that report once are drawn side by side", () => {
  const curves = new Map();
  receiveUpdate(
    curves,
    ...update([
      [0, [1]],
      [1, [4]],
      [2, [3]],
    ]),
  );
  const drawn = traces(curves, [1], [], LOOK, () => "red", null, true, []);
  assert.equal(drawn.x, "trial");
  assert.deepEqual([...drawn.data[0].x], [0, Number.NaN, 2, Number.NaN]);
  assert.match(drawn.data[0].mode, /markers/);
});

test("a trial that ended after one report is a dot among the lines", () => {
  const curves = new Map();
  receiveUpdate(
    curves,
    ...update([
      [0, [1, 2, 3]],
      [1, [4]],
      [2, [5]],
    ]),
  );
  const drawn = traces(curves, [2], [], LOOK, () => "red", null, true, []);
  assert.deepEqual([...drawn.data[4].y], [4, Number.NaN]);
});

test("many curves are sampled evenly, with the extremes", () => {
  const curves = new Map();
  const trials = Array.from({ length: 1000 }, (_, i) => i);
  receiveUpdate(curves, ...update(trials.map((trial) => [trial, [0, (trial * 7919) % 1000]])));
  const drawn = sampleTrials(curves, trials);
  assert.equal(drawn.length, MAX_BACKGROUND);
  assert.equal(new Set(drawn).size, MAX_BACKGROUND);
  const ends = drawn.map((trial) => values(curves, trial)[1]);
  assert.equal(Math.min(...ends), 0);
  assert.equal(Math.max(...ends), 999);
  assert.deepEqual(sampleTrials(curves, [3, 1]), [3, 1]);
});

test("an axis of few whole numbers has no fractions", () => {
  const curves = new Map();
  receiveUpdate(curves, ...update([[0, [1, 2, 3]]]));
  const steps = () => ["iteration", "trial", "time_s"].map((x) => wholeStep(curves, /** @type {"trial"} */ (x)));
  assert.deepEqual(steps(), [1, 1, null]);
  receiveUpdate(curves, ...update([[11, Array(25).fill(1)]]));
  assert.deepEqual(steps(), [5, 2, null]);
  receiveUpdate(curves, ...update([[51, Array(51).fill(1)]]));
  assert.deepEqual(steps(), [null, null, null]);
});

test("copies are marked on their curves, also on smoothed ones", () => {
  const curves = new Map();
  receiveUpdate(
    curves,
    ...update([
      [0, [1, 2, 3]],
      [1, [4, 8]],
    ]),
  );
  const copies = /** @type {import("../src/curve-data.js").Copy[]} */ ([
    [1, 2, 7.5, 8, 0, 1],
    [5, 9, 1.5, 6, 0, 1],
  ]);
  const drawn = traces(curves, [0], [], LOOK, () => "red", null, true, copies);
  const marks = drawn.data[COPIES];
  assert.equal(drawn.data.length, COPIES + 1);
  assert.deepEqual([...marks.x], [2, 9]);
  assert.deepEqual([...marks.y], [8, 6]);
  assert.deepEqual(
    [0, 1].map((point) => trialAt(drawn.lines[COPIES], point)),
    [1, 5],
  );
  const seconds = traces(curves, [0], [], { ...LOOK, x: "time_s" }, () => "red", null, true, copies);
  assert.deepEqual([...seconds.data[COPIES].x], [7.5, 1.5]);
  const smooth = traces(curves, [0], [], { ...LOOK, smooth: 0.5 }, () => "red", null, true, copies);
  assert.equal(smooth.data[COPIES].y[0], smoothed(Float64Array.of(4, 8), 0.5)[1]);
  assert.equal(traces(new Map(), [], [], LOOK, () => "red", null, true, copies).data[COPIES].x.length, 0);
});

test("rungs are shown on the axis that counts their unit", () => {
  const rungs = /** @type {import("../src/curve-rungs.js").Rung[]} */ ([
    [10, "training_iteration", 30, 12],
    [60, "time_total_s", 5, 2],
    [7, "epoch", 5, 2],
  ]);
  const marks = rungMarks(rungs, { ...LOOK, logx: true }, () => "red", Number);
  assert.deepEqual(
    marks.shapes.map(({ x0, x1 }) => [x0, x1]),
    [[10, 10]],
  );
  assert.deepEqual(
    marks.annotations.map(({ x, text, hovertext }) => [x, text, hovertext]),
    [[1, "12/30", "rung 10: 12 of 30 went on"]],
  );
  assert.equal(rungMarks(rungs, { ...LOOK, x: "time_s" }, () => "red", Number).shapes[0].x0, 60);
  assert.equal(rungMarks(rungs, { ...LOOK, x: "trial" }, () => "red", Number).shapes.length, 0);
});

test("texts of rungs that are close together are in two rows, or left out", () => {
  const rungs = /** @type {import("../src/curve-rungs.js").Rung[]} */ (
    [1, 2, 4, 8, 100].map((at) => [at, "training_iteration", 10, 5])
  );
  const shown = (/** @type {number} */ scale) =>
    rungMarks(
      rungs,
      LOOK,
      () => "red",
      (at) => at * scale,
    ).annotations.map(({ x, yshift }) => [x, yshift]);
  const lines = rungMarks(rungs, LOOK, () => "red", Number);
  assert.equal(lines.shapes.length, 5);
  assert.deepEqual(
    shown(50),
    [1, 2, 4, 8, 100].map((x) => [x, 0]),
  );
  assert.deepEqual(shown(20), [
    [1, 0],
    [2, 11],
    [4, 0],
    [8, 0],
    [100, 0],
  ]);
  assert.deepEqual(shown(1), [
    [1, 0],
    [2, 11],
    [100, 0],
  ]);
  const joined = /** @type {any} */ ({ x: Float64Array.of(1, Number.NaN, 100) });
  assert.equal(placesOn([joined], false, 99)(34), 33);
  assert.equal(placesOn([joined], true, 100)(10), 50);
});
