// The elements of the scaling form's fields, with their errors. See ../README.md.

import { make, showText } from "./page.js";
import { ALL, isShown, MODES, NO_TRAINER, placeholderOf, SAMPLES } from "./scaling-fields.js";

/** @typedef {import("./scaling-fields.js").Field} Field */
/** @typedef {import("./scaling-fields.js").Fields} Fields */
/** @typedef {{field: Field, root: HTMLElement, input: any, errorText: HTMLElement}} Made */

/**
 * @param {(name: string, value: string | boolean) => void} set called with the new value of a field
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 */
export function makeFields(set, on) {
  const id = `nbt-scaling-${Math.random().toString(36).slice(2)}`;
  /** @type {Map<string, Made>} */
  const made = new Map();

  /** @param {Field} field */
  function makeField(field) {
    const errorText = make("small", { id: `${id}-${field.name}`, hidden: true });
    const input = makeInput(field);
    input.title = field.hint;
    input.name = field.name;
    input.ariaLabel = field.label; // the label also has the error, which is not part of the name
    input.setAttribute("aria-describedby", errorText.id);
    const label = make("span", { textContent: field.label, title: field.hint });
    const root = make("label", { className: `nbt-field nbt-scaling-${field.name}` }, [label, input, errorText]);
    if (field.list) {
      const list = make("datalist", { id: `${id}-list` });
      list.append(...field.list.map((value) => make("option", { value })));
      input.setAttribute("list", list.id);
      root.append(list);
    }
    made.set(field.name, { field, root, input, errorText });
    return root;
  }

  /** @param {Field} field */
  function makeInput(field) {
    if (field.kind === "check") return make("input", { type: "checkbox" });
    if (field.kind === "select")
      return make(
        "select",
        {},
        (field.choices ?? []).map((value) => make("option", { value, textContent: value })),
      );
    return make("input", { type: "text", spellcheck: false, autocomplete: "off" });
  }

  const radio = (/** @type {string} */ value, /** @type {string} */ text) => {
    const input = make("input", { type: "radio", name: id, value });
    on(input, "change", () => set("mode", value));
    return [input, make("label", {}, [input, text])];
  };
  const [one, oneLabel] = radio("one", "one process");
  const [many, manyLabel] = radio("distributed", "distributed (Ray Train)");
  const modes = make("div", { role: "radiogroup", ariaLabel: "a trial is", className: "nbt-scaling-modes" });
  modes.append("A trial is", oneLabel, manyLabel, makeField(SAMPLES));

  const groups = Object.entries(MODES).map(([mode, parts]) => ({
    mode,
    root: make(
      "div",
      {},
      parts.map(({ label, fields }) =>
        make("fieldset", {}, [make("legend", { textContent: label }), ...fields.map(makeField)]),
      ),
    ),
  }));
  const trainer = make("p", { textContent: NO_TRAINER, className: "nbt-scaling-note" });
  const general = make("small", { role: "status", hidden: true });
  const root = make("div", { className: "nbt-scaling-fields" }, [modes, ...groups.map((group) => group.root), trainer]);
  root.append(general);
  for (const { field, input } of made.values())
    on(input, field.kind === "text" ? "input" : "change", () =>
      set(field.name, field.kind === "check" ? input.checked : input.value),
    );

  /**
   * @param {Fields} fields
   * @param {Record<string, string>} problems
   * @param {boolean} trainV2
   */
  function draw(fields, problems, trainV2) {
    [one.checked, many.checked] = [fields.mode !== "distributed", fields.mode === "distributed"];
    for (const group of groups) group.root.hidden = group.mode !== fields.mode;
    trainer.hidden = !trainV2 || fields.mode !== "distributed";
    for (const { field, root: container, input, errorText } of made.values()) {
      const value = fields[field.name] ?? "";
      if (field.kind === "check") input.checked = Boolean(value);
      else if (input.value !== value) input.value = value;
      container.hidden = !isShown(field, fields, trainV2);
      const hint = placeholderOf(field, fields);
      if (field.kind === "text" && input.placeholder !== hint) input.placeholder = hint;
      const problem = problems[field.name] ?? "";
      input.ariaInvalid = String(problem !== "");
      showText(errorText, problem);
    }
    showText(general, problems[""] ?? "");
  }

  return { root, draw };
}

/** @type {Fields} the fields before the kernel has sent their values */
export const BLANK = Object.fromEntries(ALL.map((field) => [field.name, field.kind === "check" ? false : ""]));
