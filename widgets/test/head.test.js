import assert from "node:assert/strict";
import test from "node:test";
import head from "../src/head.js";
import { atOnceText, countText, duration, leftText, segments, silence } from "../src/head-text.js";
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

test("the time left is told with its spread, and counts down", () => {
  assert.equal(leftText({ low: 30, likely: 40, high: 55 }, 0), "about 0:40 left (0:30 to 0:55)");
  assert.equal(leftText({ low: 30, likely: 40, high: 55 }, 35), "about 0:05 left (0:01 to 0:20)");
  assert.equal(leftText({ low: 40.2, likely: 40.5, high: 40.9 }, 0), "about 0:40 left");
  assert.equal(leftText({ low: 3, likely: 4, high: 5 }, 100), "about 0:01 left");
});

test("how many run at once is told with what limits it", () => {
  assert.deepEqual(atOnceText(2, "", "GPU"), ["2 at once", ", limited by GPU"]);
  assert.deepEqual(atOnceText(4, "", ""), ["4 at once", ""]);
  assert.deepEqual(atOnceText(null, "2 workers", "GPU"), ["", ""]);
  assert.deepEqual(atOnceText(2, "1 to 4 workers", "CPU"), ["2 at once", ", 1 to 4 workers each, limited by CPU"]);
  assert.deepEqual(atOnceText(2, "2 workers", ""), ["2 at once", ", 2 workers each"]);
});

test("counts leave out what is zero, but running while it runs", () => {
  assert.equal(
    countText({ running: 2, finished: 9, stopped: 2, failed: 0, pending: 5 }, true),
    "2 running · 9 finished · 2 stopped early",
  );
  assert.equal(countText({ finished: 9 }, true), "0 running · 9 finished");
  assert.equal(countText({ finished: 9, failed: 1 }, false), "9 finished · 1 failed");
  assert.equal(countText({}, false), "");
  assert.equal(statusWord("stopped"), "stopped early");
});

test("the bar's segments are shares of all trials, never more than the whole", () => {
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

test("a silent kernel is told of after ten seconds, a closed connection at once, an ended experiment never", () => {
  const live = { live: true, gone: "What was reported is kept." };
  assert.equal(silence(live, false, 9.9), null);
  assert.deepEqual(silence(live, false, 12.4), [
    "No word from the kernel for ",
    "12 s",
    ". What was reported is kept.",
  ]);
  assert.equal(silence(live, false, 75)?.[1], "1:15");
  assert.deepEqual(silence(live, true, 0), ["The kernel is gone.", "", " What was reported is kept."]);
  assert.equal(silence({ live: false, gone: "" }, true, 100), null);
});

test("initialize asks for everything, and undoes its listeners", () => {
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
  const end = head().initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  assert.ok(names.includes("change:state") && names.includes("comm_live_update"));
  end();
  assert.deepEqual(names, []);
});
