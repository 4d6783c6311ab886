import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWER_TIMEOUT, makeRequests } from "../src/requests.js";

/** Requests, what is sent, and what is answered in the kernel's place. */
function begun() {
  /** @type {any[]} */
  const sent = [];
  /** @type {any[]} */
  const refused = [];
  const model = /** @type {any} */ ({ send: (/** @type {any} */ message) => sent.push(message) });
  return { model, sent, refused, requests: makeRequests((refusal) => refused.push(refusal)) };
}

test("every request has a unique id, also among pages", () => {
  const [one, other] = [begun(), begun()];
  const ids = [one, one, other].map(({ model, requests }) => requests.send(model, { type: "stop" }));
  assert.deepEqual(one.sent, [
    { type: "stop", id: ids[0] },
    { type: "stop", id: ids[1] },
  ]);
  assert.equal(new Set(ids).size, 3);
  for (const { requests } of [one, other]) requests.dispose();
});

test("a request that times out is refused, once", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  const id = requests.send(model, { type: "pause", trial: 3 });
  assert.ok(requests.isPending("pause"));
  mock.timers.tick(ANSWER_TIMEOUT - 1);
  assert.equal(refused.length, 0);
  mock.timers.tick(1);
  const message = "the kernel has not answered within 45 s. It may be running a cell, and answer when that has ended";
  assert.deepEqual(refused, [{ type: "refused", command: "pause", trial: 3, id, message, late: true }]);
  assert.ok(!requests.isPending("pause"));
  requests.receive({ type: "pausing", id });
  mock.timers.tick(10 * ANSWER_TIMEOUT);
  assert.equal(refused.length, 1);
});

test("an answer belongs to its request only; a pending answer extends the timeout", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  const first = requests.send(model, { type: "stop" });
  const second = requests.send(model, { type: "resume" });
  requests.receive({ type: "stopping", id: first });
  requests.receive({ type: "stopping", id: "of another page" });
  requests.receive({ type: "table" });
  requests.receive({ type: "resuming", id: second, pending: true });
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(refused.length, 0);
  assert.ok(requests.isPending("resume"));
  mock.timers.tick(300_000);
  assert.deepEqual([refused.length, refused[0].command, refused[0].trial], [1, "resume", null]);
});

test("a closed connection refuses open requests, and dispose forgets them", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  requests.send(model, { type: "stop" });
  requests.close();
  assert.deepEqual([refused.length, refused[0].message], [1, "the connection to the kernel is closed"]);
  requests.send(model, { type: "stop" });
  requests.dispose();
  mock.timers.tick(10 * ANSWER_TIMEOUT);
  assert.equal(refused.length, 1);
});

test("a request that cannot be sent is not open", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { refused, requests } = begun();
  const model = /** @type {any} */ ({
    send: () => {
      throw new Error("no connection");
    },
  });
  assert.throws(() => requests.send(model, { type: "stop" }), /no connection/);
  mock.timers.tick(ANSWER_TIMEOUT);
  assert.equal(refused.length, 0);
});
