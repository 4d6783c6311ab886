// The columns of the table: which are shown, in which order, and which has the best trials; no DOM. See ../README.md.

import { format } from "./page.js";
import { texts } from "./trial-rows.js";

/** @typedef {import("./trial-rows.js").Cell} Cell */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {[key: string, shown: boolean][]} Arrangement the user's choice; columns that it lacks come after the others */
/** @typedef {{key: string, label: string, entry: number, shown: boolean}} Choice `entry`: index in a row */

/**
 * Return all columns but those of the number and the status, in the user's order.
 * @param {Column[]} columns
 * @param {Arrangement} arrangement empty for the columns as they come
 * @returns {Choice[]}
 */
export function arrange(columns, arrangement) {
  const place = new Map(arrangement.map(([key, shown], i) => [key, { i, shown }]));
  const all = columns.map(({ key, label }, i) => ({ key, label, entry: i + 2, shown: place.get(key)?.shown ?? true }));
  const at = (/** @type {Choice} */ { key }) => place.get(key)?.i ?? arrangement.length;
  return all.sort((a, b) => at(a) - at(b) || a.entry - b.entry);
}

/**
 * Return the arrangement after a column has moved.
 * @param {Choice[]} choices
 * @param {number} from
 * @param {number} to
 * @returns {Arrangement}
 */
export function moved(choices, from, to) {
  const list = choices.toSpliced(from, 1);
  list.splice(to, 0, choices[from]);
  return list.map(({ key, shown }) => [key, shown]);
}

/**
 * Return the entry of the value by which trials are compared, and the mode of its objective; null without any. With
 * several objectives it is the first one's.
 * @param {Column[]} columns
 * @param {[metric: string, mode: string][]} objectives
 */
export function bestEntry(columns, objectives) {
  if (!objectives.length || !objectives[0][1]) return null;
  const [metric, mode] = objectives[0];
  const keys = ["mean", "value", "metric"].map((role) => `${role}/${metric}`);
  const found = keys.map((key) => columns.findIndex((column) => column.key === key)).find((i) => i >= 0);
  return found === undefined ? null : { entry: found + 2, mode };
}

/**
 * Return a cell for a file: with all its digits, as pandas writes and reads them.
 * @param {Cell} cell
 */
function exported(cell) {
  if (typeof cell === "number") return String(cell);
  if (cell === "Infinity" || cell === "-Infinity") return cell.replace("Infinity", "inf");
  return format(cell);
}

/**
 * Return rows as the lines of a file, after one with the names of the columns.
 * @param {Row[]} rows
 * @param {Choice[]} choices the columns after the number and the status
 * @param {"," | "\t"} separator
 */
export function exportedRows(rows, choices, separator) {
  const field = (/** @type {string} */ text) => {
    if (separator === "\t") return text.replace(/[\t\r\n]+/g, " ");
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = ["trial", "status", ...choices.map(({ key, label }) => (key === "time_s" ? key : label))];
  const lines = rows.map((row) => [String(row[0]), texts(row)[1], ...choices.map(({ entry }) => exported(row[entry]))]);
  return [names, ...lines].map((line) => `${line.map(field).join(separator)}\n`).join("");
}
