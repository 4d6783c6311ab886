// The magic line of the form on a space, as fields.

import { make, showText } from "./page.js";

/** @typedef {import("./space-store.js").Store} Store */

/** @type {[string, string, string][]} field, label, what it is */
const OPTIONS = [
  ["name", "name", "of the experiment and of its variable"],
  ["metric", "metric", "what report() calls it"],
  ["mode", "mode", "whether less or more of the metric is better"],
  ["samples", "samples", "how many are drawn; with a grid, how often the grid"],
  ["search", "search", "the search algorithm"],
  ["scheduler", "scheduler", "what stops trials early"],
  ["more", "other options", "as on the magic line: --cpus 2 --max-concurrent 4"],
];

/**
 * @param {Store} store
 * @param {string} id what the ids of its elements begin with
 */
export function makeLine(store, id) {
  /** @type {Map<string, {input: any, why: HTMLElement}>} */
  const fields = new Map();
  const root = make("fieldset", { className: "nbt-line", ariaLabel: "options of the experiment" });
  for (const [key, label, title] of OPTIONS) {
    const why = make("small", { id: `${id}-${key}`, hidden: true });
    const chosen = ["mode", "search", "scheduler"].includes(key);
    const input = make(chosen ? "select" : "input", { title, ariaLabel: label });
    if (!chosen) Object.assign(input, { type: "text", spellcheck: false, autocomplete: "off" });
    input.dataset.option = key;
    input.setAttribute("aria-describedby", why.id);
    fields.set(key, { input, why });
    const named = make("span", { textContent: label });
    root.append(make("label", { className: `nbt-field nbt-line-${key}` }, [named, input, why]));
  }

  /** The values to choose from: those that nbtune has, none, and what the line has else: a variable's name.
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
    for (const [key, { input, why }] of fields) {
      if (input.tagName === "SELECT") offer(input, key);
      const value = store.line[key] ?? "";
      if (input.value !== value) input.value = value;
      input.ariaInvalid = String(key in store.wrong);
      showText(why, store.wrong[key] ?? "");
    }
  }
  return { root, draw };
}
