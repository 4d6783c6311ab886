// What all views of the cluster panel share: the cluster's state, and the progress of connecting. See ../README.md.

import { makeStore } from "./lifecycle.js";

/** @typedef {import("./cluster-text.js").Node} Node */
/** @typedef {import("./cluster-text.js").Amount} Amount */
/** @typedef {{name: string, here: boolean, trials: number, resources: Record<string, number>}} User */
/**
 * @typedef {{kind: string, reason?: string, address?: string, alive?: number, dead?: number, amounts?: Amount[],
 *   users?: User[], others?: Record<string, number>}} Cluster
 */
/** @typedef {ReturnType<typeof createStore>} Store */
/** @typedef {ReturnType<typeof initialState>} State */

export const createStore = () => makeStore(initialState(), receive);

const initialState = () => ({
  cluster: /** @type {Cluster | null} */ (null), // null before the first message
  nodes: /** @type {Map<string, Node>} */ (new Map()),
  connecting: false,
  refusal: "", // why connecting failed
  connections: 0, // how often connecting has succeeded
});

/**
 * Take a message of the kernel, or the refusal of a request that has timed out.
 * @param {State} store
 * @param {any} message
 */
export function receive(store, message) {
  if (message.type === "cluster") {
    if (message.reset) store.nodes.clear();
    if (message.cluster) store.cluster = message.cluster;
    for (const name of message.removed) store.nodes.delete(name);
    for (const node of message.nodes) store.nodes.set(node.id, node);
  }
  if (message.type === "refused") [store.connecting, store.refusal] = [false, message.message];
  if (message.type === "connected") {
    [store.connecting, store.refusal] = [false, ""];
    store.connections++;
  }
}
