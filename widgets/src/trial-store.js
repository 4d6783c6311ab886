// What is known of a model's trials, for all its views. See ../README.md.

import { guard } from "./page.js";
import { makeRequests } from "./requests.js";
import { isLive, mergeRows, numeric, texts } from "./trial-rows.js";
import { nextOrder } from "./trial-status.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-status.js").Order} Order */
/** @typedef {import("./trial-status.js").Ordered} Ordered */
/** @typedef {{trial: number, config: string, checkpoint: boolean, traceback: string | null, rank: number | null,
 *   log: string | null, workers: import("./trial-ranks.js").Workers | null}} Detail */
/** @typedef {ReturnType<typeof begin>} Store */

const REFUSED = { stop: "stopped", pause: "paused", resume: "resumed" };
const WIDEST = 26; // characters of a column
const WIDEST_LABEL = 24; // of which only the label needs them

export const begin = () => {
  const store = fresh();
  return Object.assign(store, {
    requests: makeRequests((refusal) => {
      take(store, refusal);
      tell(store);
    }),
  });
};

const fresh = () => ({
  rows: /** @type {Map<number, Row>} */ (new Map()),
  columns: /** @type {Column[]} */ ([]),
  widths: /** @type {number[]} */ ([]), // of each entry, in characters
  textual: /** @type {boolean[]} */ ([]), // whether an entry is text in any row
  layout: 0, // counts the changes of the columns and of the two above
  best: /** @type {number | null} */ (null),
  orders: /** @type {Map<number, Ordered>} */ (new Map()), // what was ordered of these trials, until it has come about
  byScheduler: /** @type {Set<number>} */ (new Set()), // the trials that it has paused
  point: { trial: /** @type {number | null} */ (null), phase: "", message: "" }, // the last that was to be tried next
  details: /** @type {Map<number, Detail>} */ (new Map()),
  unanswered: /** @type {Map<number, string>} */ (new Map()), // of which trials the kernel has not told the detail, and why
  refused: "", // why an order about a trial was refused
  late: "", // the id of the order of which that, or of which the point, is only because no answer has come in time
  failure: "", // what a message has thrown, until the next one is taken in
  views: /** @type {Set<() => void>} */ (new Set()),
});

/** @param {ReturnType<typeof fresh>} store */
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
      store.requests.heard(message);
      take(store, message);
      store.failure = "";
    });
    tell(store);
  };
  const closed = () => store.requests.close();
  model.on("msg:custom", receive);
  /** @type {any} */ (model).on("comm_live_update", closed);
  model.send({ type: "ready" });
  return () => {
    model.off("msg:custom", receive);
    /** @type {any} */ (model).off("comm_live_update", closed);
    store.requests.end();
  };
}

/**
 * Order something of a trial, once.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {number} trial
 * @param {"stop" | "pause"} button which one was pressed; "pause" also resumes
 */
export function orderTrial(model, store, trial, button) {
  const known = store.orders.get(trial);
  const next = nextOrder(store.rows.get(trial)?.[1], known, store.byScheduler.has(trial));
  const order = button === "pause" ? next : known?.order === "stop" ? null : button;
  if (!order) return;
  store.orders.set(trial, { order, taken: false });
  store.refused = "";
  store.requests.ask(model, { type: order, trial });
  tell(store);
}

/**
 * Order a point to be tried next.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {number | null} trial whose clone it is
 * @param {object} config
 * @param {boolean} checkpoint
 */
export function orderPoint(model, store, trial, config, checkpoint) {
  store.point = { trial, phase: "waiting", message: "" };
  store.requests.ask(model, { type: "add", config, trial, checkpoint });
  tell(store);
}

/** @type {Record<string, Order>} */
const ANSWERS = { stopping: "stop", pausing: "pause", resuming: "resume" };

/**
 * @param {ReturnType<typeof fresh>} store
 * @param {any} message
 */
export function take(store, message) {
  const { type, trial, id, late } = message;
  if (store.late && store.late === id && !late) store.late = store.refused = ""; // an answer after all
  if (type === "table") takeTable(store, message);
  if (type === "detail") {
    store.details.set(trial, message);
    store.unanswered.delete(trial);
  }
  if (type === "added") store.point = { trial, phase: "added", message: "" };
  if (ANSWERS[type] && store.orders.get(trial)?.order === ANSWERS[type]) {
    store.orders.set(trial, { order: ANSWERS[type], taken: true });
    settle(store, trial);
  }
  if (type !== "refused") return;
  if (message.order === "detail") {
    store.unanswered.set(trial, message.message);
    return;
  }
  if (message.order === "add") {
    if (late && (store.point.phase !== "waiting" || store.point.trial !== trial)) return;
    store.point = { trial, phase: "", message: message.message };
    return;
  }
  const order = /** @type {Order} */ (message.order ?? "stop");
  if (late && store.orders.get(trial)?.order !== order) return; // its status has said that it has come about
  if (store.orders.get(trial)?.order === order) store.orders.delete(trial);
  store.late = late ? id : "";
  store.refused = `trial ${trial} is not ${REFUSED[order]}: ${message.message}`;
}

/**
 * Forget what was ordered of a trial once its status says that it has come about, or cannot any more.
 * @param {ReturnType<typeof fresh>} store
 * @param {number} trial
 */
function settle(store, trial) {
  const ordered = store.orders.get(trial);
  const status = store.rows.get(trial)?.[1];
  if (!ordered) return;
  const done = { stop: false, pause: status !== "running", resume: ordered.taken && status !== "paused" };
  if (!isLive(status) || done[ordered.order]) store.orders.delete(trial);
}

/**
 * @param {ReturnType<typeof fresh>} store
 * @param {{reset: boolean, columns: Column[], rows: Row[], best: number | null, by_scheduler?: number[]}} message
 */
function takeTable(store, message) {
  if (message.reset) {
    const { columns } = message;
    store.widths = [4, 26, ...columns.map(({ label }) => Math.min(label.length + 2, WIDEST_LABEL))];
    store.textual = [false, true, ...columns.map(({ role }) => role === "error")];
    store.columns = columns;
    store.refused = "";
    store.layout += 1;
  }
  mergeRows(store.rows, message);
  for (const row of message.rows) {
    settle(store, row[0]);
    measure(store, row);
  }
  store.best = message.best ?? null;
  store.byScheduler = new Set(message.by_scheduler);
}

/**
 * Widen the columns to a row's entries, and note which of them are text.
 * @param {ReturnType<typeof fresh>} store
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
