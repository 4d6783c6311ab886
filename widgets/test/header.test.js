import assert from "node:assert/strict";
import test from "node:test";
import header from "../src/header.js";
import {
  concurrencyText,
  countText,
  duration,
  originText,
  remainingText,
  segments,
  silence,
} from "../src/header-text.js";
import { statusWord } from "../src/page.js";

test("durations are m:ss, from an hour on h:mm:ss", () => {
  assert.equal(duration(0), "0:00");
  assert.equal(duration(72.9), "1:12");
  assert.equal(duration(3599.99), "59:59");
  assert.equal(duration(3600), "1:00:00");
  assert.equal(duration(36123), "10:02:03");
  assert.equal(duration(-3), "0:00");
  assert.equal(duration(Number.NaN), "0:00");
});

test("the best value comes from a trial, or from the repeats of a configuration", () => {
  assert.equal(originText({ trial: 3, iteration: 5, note: "" }), "(trial 3, iteration 5)");
  assert.equal(originText({ trial: 3, iteration: null }), "(trial 3)");
  assert.equal(originText({ trial: null, iteration: null, note: "" }), "");
  const note = "mean of 2 of 3 repeats of configuration 1";
  assert.equal(originText({ trial: 3, iteration: 5, note }), `(${note})`);
});

test("the remaining time has a range, and counts down", () => {
  assert.equal(remainingText({ low: 30, likely: 40, high: 55 }, 0), "about 0:40 left (0:30 to 0:55)");
  assert.equal(remainingText({ low: 30, likely: 40, high: 55 }, 35), "about 0:05 left (0:01 to 0:20)");
  assert.equal(remainingText({ low: 40.2, likely: 40.5, high: 40.9 }, 0), "about 0:40 left");
  assert.equal(remainingText({ low: 3, likely: 4, high: 5 }, 100), "about 0:01 left");
});

test("the number of concurrent trials is shown with its limit", () => {
  assert.deepEqual(concurrencyText(2, "", "GPU"), ["2 at once", ", limited by GPU"]);
  assert.deepEqual(concurrencyText(4, "", ""), ["4 at once", ""]);
  assert.deepEqual(concurrencyText(null, "2 workers", "GPU"), ["", ""]);
  assert.deepEqual(concurrencyText(2, "1 to 4 workers", "CPU"), ["2 at once", ", 1 to 4 workers each, limited by CPU"]);
  assert.deepEqual(concurrencyText(2, "2 workers", ""), ["2 at once", ", 2 workers each"]);
});

test("zero counts are left out, except running in a live experiment", () => {
  assert.equal(
    countText({ running: 2, finished: 9, stopped: 2, failed: 0, pending: 5 }, true),
    "2 running · 9 finished · 2 stopped early",
  );
  assert.equal(countText({ finished: 9 }, true), "0 running · 9 finished");
  assert.equal(countText({ finished: 9, failed: 1 }, false), "9 finished · 1 failed");
  assert.equal(countText({}, false), "");
  assert.equal(statusWord("stopped"), "stopped early");
});

test("the segments of the bar are shares of all trials", () => {
  assert.deepEqual(segments({ running: 5, finished: 10 }, 20), [
    ["finished", 0.5],
    ["stopped", 0],
    ["failed", 0],
    ["running", 0.25],
    ["paused", 0],
  ]);
  const more = segments({ finished: 3, running: 1 }, 2);
  assert.equal(
    more.reduce((sum, [, share]) => sum + share, 0),
    1,
  );
  assert.ok(segments({}, 0).every(([, share]) => share === 0));
});

test("a silent kernel is reported after ten seconds, a closed connection at once, after the end neither", () => {
  const hint = "What was reported is kept.";
  assert.equal(silence(true, false, 9.9, hint), null);
  assert.deepEqual(silence(true, false, 12.4, hint), [
    "No message from the kernel for ",
    "12 s",
    ". What was reported is kept.",
  ]);
  assert.equal(silence(true, false, 75, hint)?.[1], "1:15");
  assert.deepEqual(silence(true, true, 0, hint), ["No connection to the kernel.", "", " What was reported is kept."]);
  assert.equal(silence(false, true, 100, ""), null);
});

test("initialize asks for everything, and removes its listeners on dispose", () => {
  /** @type {string[]} */
  const names = [];
  /** @type {any[]} */
  const sent = [];
  const model = /** @type {any} */ ({
    get: () => ({}),
    send: (/** @type {any} */ message) => sent.push(message),
    on: (/** @type {string} */ name) => names.push(name),
    off: (/** @type {string} */ name) => names.splice(names.indexOf(name), 1),
  });
  const end = header().initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  assert.ok(names.includes("change:state") && names.includes("comm_live_update"));
  end();
  assert.deepEqual(names, []);
});
