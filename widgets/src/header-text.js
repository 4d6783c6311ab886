// The header's texts and numbers; pure functions without the DOM. See ../README.md.

import { statusWord } from "./page.js";

const ORDER = ["running", "paused", "finished", "stopped", "failed", "unfinished"];
const SILENCE = 10; // seconds without a message, after which the kernel counts as silent

/**
 * Return seconds as m:ss or h:mm:ss.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * Return the estimated remaining time with its range as text.
 * @param {{low: number, likely: number, high: number}} remaining seconds
 * @param {number} since how many seconds ago that was estimated
 */
export function remainingText({ low, likely, high }, since) {
  const [least, about, most] = [low, likely, high].map((seconds) => duration(Math.max(1, seconds - since)));
  return `about ${about} left${least === most ? "" : ` (${least} to ${most})`}`;
}

/**
 * Return where the best value comes from, as text: a trial with its iteration, or the repeats of a configuration.
 * @param {{trial: number | null, iteration?: number | null, note?: string}} best
 */
export function originText({ trial, iteration, note }) {
  if (note) return `(${note})`;
  if (trial === null) return "";
  return `(trial ${trial}${iteration == null ? "" : `, iteration ${iteration}`})`;
}

/**
 * Return how many trials run at once as text, and the workers of each with what limits their number.
 * @param {number | null} concurrent
 * @param {string} workers of each trial
 * @param {string} limitedBy
 * @returns {[string, string]}
 */
export function concurrencyText(concurrent, workers, limitedBy) {
  if (concurrent === null) return ["", ""];
  return [`${concurrent} at once`, (workers && `, ${workers} each`) + (limitedBy && `, limited by ${limitedBy}`)];
}

/**
 * Return the counts as text, without those that are zero; "running" is always shown while the experiment runs.
 * @param {Record<string, number>} counts
 * @param {boolean} live
 */
export function countText(counts, live) {
  const shown = ORDER.filter((status) => counts?.[status] || (live && status === "running"));
  return shown.map((status) => `${counts?.[status] ?? 0} ${statusWord(status)}`).join(" · ");
}

/**
 * Return the segments of the progress bar in their order, each with its share of the total.
 * @param {Record<string, number>} counts
 * @param {number} total
 * @returns {[string, number][]}
 */
export function segments(counts, total) {
  const order = ["finished", "stopped", "failed", "running", "paused"];
  const sum = order.reduce((all, status) => all + (counts?.[status] ?? 0), 0);
  const whole = Math.max(total || 0, sum, 1);
  return order.map((status) => [status, (counts?.[status] ?? 0) / whole]);
}

/**
 * Return the limit of concurrent trials after a step up or down; null for no limit.
 * @param {number | null} limit
 * @param {number | null} concurrent how many fit on the cluster, if that is known
 * @param {number} step
 */
export function steppedLimit(limit, concurrent, step) {
  if (limit === null && step > 0) return null;
  return Math.max(1, (limit ?? concurrent ?? 1) + step);
}

/**
 * Return a typed text as a count, or the error.
 * @param {string} text
 * @returns {number | string}
 */
export function readCount(text) {
  const count = Number(text.trim() || Number.NaN);
  return Number.isSafeInteger(count) && count >= 1 ? count : "expected an integer >= 1";
}

/**
 * Return the message about a kernel that sends nothing, in three parts (the duration alone changes every second), or
 * null.
 * @param {boolean} live whether the experiment runs
 * @param {boolean} closed whether the connection is known to be closed
 * @param {number} silent seconds since the kernel's last message
 * @param {string} reconnect how to get back to the experiment
 * @returns {[string, string, string] | null}
 */
export function silence(live, closed, silent, reconnect) {
  if (!live || (!closed && silent < SILENCE)) return null;
  const hint = reconnect ? ` ${reconnect}` : "";
  if (closed) return ["No connection to the kernel.", "", hint];
  const elapsed = silent < 60 ? `${Math.floor(silent)} s` : duration(silent);
  return ["No message from the kernel for ", elapsed, `.${hint}`];
}
