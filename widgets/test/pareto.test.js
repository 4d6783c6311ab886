// The points of several objectives without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axisTitle, border, grouped, noteText, thinned } from "../src/pareto-data.js";

const point = (
  /** @type {number} */ number,
  /** @type {string} */ status,
  /** @type {(number | null)[]} */ ...values
) => ({
  number,
  status,
  label: "",
  values,
});

test("trials are in one group each, and those without a value of an axis in none", () => {
  const points = [
    point(0, "finished", 1, 2, null),
    point(1, "stopped", 1, 3, 1),
    point(2, "failed", 1, 3, 1),
    point(3, "running", 1, 3, 1),
    point(4, "running", 0, 3, 1),
    point(5, "finished", null, 3, 1),
    point(6, "pending", null, null, null),
    point(7, "unfinished", 2, 2, 2),
  ];
  const { groups, missing } = grouped(points, new Set([4]), [0, 1]);
  const numbers = Object.fromEntries(Object.entries(groups).map(([name, all]) => [name, all.map((one) => one.number)]));
  assert.deepEqual(numbers, { other: [0, 7], stopped: [1], failed: [2], running: [3], front: [4] });
  assert.equal(missing, 1, "a trial that has not started is not missing");
  assert.equal(grouped(points, new Set(), [0, 2]).missing, 2);
});

test("the front is never thinned", () => {
  const points = Array.from({ length: 10_000 }, (_, number) => point(number, "finished", number, number));
  const { groups } = grouped(points, new Set(points.slice(0, 5000).map(({ number }) => number)), [0, 1]);
  assert.deepEqual([groups.front.length, groups.other.length], [5000, 4000]);
  assert.deepEqual([thinned(points, 3)[0].number, thinned(points, 3)[2].number], [0, 9999]);
});

test("the steps of the border enclose what is dominated", () => {
  const front = [point(0, "finished", 3, 1), point(1, "finished", 1, 2)];
  assert.deepEqual(border(front, "min"), { x: [1, 3], y: [2, 1], shape: "hv" });
  assert.equal(border(front, "max").shape, "vh");
});

test("the texts", () => {
  assert.equal(noteText({ front: 2, drawn: 9, missing: 0, hidden: 0 }), "2 of 9 trials on the Pareto front");
  assert.equal(
    noteText({ front: 2, drawn: 9, missing: 1, hidden: 3 }),
    "2 of 9 trials on the Pareto front; 1 without a value of each objective; 3 points are not drawn",
  );
  assert.equal(axisTitle(["latency", "min"]), "latency (lower is better)");
});
