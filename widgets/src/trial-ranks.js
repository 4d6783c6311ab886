// The workers of a distributed trial as texts and numbers, without a browser. See ../README.md.

import { format } from "./page.js";

/** @typedef {[number, string, string, number, number | null, number | null, number | null, any, boolean]} Worker
 *   rank, node, GPUs, iteration, seconds, waited, CPU, value of the metric, whether it is a straggler */
/** @typedef {{ranks: number[], metric: string | null, rows: Worker[]}} Workers */

const SECONDS = 4; // where a worker's seconds stand in its row
const LISTED = 3; // stragglers that are named

/** The heads of the table; the metric's own comes last. @type {[string, string][]} */
export const WORKER_HEADS = [
  ["rank", ""],
  ["node", ""],
  ["GPU", ""],
  ["iteration", ""],
  ["seconds", "of its own from one report to the next, without waiting: the median of its last 10 reports"],
  ["waited (s)", "for the other workers, at each report: the median of its last 10 reports"],
  [
    "CPU (s)",
    "that its process has used, from one report to the next: the median of its last 10 reports." +
      " Workers that wait for each other at every step all take the same seconds: there this tells who is slow",
  ],
];

/**
 * A worker's cells as texts, in the order of the heads.
 * @param {Worker} worker
 */
export function workerTexts([rank, node, gpus, iteration, seconds, waited, cpu, value]) {
  const numbers = [seconds, waited, cpu].map((one) => (one === null ? "–" : format(one)));
  return [String(rank), node || "–", gpus || "–", format(iteration), ...numbers, value === null ? "–" : format(value)];
}

/**
 * How long a worker's bar is, from 0 to 1: the slowest one's is whole.
 * @param {Worker} worker
 * @param {Worker[]} all
 */
export function secondsShare(worker, all) {
  const longest = Math.max(...all.map((one) => one[SECONDS] ?? 0));
  return longest > 0 ? (worker[SECONDS] ?? 0) / longest : 0;
}

/**
 * How many workers there are, and which of them are slow.
 * @param {Worker[]} all
 */
export function workersTitle(all) {
  const slow = all.filter((one) => one[8]).map(([rank]) => rank);
  const count = `${all.length} ${all.length === 1 ? "worker" : "workers"}`;
  if (!slow.length) return count;
  const more = slow.length > LISTED ? ` and ${slow.length - LISTED} more` : "";
  return `${count}; ${slow.length === 1 ? "straggler: rank" : "stragglers: ranks"} ${slow.slice(0, LISTED).join(", ")}${more}`;
}
