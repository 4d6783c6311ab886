// The rows of the table: texts, order, visible window; pure functions without the DOM. See ../README.md.

import { format, statusWord } from "./page.js";

/** @typedef {number | string | boolean | null | undefined} Cell */
/**
 * @typedef {{key: string, label: string, role: string, kind?: string | null, space?: string, choices?: Cell[] | null}} Column
 */
/**
 * A row's entries: 0 is the trial's number, 1 its status, then come the cells.
 * @typedef {[number, string, ...Cell[]]} Row
 */

export const ROW_HEIGHT = 26; // px of a row and of the header, as in trials.css
export const MAX_HEIGHT = 320; // px of the scrolling area, as in trials.css
export const STATUSES = ["pending", "running", "paused", "unfinished", "finished", "stopped", "failed"]; // as they are sorted
const SPECIAL = ["NaN", "Infinity", "-Infinity"];

/** @param {string | undefined} status */
export const isLive = (status) => status === "pending" || status === "running" || status === "paused";

/**
 * Return a cell with all its digits.
 * @param {Cell} cell
 */
export const precise = (cell) => (typeof cell === "number" ? String(cell) : format(cell));

/** @type {WeakMap<Row, string[]>} */
const cachedTexts = new WeakMap();

/**
 * Return the texts of a row's entries, made once.
 * @param {Row} row
 */
export function texts(row) {
  let known = cachedTexts.get(row);
  if (!known) {
    known = row.map((entry, i) => (i === 1 ? statusWord(row[1]) : format(entry)));
    cachedTexts.set(row, known);
  }
  return known;
}

/**
 * Write a row's status in other words: by what the trial was stopped.
 * @param {Row} row
 * @param {string} words
 */
export function writeStatus(row, words) {
  if (words) texts(row)[1] = words;
}

/**
 * Return a cell as a number; NaN for text and missing values.
 * @param {Cell} cell
 */
export function numeric(cell) {
  if (cell === null || cell === undefined) return Number.NaN;
  return typeof cell === "string" && !SPECIAL.includes(cell) ? Number.NaN : Number(cell);
}

/**
 * Return 0 for a number, 1 for text, 2 for a missing value.
 * @param {Cell} cell
 */
function rank(cell) {
  if (cell === null || cell === undefined || cell === "" || cell === "NaN") return 2;
  return Number.isNaN(numeric(cell)) ? 1 : 0;
}

/**
 * Compare two cells: numbers come before text, missing values last in both directions.
 * @param {Cell} a
 * @param {Cell} b
 * @param {number} direction 1 for ascending, -1 for descending
 */
export function compareCells(a, b, direction) {
  if (typeof a === "number" && typeof b === "number") return a < b ? -direction : a > b ? direction : 0;
  const [rankA, rankB] = [rank(a), rank(b)];
  if (rankA !== rankB) return rankA === 2 || rankB === 2 ? rankA - rankB : (rankA - rankB) * direction;
  if (rankA === 2) return 0;
  const [x, y] = rankA === 0 ? [numeric(a), numeric(b)] : [String(a), String(b)];
  return x === y ? 0 : x < y ? -direction : direction;
}

/**
 * Return the comparison of rows by one of their entries.
 * @param {number} index
 * @param {number} direction
 * @returns {(a: Row, b: Row) => number}
 */
export function comparator(index, direction) {
  if (index === 1) return (a, b) => (STATUSES.indexOf(a[1]) - STATUSES.indexOf(b[1])) * direction || a[0] - b[0];
  return (a, b) => compareCells(a[index], b[index], direction) || a[0] - b[0];
}

/**
 * Return the comparison that has the best trials first: those on the Pareto front, the others with a value, those that
 * have failed, those without one.
 * @param {number} index of the entry of the value by which trials are compared
 * @param {string} mode
 * @param {Set<number>} front
 * @returns {(a: Row, b: Row) => number}
 */
export function bestFirst(index, mode, front) {
  const group = (/** @type {Row} */ row) =>
    rank(row[index]) !== 0 ? 3 : row[1] === "failed" ? 2 : front.has(row[0]) ? 0 : 1;
  const direction = mode === "min" ? 1 : -1;
  return (a, b) => group(a) - group(b) || compareCells(a[index], b[index], direction) || a[0] - b[0];
}

/**
 * Take the rows of a `table` message.
 * @param {Map<number, Row>} rows
 * @param {{reset?: boolean, rows: Row[]}} message
 */
export function mergeRows(rows, message) {
  if (message.reset) rows.clear();
  for (const row of message.rows) rows.set(row[0], row);
}

/**
 * Return which rows to have in the document: the index of the first, and that after the last.
 * @param {number} top px that are scrolled away above
 * @param {number} count
 */
export function visibleWindow(top, count, height = MAX_HEIGHT, overscan = 8) {
  const lastTop = Math.max(0, count - Math.floor(height / ROW_HEIGHT));
  const first = Math.min(Math.floor(Math.max(top, 0) / ROW_HEIGHT), lastTop);
  return [Math.max(0, first - overscan), Math.min(count, first + Math.ceil(height / ROW_HEIGHT) + overscan)];
}
