// The table of trials: sorted, filtered, selected, steered; each with its error, configuration and log. See ../README.md.

import { guard, make, showText } from "./page.js";
import { makeDetail } from "./trial-detail.js";
import { makeForm } from "./trial-form.js";
import { pointColumns } from "./trial-point.js";
import { comparator, parseFilter, ROW_HEIGHT } from "./trial-rows.js";
import { makeSelection } from "./trial-select.js";
import { begin, listen, orderPoint, orderTrial } from "./trial-store.js";
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
  const add = make("button", {
    type: "button",
    className: "nbt-add",
    textContent: "Add a point…",
    ariaExpanded: "false",
  });
  const tools = make("div", { className: "nbt-tools" }, [filter, count, why, clear, add]);
  const form = makeForm(store, (...point) => orderPoint(model, store, ...point), on, `${id}-new`);
  const grid = makeTable(store, state, id);
  const empty = make("div", { className: "nbt-empty" });
  const detail = makeDetail(model, store, state, safe, on, id);
  const root = make("div", { className: "nbt nbt-trials" }, [
    tools,
    form.root,
    grid.scroller,
    empty,
    fault,
    detail.panel,
  ]);
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
    filter.hidden = grid.scroller.hidden = all === 0;
    add.hidden = pointColumns(store.columns).length === 0;
    tools.hidden = filter.hidden && add.hidden;
    showText(empty, all === 0 ? EMPTY : found === 0 ? "No trial matches." : "");
    const whole = `${grouped(all)} ${all === 1 ? "trial" : "trials"}`;
    showText(count, all === 0 ? "" : filter.value.trim() ? `${grouped(found)} of ${grouped(all)}` : whole);
    showText(clear, state.selected.size ? `${grouped(state.selected.size)} selected ✕` : "");
    grid.drawRows(shown);
    form.draw();
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

  const { select, toggle, selectTo, pick, indexOf } = makeSelection(model, state, () => shown);

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
    } else if (button === "nbt-stop") orderTrial(model, store, trial, "stop");
    else if (button === "nbt-pause") orderTrial(model, store, trial, "pause");
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

  on(detail.close, "click", close);
  on(add, "click", () => {
    const opens = add.ariaExpanded !== "true";
    add.ariaExpanded = String(opens);
    form.show(null, opens ? add : null);
  });
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
