import assert from "node:assert/strict";
import { test } from "node:test";
import { secondsShare, WORKER_HEADERS, workersTitle, workerTexts } from "../src/trial-ranks.js";

/** @typedef {import("../src/trial-ranks.js").Worker} Worker */

/**
 * @param {number} rank
 * @param {number | null} seconds
 * @param {boolean} [slow]
 * @returns {Worker}
 */
const worker = (rank, seconds, slow = false) => [rank, "10.0.0.1", "0, 1", 12, seconds, 0.25, null, "NaN", slow];

test("the cells of a worker are texts, with a dash for unknown values", () => {
  assert.deepEqual(workerTexts(worker(3, 0.123456)), ["3", "10.0.0.1", "0, 1", "12", "0.1235", "0.25", "–", "NaN"]);
  assert.deepEqual(workerTexts([0, "", "", 0, null, null, null, null, false]), [
    "0",
    "–",
    "–",
    "0",
    ...Array(4).fill("–"),
  ]);
  assert.equal(workerTexts(worker(0, 1)).length, WORKER_HEADERS.length + 1);
});

test("the bar of the slowest worker is full", () => {
  const all = [worker(0, 0.5), worker(1, 2), worker(2, null)];
  assert.deepEqual(
    all.map((one) => secondsShare(one, all)),
    [0.25, 1, 0],
  );
  const none = [worker(0, null), worker(1, 0)];
  assert.deepEqual(
    none.map((one) => secondsShare(one, none)),
    [0, 0],
  );
});

test("the title counts the workers and names the stragglers", () => {
  const of = (/** @type {number[]} */ slow, count = 8) =>
    workersTitle(Array.from({ length: count }, (_, rank) => worker(rank, 1, slow.includes(rank))));
  assert.equal(of([], 1), "1 worker");
  assert.equal(of([]), "8 workers");
  assert.equal(of([5]), "8 workers; straggler: rank 5");
  assert.equal(of([1, 5]), "8 workers; stragglers: ranks 1, 5");
  assert.equal(of([1, 2, 3, 5, 7]), "8 workers; stragglers: ranks 1, 2, 3 and 2 more");
});
