// The table of trials: sort, filter, select, stop, pause, clone; the error, configuration and log of each. See ../README.md.

import { defineWidget } from "./lifecycle.js";
import { make, showText } from "./page.js";
import { arrange, bestEntry } from "./trial-columns.js";
import { makeDetail } from "./trial-detail.js";
import { makeForm } from "./trial-form.js";
import { pointColumns } from "./trial-point.js";
import { bestFirst, comparator, ROW_HEIGHT } from "./trial-rows.js";
import { makeSelection } from "./trial-select.js";
import { createStore, receive, sendCommand, sendPoint } from "./trial-store.js";
import { makeTable, newState } from "./trial-table.js";
import { makeTools } from "./trial-tools.js";

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
  const tools = makeTools(view, store, state, id, () => shown, {
    filtered: () => refresh(),
    arranged: () => {
      layout = -1;
      refresh();
    },
  });
  const { filter, clear, add } = tools;
  const form = makeForm(store, (...point) => sendPoint(model, store, ...point), on, `${id}-new`);
  const table = makeTable(store, state, id);
  const empty = make("div", { className: "nbt-empty" });
  const detail = makeDetail(view, store, state, id);
  const root = make("div", { className: "nbt nbt-trials" }, [
    tools.root,
    form.root,
    table.root,
    empty,
    refusal,
    view.error,
    detail.panel,
  ]);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle the keys of the table

  let sortedRows = /** @type {Row[]} */ ([]); // all
  let shown = /** @type {Row[]} */ ([]); // those that match the filter
  let order = { entry: -1, direction: 1 }; // what they are sorted by; without an entry by their numbers
  let compare = comparator(0, 1);
  let layout = -1; // the store's when the table header was drawn
  let arranged = /** @type {unknown} */ (null); // the user's columns when it was drawn
  let stale = true; // whether the rows or the filter have changed since the last frame
  let held = false; // whether the pointer is on the rows, which keep their order then
  let frame = 0;

  function drawFrame() {
    frame = 0;
    if (layout !== store.layout || arranged !== model.get("arrangement")) drawLayout();
    if (stale) sortAndFilter();
    const all = sortedRows.length;
    table.root.hidden = all === 0;
    showText(empty, all === 0 ? EMPTY : "");
    showText(table.nothing, all && !shown.length ? `No trial matches ${tools.reading()}` : "");
    tools.draw(all, pointColumns(store.columns).length > 0);
    add.ariaDisabled = String(store.closed);
    table.drawRows(shown, all);
    form.draw();
    detail.draw();
    showText(refusal, store.refusal);
  }

  const entries = () => [0, 1, ...store.columns.map(({ key }) => key)];

  function drawLayout() {
    sortedRows = []; // a reset may have replaced the rows
    const best = bestEntry(store.columns, store.objectives);
    const chosen = state.by === null ? -1 : entries().indexOf(state.by);
    if (chosen < 0) {
      state.by = null; // the column does not exist any more
      order = best ? { entry: best.entry, direction: best.mode === "min" ? 1 : -1 } : { entry: -1, direction: 1 };
      compare = best ? bestFirst(best.entry, best.mode, store.front) : comparator(0, 1);
    } else {
      order = { entry: chosen, direction: state.direction };
      compare = comparator(chosen, state.direction);
    }
    tools.read();
    stale = true;
    arranged = model.get("arrangement");
    const choices = arrange(store.columns, tools.arrangement()).filter(({ shown }) => shown);
    table.drawHeader(
      choices.map(({ entry }) => entry),
      order,
    );
    layout = store.layout;
  }

  function sortAndFilter() {
    // Start from the previous order: sorting rows that are nearly sorted is cheap.
    const known = /** @type {Row[]} */ (sortedRows.map(([trial]) => store.rows.get(trial)));
    const added = [...store.rows.values()].slice(known.length);
    sortedRows = held && known.length ? [...known, ...added.sort(compare)] : [...known, ...added].sort(compare);
    shown = sortedRows.filter(tools.test);
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

  /** Sort by an entry: upwards, downwards, then the best trials first again. @param {number} entry */
  function sortBy(entry) {
    const isDefault = state.by === null;
    if (entry !== order.entry || (isDefault && order.direction < 0)) {
      state.by = entries()[entry];
      state.direction = 1;
    } else if (isDefault || state.direction > 0) {
      const best = bestEntry(store.columns, store.objectives);
      const isBest = best?.entry === entry && best.mode !== "min";
      state.by = isBest ? null : entries()[entry];
      state.direction = -1;
    } else state.by = null;
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

  on(clear, "click", () => {
    select([]);
    table.focus();
    schedule();
  });
  on(table.scroller, "scroll", schedule);
  on(table.headers, "click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const at = [...table.headers.children].indexOf(button.parentElement);
    const choices = arrange(store.columns, tools.arrangement()).filter(({ shown }) => shown);
    sortBy(at < 2 ? at : choices[at - 2].entry);
  });
  on(table.body, "pointerenter", () => {
    held = true;
  });
  on(table.body, "pointerleave", () => {
    held = false;
    refresh();
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
    if (opening && store.closed) return;
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
    else if (key === "c" && (event.ctrlKey || event.metaKey) && getSelection()?.isCollapsed !== false) tools.copyRows();
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

export default defineWidget({
  name: "trials",
  createStore,
  receive,
  otherTraits: ["selection", "arrangement"],
  render,
});
