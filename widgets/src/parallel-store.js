// What all views of the parallel coordinates share: the rows, and the brush with its selection. See ../README.md.

import { makeStore } from "./lifecycle.js";
import { arrange, within } from "./parallel-data.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-data.js").Column} Column */
/** @typedef {import("./parallel-data.js").Ranges} Ranges */
/** @typedef {import("./parallel-data.js").Row} Row */
/** @typedef {ReturnType<typeof createStore>} Store */

export const createStore = () =>
  makeStore({
    columns: /** @type {Column[]} */ ([]),
    rows: /** @type {Map<number, Row>} */ (new Map()),
    objectives: /** @type {[string, string][]} */ ([]), // each with its mode
    chosen: 0, // the objective that colours the lines
    brushed: /** @type {Map<string, Ranges>} */ (new Map()), // key of an axis -> its brushed ranges
    order: /** @type {string[]} */ ([]), // the keys of the axes, as the user has arranged them
    brushSelection: "[]", // the selection that the brush has made, as JSON
  });

/**
 * Take a message of the kernel.
 * @param {Store} store
 * @param {any} message
 * @param {DataView[]} _
 * @param {AnyModel} model
 */
export function receive(store, message, _, model) {
  if (message.type !== "table") return;
  if (message.reset) store.rows.clear();
  Object.assign(store, { columns: message.columns, objectives: message.objectives });
  for (const [number, status, ...cells] of message.rows) store.rows.set(number, { number, status, cells });
  if (store.brushed.size) selectBrushed(model, store);
}

/**
 * Return the metric that colours the lines, and its mode; nulls without one.
 * @param {Store} store
 * @returns {[string, string] | [null, null]}
 */
export const objectiveOf = (store) => store.objectives[store.chosen] ?? [null, null];

/**
 * Take a changed selection: one that another widget has made replaces the brush.
 * @param {Store} store
 * @param {AnyModel} model
 */
export function receiveSelection(store, model) {
  if (JSON.stringify(model.get("selection") ?? []) === store.brushSelection) return;
  store.brushed.clear();
  store.brushSelection = "[]";
}

/**
 * Return the axes and rows to draw, in the user's order of the axes.
 * @param {Store} store
 */
export function arranged(store) {
  const made = arrange(
    store.columns,
    [...store.rows.values()].filter((row) => row.status !== "pending").sort((a, b) => a.number - b.number),
    store.objectives.map(([metric]) => metric),
    store.chosen,
  );
  const position = (/** @type {Axis} */ axis) => store.order.indexOf(axis.key);
  if (made.axes.every((axis) => position(axis) >= 0)) made.axes.sort((a, b) => position(a) - position(b));
  return made;
}

/**
 * Select the trials that are within the brush.
 * @param {AnyModel} model
 * @param {Store} store
 */
export function selectBrushed(model, store) {
  const { axes, rows } = arranged(store);
  for (const key of store.brushed.keys()) if (!axes.some((axis) => axis.key === key)) store.brushed.delete(key);
  const numbers = store.brushed.size ? within(axes, rows, store.brushed) : [];
  store.brushSelection = JSON.stringify(numbers);
  if (JSON.stringify(model.get("selection") ?? []) === store.brushSelection) return;
  model.set("selection", numbers);
  model.save_changes();
}
