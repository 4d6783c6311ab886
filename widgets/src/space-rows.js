// The rows of the form on a space: kinds, fields and changes; pure functions without the DOM. See ../README.md.

/** @typedef {{id: string, kind: string, log: boolean, [field: string]: any}} Row */
/** @typedef {{key: string, label: string, title: string, wide?: boolean, hint?: string}} Field */

const STEP = { key: "step", label: "step", title: "values are multiples of the step; empty for any value" };
/** @type {Record<string, {label: string, title: string, fields: Field[], log?: boolean}>} */
export const KINDS = {
  number: {
    label: "number",
    title: "a real number between two bounds",
    fields: [
      { key: "lower", label: "lower", title: "lower bound" },
      { key: "upper", label: "upper", title: "upper bound" },
      STEP,
    ],
    log: true,
  },
  integer: {
    label: "integer",
    title: "an integer between two bounds",
    fields: [
      { key: "lower", label: "lower", title: "lower bound" },
      { key: "upper", label: "upper", title: "upper bound" },
      STEP,
    ],
    log: true,
  },
  normal: {
    label: "normal",
    title: "a normally distributed number",
    fields: [
      { key: "mean", label: "mean", title: "mean; 0 if empty", hint: "0" },
      { key: "sd", label: "sd", title: "standard deviation; 1 if empty", hint: "1" },
      STEP,
    ],
  },
  choice: {
    label: "choice",
    title: "one of several values at random",
    fields: [{ key: "values", label: "", title: "values, separated by commas", wide: true, hint: '32, 64, "auto"' }],
  },
  grid_search: {
    label: "grid",
    title: "every value, each in trials of its own",
    fields: [{ key: "values", label: "", title: "values, separated by commas", wide: true, hint: '32, 64, "auto"' }],
  },
  expression: {
    label: "expression",
    title: "any other domain",
    fields: [
      {
        key: "expression",
        label: "",
        title: "the domain as it is written in a cell",
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
  title: "condition that a sample must fulfil",
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

/** Return the fields of a row's domain.
 * @param {Row} row */
export const fieldsOf = (row) => (row.kind === "require" ? [REQUIRED] : KINDS[row.kind].fields);

/**
 * Return a field as a row shows it: the upper bound of an integer without a step is exclusive.
 * @param {Row} row
 * @param {Field} field
 * @returns {Field}
 */
export function shownField(row, field) {
  if (row.kind !== "integer" || field.key !== "upper" || row.step) return field;
  return { ...field, label: "below", title: "upper bound (exclusive)" };
}

/** @param {Row[]} rows @param {string} kind @returns {Row} */
export function newRow(rows, kind) {
  const taken = rows.map((row) => (isNew(row) ? Number(row.id.slice(1)) : 0));
  return { ...BLANK, id: `n${Math.max(0, ...taken) + 1}`, kind };
}

/** Return whether a row was added in the browser, not read from a cell.
 * @param {Row} row */
export const isNew = (row) => row.id.startsWith("n");

/**
 * Return the rows with one of them moved.
 * @param {Row[]} rows
 * @param {string} id
 * @param {number} to its new index
 */
export function moved(rows, id, to) {
  const row = rows.find((one) => one.id === id);
  if (!row) return rows;
  const others = rows.filter((one) => one !== row);
  const index = Math.min(Math.max(to, 0), others.length);
  return [...others.slice(0, index), row, ...others.slice(index)];
}

/**
 * Return a row with another kind. Texts of fields that the new kind does not have are kept, in case the user goes back;
 * they are not written to the cell.
 * @param {Row} row
 * @param {string} kind
 * @returns {Row}
 */
export function withKind(row, kind) {
  return { ...row, kind, log: row.log && Boolean(KINDS[kind]?.log) };
}

/**
 * Return the rows with the changes of a suggestion.
 * @param {Row[]} rows
 * @param {Record<string, Record<string, string>>} changes
 */
export function withSuggestion(rows, changes) {
  return rows.map((row) => (row.kind !== "require" && changes[row.name] ? { ...row, ...changes[row.name] } : row));
}

/**
 * Return whether a text is checked only when its field loses the focus: a half-typed call must not be executed.
 * @param {string} text
 */
export const isCall = (text) => text.includes("(");

/**
 * Return the problems to show: a new row's empty fields have none before the user has visited them.
 * @param {Row} row
 * @param {Record<string, string>} problems
 * @param {(key: string) => boolean} visited
 */
export function shownProblems(row, problems, visited) {
  return Object.fromEntries(Object.entries(problems).filter(([key]) => !key || row[key] || visited(key)));
}
