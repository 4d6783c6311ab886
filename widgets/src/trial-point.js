// A point of one's own, from what was typed to what is sent, without a browser. See ../README.md.

/** @typedef {import("./trial-rows.js").Cell} Cell */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {{value: any} | {error: string}} Read */

/** The parameters that can be given: those of the space.
 * @param {Column[]} columns */
export const pointColumns = (columns) => columns.filter((column) => column.role === "param" && column.kind);

/** @param {Column} column */
export const parameterOf = (column) => column.key.slice(column.key.indexOf("/") + 1);

/** A cell as it is typed: with all its digits.
 * @param {Cell} cell */
export const typed = (cell) =>
  cell === null || cell === undefined ? "None" : typeof cell === "boolean" ? (cell ? "True" : "False") : String(cell);

/**
 * Read what was typed for a parameter, as its kind says.
 * @param {string | null | undefined} kind
 * @param {string} text
 * @returns {Read}
 */
export function readValue(kind, text) {
  const plain = text.trim();
  if (!plain) return { error: "a value is needed" };
  if (kind === "int") {
    const whole = /^[+-]?\d+(_\d+)*$/.test(plain) ? Number(plain.replaceAll("_", "")) : Number.NaN;
    if (Number.isNaN(whole)) return { error: "a whole number is needed" };
    return Number.isSafeInteger(whole) ? { value: whole } : { error: "too large: give it in Python" };
  }
  if (kind === "float") {
    const number = /^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)
      ? Number(plain.replaceAll("_", ""))
      : Number.NaN;
    return Number.isFinite(number) ? { value: number } : { error: "a number is needed" };
  }
  return { value: anyValue(plain) };
}

/**
 * A value of any kind: what JSON or Python would read, else text.
 * @param {string} text
 */
function anyValue(text) {
  const words = /** @type {Record<string, any>} */ ({ None: null, True: true, False: false });
  if (Object.hasOwn(words, text)) return words[text];
  const quoted = /^'([^'\\]*)'$/.exec(text);
  if (quoted) return quoted[1];
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * The point of a form, or what is wrong with its fields. What is as it was is not sent: a clone has it from its
 * trial, and of a new point it is sampled.
 * @param {Column[]} columns
 * @param {string[]} texts of each field; of a choice the position of its value
 * @param {string[]} before the same, as the form was opened
 * @returns {{config: Record<string, any>, errors: string[]}} errors: one for each field, empty where it is right
 */
export function readPoint(columns, texts, before) {
  /** @type {Record<string, any>} */
  const config = {};
  const errors = columns.map((column, i) => {
    if (texts[i] === before[i]) return "";
    const choices = column.kind === "choice" ? (column.choices ?? []) : null;
    const read = choices ? { value: choices[Number(texts[i])] } : readValue(column.kind, texts[i]);
    if ("error" in read) return read.error;
    config[parameterOf(column)] = read.value;
    return "";
  });
  return { config, errors };
}
