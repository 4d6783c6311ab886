// The head's steering: how many trials run at once, and more samples. Behind a button, so that the head stays calm.

import { readCount, steppedLimit } from "./head-text.js";
import { make, showText } from "./page.js";

/** @typedef {import("./head-store.js").Store} Store */

const PAUSE = 300; // milliseconds after the last click on − or + until it is ordered

/**
 * @param {Store} store
 * @param {(message: object) => void} send
 * @param {(target: EventTarget, type: string, call: (event: any) => void) => void} on
 */
export function makeSteer(store, send, on) {
  const id = `nbt-steer-${Math.random().toString(36).slice(2)}`;
  const button = make("button", { type: "button", className: "nbt-head-open", ariaExpanded: "false" });
  button.append("Steer", make("span", { ariaHidden: "true" }));
  button.setAttribute("aria-controls", id);
  const press = (/** @type {string} */ text, /** @type {string} */ name) =>
    make("button", { type: "button", textContent: text, ariaLabel: name, title: name });
  const fewer = press("−", "one fewer at once");
  const more = press("+", "one more at once");
  const all = press("all", "as many at once as fit");
  const shown = make("output", { className: "nbt-head-limit", ariaLabel: "at once" });
  const limit = make("span", { role: "group", ariaLabel: "trials at once" }, ["at once", fewer, shown, more, all]);
  const count = make("input", { type: "text", inputMode: "numeric", value: "5", ariaLabel: "more samples" });
  const add = make("button", { type: "submit" });
  const why = make("span", { className: "nbt-head-why", role: "status", id: `${id}-why` });
  count.setAttribute("aria-describedby", why.id);
  const extend = make("form", { noValidate: true, autocomplete: "off" }, ["more samples", count, add, why]);
  const panel = make("div", { className: "nbt-head-steer", id, role: "group", ariaLabel: "steering", hidden: true });
  panel.append(limit, extend);
  panel.dataset.lmSuppressShortcuts = "true"; // else JupyterLab would take keys that are typed here

  const redraw = () => {
    for (const view of store.views) view();
  };
  let known = /** @type {any} */ ({});
  let open = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const now = () =>
    /** @type {number | null} */ (
      store.maxConcurrent !== undefined ? store.maxConcurrent : (known.max_concurrent ?? null)
    );

  /** @param {number | null} number */
  function ask(number) {
    if (store.closed || number === now()) return;
    [store.maxConcurrent, store.message] = [number, ""];
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (number === (known.max_concurrent ?? null)) store.maxConcurrent = undefined;
      else send({ type: "max_concurrent", max_concurrent: number });
      redraw();
    }, PAUSE);
    redraw();
  }
  on(fewer, "click", () => ask(steppedLimit(now(), known.concurrent ?? null, -1)));
  on(more, "click", () => ask(steppedLimit(now(), known.concurrent ?? null, 1)));
  on(all, "click", () => ask(null));
  on(button, "click", () => {
    open = !open;
    redraw();
  });
  on(panel, "keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    open = false;
    redraw();
    button.focus();
  });
  on(count, "input", () => {
    store.extend = "";
    count.ariaInvalid = "false";
    showText(why, "");
  });
  on(count, "keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // not left to the browser: in JupyterLab it does not come to a submission
    extend.requestSubmit();
  });
  on(extend, "submit", (event) => {
    event.preventDefault();
    if (store.closed || store.extend === "waiting" || store.again) return;
    const samples = readCount(count.value);
    count.ariaInvalid = String(typeof samples === "string");
    if (typeof samples === "string") {
      showText(why, samples);
      return count.focus();
    }
    [store.extend, store.message] = ["waiting", ""];
    send({ type: "extend", samples });
    redraw();
  });

  /**
   * @param {any} state
   * @param {boolean} live
   */
  function draw(state, live) {
    known = state;
    if (!state.steer && panel.contains(document.activeElement)) /** @type {any} */ (document.activeElement).blur();
    button.hidden = !state.steer;
    panel.hidden = !state.steer || !open;
    button.ariaExpanded = String(open);
    button.lastElementChild.textContent = open ? " ▴" : " ▾";
    limit.hidden = !live;
    const [wanted, waits] = [now(), store.maxConcurrent !== undefined];
    const number = wanted ?? state.concurrent ?? "";
    const text = `${wanted === null ? (number === "" ? "all" : `all (${number})`) : number}${waits ? "…" : ""}`;
    if (shown.textContent !== text) shown.textContent = text;
    fewer.ariaDisabled = String(store.closed || Number(number) <= 1);
    more.ariaDisabled = String(store.closed || wanted === null);
    all.ariaDisabled = String(store.closed || wanted === null);
    const label = store.extend === "waiting" ? "waiting for the kernel…" : live ? "Add" : "Add and go on";
    if (add.textContent !== label) add.textContent = label;
    add.ariaDisabled = String(store.closed || store.extend === "waiting" || store.again !== "");
    if (count.ariaInvalid !== "true") showText(why, store.extend === "done" ? "✓ they will be tried" : "");
  }

  return { button, panel, draw, end: () => clearTimeout(timer) };
}
