// The elements of a row in the form on a space: a parameter or a constraint. See ../README.md.

import { asShown, make, showText } from "./page.js";
import { fieldsOf, KINDS, shownField, shownProblems } from "./space-rows.js";

/** @typedef {import("./space-rows.js").Row} Row */
/** @typedef {import("./space-rows.js").Field} Field */
/** @typedef {import("./space-store.js").Store} Store */
/** @typedef {{root: any, fields: Map<string, {input: any, errorText: HTMLElement, name: HTMLElement}>, kind: string, [part: string]: any}} Parts */

const WHEN = {
  key: "when",
  label: "only if",
  title: "condition under which a trial has this parameter",
  hint: 'optimizer == "sgd"',
};
const ELSE = { key: "otherwise", label: "else", title: "value where the condition is false", hint: "None" };
const DEFAULT = { key: "default", label: "default", title: "value when the cell runs without %%tune" };
const NAME = { key: "name", label: "", title: "name of the parameter in the cell", hint: "name" };

/** @param {string} text @param {string} title @param {string} act */
const button = (text, title, act) => {
  const made = make("button", { type: "button", className: `nbt-act nbt-${act}`, textContent: text, title });
  made.dataset.act = act;
  return made;
};

/**
 * @param {string} id prefix of the ids of its elements
 * @returns {Parts}
 */
export function makeRow(id) {
  const fields = new Map();
  const errorTexts = make("div", { className: "nbt-field-errors" });
  /** @param {Field} field */
  function makeField({ key, label, title, wide, hint = "" }) {
    const errorText = make("small", { id: `${id}-${key}`, hidden: true });
    const name = make("span", { textContent: label });
    const input = make("input", { type: "text", spellcheck: false, autocomplete: "off", placeholder: hint, title });
    input.dataset.field = key;
    input.setAttribute("aria-describedby", errorText.id);
    fields.set(key, { input, errorText, name });
    const className = `nbt-field${wide ? " nbt-wide" : ""}${label ? "" : " nbt-bare"}`;
    errorTexts.append(errorText);
    return make("label", { className }, [...(label ? [name] : []), input]);
  }
  const handle = make("span", { className: "nbt-handle", textContent: "⠿", title: "drag to move", ariaHidden: "true" });
  const kinds = make(
    "select",
    { title: "kind of domain" },
    Object.entries(KINDS).map(([value, { label, title }]) => make("option", { value, textContent: label, title })),
  );
  kinds.dataset.field = "kind";
  const log = make("input", { type: "checkbox", title: "sample on a logarithmic scale" });
  log.dataset.field = "log";
  const parts = {
    id,
    fields,
    handle,
    kinds,
    log,
    kind: "",
    logs: make("label", { className: "nbt-field nbt-log" }, [log, make("span", { textContent: "log" })]),
    name: makeField(NAME),
    args: make("div", { className: "nbt-args" }),
    given: makeField(DEFAULT),
    picture: make("div", { className: "nbt-picture", role: "img" }),
    when: make("div", { className: "nbt-when", hidden: true }, [makeField(WHEN), makeField(ELSE)]),
    only: button("if…", "add a condition", "when"),
    up: button("↑", "move up", "up"),
    down: button("↓", "move down", "down"),
    remove: button("✕", "remove", "remove"),
    errorText: make("small", { hidden: true }),
    root: make("fieldset", { className: "nbt-row" }),
    makeField,
  };
  const acts = make("span", { className: "nbt-acts" }, [parts.only, parts.up, parts.down, parts.remove]);
  errorTexts.append(parts.errorText);
  parts.root.append(handle, parts.name, kinds, parts.args, parts.given, parts.picture, acts, parts.when, errorTexts);
  return parts;
}

/** Make the fields of a kind.
 * @param {Parts} parts @param {Row} row */
function setKind(parts, row) {
  const constraint = row.kind === "require";
  parts.kind = row.kind;
  for (const key of ["lower", "upper", "step", "mean", "sd", "values", "expression"]) {
    parts.fields.get(key)?.errorText.remove();
    parts.fields.delete(key);
  }
  parts.args.replaceChildren(...fieldsOf(row).map(parts.makeField));
  if (KINDS[row.kind]?.log) parts.args.append(parts.logs);
  parts.root.classList.toggle("nbt-require", constraint);
  for (const part of ["name", "kinds", "given", "picture", "only"]) parts[part].hidden = constraint;
}

/**
 * Show the current state of a row. A field that is being typed in has its value already and is not set.
 * @param {Parts} parts
 * @param {Row} row
 * @param {Store} store
 * @param {{position: number, count: number, open: boolean, visited: (key: string) => boolean}} place
 */
export function drawRow(parts, row, store, { position, count, open, visited }) {
  if (parts.kind !== row.kind) setKind(parts, row);
  const title =
    row.kind === "require" ? `constraint ${position + 1}` : asShown(row.name) || `parameter ${position + 1}`;
  parts.root.ariaLabel = title;
  parts.handle.title = `drag to move ${title}`;
  if (row.kind !== "require") parts.kinds.value = row.kind;
  parts.kinds.ariaLabel = `kind of ${title}`;
  parts.log.checked = row.log;
  parts.when.hidden = row.kind === "require" || !(open || row.when || row.otherwise);
  parts.only.ariaExpanded = String(!parts.when.hidden);
  parts.up.ariaDisabled = String(position === 0);
  parts.down.ariaDisabled = String(position === count - 1);
  for (const [act, what] of Object.entries({
    up: "move up",
    down: "move down",
    remove: "remove",
    only: "condition of",
  }))
    parts[act].ariaLabel = `${what} ${title}`;
  const problems = shownProblems(row, store.problems[row.id] ?? {}, visited);
  const notes = store.notes[row.id] ?? {};
  const labels = new Map(fieldsOf(row).map((field) => [field.key, shownField(row, field)]));
  for (const [key, { input, errorText, name }] of parts.fields) {
    if (input.value !== row[key]) input.value = row[key];
    const field = labels.get(key);
    if (field && name.textContent !== field.label) name.textContent = field.label;
    if (field) input.title = field.title;
    input.ariaLabel = `${name.textContent || key} of ${title}`;
    input.ariaInvalid = String(key in problems);
    const [text, label] = [problems[key] ?? notes[key] ?? "", name.textContent || key];
    showText(errorText, text && `${label}: ${text}`);
    errorText.classList.toggle("nbt-note", !(key in problems));
  }
  const general = Object.keys(problems).find((key) => !parts.fields.has(key));
  showText(parts.errorText, general === undefined ? "" : problems[general]);
}
