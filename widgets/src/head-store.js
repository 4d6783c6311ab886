// What all views of the head share: when the kernel was last heard, and how far orders have come. See ../README.md.

import { guard } from "./page.js";
import { makeRequests } from "./requests.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof begin>} Store */

const UNDONE = {
  stop: "Not stopped",
  resume: "Not resumed",
  extend: "No more samples",
  max_concurrent: "Not changed",
};

/** What all views of a model share: when its state came, when the kernel was last heard, whether it ever was, how far its orders have come. */
export const begin = () => {
  const store = fresh();
  return Object.assign(store, {
    requests: makeRequests((refusal) => {
      takeAnswer(store, refusal);
      for (const view of store.views) view();
    }),
  });
};

const fresh = () => ({
  at: performance.now(),
  heard: performance.now(),
  closed: false,
  met: false,
  stop: /** @type {"" | "asking" | "waiting" | "stopping"} */ (""),
  again: /** @type {"" | "waiting" | "resuming" | "resumed"} */ (""),
  told: false, // whether a state has come since it is being resumed
  live: /** @type {boolean | undefined} */ (undefined),
  maxConcurrent: /** @type {number | null | undefined} */ (undefined), // what was asked for, until the state has it
  extend: /** @type {"" | "waiting" | "done"} */ (""),
  message: "", // why an order was refused
  late: "", // the order's id, where that is only because no answer has come in time
  error: "",
  views: /** @type {Set<() => void>} */ (new Set()),
});

/**
 * Return a function that does the same, but shows in the widget and tells Python what it throws.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {string} where
 * @param {(...args: any[]) => void} call
 */
export function safely(model, store, where, call) {
  const show = (/** @type {string} */ text) => {
    store.error = text;
    if (where !== "view") for (const view of store.views) view();
  };
  return (/** @type {any[]} */ ...args) => guard(model, `head: ${where}`, show, () => call(...args));
}

/**
 * Take in a new state: what it has brought about is no longer waited for.
 * @param {ReturnType<typeof fresh>} store
 * @param {any} state
 */
export function takeState(store, state) {
  const live = Boolean(state?.live);
  if (live !== store.live) {
    store.stop = store.again = store.message = store.late = "";
    store.maxConcurrent = undefined;
  }
  if (store.again === "resumed") store.again = "";
  if (store.maxConcurrent === (state?.max_concurrent ?? null)) store.maxConcurrent = undefined;
  [store.live, store.told, store.error] = [live, true, ""];
}

/**
 * Take in an answer to an order.
 * @param {ReturnType<typeof fresh>} store
 * @param {any} answer
 */
export function takeAnswer(store, answer) {
  const { type, order, id, late } = answer ?? {};
  if (late && !isAwaited(store, order)) return; // the state has said that it has come about
  if (store.late && store.late === id) store.message = store.late = ""; // an answer after all
  if (type === "stopping") store.stop = "stopping";
  if (type === "resuming") [store.again, store.told] = ["resuming", false];
  if (type === "done") {
    // It may have run and come to its end already.
    if (store.again === "resuming") store.again = store.told ? "" : "resumed";
    if (order === "extend") store.extend = "done";
  }
  if (type !== "refused") return;
  store.late = late ? id : "";
  store.message = `${/** @type {any} */ (UNDONE)[order] ?? "Refused"}: ${answer.message}`;
  if (order === "stop") store.stop = "";
  if (order === "max_concurrent") store.maxConcurrent = undefined;
  if (order === "extend") store.extend = "";
  if (order === "resume" || order === "extend") store.again = "";
}

/** @param {ReturnType<typeof fresh>} store @param {string} order */
function isAwaited(store, order) {
  if (order === "stop") return store.stop === "waiting";
  if (order === "max_concurrent") return store.maxConcurrent !== undefined;
  return order === "extend" ? store.extend === "waiting" || store.again !== "" : store.again !== "";
}

/**
 * @param {AnyModel} model
 * @param {Store} store
 */
export function listen(model, store) {
  const heard = () => {
    store.heard = performance.now();
    store.closed = false;
    store.met = true;
  };
  /** @type {Record<string, (...args: any[]) => void>} */
  const events = {
    "change:state": () => {
      heard();
      store.at = store.heard;
      takeState(store, model.get("state"));
    },
    "change:alive": heard,
    "msg:custom": (message) => {
      heard();
      store.requests.heard(message);
      takeAnswer(store, message);
    },
    comm_live_update: () => {
      store.closed = true;
      store.requests.close();
    },
  };
  /** @type {[any, () => void][]} */
  const bound = Object.entries(events).map(([name, call]) => [
    name,
    safely(model, store, name, (...args) => {
      call(...args);
      for (const view of store.views) view();
    }),
  ]);
  store.live = model.get("state") && Boolean(model.get("state").live);
  for (const [name, call] of bound) model.on(name, call);
  safely(model, store, "ready", () => model.send({ type: "ready" }))();
  return () => {
    for (const [name, call] of bound) model.off(name, call);
    store.requests.end();
  };
}
