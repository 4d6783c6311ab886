// The rows of the table without a browser: their texts, their order, the filter, which are in sight. See ../README.md.

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

export const ROW_HEIGHT = 26; // px, of a row and of the head, as in trials.css
const MOST_HEIGHT = 320; // px, of what scrolls, as there
const STATUSES = ["pending", "running", "paused", "unfinished", "finished", "stopped", "failed"]; // as they are sorted
const SPECIAL = ["NaN", "Infinity", "-Infinity"];
const QUOTED = `"[^"]*"|'[^']*'`;
/** @type {Record<string, (a: number, b: number) => boolean>} */
const ORDERS = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/** @param {string | undefined} status */
export const isLive = (status) => status === "pending" || status === "running" || status === "paused";

/** @type {WeakMap<Row, string[]>} */
const written = new WeakMap();

/**
 * The texts of a row's entries, made once.
 * @param {Row} row
 */
export function texts(row) {
  let known = written.get(row);
  if (!known) {
    known = row.map((entry, i) => (i === 1 ? statusWord(row[1]) : format(entry)));
    written.set(row, known);
  }
  return known;
}

/**
 * A cell as a number; NaN where it is none.
 * @param {Cell} cell
 */
export function numeric(cell) {
  if (cell === null || cell === undefined) return Number.NaN;
  return typeof cell === "string" && !SPECIAL.includes(cell) ? Number.NaN : Number(cell);
}

/**
 * 0 for a number, 1 for text, 2 for what is missing.
 * @param {Cell} cell
 */
function rank(cell) {
  if (cell === null || cell === undefined || cell === "NaN") return 2;
  return Number.isNaN(numeric(cell)) ? 1 : 0;
}

/**
 * How two cells are ordered: numbers, then text. What is missing is last in both directions.
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
 * How rows are ordered by one of their entries.
 * @param {number} index
 * @param {number} direction
 * @returns {(a: Row, b: Row) => number}
 */
export function comparator(index, direction) {
  if (index === 1) return (a, b) => (STATUSES.indexOf(a[1]) - STATUSES.indexOf(b[1])) * direction || a[0] - b[0];
  return (a, b) => compareCells(a[index], b[index], direction) || a[0] - b[0];
}

/**
 * A filter of words and comparisons, all of which must hold.
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
 * The parts of a filter: a name, a sign and a value, or else a word. The longest name that fits is taken.
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
 * The test of a single word, or what is wrong with it.
 * @param {string} word
 * @returns {Test | string}
 */
function wordTest(word) {
  if (/^[<>=!]/.test(word)) return `a column is missing before ${word}`;
  const wanted = unquoted(word).toLowerCase();
  if (wanted === "and") return () => true;
  return (row) => texts(row).some((text) => text.toLowerCase().includes(wanted));
}

/**
 * The test of a comparison, or what is wrong with it.
 * @param {string[][]} names of each entry
 * @param {string} name
 * @param {string} sign
 * @param {string | undefined} value
 * @returns {Test | string}
 */
function comparison(names, name, sign, value) {
  const index = entryNamed(names, name);
  if (index < 0) return `no column is named ${name}`;
  if (!value) return `a value is missing after ${sign}`;
  const wanted = unquoted(value).toLowerCase();
  const number = Number(wanted.replace(/^([+-]?)inf(inity)?$/, "$1Infinity") || Number.NaN);
  const holds = ORDERS[sign];
  if (holds) {
    if (Number.isNaN(number)) return `${wanted} is not a number`;
    return (row) => holds(numeric(row[index]), number);
  }
  const alike = wanted === "none" ? ["", "none"] : [wanted];
  if (index === 1 && wanted === "stopped") alike.push(statusWord(wanted));
  const equal = sign !== "!=";
  return (row) => (numeric(row[index]) === number || alike.includes(texts(row)[index]?.toLowerCase())) === equal;
}

/**
 * Which entry has a name, letter by letter or else but for capitals; -1 where none has.
 * @param {string[][]} names of each entry
 * @param {string} name
 */
function entryNamed(names, name) {
  const exact = names.findIndex((known) => known.includes(name));
  if (exact >= 0) return exact;
  return names.findIndex((known) => known.some((one) => one.toLowerCase() === name.toLowerCase()));
}

/**
 * Take in the rows of a `table` message.
 * @param {Map<number, Row>} rows
 * @param {{reset?: boolean, rows: Row[]}} message
 */
export function mergeRows(rows, message) {
  if (message.reset) rows.clear();
  for (const row of message.rows) rows.set(row[0], row);
}

/**
 * Which rows to have in the document: the first, and the one after the last.
 * @param {number} top px above those in sight
 * @param {number} count
 */
export function visibleWindow(top, count, height = MOST_HEIGHT, overscan = 8) {
  const lastTop = Math.max(0, count - Math.floor(height / ROW_HEIGHT));
  const first = Math.min(Math.floor(Math.max(top, 0) / ROW_HEIGHT), lastTop);
  return [Math.max(0, first - overscan), Math.min(count, first + Math.ceil(height / ROW_HEIGHT) + overscan)];
}
