import assert from "node:assert/strict";
import test from "node:test";
import cluster from "../src/cluster.js";
import { createStore, receive } from "../src/cluster-store.js";
import {
  addressProblem,
  amountText,
  attachHint,
  customText,
  customUse,
  freeText,
  plural,
  share,
  silenceText,
  usedText,
} from "../src/cluster-text.js";

test("used amounts are shown with the total, sizes in the unit of the total", () => {
  assert.equal(usedText(["CPU", 2, 8]), "2 of 8");
  assert.equal(usedText(["GPU", 0.5, 4]), "0.5 of 4");
  assert.equal(usedText(["memory", 1.5e9, 64e9]), "1.5 of 64 GB");
  assert.equal(usedText(["object_store_memory", 0, 2.5e12]), "0 of 2.5 TB");
  assert.equal(usedText(["memory", 312, 900]), "312 of 900 B");
  assert.equal(usedText(["memory", 1e6, 128.4e9]), "<0.1 of 128 GB");
  assert.equal(amountText("memory", 96e9), "96 GB");
  assert.equal(freeText(["CPU", 2.5, 8]), "5.5 free");
  assert.equal(freeText(["memory", 1e9, 64e9]), "63 GB free");
  assert.equal(amountText("CPU", 0.25), "0.25");
});

test("a bar is between empty and full", () => {
  assert.equal(share(["CPU", 2, 8]), 0.25);
  assert.equal(share(["CPU", 9, 8]), 1);
  assert.equal(share(["CPU", -1, 8]), 0);
  assert.equal(share(["GPU", 0, 0]), 0);
});

test("custom resources are text; Ray's own resources are not included", () => {
  const amounts = /** @type {[string, number, number][]} */ ([
    ["CPU", 1, 2],
    ["safe_node", 0.5, 1],
    ["disk", 0, 2],
  ]);
  assert.equal(customText(amounts), "safe_node 0.5 of 1, disk 0 of 2");
  assert.equal(customUse({ CPU: 1, memory: 5, safe_node: 0.5 }), "safe_node 0.5");
  assert.equal(customText([["CPU", 1, 2]]), "");
});

test("an address is required only with a current cluster", () => {
  assert.equal(addressProblem("", "none"), "");
  assert.equal(addressProblem(" ", "gone"), "");
  assert.match(addressProblem(" ", "embedded"), /HOST:PORT/);
  assert.equal(addressProblem("10.0.0.1:6379", "embedded"), "");
  assert.match(attachHint("embedded"), /shuts down/);
  assert.match(attachHint("attached"), /keeps running/);
});

test("a silent kernel is reported after some seconds, a closed connection at once", () => {
  assert.equal(silenceText(false, 5.9), "");
  assert.match(silenceText(false, 12.4), /12 s/);
  assert.match(silenceText(true, 0), /No connection/);
  assert.equal(plural(1, "node"), "1 node");
  assert.equal(plural(0, "node"), "0 nodes");
});

test("messages update the cluster and remove nodes", () => {
  const store = createStore();
  const node = (/** @type {string} */ id, used = 0) => ({ id, amounts: [["CPU", used, 4]] });
  receive(store, {
    type: "cluster",
    reset: true,
    cluster: { kind: "embedded" },
    nodes: [node("a"), node("b")],
    removed: [],
  });
  receive(store, { type: "cluster", reset: false, cluster: null, nodes: [node("a", 2)], removed: ["b"] });
  assert.deepEqual([...store.nodes.keys()], ["a"]);
  assert.equal(store.cluster?.kind, "embedded");
  Object.assign(store, { connecting: true });
  receive(store, { type: "refused", message: "no" });
  assert.deepEqual([store.connecting, store.refusal], [false, "no"]);
  receive(store, { type: "connected" });
  assert.deepEqual([store.refusal, store.connections], ["", 1]);
  receive(store, { type: "cluster", reset: true, cluster: { kind: "none" }, nodes: [], removed: [] });
  assert.equal(store.nodes.size, 0);
});

test("initialize asks for everything, and removes its listeners on dispose", () => {
  /** @type {string[]} */
  const names = [];
  /** @type {any[]} */
  const sent = [];
  const model = /** @type {any} */ ({
    send: (/** @type {any} */ message) => sent.push(message),
    on: (/** @type {string} */ name) => names.push(name),
    off: (/** @type {string} */ name) => names.splice(names.indexOf(name), 1),
  });
  const end = cluster().initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  assert.deepEqual(names, ["msg:custom", "comm_live_update"]);
  end();
  assert.deepEqual(names, []);
});
