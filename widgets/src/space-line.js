// The fields of the magic line in the form on a space. See ../README.md.

import { make, showText } from "./page.js";

/** @typedef {import("./space-store.js").Store} Store */

/** @type {[string, string, string][]} field, label, tooltip */
const OPTIONS = [
  ["name", "name", "name of the experiment and of its variable"],
  ["metric", "metric", "name of the metric in report()"],
  ["mode", "mode", "minimize or maximize the metric"],
  ["samples", "samples", "number of samples; of a grid, number of repetitions"],
  ["search", "search", "search algorithm"],
  ["scheduler", "scheduler", "scheduler, which stops trials early"],
  ["more", "other options", "as on the magic line: --cpus 2 --max-concurrent 4"],
];

/**
 * @param {Store} store
 * @param {string} id prefix of the ids of its elements
 */
export function makeLine(store, id) {
  /** @type {Map<string, {input: any, errorText: HTMLElement}>} */
  const fields = new Map();
  const root = make("fieldset", { className: "nbt-line", ariaLabel: "options of the experiment" });
  for (const [key, label, title] of OPTIONS) {
    const errorText = make("small", { id: `${id}-${key}`, hidden: true });
    const isSelect = ["mode", "search", "scheduler"].includes(key);
    const input = make(isSelect ? "select" : "input", { title, ariaLabel: label });
    if (!isSelect) Object.assign(input, { type: "text", spellcheck: false, autocomplete: "off" });
    input.dataset.option = key;
    input.setAttribute("aria-describedby", errorText.id);
    fields.set(key, { input, errorText });
    const name = make("span", { textContent: label });
    root.append(make("label", { className: `nbt-field nbt-line-${key}` }, [name, input, errorText]));
  }

  /** Offer nbtune's values, the default, and the current value, which may be the name of a variable.
   * @param {any} select @param {string} key */
  function offer(select, key) {
    const value = store.line[key] ?? "";
    const all = [...new Set(["", ...(store.choices[key] ?? []), value])];
    const shown = JSON.stringify(all);
    if (select.dataset.shown === shown) return;
    select.dataset.shown = shown;
    const text = (/** @type {string} */ one) => one || "default";
    select.replaceChildren(...all.map((one) => make("option", { value: one, textContent: text(one) })));
  }

  function draw() {
    for (const [key, { input, errorText }] of fields) {
      if (input.tagName === "SELECT") offer(input, key);
      const value = store.line[key] ?? "";
      if (input.value !== value) input.value = value;
      input.ariaInvalid = String(key in store.lineProblems);
      showText(errorText, store.lineProblems[key] ?? "");
    }
  }
  return { root, draw };
}
