import assert from "node:assert/strict";
import test from "node:test";
import scaling from "../src/scaling.js";
import { ALL, isShown, MODES, placeholderOf } from "../src/scaling-fields.js";

const one = (/** @type {string} */ name) => /** @type {any} */ (ALL.find((field) => field.name === name));

test("every field has a unique name, a label and a hint", () => {
  assert.equal(new Set(ALL.map(({ name }) => name)).size, ALL.length);
  for (const { label, hint } of ALL) assert.ok(label && hint);
  assert.deepEqual(Object.keys(MODES), ["one", "distributed"]);
});

test("a field depends on the version of Ray Train, and on another field", () => {
  assert.equal(isShown(one("trainer_resources"), {}, true), false);
  assert.equal(isShown(one("trainer_resources"), {}, false), true);
  assert.equal(isShown(one("label_selector"), {}, false), false);
  assert.equal(isShown(one("resize_every"), { max_workers: "" }, true), false);
  assert.equal(isShown(one("resize_every"), { max_workers: "4" }, true), true);
  assert.equal(isShown(one("topology"), { use_tpu: true }, true), true);
});

test("the placeholder of an empty field is Ray's default", () => {
  assert.equal(placeholderOf(one("worker_cpus"), {}), "1");
  assert.equal(placeholderOf(one("worker_cpus"), { use_gpu: true }), "0");
  assert.equal(placeholderOf(one("worker_cpus"), { worker_memory: "2GiB" }), "0");
  assert.equal(placeholderOf(one("worker_gpus"), { use_gpu: true }), "1");
  assert.equal(placeholderOf(one("worker_gpus"), {}), "0");
});

test("initialize listens, and removes its listeners on dispose", () => {
  /** @type {string[]} */
  const names = [];
  const model = /** @type {any} */ ({
    send: () => {},
    on: (/** @type {string} */ name) => names.push(name),
    off: (/** @type {string} */ name) => names.splice(names.indexOf(name), 1),
  });
  const end = scaling().initialize({ model });
  assert.ok(names.includes("change:checked") && names.includes("comm_live_update"));
  end();
  assert.deepEqual(names, []);
});
