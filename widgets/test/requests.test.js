import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWERED, makeRequests } from "../src/requests.js";

/** Requests, what is sent, and what is answered in the kernel's place. */
function begun() {
  /** @type {any[]} */
  const sent = [];
  /** @type {any[]} */
  const refused = [];
  const model = /** @type {any} */ ({ send: (/** @type {any} */ message) => sent.push(message) });
  return { model, sent, refused, requests: makeRequests((refusal) => refused.push(refusal)) };
}

test("every question has an id of its own, also among pages", () => {
  const [one, other] = [begun(), begun()];
  const ids = [one, one, other].map(({ model, requests }) => requests.ask(model, { type: "stop" }));
  assert.deepEqual(one.sent, [
    { type: "stop", id: ids[0] },
    { type: "stop", id: ids[1] },
  ]);
  assert.equal(new Set(ids).size, 3);
  for (const { requests } of [one, other]) requests.end();
});

test("what is not answered in time is answered as refused, once", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  const id = requests.ask(model, { type: "pause", trial: 3 });
  assert.ok(requests.waits("pause"));
  mock.timers.tick(ANSWERED - 1);
  assert.equal(refused.length, 0);
  mock.timers.tick(1);
  const message =
    "the kernel has not answered within 45 s. It may be busy with a cell, and still do it when it is free";
  assert.deepEqual(refused, [{ type: "refused", order: "pause", trial: 3, id, message, late: true }]);
  assert.ok(!requests.waits("pause"));
  requests.heard({ type: "pausing", id });
  mock.timers.tick(10 * ANSWERED);
  assert.equal(refused.length, 1);
});

test("an answer is its own question's only; a word that it is being done gives it more time", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  const first = requests.ask(model, { type: "stop" });
  const second = requests.ask(model, { type: "resume" });
  requests.heard({ type: "stopping", id: first });
  requests.heard({ type: "stopping", id: "of another page" });
  requests.heard({ type: "table" });
  requests.heard({ type: "resuming", id: second, pending: true });
  mock.timers.tick(ANSWERED);
  assert.equal(refused.length, 0);
  assert.ok(requests.waits("resume"));
  mock.timers.tick(300_000);
  assert.deepEqual([refused.length, refused[0].order, refused[0].trial], [1, "resume", null]);
});

test("nothing is waited for once the connection is closed, or the model gone", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, refused, requests } = begun();
  requests.ask(model, { type: "stop" });
  requests.close();
  assert.deepEqual([refused.length, refused[0].message], [1, "the connection to the kernel is closed"]);
  requests.ask(model, { type: "stop" });
  requests.end();
  mock.timers.tick(10 * ANSWERED);
  assert.equal(refused.length, 1);
});

test("what cannot be sent is not waited for", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { refused, requests } = begun();
  const model = /** @type {any} */ ({
    send: () => {
      throw new Error("no connection");
    },
  });
  assert.throws(() => requests.ask(model, { type: "stop" }), /no connection/);
  mock.timers.tick(ANSWERED);
  assert.equal(refused.length, 0);
});
