// The header's panel to steer the experiment: the limit of concurrent trials, and more samples. See ../README.md.

import { readCount, steppedLimit } from "./header-text.js";
import { make, showText } from "./page.js";

/** @typedef {import("./header-store.js").Store} Store */
/** @typedef {import("./lifecycle.js").View} View */

const CLICK_DELAY = 300; // milliseconds after the last click on − or + until the command is sent

/**
 * @param {Store} store
 * @param {View} view
 * @param {() => void} redraw draws all views
 */
export function makeSteer(store, { on, send }, redraw) {
  const id = `nbt-steer-${Math.random().toString(36).slice(2)}`;
  const button = make("button", { type: "button", className: "nbt-header-open", ariaExpanded: "false" });
  button.append("Steer", make("span", { ariaHidden: "true" }));
  button.setAttribute("aria-controls", id);
  const press = (/** @type {string} */ text, /** @type {string} */ name) =>
    make("button", { type: "button", textContent: text, ariaLabel: name, title: name });
  const fewer = press("−", "one fewer at once");
  const more = press("+", "one more at once");
  const all = press("all", "as many at once as the cluster has room for");
  const shown = make("output", { className: "nbt-header-limit", ariaLabel: "at once" });
  const limit = make("span", { role: "group", ariaLabel: "trials at once" }, ["at once", fewer, shown, more, all]);
  const count = make("input", { type: "text", inputMode: "numeric", value: "5", ariaLabel: "more samples" });
  const add = make("button", { type: "submit" });
  const errorText = make("span", { className: "nbt-header-count-status", role: "status", id: `${id}-error` });
  count.setAttribute("aria-describedby", errorText.id);
  const extend = make("form", { noValidate: true, autocomplete: "off" }, ["more samples", count, add, errorText]);
  const panel = make("div", { className: "nbt-header-steer", id, role: "group", ariaLabel: "steering", hidden: true });
  panel.append(limit, extend);
  panel.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys that are typed here

  let known = /** @type {any} */ ({});
  let open = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const currentLimit = () =>
    /** @type {number | null} */ (
      store.requestedLimit !== undefined ? store.requestedLimit : (known.max_concurrent ?? null)
    );

  /** @param {number | null} number */
  function setLimit(number) {
    if (store.closed || number === currentLimit()) return;
    [store.requestedLimit, store.refusal] = [number, ""];
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (number === (known.max_concurrent ?? null)) store.requestedLimit = undefined;
      else send({ type: "max_concurrent", max_concurrent: number });
      redraw();
    }, CLICK_DELAY);
    redraw();
  }
  on(fewer, "click", () => setLimit(steppedLimit(currentLimit(), known.concurrent ?? null, -1)));
  on(more, "click", () => setLimit(steppedLimit(currentLimit(), known.concurrent ?? null, 1)));
  on(all, "click", () => setLimit(null));
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
    showText(errorText, "");
  });
  on(count, "keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // JupyterLab prevents the browser from submitting the form
    extend.requestSubmit();
  });
  on(extend, "submit", (event) => {
    event.preventDefault();
    if (store.closed || store.extend === "waiting" || store.resume) return;
    const samples = readCount(count.value);
    count.ariaInvalid = String(typeof samples === "string");
    if (typeof samples === "string") {
      showText(errorText, samples);
      return count.focus();
    }
    [store.extend, store.refusal] = ["waiting", ""];
    send({ type: "extend", samples });
    redraw();
  });

  /**
   * @param {any} state
   * @param {boolean} live
   */
  function draw(state, live) {
    known = state;
    if (!state.steerable && panel.contains(document.activeElement)) /** @type {any} */ (document.activeElement).blur();
    button.hidden = !state.steerable;
    panel.hidden = !state.steerable || !open;
    button.ariaExpanded = String(open);
    button.lastElementChild.textContent = open ? " ▴" : " ▾";
    limit.hidden = !live;
    const [wanted, waiting] = [currentLimit(), store.requestedLimit !== undefined];
    const number = wanted ?? state.concurrent ?? "";
    const text = `${wanted === null ? (number === "" ? "all" : `all (${number})`) : number}${waiting ? "…" : ""}`;
    if (shown.textContent !== text) shown.textContent = text;
    fewer.ariaDisabled = String(store.closed || Number(number) <= 1);
    more.ariaDisabled = String(store.closed || wanted === null);
    all.ariaDisabled = String(store.closed || wanted === null);
    const label = store.extend === "waiting" ? "waiting for the kernel…" : live ? "Add" : "Add and resume";
    if (add.textContent !== label) add.textContent = label;
    add.ariaDisabled = String(store.closed || store.extend === "waiting" || store.resume !== "");
    if (count.ariaInvalid !== "true") showText(errorText, store.extend === "done" ? "✓ added" : "");
  }

  return { button, panel, draw, dispose: () => clearTimeout(timer) };
}
