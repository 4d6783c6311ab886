// What a filter of the table is made of: functions of a row; pure, without the DOM. See ../README.md.

import { numeric, texts } from "./trial-rows.js";

/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {(row: Row) => boolean | null} Truth null where a value is missing: neither true nor false, and so is its `not` */
/** @typedef {(row: Row) => number | null} Value null where it is missing, or text */
/** @typedef {{truth: Truth, reading: string, joined: boolean}} Condition `reading`: as text; `joined`: by and, or */

export const STATUS = 1; // index of a row's status

/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARISONS = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "==": (a, b) => a === b,
};
/** @type {Record<string, (a: number, b: number) => number>} */
const CALCULATIONS = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

/**
 * Return conditions joined by a word.
 * @param {Condition[]} parts
 * @param {string} word
 * @param {boolean} decisive the truth of a part that decides: true for "or"
 * @returns {Condition}
 */
export function joined(parts, word, decisive) {
  if (parts.length === 1) return parts[0];
  const truth = (/** @type {Row} */ row) => {
    let unknown = false;
    for (const part of parts) {
      const is = part.truth(row);
      if (is === decisive) return decisive;
      unknown ||= is === null;
    }
    return unknown ? null : !decisive;
  };
  return { truth, reading: parts.map(bracketed).join(` ${word} `), joined: true };
}

/** @param {Condition} condition */
const bracketed = ({ reading, joined }) => (joined ? `(${reading})` : reading);

/** @param {Truth} truth @returns {Truth} */
export const opposite = (truth) => (row) => {
  const is = truth(row);
  return is === null ? null : !is;
};

/** @param {Condition} condition @returns {Condition} */
export const negated = (condition) => ({
  truth: opposite(condition.truth),
  reading: `not ${bracketed(condition)}`,
  joined: false,
});

/** @param {string} sign @param {Value} left @param {Value} right @returns {Truth} */
export const compared = (sign, left, right) => (row) => {
  const [a, b] = [left(row), right(row)];
  return a === null || b === null ? null : COMPARISONS[sign](a, b);
};

/** A quotient by zero is missing. @param {string} sign @param {Value} left @param {Value} right @returns {Value} */
export const calculated = (sign, left, right) => (row) => {
  const [a, b] = [left(row), right(row)];
  return a === null || b === null || (sign === "/" && b === 0) ? null : CALCULATIONS[sign](a, b);
};

/** Whether any entry of a row has a text. @param {string} wanted in lower case @returns {Truth} */
export const contains = (wanted) => (row) => texts(row).some((text) => text.toLowerCase().includes(wanted));

/** Whether an entry is None, missing or the text "none". @param {number} entry @returns {Truth} */
export const noneOrText = (entry) => (row) => {
  const cell = row[entry];
  return cell === null || cell === undefined || cell === "" || texts(row)[entry].toLowerCase() === "none";
};

/**
 * Return whether an entry has a value, or is shown like it.
 * @param {number} entry
 * @param {string} wanted in lower case
 * @param {number | null} number the same as a number
 * @returns {Truth}
 */
export const equals = (entry, wanted, number) => (row) => {
  const cell = row[entry];
  if (cell === "" || cell === undefined) return null;
  if (number !== null && numeric(cell) === number) return true;
  if (entry === STATUS && row[STATUS] === wanted) return true;
  return texts(row)[entry].toLowerCase() === wanted;
};

/** The number of an entry, which may be NaN; null for text and missing values. @param {number} entry @returns {Value} */
export const numberOf = (entry) => (row) => {
  const number = numeric(row[entry]);
  return Number.isNaN(number) && row[entry] !== "NaN" ? null : number;
};
