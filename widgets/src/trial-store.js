// What is known of a model's trials, for all its views. See ../README.md.

import { guard } from "./page.js";
import { isLive, mergeRows, numeric, texts } from "./trial-rows.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {{trial: number, config: string, traceback: string | null, log: string | null}} Detail */
/** @typedef {ReturnType<typeof begin>} Store */

const WIDEST = 26; // characters of a column
const WIDEST_LABEL = 24; // of which only the label needs them

export const begin = () => ({
  rows: /** @type {Map<number, Row>} */ (new Map()),
  columns: /** @type {Column[]} */ ([]),
  widths: /** @type {number[]} */ ([]), // of each entry, in characters
  textual: /** @type {boolean[]} */ ([]), // whether an entry is text in any row
  layout: 0, // counts the changes of the columns and of the two above
  best: /** @type {number | null} */ (null),
  stops: /** @type {Map<number, string>} */ (new Map()), // what the stop buttons of these trials say
  details: /** @type {Map<number, Detail>} */ (new Map()),
  refused: "", // why a trial is not stopped
  failure: "", // what a message has thrown, until the next one is taken in
  views: /** @type {Set<() => void>} */ (new Set()),
});

/** @param {Store} store */
function tell(store) {
  for (const view of store.views) view();
}

/**
 * Ask for the table and take in what comes. Returns what ends it.
 * @param {AnyModel} model
 * @param {Store} store
 */
export function listen(model, store) {
  const show = (/** @type {string} */ text) => {
    store.failure = text;
  };
  const receive = (/** @type {any} */ message) => {
    guard(model, `trials: message ${message?.type}`, show, () => {
      take(store, message);
      store.failure = "";
    });
    tell(store);
  };
  model.on("msg:custom", receive);
  model.send({ type: "ready" });
  return () => model.off("msg:custom", receive);
}

/**
 * Give the order to stop a trial, once.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {number} trial
 */
export function stopTrial(model, store, trial) {
  if (store.stops.has(trial)) return;
  store.stops.set(trial, "waiting…");
  store.refused = "";
  model.send({ type: "stop", trial });
  tell(store);
}

/**
 * @param {Store} store
 * @param {any} message
 */
function take(store, message) {
  if (message.type === "table") takeTable(store, message);
  if (message.type === "detail") store.details.set(message.trial, message);
  if (message.type === "stopping" && isLive(store.rows.get(message.trial)?.[1]))
    store.stops.set(message.trial, "stopping…");
  if (message.type === "refused") {
    store.stops.delete(message.trial);
    store.refused = `trial ${message.trial} is not stopped: ${message.message}`;
  }
}

/**
 * @param {Store} store
 * @param {{reset: boolean, columns: Column[], rows: Row[], best: number | null}} message
 */
function takeTable(store, message) {
  if (message.reset) {
    const { columns } = message;
    store.widths = [4, 20, ...columns.map(({ label }) => Math.min(label.length + 2, WIDEST_LABEL))];
    store.textual = [false, true, ...columns.map(({ role }) => role === "error")];
    store.columns = columns;
    store.refused = "";
    store.layout += 1;
  }
  mergeRows(store.rows, message);
  for (const row of message.rows) {
    if (!isLive(row[1])) store.stops.delete(row[0]);
    measure(store, row);
  }
  store.best = message.best ?? null;
}

/**
 * Widen the columns to a row's entries, and note which of them are text.
 * @param {Store} store
 * @param {Row} row
 */
function measure(store, row) {
  for (const [i, text] of texts(row).entries()) {
    const width = Math.min(text.length, WIDEST);
    if (width > store.widths[i]) {
      store.widths[i] = width;
      store.layout += 1;
    }
    if (i > 1 && !store.textual[i] && text !== "" && text !== "NaN" && Number.isNaN(numeric(row[i]))) {
      store.textual[i] = true;
      store.layout += 1;
    }
  }
}
