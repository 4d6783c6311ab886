// The scaling form: what a trial asks for, what is wrong with it, the plan beside it, and the cell that says it.

import { guard, make, showText } from "./page.js";
import { makeRequests } from "./requests.js";
import { BLANK, makeFields } from "./scaling-form.js";
import { makePlan } from "./scaling-plan.js";
import { makeWritten } from "./written.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof begin>} Store */

const PAUSE = 120; // milliseconds after the last key until Python hears of it
const LOOKS = 2_000; // milliseconds between two words to Python that somebody looks
const JOINED = 180_000; // milliseconds within which a cluster is joined, or one of its own started
const WRONG = "Put right what is marked above; then it can be written.";

/** What all views of a form share. */
const begin = () => {
  const store = fresh();
  return Object.assign(store, {
    requests: makeRequests((refusal) => {
      takeLink(store, refusal);
      for (const view of store.views) view();
    }),
  });
};

const fresh = () => ({
  link: { connecting: false, refused: "", closed: false },
  error: "",
  typed: /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined),
  views: /** @type {Set<() => void>} */ (new Set()),
});

/** @param {ReturnType<typeof fresh>} store @param {any} message */
function takeLink({ link }, message) {
  if (message.type === "refused") Object.assign(link, { connecting: false, refused: message.message });
  if (message.type === "connected") Object.assign(link, { connecting: false, refused: "" });
}

/**
 * One view of the form.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {AbortSignal} [signal]
 */
function view(model, el, store, signal) {
  const control = new AbortController();
  const end = () => control.abort();
  signal?.addEventListener("abort", end, { once: true });
  const failed = make("div", { className: "nbt-error", role: "alert" });
  const show = (/** @type {string} */ text) => {
    failed.textContent = store.error = text;
  };
  /** Each handler of this view is guarded, and goes with it.
   * @param {EventTarget} target @param {string} type @param {(event: any) => any} call */
  const on = (target, type, call) =>
    target.addEventListener(type, (event) => guard(model, `scaling: ${type}`, show, () => call(event)), {
      signal: control.signal,
    });

  /** @param {string} name @param {string | boolean} value */
  function set(name, value) {
    model.set("fields", { ...model.get("fields"), [name]: value }); // the other views hear of it
    clearTimeout(store.typed);
    const tell = () => guard(model, "scaling: typed", show, () => model.save_changes());
    store.typed = setTimeout(tell, typeof value === "string" && name !== "mode" ? PAUSE : 0);
  }
  const fields = makeFields(set, on);
  const plan = makePlan(() => {
    if (store.link.connecting || store.link.closed) return;
    Object.assign(store.link, { connecting: true, refused: "" });
    store.requests.ask(model, { type: "connect" }, JOINED);
    for (const one of store.views) one();
  }, on);
  const written = makeWritten(on);
  const gone = make("p", { role: "alert", className: "nbt-scaling-gone" });
  const root = make("form", { className: "nbt nbt-form nbt-scaling", noValidate: true, ariaLabel: "scaling" });
  root.append(gone, make("div", { className: "nbt-scaling-main" }, [fields.root, plan.root]), written.root, failed);
  root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab would take keys that are typed here
  on(root, "submit", (event) => event.preventDefault());
  el.append(root);

  const draw = () =>
    guard(model, "scaling: view", show, () => {
      const [checked, planned] = [model.get("checked") ?? {}, model.get("planned") ?? {}];
      const problems = checked.problems ?? {};
      const wrong = Object.keys(problems).length > 0;
      fields.draw({ ...BLANK, ...model.get("fields") }, problems, checked.train_v2 !== false);
      plan.draw(planned, store.link, wrong || planned.revision !== checked.revision);
      written.show(checked.cell ?? "", wrong ? WRONG : "");
      showText(gone, store.link.closed ? "The kernel is gone. Run this cell again in a new one." : "");
      if (failed.textContent !== store.error) failed.textContent = store.error;
    });

  let onScreen = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const say = () => guard(model, "scaling: look", show, () => model.send({ type: "look" }));
  const seen = () => {
    const looks = onScreen && !document.hidden && !control.signal.aborted;
    if (looks && timer === undefined) {
      say();
      timer = setInterval(say, LOOKS);
    }
    if (!looks) {
      clearInterval(timer);
      timer = undefined;
    }
  };
  const observer = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    seen();
  });
  observer.observe(root);
  on(document, "visibilitychange", seen);
  store.views.add(draw);
  control.signal.addEventListener("abort", () => {
    store.views.delete(draw);
    observer.disconnect();
    seen();
    root.remove();
  });
  draw();
  return end;
}

/**
 * @param {AnyModel} model
 * @param {Store} store
 */
function listen(model, store) {
  const redraw = () => {
    for (const one of store.views) one();
  };
  const answered = () => {
    Object.assign(store, { error: "" });
    store.link.closed = false;
    redraw();
  };
  const heard = (/** @type {any} */ message) => {
    store.requests.heard(message);
    takeLink(store, message);
    answered();
  };
  const closed = () => {
    store.link.closed = true;
    store.requests.close();
    redraw();
  };
  /** @type {[any, (...args: any[]) => void][]} */
  const bound = [
    ["change:fields", redraw],
    ["change:checked", answered],
    ["change:planned", answered],
    ["msg:custom", heard],
    ["comm_live_update", closed],
  ];
  for (const [name, call] of bound) model.on(name, call);
  model.send({ type: "ready" });
  return () => {
    for (const [name, call] of bound) model.off(name, call);
    clearTimeout(store.typed);
    store.requests.end();
  };
}

export default () => {
  const store = begin();
  return {
    /** @param {{model: AnyModel, signal?: AbortSignal}} context */
    initialize({ model, signal }) {
      const end = listen(model, store);
      signal?.addEventListener("abort", end);
      return end;
    },
    /** @param {{model: AnyModel, el: HTMLElement, signal?: AbortSignal}} context */
    render: ({ model, el, signal }) => view(model, el, store, signal),
  };
};
