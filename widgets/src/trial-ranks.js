// The texts and numbers of a distributed trial's workers; pure functions without the DOM. See ../README.md.

import { format } from "./page.js";

/** @typedef {[number, string, string, number, number | null, number | null, number | null, any, boolean]} Worker
 *   rank, node, GPUs, iteration, seconds, waited, CPU, value of the metric, whether it is a straggler */
/** @typedef {{ranks: number[], metric: string | null, rows: Worker[]}} Workers */

const SECONDS = 4; // index of the seconds in a worker's row
const MAX_NAMED = 3; // stragglers that the title names

/** The headers of the table with their tooltips; that of the metric is added at the end. @type {[string, string][]} */
export const WORKER_HEADERS = [
  ["rank", ""],
  ["node", ""],
  ["GPU", ""],
  ["iteration", ""],
  ["seconds", "own time between two reports, without waiting; median of the last 10 reports"],
  ["waited (s)", "time that it waited for the other workers at a report; median of the last 10 reports"],
  [
    "CPU (s)",
    "CPU time of its process between two reports; median of the last 10 reports." +
      " Where workers wait for each other at every step, their seconds are equal, and the CPU time shows the slow one",
  ],
];

/**
 * Return a worker's cells as texts, in the order of the headers.
 * @param {Worker} worker
 */
export function workerTexts([rank, node, gpus, iteration, seconds, waited, cpu, value]) {
  const numbers = [seconds, waited, cpu].map((one) => (one === null ? "–" : format(one)));
  return [
    String(rank),
    node || "–",
    gpus || "–",
    format(iteration),
    ...numbers,
    value === null || value === "" ? "–" : format(value),
  ];
}

/**
 * Return the length of a worker's bar, from 0 to 1 for the slowest worker.
 * @param {Worker} worker
 * @param {Worker[]} all
 */
export function secondsShare(worker, all) {
  const longest = Math.max(...all.map((one) => one[SECONDS] ?? 0));
  return longest > 0 ? (worker[SECONDS] ?? 0) / longest : 0;
}

/**
 * Return the title of the table: how many workers there are, and which are stragglers.
 * @param {Worker[]} all
 */
export function workersTitle(all) {
  const slow = all.filter((one) => one[8]).map(([rank]) => rank);
  const count = `${all.length} ${all.length === 1 ? "worker" : "workers"}`;
  if (!slow.length) return count;
  const more = slow.length > MAX_NAMED ? ` and ${slow.length - MAX_NAMED} more` : "";
  return `${count}; ${slow.length === 1 ? "straggler: rank" : "stragglers: ranks"} ${slow.slice(0, MAX_NAMED).join(", ")}${more}`;
}
