// The rows of the form on a space, without a browser: their kinds and fields, and what is done with them.

/** @typedef {{id: string, kind: string, log: boolean, [field: string]: any}} Row */
/** @typedef {{key: string, label: string, title: string, wide?: boolean, hint?: string}} Field */

const STEP = { key: "step", label: "step", title: "the values are multiples of it; empty: any value" };
/** @type {Record<string, {label: string, title: string, fields: Field[], log?: boolean}>} */
export const KINDS = {
  number: {
    label: "number",
    title: "a number between two bounds",
    fields: [
      { key: "lower", label: "lower", title: "the lower bound" },
      { key: "upper", label: "upper", title: "the upper bound" },
      STEP,
    ],
    log: true,
  },
  integer: {
    label: "integer",
    title: "a whole number between two bounds",
    fields: [
      { key: "lower", label: "lower", title: "the lower bound" },
      { key: "upper", label: "upper", title: "the upper bound" },
      STEP,
    ],
    log: true,
  },
  normal: {
    label: "normal",
    title: "a number of a normal distribution",
    fields: [
      { key: "mean", label: "mean", title: "the mean; 0 if empty", hint: "0" },
      { key: "sd", label: "sd", title: "the standard deviation; 1 if empty", hint: "1" },
      STEP,
    ],
  },
  choice: {
    label: "choice",
    title: "one of some values, drawn by chance",
    fields: [
      { key: "values", label: "", title: "values, with commas between them", wide: true, hint: '32, 64, "auto"' },
    ],
  },
  grid_search: {
    label: "grid",
    title: "each of some values, in as many trials",
    fields: [
      { key: "values", label: "", title: "values, with commas between them", wide: true, hint: '32, 64, "auto"' },
    ],
  },
  expression: {
    label: "expression",
    title: "anything else that the cell language takes",
    fields: [
      {
        key: "expression",
        label: "",
        title: "the annotation, as in a cell",
        wide: true,
        hint: "sample_from(lambda config: …)",
      },
    ],
  },
};
/** @type {Field} */
export const REQUIRED = {
  key: "expression",
  label: "require",
  title: "what a sample has to fulfil to be tried",
  wide: true,
  hint: "batch_size * workers <= 1024",
};
const BLANK = {
  name: "",
  lower: "",
  upper: "",
  step: "",
  log: false,
  mean: "",
  sd: "",
  values: "",
  expression: "",
  when: "",
  otherwise: "",
  default: "",
  prefix: "",
};

/** The fields of a row's domain, in their order.
 * @param {Row} row */
export const fieldsOf = (row) => (row.kind === "require" ? [REQUIRED] : KINDS[row.kind].fields);

/**
 * A field as a row has it: the upper bound of whole numbers is not among them, unless they go by steps.
 * @param {Row} row
 * @param {Field} field
 * @returns {Field}
 */
export function shownField(row, field) {
  if (row.kind !== "integer" || field.key !== "upper" || row.step) return field;
  return { ...field, label: "below", title: "the upper bound, which is not among the values" };
}

/** @param {Row[]} rows @param {string} kind @returns {Row} */
export function newRow(rows, kind) {
  const taken = rows.map((row) => (isNew(row) ? Number(row.id.slice(1)) : 0));
  return { ...BLANK, id: `n${Math.max(0, ...taken) + 1}`, kind };
}

/** Whether a row was added here, not read from a cell.
 * @param {Row} row */
export const isNew = (row) => row.id.startsWith("n");

/**
 * The rows with one of them elsewhere.
 * @param {Row[]} rows
 * @param {string} id
 * @param {number} to its position then
 */
export function moved(rows, id, to) {
  const row = rows.find((one) => one.id === id);
  if (!row) return rows;
  const rest = rows.filter((one) => one !== row);
  const at = Math.min(Math.max(to, 0), rest.length);
  return [...rest.slice(0, at), row, ...rest.slice(at)];
}

/**
 * A row of another kind. What was typed in a field that the new kind has not stays in the row, for the way back;
 * only what both have is written.
 * @param {Row} row
 * @param {string} kind
 * @returns {Row}
 */
export function ofKind(row, kind) {
  return { ...row, kind, log: row.log && Boolean(KINDS[kind]?.log) };
}

/**
 * The rows with the changes of a suggestion: of parameters by their names.
 * @param {Row[]} rows
 * @param {Record<string, Record<string, string>>} changes
 */
export function suggested(rows, changes) {
  return rows.map((row) => (row.kind !== "require" && changes[row.name] ? { ...row, ...changes[row.name] } : row));
}

/**
 * Whether a field has to be left before what was typed there is looked at: what calls something is not called
 * while half of it is typed.
 * @param {string} text
 */
export const waitsForEnd = (text) => text.includes("(");

/**
 * The problems that are shown: of a new row not those of fields that are empty because nobody has been there yet.
 * @param {Row} row
 * @param {Record<string, string>} problems
 * @param {(key: string) => boolean} visited
 */
export function shownProblems(row, problems, visited) {
  return Object.fromEntries(Object.entries(problems).filter(([key]) => !key || row[key] || visited(key)));
}
