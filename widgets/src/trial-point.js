// A point to try next, from the typed texts to the message; pure functions without the DOM. See ../README.md.

/** @typedef {import("./trial-rows.js").Cell} Cell */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {{value: any} | {error: string}} Read */

/** Return the columns that a point may have: the parameters of the space.
 * @param {Column[]} columns */
export const pointColumns = (columns) => columns.filter((column) => column.role === "param" && column.kind);

/** @param {Column} column */
export const parameterOf = (column) => column.key.slice(column.key.indexOf("/") + 1);

/** Return a cell as it is typed: with all its digits.
 * @param {Cell} cell */
export const toTyped = (cell) =>
  cell === null || cell === undefined ? "None" : typeof cell === "boolean" ? (cell ? "True" : "False") : String(cell);

/**
 * Read a typed text as a value of a parameter.
 * @param {string | null | undefined} kind
 * @param {string} text
 * @returns {Read}
 */
export function readValue(kind, text) {
  const plain = text.trim();
  if (!plain) return { error: "expected a value" };
  if (kind === "int") {
    const whole = /^[+-]?\d+(_\d+)*$/.test(plain) ? Number(plain.replaceAll("_", "")) : Number.NaN;
    if (Number.isNaN(whole)) return { error: "expected an integer" };
    return Number.isSafeInteger(whole)
      ? { value: whole }
      : { error: "too large for this form: use experiment.add in Python" };
  }
  if (kind === "float") {
    const number = /^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)
      ? Number(plain.replaceAll("_", ""))
      : Number.NaN;
    return Number.isFinite(number) ? { value: number } : { error: "expected a number" };
  }
  return { value: anyValue(plain) };
}

/**
 * Read a value of any kind: as JSON or as a Python literal, otherwise as text.
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
 * Read the fields of the form. Unchanged ones are not part of the point: a clone takes them from its trial, and those of
 * a new point are sampled.
 * @param {Column[]} columns
 * @param {string[]} texts of each field; of a choice the index of its value
 * @param {string[]} before the texts when the form was opened
 * @returns {{config: Record<string, any>, errors: string[]}} errors: one for each field, empty where it is valid
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
