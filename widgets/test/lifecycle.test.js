import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { defineWidget, makeStore } from "../src/lifecycle.js";

/** @typedef {import("../src/lifecycle.js").View} View */

/** The observers that observe something. @type {Set<any>} */
const observers = new Set();
class Observer {
  /** @param {(entries: any[]) => void} call */
  constructor(call) {
    this.call = call;
  }
  observe() {
    observers.add(this);
  }
  disconnect() {
    observers.delete(this);
  }
}

class FakeElement extends EventTarget {
  textContent = "";
  hidden = false;
  removed = false;
  children = /** @type {any[]} */ ([]);
  /** @param {any[]} children */
  append(...children) {
    this.children.push(...children);
  }
  remove() {
    this.removed = true;
  }
}

/** How many listeners the document has. */
let documentListeners = 0;
class FakeDocument extends EventTarget {
  hidden = false;
  body = new FakeElement();
  documentElement = new FakeElement();
  createElement = () => new FakeElement();
  /** @param {string} type @param {any} listener @param {any} options */
  addEventListener(type, listener, options) {
    documentListeners += 1;
    options.signal.addEventListener("abort", () => {
      documentListeners -= 1;
    });
    super.addEventListener(type, listener, options);
  }
}

beforeEach(() => {
  observers.clear();
  documentListeners = 0;
  Object.assign(globalThis, {
    document: new FakeDocument(),
    IntersectionObserver: Observer,
    MutationObserver: Observer,
    ResizeObserver: Observer,
  });
});

/** A model, its listeners and what was sent. */
function makeModel() {
  /** @type {Map<string, (...args: any[]) => void>} */
  const listeners = new Map();
  /** @type {any[]} */
  const sent = [];
  const model = /** @type {any} */ ({
    get: () => 0,
    send: (/** @type {any} */ message) => sent.push(message),
    on: (/** @type {string} */ name, /** @type {any} */ listener) => listeners.set(name, listener),
    off: (/** @type {string} */ name) => listeners.delete(name),
  });
  const emit = (/** @type {string} */ name, /** @type {any[]} */ ...args) => listeners.get(name)?.(...args);
  return { model, listeners, sent, emit };
}

/** A widget that shows the last message, and what it has done. */
function makeWidget({ poll = false, fails = false } = {}) {
  /** @type {string[]} */
  const log = [];
  const state = { fails };
  /** @type {ReturnType<typeof makeStore<{text: string, other: number}>>} */
  const store = makeStore({ text: "", other: 0 }, (_, refusal) => log.push(refusal.message));
  const views = /** @type {View[]} */ ([]);
  const factory = defineWidget({
    name: "test",
    createStore: () => store,
    receive: (store, message) => {
      if (message.type === "bad") throw new Error("bad message");
      store.text = message.text ?? store.text;
    },
    stateTraits: ["state"],
    otherTraits: ["selection"],
    receiveOther: (store) => {
      store.other += 1;
    },
    poll,
    render(view, store) {
      views.push(view);
      view.onThemeChange(() => log.push("theme"));
      view.onResize(/** @type {any} */ (new FakeElement()), () => log.push("resize"));
      view.onDispose(() => log.push("disposed"));
      const draw = (/** @type {boolean} */ received) => {
        if (state.fails) throw new Error("cannot draw");
        log.push(`draw ${store.text}${received ? " received" : ""}`);
      };
      view.mount(document.createElement("div"), draw, (visible) => log.push(`visible ${visible}`));
    },
  });
  return { widget: factory(), store, log, views, state };
}

/** @param {boolean} isIntersecting */
function scroll(isIntersecting) {
  for (const observer of observers) if (observer.call.length) observer.call([{ isIntersecting }]);
}

test("a model is asked for its data, draws all views at each message, and is left without listeners", () => {
  const { model, listeners, sent, emit } = makeModel();
  const { widget, store, log } = makeWidget();
  const dispose = widget.initialize({ model });
  assert.deepEqual(sent, [{ type: "ready" }]);
  assert.deepEqual([...listeners.keys()], ["msg:custom", "comm_live_update", "change:state", "change:selection"]);
  for (let i = 0; i < 2; i++) widget.render({ model, el: /** @type {any} */ (new FakeElement()) });
  assert.deepEqual(log, ["draw ", "draw "]);
  log.length = 0;
  emit("msg:custom", { type: "text", text: "a" }, []);
  assert.deepEqual(log, ["draw a received", "draw a received"]);
  emit("change:selection");
  assert.deepEqual([log.at(-1), store.other, store.messages], ["draw a", 1, 1]);
  emit("change:state");
  assert.deepEqual([log.at(-1), store.connected, store.messages], ["draw a received", true, 2]);
  dispose();
  assert.equal(listeners.size, 0);
});

test("disposing of a view removes its element, listeners and observers, once", () => {
  const { model } = makeModel();
  const { widget, store, log } = makeWidget();
  const [el, control] = [/** @type {any} */ (new FakeElement()), new AbortController()];
  const dispose = widget.render({ model, el, signal: control.signal });
  assert.deepEqual([store.views.size, documentListeners, observers.size], [1, 1, 3]);
  dispose();
  control.abort();
  assert.deepEqual([store.views.size, documentListeners, observers.size], [0, 0, 0]);
  assert.ok(el.children[0].removed);
  assert.equal(log.filter((entry) => entry === "disposed").length, 1);

  const other = new AbortController();
  widget.render({ model, el, signal: other.signal });
  other.abort();
  assert.deepEqual([store.views.size, documentListeners, observers.size], [0, 0, 0], "by anywidget's signal alone");
});

test("a closed connection refuses open requests, and a message opens it again", () => {
  const { model, emit } = makeModel();
  const { widget, store, log, views } = makeWidget();
  widget.initialize({ model });
  widget.render({ model, el: /** @type {any} */ (new FakeElement()) });
  views[0].send({ type: "stop" });
  emit("comm_live_update");
  assert.ok(store.closed);
  assert.ok(log.includes("the connection to the kernel is closed"));
  emit("msg:custom", { type: "text", text: "b" }, []);
  assert.ok(!store.closed);
});

test("errors are shown and reported, and disappear when the same place works again", () => {
  const { model, sent, emit } = makeModel();
  const { widget, state, views } = makeWidget({ fails: true });
  widget.initialize({ model });
  widget.render({ model, el: /** @type {any} */ (new FakeElement()) });
  const { error } = views[0];
  assert.deepEqual([error.hidden, error.textContent], [false, "Error in this view (test: drawing): cannot draw"]);
  assert.equal(sent.at(-1).where, "test: drawing");
  state.fails = false;
  emit("msg:custom", { type: "bad" }, []);
  assert.equal(error.textContent, "Error in this view (test: message): bad message");
  emit("msg:custom", { type: "text", text: "c" }, []);
  assert.ok(error.hidden);

  const click = views[0].guarded("click", () => {
    throw new Error("no");
  });
  click();
  assert.equal(error.textContent, "Error in this view (test: click): no");
  emit("msg:custom", { type: "text", text: "d" }, []);
  assert.ok(error.hidden, "the next message replaces errors of handlers");
});

test("the kernel gets messages as long as any view is visible", ({ mock }) => {
  mock.timers.enable({ apis: ["setInterval"] });
  const { model, sent } = makeModel();
  const { widget, store, log, views } = makeWidget({ poll: true });
  const el = /** @type {any} */ (new FakeElement());
  const [first, second] = [widget.render({ model, el }), widget.render({ model, el })];
  const count = () => sent.filter(({ type }) => type === "visible").length;
  assert.equal(count(), 0);
  scroll(true);
  assert.deepEqual([count(), store.visible.size, views[0].isVisible()], [1, 2, true]);
  assert.ok(log.includes("visible true"));
  mock.timers.tick(4000);
  assert.equal(count(), 3);
  first();
  mock.timers.tick(2000);
  assert.equal(count(), 4);
  second();
  mock.timers.tick(10_000);
  assert.deepEqual([count(), store.visible.size], [4, 0]);
});

test("a view in a hidden tab is not visible", () => {
  const { model } = makeModel();
  const { widget, views } = makeWidget();
  widget.render({ model, el: /** @type {any} */ (new FakeElement()) });
  scroll(true);
  assert.ok(views[0].isVisible());
  Object.assign(document, { hidden: true });
  assert.ok(!views[0].isVisible());
});
