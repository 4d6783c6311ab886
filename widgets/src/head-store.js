// What all views of the head share: when the kernel was last heard, and how far a stop has come. See ../README.md.

import { guard } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof begin>} Store */

/** What all views of a model share: when its state came, when the kernel was last heard, whether it ever was, how far a stop has come. */
export const begin = () => ({
  at: performance.now(),
  heard: performance.now(),
  closed: false,
  met: false,
  stop: /** @type {"" | "asking" | "waiting" | "stopping"} */ (""),
  message: "",
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
      store.error = "";
      if (!model.get("state")?.live) store.stop = store.message = "";
    },
    "change:alive": heard,
    "msg:custom": (message) => {
      heard();
      if (message?.type === "stopping") store.stop = "stopping";
      if (message?.type === "refused") [store.stop, store.message] = ["", `Not stopped: ${message.message}`];
    },
    comm_live_update: () => {
      store.closed = true;
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
  for (const [name, call] of bound) model.on(name, call);
  safely(model, store, "ready", () => model.send({ type: "ready" }))();
  return () => {
    for (const [name, call] of bound) model.off(name, call);
  };
}
