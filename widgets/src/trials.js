// The table of trials: sort, filter, select, stop, pause, clone; the error, configuration and log of each. See ../README.md.

import { defineWidget } from "./lifecycle.js";
import { make, showText } from "./page.js";
import { makeDetail } from "./trial-detail.js";
import { makeForm } from "./trial-form.js";
import { pointColumns } from "./trial-point.js";
import { comparator, parseFilter, ROW_HEIGHT } from "./trial-rows.js";
import { makeSelection } from "./trial-select.js";
import { createStore, receive, sendCommand, sendPoint } from "./trial-store.js";
import { makeTable, newState } from "./trial-table.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-store.js").Store} Store */

const EMPTY = "No trials yet.";
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
 * Build one view of the table.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model, on, guarded } = view;
  const id = `nbt-${Math.random().toString(36).slice(2)}`;
  const state = newState();
  const refusal = make("div", { className: "nbt-command-refusal", role: "alert", hidden: true });
  const filter = make("input", {
    type: "search",
    placeholder: "filter: lr < 0.01 and status = failed",
    spellcheck: false,
    ariaLabel: "Filter the trials",
  });
  const count = make("span", { className: "nbt-count" });
  const filterError = make("span", { className: "nbt-filter-error", role: "status", id: `${id}-filter-error` });
  filter.setAttribute("aria-describedby", filterError.id);
  const clear = make("button", { type: "button", className: "nbt-clear", title: "clear the selection" });
  const add = make("button", {
    type: "button",
    className: "nbt-add",
    textContent: "Add a point…",
    ariaExpanded: "false",
  });
  const tools = make("div", { className: "nbt-tools" }, [filter, count, filterError, clear, add]);
  const form = makeForm(store, (...point) => sendPoint(model, store, ...point), on, `${id}-new`);
  const table = makeTable(store, state, id);
  const empty = make("div", { className: "nbt-empty" });
  const detail = makeDetail(view, store, state, id);
  const root = make("div", { className: "nbt nbt-trials" }, [
    tools,
    form.root,
    table.scroller,
    empty,
    refusal,
    view.error,
    detail.panel,
  ]);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle the keys of the table

  let sortedRows = /** @type {Row[]} */ ([]); // all
  let shown = /** @type {Row[]} */ ([]); // those that match the filter
  let { test } = parseFilter("", []);
  let sortEntry = 0; // the entry that they are sorted by
  let layout = -1; // the store's when the table header was drawn
  let stale = true; // whether the rows or the filter have changed since the last frame
  let frame = 0;

  function drawFrame() {
    frame = 0;
    if (layout !== store.layout) drawLayout();
    if (stale) sortAndFilter();
    const [all, matching] = [sortedRows.length, shown.length];
    filter.hidden = table.scroller.hidden = all === 0;
    add.hidden = pointColumns(store.columns).length === 0;
    tools.hidden = filter.hidden && add.hidden;
    showText(empty, all === 0 ? EMPTY : matching === 0 ? "No trial matches the filter." : "");
    const total = `${grouped(all)} ${all === 1 ? "trial" : "trials"}`;
    showText(count, all === 0 ? "" : filter.value.trim() ? `${grouped(matching)} of ${grouped(all)}` : total);
    showText(clear, state.selected.size ? `${grouped(state.selected.size)} selected ✕` : "");
    table.drawRows(shown);
    form.draw();
    detail.draw();
    showText(refusal, store.refusal);
  }

  const entries = () => [0, 1, ...store.columns.map(({ key }) => key)];

  function drawLayout() {
    sortedRows = []; // a reset may have replaced the rows
    sortEntry = entries().indexOf(state.by);
    if (sortEntry < 0) {
      sortEntry = state.by = 0; // the column does not exist any more
      state.direction = 1;
    }
    readFilter();
    table.drawHeader(sortEntry);
    layout = store.layout;
  }

  function sortAndFilter() {
    // Start from the previous order: sorting rows that are nearly sorted is cheap.
    const known = /** @type {Row[]} */ (sortedRows.map(([trial]) => store.rows.get(trial)));
    const added = [...store.rows.values()].slice(known.length);
    sortedRows = [...known, ...added].sort(comparator(sortEntry, state.direction));
    shown = sortedRows.filter(test);
    stale = false;
  }

  const paint = guarded("table", drawFrame);
  function schedule() {
    if (view.isVisible() && !frame) frame = requestAnimationFrame(paint);
  }
  function refresh() {
    stale = true;
    schedule();
  }

  function readFilter() {
    const parsed = parseFilter(filter.value, store.columns);
    filter.ariaInvalid = String(parsed.error !== "");
    showText(filterError, parsed.error);
    if (!parsed.error) test = parsed.test;
    stale = true;
  }

  /** @param {number} entry */
  function sortBy(entry) {
    if (entry !== sortEntry) {
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
    table.reveal(next);
    table.focus();
  }

  function close() {
    detail.show(null);
    table.focus();
    schedule();
  }

  on(filter, "input", () => {
    readFilter();
    schedule();
  });
  on(clear, "click", () => {
    select([]);
    table.focus();
    schedule();
  });
  on(table.scroller, "scroll", schedule);
  on(table.headers, "click", ({ target }) => {
    const button = target.closest("button");
    if (button) sortBy([...table.headers.children].indexOf(button.parentElement));
  });
  on(table.body, "mousedown", (event) => event.shiftKey && event.preventDefault()); // it would select text
  on(table.body, "click", (event) => {
    const line = event.target.closest("tr[data-trial]");
    if (!line) return;
    const trial = Number(line.dataset.trial);
    const button = event.target.closest("button")?.className;
    state.active = trial;
    if (button === "nbt-open") {
      if (state.open === trial) close();
      else detail.show(trial);
    } else if (button === "nbt-stop") sendCommand(model, store, trial, "stop");
    else if (button === "nbt-pause") sendCommand(model, store, trial, "pause");
    else {
      if (event.detail < 2) pick(trial, event);
      table.focus();
    }
    schedule();
  });
  on(table.body, "dblclick", ({ target }) => {
    const line = target.closest("tr[data-trial]");
    if (!line || target.closest("button")) return;
    detail.show(Number(line.dataset.trial));
    schedule();
  });

  on(detail.close, "click", close);
  on(add, "click", () => {
    const opening = add.ariaExpanded !== "true";
    add.ariaExpanded = String(opening);
    form.show(null, opening ? add : null);
  });
  on(table.element, "focus", () => {
    state.active ??= shown[Math.ceil(table.scroller.scrollTop / ROW_HEIGHT)]?.[0] ?? null;
    schedule();
  });
  on(root, "keydown", (event) => {
    const { key, target } = event;
    const { active } = state;
    const inRows = (target === table.element || table.body.contains(target)) && shown.length > 0 && !event.altKey;
    if (key === "Escape" && state.open !== null && target !== filter) close();
    else if (inRows && STEPS[key]) move(STEPS[key], event.shiftKey);
    else if (target !== table.element || !inRows || active === null) return;
    else if (key === "Enter") detail.show(active);
    else if (key === " ") toggle(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
    schedule();
  });

  view.onDispose(() => {
    cancelAnimationFrame(frame);
    detail.dispose();
  });
  view.mount(
    root,
    () => {
      state.selected = new Set(model.get("selection") ?? []);
      refresh();
    },
    schedule,
  );
}

export default defineWidget({ name: "trials", createStore, receive, otherTraits: ["selection"], render });
