// What all views of a model share: the rows, the brush, and the selection that follows from it. See ../README.md.

import { arrange, within } from "./parallel-data.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-data.js").Column} Column */
/** @typedef {import("./parallel-data.js").Ranges} Ranges */
/** @typedef {import("./parallel-data.js").Row} Row */
/** @typedef {ReturnType<typeof begin>} Store */

/** What all views of a model share. `own` is the selection that the brush has made, as JSON. */
export const begin = () => ({
  columns: /** @type {Column[]} */ ([]),
  rows: /** @type {Map<number, Row>} */ (new Map()),
  metric: /** @type {string | null} */ (null),
  mode: /** @type {string | null} */ (null),
  brushed: /** @type {Map<string, Ranges>} */ (new Map()),
  order: /** @type {string[]} */ ([]),
  own: "[]",
  error: "",
  views: /** @type {Set<(gap?: number) => void>} */ (new Set()),
});

/**
 * Return what is drawn of the store, in the order that the user has given the axes.
 * @param {Store} store
 */
export function arranged(store) {
  const made = arrange(
    store.columns,
    [...store.rows.values()].filter((row) => row.status !== "pending").sort((a, b) => a.number - b.number),
  );
  const place = (/** @type {Axis} */ axis) => store.order.indexOf(axis.key);
  if (made.axes.every((axis) => place(axis) >= 0)) made.axes.sort((a, b) => place(a) - place(b));
  return made;
}

/**
 * Let the selection follow the brush.
 * @param {AnyModel} model
 * @param {Store} store
 */
export function select(model, store) {
  const { axes, rows } = arranged(store);
  for (const key of store.brushed.keys()) if (!axes.some((axis) => axis.key === key)) store.brushed.delete(key);
  const numbers = store.brushed.size ? within(axes, rows, store.brushed) : [];
  store.own = JSON.stringify(numbers);
  if (JSON.stringify(model.get("selection") ?? []) === store.own) return;
  model.set("selection", numbers);
  model.save_changes();
}
