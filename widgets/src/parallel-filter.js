// The fields below the parallel coordinates: the range of one axis, by number or category. See ../README.md.

import { make, setText } from "./page.js";

/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-store.js").Store} Store */

/**
 * @param {Store} store
 * @param {(target: EventTarget, type: string, call: (event: any) => void) => void} on
 * @param {() => void} changed called when a range was set or cleared
 */
export function makeFilter(store, on, changed) {
  const field = (/** @type {string} */ name) => make("input", { type: "number", step: "any", ariaLabel: name });
  const axisSelect = make("select", { ariaLabel: "axis to filter by" });
  const [from, to] = [field("from"), field("to")];
  const category = make("select", { ariaLabel: "value" });
  const span = make("span", { className: "nbt-parallel-span" }, ["from", from, "to", to]);
  const clear = make("button", { type: "button", textContent: "Clear", title: "select no trials" });
  const note = make("span", { className: "nbt-parallel-note", role: "status" });
  const row = make("div", { className: "nbt-parallel-row" }, [
    make("label", {}, ["filter by", axisSelect]),
    span,
    category,
    clear,
    note,
  ]);
  /** @type {Axis[]} */
  let axes = [];
  const chosen = () => axes.find((axis) => axis.key === axisSelect.value);

  /** @param {Axis[]} all */
  function showAxes(all) {
    axes = all;
    const keys = axes.map((axis) => axis.key).join("\n");
    if (axisSelect.dataset.keys !== keys) {
      const before = axisSelect.value;
      axisSelect.replaceChildren(...axes.map((axis) => make("option", { value: axis.key, textContent: axis.label })));
      axisSelect.dataset.keys = keys;
      if (axes.some((axis) => axis.key === before)) axisSelect.value = before;
    }
    showRange();
  }

  function showRange() {
    const axis = chosen();
    if (!axis) return;
    span.hidden = axis.kind === "categories";
    category.hidden = !span.hidden;
    const [low, high] = store.brushed.get(axis.key)?.[0] ?? [-Infinity, Infinity];
    if (axis.kind === "categories") showCategory(axis, low, high);
    const text = (/** @type {number} */ at) =>
      Number.isFinite(at) ? String(Number((axis.kind === "log" ? 10 ** at : at).toPrecision(4))) : "";
    for (const [input, at] of /** @type {[any, number][]} */ ([
      [from, low],
      [to, high],
    ]))
      if (document.activeElement !== input || !store.brushed.has(axis.key)) input.value = text(at);
  }

  /**
   * @param {Axis} axis
   * @param {number} low
   * @param {number} high
   */
  function showCategory({ categories }, low, high) {
    if (category.dataset.categories !== JSON.stringify(categories)) {
      category.dataset.categories = JSON.stringify(categories);
      category.replaceChildren(
        make("option", { value: "", textContent: "any" }),
        ...categories.map((text, i) => make("option", { value: String(i), textContent: text.slice(0, 60) })),
      );
    }
    const inside = categories.flatMap((_, i) => (i >= low && i <= high ? [i] : []));
    category.value = inside.length === 1 ? String(inside[0]) : "";
  }

  function takeRange() {
    const axis = chosen();
    if (!axis) return;
    const position = (/** @type {string} */ text, /** @type {number} */ open) => {
      const value = text === "" ? Number.NaN : axis.kind === "log" ? Math.log10(Number(text)) : Number(text);
      return Number.isFinite(value) ? value : open;
    };
    const ends = axis.kind === "categories" ? [Number(category.value) - 0.3, Number(category.value) + 0.3] : [];
    const [low, high] = ends.length ? ends : [position(from.value, -Infinity), position(to.value, Infinity)];
    const open = ends.length ? category.value === "" : low === -Infinity && high === Infinity;
    if (open) store.brushed.delete(axis.key);
    else store.brushed.set(axis.key, [[Math.min(low, high), Math.max(low, high)]]);
    changed();
  }

  for (const input of [from, to, category]) on(input, "change", takeRange);
  for (const input of [from, to])
    on(input, "keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      takeRange();
    });
  on(axisSelect, "change", showRange);
  on(clear, "click", () => {
    store.brushed.clear();
    changed();
  });

  return {
    row,
    showAxes,
    /** @param {string} key of the axis to choose */
    choose(key) {
      axisSelect.value = key;
    },
    /**
     * @param {string} text
     * @param {boolean} clearable whether there is a selection to clear
     */
    showNote(text, clearable) {
      setText(note, text);
      clear.disabled = !clearable;
    },
  };
}
