import assert from "node:assert/strict";
import { test } from "node:test";
import { amountBefore, checkpointText, curveText, linesWith, placeText, sparkline } from "../src/trial-numbers.js";

test("a small curve has gaps where values are missing, and points between gaps", () => {
  assert.equal(sparkline([1, 2, 3], [0, 1, 0.5], 100, 10), "M0.0 10.0L50.0 0.0L100.0 5.0");
  assert.equal(sparkline([1, 2, 3], [0, null, 1], 100, 10), "M0.0 10.0h0.1M100.0 0.0h0.1");
  assert.equal(sparkline([1, 2, 3, 4], [null, 1, 1, null], 90, 10), "M30.0 5.0L60.0 5.0");
  assert.equal(sparkline([1], [3], 100, 10), "");
  assert.equal(sparkline([1, 2], [null, null], 100, 10), "");
});

test("a small curve in words", () => {
  assert.equal(curveText("loss", [3, null, 1, 2], String), "loss: from 3 to 2, lowest 1, highest 3");
  assert.equal(curveText("loss", [null], String), "");
});

test("where a report was made, and which checkpoints exist", () => {
  assert.equal(placeText([3, 1.5], String), "iteration 3, 1.5 s");
  assert.equal(placeText([3, null], String), "iteration 3");
  assert.equal(checkpointText([], null), "");
  assert.equal(checkpointText([5], 5), "checkpoint of iteration 5");
  assert.equal(checkpointText([5, 10], 5), "2 checkpoints of iteration 5, 10; .checkpoint is that of iteration 5");
  assert.match(checkpointText([1, 2, 3, 4, 5, 6, 7], null), /^7 checkpoints of iteration … 2, 3, 4, 5, 6, 7$/);
});

test("lines of a log with a text, and how much is left out", () => {
  assert.deepEqual(linesWith("a\nB\nab\n", "b"), { lines: ["B", "ab"], all: 3 });
  assert.deepEqual(linesWith("a\nb", " "), { lines: ["a", "b"], all: 2 });
  assert.deepEqual([999, 1234, 12_345, 1_234_567].map(amountBefore), ["999 bytes", "1.2 kB", "12 kB", "1.2 MB"]);
});
