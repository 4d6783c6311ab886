// What all views of the cluster panel share: what is known of the cluster, who looks, how far connecting has come.

import { guard } from "./page.js";
import { makeRequests } from "./requests.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./cluster-text.js").Node} Node */
/** @typedef {import("./cluster-text.js").Amount} Amount */
/** @typedef {{name: string, here: boolean, trials: number, resources: Record<string, number>}} User */
/**
 * @typedef {{kind: string, why?: string, address?: string, alive?: number, dead?: number, amounts?: Amount[],
 *   users?: User[], others?: Record<string, number>}} Facts
 */
/** @typedef {ReturnType<typeof begin>} Store */

const LOOK = 2_000; // milliseconds between two words to Python that somebody looks

export const CONNECTED = 180_000; // milliseconds within which a cluster is joined, or one of its own started

export const begin = () => {
  const store = fresh();
  return Object.assign(store, {
    requests: makeRequests((refusal) => {
      takeWord(store, refusal);
      redraw(store);
    }),
  });
};

const fresh = () => ({
  facts: /** @type {Facts | null} */ (null), // null before the first word
  nodes: /** @type {Map<string, Node>} */ (new Map()),
  changed: /** @type {Set<string>} */ (new Set()), // nodes, since the views were drawn
  heard: performance.now(),
  closed: false,
  connecting: false,
  refused: "", // why connecting was
  connected: 0, // how often it has worked
  error: "",
  views: /** @type {Set<() => void>} */ (new Set()),
  looking: /** @type {Set<object>} */ (new Set()), // the views that are on the screen
  timer: /** @type {ReturnType<typeof setInterval> | undefined} */ (undefined),
});

/**
 * Take in a message.
 * @param {Store} store
 * @param {any} message
 */
export function take(store, message) {
  [store.heard, store.closed] = [performance.now(), false];
  store.requests.heard(message);
  takeWord(store, message);
}

/**
 * @param {ReturnType<typeof fresh>} store
 * @param {any} message
 */
function takeWord(store, message) {
  if (message.type === "cluster") {
    if (message.reset) store.nodes.clear();
    if (message.facts) store.facts = message.facts;
    for (const name of message.left) store.nodes.delete(name);
    for (const node of message.nodes) {
      store.nodes.set(node.id, node);
      store.changed.add(node.id);
    }
    store.error = "";
  }
  if (message.type === "refused") [store.connecting, store.refused] = [false, message.message];
  if (message.type === "connected") {
    [store.connecting, store.refused] = [false, ""];
    store.connected++;
  }
}

/**
 * Note whether a view is on the screen. As long as one is, Python hears of it.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {object} view
 * @param {boolean} looks
 */
export function look(model, store, view, looks) {
  if (!looks) store.looking.delete(view);
  else if (!store.looking.size) store.heard = performance.now(); // while nobody looked, there was nothing to hear
  if (looks) store.looking.add(view);
  if (!store.looking.size) {
    clearInterval(store.timer);
    store.timer = undefined;
  } else if (store.timer === undefined) {
    const say = () =>
      guard(
        model,
        "cluster: look",
        () => {},
        () => model.send({ type: "look" }),
      );
    store.timer = setInterval(say, LOOK);
    say();
  }
}

/** @param {ReturnType<typeof fresh>} store */
export function redraw(store) {
  for (const view of store.views) view();
  store.changed.clear();
}

/**
 * @param {AnyModel} model
 * @param {Store} store
 */
export function listen(model, store) {
  const show = (/** @type {string} */ text) => {
    store.error = text;
    for (const view of store.views) view();
  };
  const heard = (/** @type {any} */ message) =>
    guard(model, "cluster: message", show, () => {
      take(store, message);
      redraw(store);
    });
  const closed = () => {
    store.closed = true;
    store.requests.close();
    redraw(store);
  };
  model.on("msg:custom", heard);
  model.on("comm_live_update", closed);
  guard(model, "cluster: ready", show, () => model.send({ type: "ready" }));
  return () => {
    model.off("msg:custom", heard);
    model.off("comm_live_update", closed);
    clearInterval(store.timer);
    store.requests.end();
  };
}
