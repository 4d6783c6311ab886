// The rows of the table: texts, order, filter, visible window; pure functions without the DOM. See ../README.md.

import { format, statusWord } from "./page.js";

/** @typedef {number | string | boolean | null | undefined} Cell */
/**
 * @typedef {{key: string, label: string, role: string, kind?: string | null, space?: string, choices?: Cell[] | null}} Column
 */
/**
 * A row's entries: 0 is the trial's number, 1 its status, then come the cells.
 * @typedef {[number, string, ...Cell[]]} Row
 */
/** @typedef {(row: Row) => boolean} Test */

export const ROW_HEIGHT = 26; // px of a row and of the header, as in trials.css
const MAX_HEIGHT = 320; // px of the scrolling area, as in trials.css
const STATUSES = ["pending", "running", "paused", "unfinished", "finished", "stopped", "failed"]; // as they are sorted
const SPECIAL = ["NaN", "Infinity", "-Infinity"];
const QUOTED = `"[^"]*"|'[^']*'`;
/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARISONS = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/** @param {string | undefined} status */
export const isLive = (status) => status === "pending" || status === "running" || status === "paused";

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
  if (cell === null || cell === undefined || cell === "NaN") return 2;
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
 * Parse a filter: words and comparisons, all of which must hold.
 * @param {string} text
 * @param {Column[]} columns
 */
export function parseFilter(text, columns) {
  const names = [["trial"], ["status"], ...columns.map((column) => [column.label, column.key])];
  /** @type {Test[]} */
  const tests = [];
  let error = "";
  for (const [, name, sign, value, word] of text.matchAll(filterPattern(names.flat()))) {
    const part = word ? wordTest(word) : comparison(names, unquoted(name), sign, value);
    if (typeof part === "string") error ||= part;
    else tests.push(part);
  }
  return { error, test: (/** @type {Row} */ row) => tests.every((test) => test(row)) };
}

/**
 * Return the pattern of a filter's parts: a name, an operator and a value, or a word. The longest name wins.
 * @param {string[]} names
 */
function filterPattern(names) {
  const longestFirst = names.filter(Boolean).sort((a, b) => b.length - a.length);
  const known = longestFirst.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const name = `(${known}|${QUOTED}|[^\\s<>=!"']+)`;
  const sign = "([<>]=?|==?|!=)";
  const value = `(${QUOTED}|[^\\s<>=!]+)?`;
  return new RegExp(`${name}\\s*${sign}\\s*${value}|(${QUOTED}|\\S+)`, "gi");
}

/** @param {string} part */
const unquoted = (part) => part.replace(/^(["'])(.*)\1$/, "$2");

/**
 * Return the test of a single word, or the error.
 * @param {string} word
 * @returns {Test | string}
 */
function wordTest(word) {
  if (/^[<>=!]/.test(word)) return `expected a column name before ${word}`;
  const wanted = unquoted(word).toLowerCase();
  if (wanted === "and") return () => true;
  return (row) => texts(row).some((text) => text.toLowerCase().includes(wanted));
}

/**
 * Return the test of a comparison, or the error.
 * @param {string[][]} names of each entry
 * @param {string} name
 * @param {string} sign
 * @param {string | undefined} value
 * @returns {Test | string}
 */
function comparison(names, name, sign, value) {
  const index = entryNamed(names, name);
  if (index < 0) return `unknown column ${name}`;
  if (!value) return `expected a value after ${sign}`;
  const wanted = unquoted(value).toLowerCase();
  const number = Number(wanted.replace(/^([+-]?)inf(inity)?$/, "$1Infinity") || Number.NaN);
  const holds = COMPARISONS[sign];
  if (holds) {
    if (Number.isNaN(number)) return `expected a number after ${sign}, got ${wanted}`;
    return (row) => holds(numeric(row[index]), number);
  }
  const alike = wanted === "none" ? ["", "none"] : [wanted];
  if (index === 1 && wanted === "stopped") alike.push(statusWord(wanted));
  const equal = sign !== "!=";
  return (row) => (numeric(row[index]) === number || alike.includes(texts(row)[index]?.toLowerCase())) === equal;
}

/**
 * Return the index of the entry with a name, preferably with the same case; -1 where there is none.
 * @param {string[][]} names of each entry
 * @param {string} name
 */
function entryNamed(names, name) {
  const exact = names.findIndex((known) => known.includes(name));
  if (exact >= 0) return exact;
  return names.findIndex((known) => known.some((one) => one.toLowerCase() === name.toLowerCase()));
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
