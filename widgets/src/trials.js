// The table of trials: sorted, filtered, selected; each with its error, configuration, log and stop. See ../README.md.

import { guard, make } from "./page.js";
import { makeDetail } from "./trial-detail.js";
import { comparator, parseFilter, ROW_HEIGHT } from "./trial-rows.js";
import { showText } from "./trial-status.js";
import { begin, listen, stopTrial } from "./trial-store.js";
import { makeTable, newState } from "./trial-table.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-store.js").Store} Store */

const EMPTY = "No trial yet. The first will appear here as soon as its process has started.";
/** @type {Record<string, number>} */
const STEPS = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

/** @param {number} count */
const grouped = (count) => count.toLocaleString("en-US");

/**
 * One view of the table. Returns what ends it.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 */
function view(model, el, store) {
  const ending = new AbortController();
  const id = `nbt-${Math.random().toString(36).slice(2)}`;
  const state = newState();
  const fault = make("div", { className: "nbt-error", role: "alert", hidden: true });
  const complain = (/** @type {string} */ text) => showText(fault, text);
  /** @type {(where: string, act: (event?: any) => any) => (event?: any) => any} */
  const safe = (where, act) => (event) => guard(model, `trials: ${where}`, complain, () => act(event));
  /** @type {(target: EventTarget, type: string, act: (event: any) => any) => void} */
  const on = (target, type, act) => target.addEventListener(type, safe(type, act), { signal: ending.signal });

  const filter = make("input", {
    type: "search",
    placeholder: "filter: lr < 0.01 and status = failed",
    spellcheck: false,
    ariaLabel: "Filter the trials",
  });
  const count = make("span", { className: "nbt-count" });
  const why = make("span", { className: "nbt-why", role: "status", id: `${id}-why` });
  filter.setAttribute("aria-describedby", why.id);
  const clear = make("button", { type: "button", className: "nbt-clear", title: "clear the selection" });
  const tools = make("div", { className: "nbt-tools" }, [filter, count, why, clear]);
  const grid = makeTable(store, state, id);
  const empty = make("div", { className: "nbt-empty" });
  const detail = makeDetail(model, store, state, safe);
  const root = make("div", { className: "nbt nbt-trials" }, [tools, grid.scroller, empty, fault, detail.panel]);
  root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab would take keys that the table knows

  let order = /** @type {Row[]} */ ([]); // all, in order
  let shown = /** @type {Row[]} */ ([]); // those of them that match the filter
  let { test } = parseFilter("", []);
  let sorted = 0; // the entry that they are sorted by
  let layout = -1; // the store's when the head was drawn
  let stale = true; // whether the rows or the filter have changed since the last drawing
  let frame = 0;

  function draw() {
    frame = 0;
    if (layout !== store.layout) drawLayout();
    if (stale) arrange();
    const [all, found] = [order.length, shown.length];
    tools.hidden = grid.scroller.hidden = all === 0;
    showText(empty, all === 0 ? EMPTY : found === 0 ? "No trial matches." : "");
    const whole = `${grouped(all)} ${all === 1 ? "trial" : "trials"}`;
    showText(count, filter.value.trim() ? `${grouped(found)} of ${grouped(all)}` : whole);
    showText(clear, state.selected.size ? `${grouped(state.selected.size)} selected ✕` : "");
    grid.drawRows(shown);
    detail.draw();
    complain([store.failure, store.refused].filter(Boolean).join("\n"));
  }

  const entries = () => [0, 1, ...store.columns.map(({ key }) => key)];

  function drawLayout() {
    order = []; // they may be others
    sorted = entries().indexOf(state.by);
    if (sorted < 0) {
      sorted = state.by = 0; // that column is gone
      state.direction = 1;
    }
    readFilter();
    grid.drawHead(sorted);
    layout = store.layout;
  }

  function arrange() {
    // What was in order nearly is in order still, which makes the sorting cheap.
    const known = /** @type {Row[]} */ (order.map(([trial]) => store.rows.get(trial)));
    const more = [...store.rows.values()].slice(known.length);
    order = [...known, ...more].sort(comparator(sorted, state.direction));
    shown = order.filter(test);
    stale = false;
  }

  const paint = safe("drawing", draw);
  function schedule() {
    if (state.visible && !frame) frame = requestAnimationFrame(paint);
  }
  function refresh() {
    stale = true;
    schedule();
  }

  function readFilter() {
    const parsed = parseFilter(filter.value, store.columns);
    filter.ariaInvalid = String(parsed.error !== "");
    showText(why, parsed.error);
    if (!parsed.error) test = parsed.test;
    stale = true;
  }

  /** @param {number} entry */
  function sortBy(entry) {
    if (entry !== sorted) {
      state.by = entries()[entry];
      state.direction = 1;
    } else if (state.direction > 0) {
      state.direction = -1;
    } else {
      state.by = 0;
      state.direction = 1;
    }
    layout = -1;
    refresh();
  }

  /** @param {Iterable<number>} trials */
  function select(trials) {
    state.selected = new Set(trials);
    model.set(
      "selection",
      [...state.selected].sort((a, b) => a - b),
    );
    model.save_changes();
  }

  /** @param {number} trial */
  function toggle(trial) {
    const selected = new Set(state.selected);
    if (!selected.delete(trial)) selected.add(trial);
    select(selected);
  }

  /** @param {number} trial */
  function selectTo(trial) {
    const to = indexOf(trial);
    const from = indexOf(state.anchor);
    const first = from < 0 ? to : Math.min(from, to);
    select(shown.slice(first, Math.max(from, to) + 1).map((row) => row[0]));
  }

  /** @param {number | null} trial */
  const indexOf = (trial) => shown.findIndex((row) => row[0] === trial);

  /**
   * @param {number} step how many rows the active one moves
   * @param {boolean} extend whether the selection goes with it
   */
  function move(step, extend) {
    const next = Math.min(Math.max(indexOf(state.active) + step, 0), shown.length - 1);
    const trial = shown[next][0];
    state.anchor = extend ? (state.anchor ?? state.active) : trial;
    state.active = trial;
    if (extend) selectTo(trial);
    grid.reveal(next);
    grid.focus();
  }

  function close() {
    detail.show(null);
    grid.focus();
    schedule();
  }

  on(filter, "input", () => {
    readFilter();
    schedule();
  });
  on(clear, "click", () => {
    select([]);
    grid.focus();
    schedule();
  });
  on(grid.scroller, "scroll", schedule);
  on(grid.heads, "click", ({ target }) => {
    const button = target.closest("button");
    if (button) sortBy([...grid.heads.children].indexOf(button.parentElement));
  });
  on(grid.body, "mousedown", (event) => event.shiftKey && event.preventDefault()); // else it would select text
  on(grid.body, "click", (event) => {
    const line = event.target.closest("tr[data-trial]");
    if (!line) return;
    const trial = Number(line.dataset.trial);
    const button = event.target.closest("button")?.className;
    state.active = trial;
    if (button === "nbt-open") {
      if (state.open === trial) close();
      else detail.show(trial);
    } else if (button === "nbt-stop") stopTrial(model, store, trial);
    else {
      if (event.detail < 2) pick(trial, event);
      grid.focus();
    }
    schedule();
  });
  on(grid.body, "dblclick", ({ target }) => {
    const line = target.closest("tr[data-trial]");
    if (!line || target.closest("button")) return;
    detail.show(Number(line.dataset.trial));
    schedule();
  });

  /**
   * A row was clicked.
   * @param {number} trial
   * @param {MouseEvent} event
   */
  function pick(trial, event) {
    const alone = state.selected.size === 1 && state.selected.has(trial);
    if (event.shiftKey) selectTo(trial);
    else if (event.ctrlKey || event.metaKey) toggle(trial);
    else select(alone ? [] : [trial]);
    if (!event.shiftKey) state.anchor = trial;
  }

  on(detail.close, "click", close);
  on(detail.stop, "click", () => state.open !== null && stopTrial(model, store, state.open));
  on(detail.copy, "click", detail.copyConfig);
  on(grid.table, "focus", () => {
    state.active ??= shown[Math.ceil(grid.scroller.scrollTop / ROW_HEIGHT)]?.[0] ?? null;
    schedule();
  });
  on(root, "keydown", (event) => {
    const { key, target } = event;
    const { active } = state;
    const inRows = (target === grid.table || grid.body.contains(target)) && shown.length > 0 && !event.altKey;
    if (key === "Escape" && state.open !== null && target !== filter) close();
    else if (inRows && STEPS[key]) move(STEPS[key], event.shiftKey);
    else if (target !== grid.table || !inRows || active === null) return;
    else if (key === "Enter") detail.show(active);
    else if (key === " ") toggle(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
    schedule();
  });

  const reselect = safe("selection", () => {
    state.selected = new Set(model.get("selection") ?? []);
    schedule();
  });
  const observer = new IntersectionObserver((entries) => {
    state.visible = entries[entries.length - 1].isIntersecting;
    schedule();
  });
  store.views.add(refresh);
  model.on("change:selection", reselect);
  el.append(root);
  reselect();
  observer.observe(root);
  return () => {
    ending.abort();
    store.views.delete(refresh);
    model.off("change:selection", reselect);
    observer.disconnect();
    cancelAnimationFrame(frame);
    detail.end();
    root.remove();
  };
}

export default () => {
  const store = begin();
  return {
    /** @param {{model: AnyModel}} context */
    initialize: ({ model }) => listen(model, store),
    /** @param {{model: AnyModel, el: HTMLElement}} context */
    render: ({ model, el }) => view(model, el, store),
  };
};
