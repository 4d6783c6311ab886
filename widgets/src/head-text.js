// The head's words and numbers, without a browser. See ../README.md.

import { statusWord } from "./page.js";

const ORDER = ["running", "paused", "finished", "stopped", "failed", "unfinished"];
const SILENCE = 10; // seconds

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
 * Return the time that may be left, as text, with its spread.
 * @param {{low: number, likely: number, high: number}} left seconds
 * @param {number} since how many seconds ago that was
 */
export function leftText({ low, likely, high }, since) {
  const [least, about, most] = [low, likely, high].map((seconds) => duration(Math.max(1, seconds - since)));
  return `about ${about} left${least === most ? "" : ` (${least} to ${most})`}`;
}

/**
 * Return how many run at once, and what they are and what limits them, as text.
 * @param {number | null} atOnce
 * @param {string} workers of each
 * @param {string} limitedBy
 * @returns {[string, string]}
 */
export function atOnceText(atOnce, workers, limitedBy) {
  if (atOnce === null) return ["", ""];
  return [`${atOnce} at once`, (workers && `, ${workers} each`) + (limitedBy && `, limited by ${limitedBy}`)];
}

/**
 * Return the counts as text: those that are zero are left out, but "running" stays while it runs.
 * @param {Record<string, number>} counts
 * @param {boolean} live
 */
export function countText(counts, live) {
  const shown = ORDER.filter((status) => counts?.[status] || (live && status === "running"));
  return shown.map((status) => `${counts?.[status] ?? 0} ${statusWord(status)}`).join(" · ");
}

/**
 * Return the bar's segments in their order, with each one's share of the whole.
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
 * Return how many trials may run at once after a step up or down, null for as many as fit.
 * @param {number | null} limit
 * @param {number | null} atOnce how many can, as far as is known
 * @param {number} step
 */
export function steppedLimit(limit, atOnce, step) {
  if (limit === null && step > 0) return null;
  return Math.max(1, (limit ?? atOnce ?? 1) + step);
}

/**
 * Return what was typed as a count, or what is wrong with it.
 * @param {string} text
 * @returns {number | string}
 */
export function readCount(text) {
  const count = Number(text.trim() || Number.NaN);
  if (!Number.isSafeInteger(count)) return "a whole number is needed";
  return count < 1 ? "1 or more" : count;
}

/**
 * Return what to say of a silent kernel, or null: [before, how long, after].
 * @param {{ live: boolean, gone: string }} state
 * @param {boolean} closed whether the connection is known to be closed
 * @param {number} silent seconds since the kernel's last word
 * @returns {[string, string, string] | null}
 */
export function silence(state, closed, silent) {
  if (!state.live || (!closed && silent < SILENCE)) return null;
  const after = state.gone ? ` ${state.gone}` : "";
  if (closed) return ["The kernel is gone.", "", after];
  return ["No word from the kernel for ", silent < 60 ? `${Math.floor(silent)} s` : duration(silent), `.${after}`];
}
