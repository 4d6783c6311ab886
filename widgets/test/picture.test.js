import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { makePictures, replacePictures } from "../src/picture.js";

const SVG = "image/svg+xml";
/** @param {string} experiment @param {string} text */
const picture = (experiment, text) => ({
  [SVG]: `<svg><metadata>${experiment}</metadata>${text}</svg>`,
  "text/plain": text,
});

/** A list of JupyterLab's. @param {any[]} items */
const list = (items) => ({ length: items.length, get: (/** @type {number} */ n) => items[n] });

/** The outputs of a cell; `set` counts how often they were changed. @param {any[]} outputs */
function cell(...outputs) {
  const changed = { count: 0 };
  const models = list(outputs.map((output) => ({ toJSON: () => output })));
  const set = (/** @type {number} */ n, /** @type {any} */ output) => {
    changed.count++;
    outputs[n] = output;
    models.get(n).toJSON = () => output;
  };
  return { outputs: { ...models, set }, changed, shown: () => outputs.map((one) => one.data?.["text/plain"]) };
}
/** @param {any} data */
const display = (data) => ({ output_type: "display_data", data, metadata: {} });

test("all pictures of the experiment are replaced, and nothing else", () => {
  const first = cell({ output_type: "stream", text: "" }, display(picture("a_1", "running")));
  const second = cell(display({ [SVG]: [...picture("a_1", "old")[SVG]] }), display(picture("a_2", "another")));
  const result = cell({ ...display(picture("a_1", "a result")), output_type: "execute_result" });
  const cells = list([{}, first, second, result]);
  replacePictures(cells, picture("a_1", "finished"));
  assert.deepEqual(first.shown(), [undefined, "finished"]);
  assert.deepEqual(second.shown(), ["finished", "another"]);
  assert.deepEqual(result.shown(), ["a result"]);
  replacePictures(cells, picture("a_1", "finished"));
  assert.deepEqual([first.changed.count, second.changed.count], [1, 1], "an equal picture is no change of the file");
  replacePictures(cells, { [SVG]: "<svg>no experiment</svg>" });
  assert.equal(first.changed.count, 1);
});

/** What the browser's locks do: one holder for each name, the others wait. */
class Locks {
  /** @type {Map<string, (() => Promise<any>)[]>} */
  waiting = new Map();
  /** @param {string} name @param {{signal: AbortSignal}} options @param {() => Promise<any>} held */
  async request(name, { signal }, held) {
    const queue = this.waiting.get(name) ?? [];
    this.waiting.set(name, queue);
    queue.push(held);
    signal.addEventListener("abort", () => queue.splice(queue.indexOf(held), queue.includes(held) ? 1 : 0));
    if (queue.length === 1) await this.next(queue);
  }
  /** @param {(() => Promise<any>)[]} queue */
  async next(queue) {
    for (let held = queue[0]; held; held = queue[0]) {
      await held();
      if (queue[0] === held) queue.shift();
    }
  }
}
class Page extends EventTarget {
  hidden = false;
}
/** @type {Page} */
let page;
beforeEach(() => {
  page = new Page();
  Object.defineProperty(globalThis, "navigator", { value: { locks: new Locks() }, configurable: true });
  Object.assign(globalThis, { document: page });
});
/** @param {any} opened */
const makePage = (opened) =>
  makePictures(
    /** @type {any} */ ({ widget_manager: { context: { path: "a.ipynb", model: { cells: list([opened]) } } } }),
  );
const settle = () => new Promise((resolve) => setTimeout(resolve));

test("of two pages the first writes, and the second when the first is closed", async () => {
  const [one, two] = [cell(display(picture("a_1", "0"))), cell(display(picture("a_1", "0")))];
  const [first, second] = [makePage(one), makePage(two)];
  first.receive(picture("a_1", "1"));
  second.receive(picture("a_1", "1"));
  await settle();
  assert.deepEqual([one.shown(), two.shown()], [["1"], ["0"]]);
  first.receive(picture("a_1", "2"));
  second.receive(picture("a_1", "2"));
  assert.deepEqual([one.shown(), two.shown()], [["2"], ["0"]]);
  first.release();
  await settle();
  assert.deepEqual([one.shown(), two.shown()], [["2"], ["2"]], "with the latest picture");
  first.receive(picture("a_1", "3"));
  second.receive(picture("a_1", "3"));
  assert.deepEqual([one.shown(), two.shown()], [["2"], ["3"]]);
  second.release();
});

test("a hidden page waits until it is visible", async () => {
  const shown = cell(display(picture("a_1", "0")));
  const pictures = makePage(shown);
  page.hidden = true;
  pictures.receive(picture("a_1", "1"));
  await settle();
  assert.deepEqual(shown.shown(), ["0"]);
  page.hidden = false;
  page.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.deepEqual(shown.shown(), ["1"]);
  pictures.release();
});

test("a page without locks writes, and a frontend without a notebook does nothing", () => {
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  const shown = cell(display(picture("a_1", "0")));
  makePage(shown).receive(picture("a_1", "1"));
  assert.deepEqual(shown.shown(), ["1"]);
  makePictures(/** @type {any} */ ({})).receive(picture("a_1", "1"));
  makePictures(/** @type {any} */ ({ widget_manager: { context: {} } })).receive(picture("a_1", "1"));
});
