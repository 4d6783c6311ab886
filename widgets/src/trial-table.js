// The elements of the table: its header, and the rows that are visible. See ../README.md.

import { make, setText } from "./page.js";
import { MAX_HEIGHT, precise, ROW_HEIGHT, texts, visibleWindow } from "./trial-rows.js";
import { makeStatus, showStatus } from "./trial-status.js";

/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-store.js").Store} Store */
/** @typedef {ReturnType<typeof newState>} State */
/** @typedef {ReturnType<ReturnType<typeof makeTable>["makeLine"]>} Line */

const PADDING = 16; // px, left and right of a cell together
const FIRST_PADDING = 50; // px in the first column, which also has the detail button and the star
const ARROWS = { none: "", ascending: "▲", descending: "▼" };

/** The state of one view. */
export const newState = () => ({
  // the key of the column to sort by; 0 for the trials' numbers, 1 for their statuses, null for the best trials first
  by: /** @type {string | number | null} */ (null),
  direction: 1, // or -1
  selected: /** @type {Set<number>} */ (new Set()),
  active: /** @type {number | null} */ (null), // the trial that keys act on
  anchor: /** @type {number | null} */ (null), // where a selected range begins
  open: /** @type {number | null} */ (null), // the trial whose detail is shown
});

/**
 * @param {Store} store
 * @param {State} state
 * @param {string} id prefix of the ids of its elements
 */
export function makeTable(store, state, id) {
  const spacer = () => make("tr", { ariaHidden: "true" }, [make("td")]);
  const [above, below] = [spacer(), spacer()];
  const columns = make("colgroup");
  const headers = make("tr", { ariaRowIndex: "1" });
  const body = make("tbody", {}, [above, below]);
  const table = make("table", { role: "grid", tabIndex: 0, ariaLabel: "Trials", ariaMultiSelectable: "true" }, [
    columns,
    make("thead", {}, [headers]),
    body,
  ]);
  const scroller = make("div", { className: "nbt-scroll" }, [table]);
  const nothing = make("div", { className: "nbt-nothing", role: "status", hidden: true });
  const root = make("div", { className: "nbt-frame" }, [scroller, nothing]);
  /** @type {Map<number, Line>} */
  const lines = new Map();
  let hasErrors = true; // whether the column of errors takes the remaining width; otherwise an empty one does
  let known = -1; // for how many rows the height is kept
  let entries = /** @type {number[]} */ ([]); // those of a row that are shown after its number and status

  const filler = () => (hasErrors ? [] : [make("td", { ariaHidden: "true" })]);
  const focused = () => /** @type {Document} */ (table.getRootNode()).activeElement;
  /** @param {number} entry */
  const align = (entry) => (store.isText[entry] ? "" : "nbt-num");

  /**
   * Draw the header, and drop all rows.
   * @param {number[]} shown the entries of a row that are shown after its number and status
   * @param {{entry: number, direction: number}} order the entry that the rows are sorted by; -1 for none
   */
  function drawHeader(shown, order) {
    entries = shown;
    const error = entries.findIndex((entry) => store.columns[entry - 2].role === "error");
    hasErrors = error >= 0;
    const width = (/** @type {number} */ entry) =>
      `min(${store.widths[entry]}ch, var(--nbt-widest)) + ${entry === 0 ? FIRST_PADDING : PADDING}px`;
    table.style.setProperty("--nbt-first", `calc(${width(0)})`);
    table.style.setProperty("--nbt-status-wide", `calc(${width(1)})`);
    table.style.setProperty("--nbt-status-narrow", store.hasButtons ? "86px" : "54px");
    const widths = [width(0), "var(--nbt-status)", ...entries.map(width)];
    table.style.minWidth = `calc(${widths.join(" + ")})`;
    const wide = widths.map((width, i) =>
      make("col", hasErrors && i === error + 2 ? {} : { style: `width: calc(${width})` }),
    );
    columns.replaceChildren(...wide, ...(hasErrors ? [] : [make("col")]));
    const titles = ["trial", "status", ...entries.map((entry) => store.columns[entry - 2].label)];
    const cells = titles.map((title, i) => makeHeaderCell(title, i < 2 ? i : entries[i - 2], order));
    const focus = [...headers.children].findIndex((cell) => cell.contains(focused()));
    headers.replaceChildren(...cells, ...filler());
    cells[focus]?.firstElementChild.focus({ preventScroll: true });
    for (const line of lines.values()) line.tr.remove();
    lines.clear();
    known = -1;
  }

  /**
   * @param {string} title
   * @param {number} entry
   * @param {{entry: number, direction: number}} order
   */
  function makeHeaderCell(title, entry, { entry: sorted, direction }) {
    const order = entry !== sorted ? "none" : direction > 0 ? "ascending" : "descending";
    const arrow = make("span", { ariaHidden: "true", textContent: ARROWS[order] });
    const button = make("button", { type: "button", className: "nbt-sort", title: `sort by ${title}` }, [title, arrow]);
    return make("th", { scope: "col", ariaSort: order, className: align(entry) }, [button]);
  }

  function makeLine() {
    const open = make("button", { type: "button", className: "nbt-open" });
    const star = make("span", { className: "nbt-star", role: "img", ariaLabel: "best", textContent: "★" });
    const number = make("span");
    const status = makeStatus();
    const cells = entries.map((entry) => make("td", { className: align(entry) }));
    const tr = make("tr", {}, [
      make("th", { scope: "row" }, [open, star, number]),
      make("td", {}, [status.word, status.acts]),
      ...cells,
      ...filler(),
    ]);
    return { tr, open, star, number, status, cells, row: /** @type {Row | null} */ (null), flags: "" };
  }

  /**
   * Show a row in a line, if it has changed.
   * @param {Line} line
   * @param {Row} row
   * @param {number} index
   */
  function fill(line, row, index) {
    const [trial] = row;
    const best = store.best.has(trial) || store.front.has(trial);
    const active = trial === state.active;
    const open = trial === state.open;
    const selected = state.selected.has(trial);
    const pending = store.commands.get(trial);
    const byScheduler = store.byScheduler.has(trial);
    const flags = [
      index,
      best,
      active,
      open,
      selected,
      byScheduler,
      store.closed,
      pending?.command,
      pending?.accepted,
    ].join();
    if (line.row === row && line.flags === flags) return;
    Object.assign(line, { row, flags });
    line.tr.id = `${id}-${trial}`;
    line.tr.dataset.trial = String(trial);
    line.tr.className = `${active ? "nbt-active" : ""} ${best ? "nbt-best" : ""}`;
    line.tr.ariaRowIndex = String(index + 2);
    line.tr.ariaSelected = String(selected);
    line.open.textContent = open ? "▾" : "▸";
    line.open.ariaLabel = `Details of trial ${trial}`;
    line.open.ariaExpanded = String(open);
    line.star.hidden = !best;
    const star = store.best.size > 1 ? "of the best configuration" : "best";
    line.star.ariaLabel = store.front.has(trial) ? "on the Pareto front" : star;
    line.number.textContent = String(trial);
    showStatus(line.status, trial, store);
    line.open.tabIndex = line.status.pause.tabIndex = line.status.stop.tabIndex = active ? 0 : -1;
    const shown = texts(row);
    for (const [i, cell] of line.cells.entries()) {
      const entry = entries[i];
      setText(cell, shown[entry] ?? "", precise(row[entry]));
    }
  }

  /**
   * Keep the visible rows and some around them in the document.
   * @param {Row[]} rows
   * @param {number} all how many there are without the filter, which does not change the height of the table
   */
  function drawRows(rows, all) {
    const [first, last] = visibleWindow(scroller.scrollTop, rows.length);
    const wanted = new Map(rows.slice(first, last).map((row) => [row[0], row]));
    table.ariaRowCount = String(rows.length + 1);
    const unused = [];
    for (const [trial, line] of lines) {
      if (wanted.has(trial)) continue;
      if (line.tr.contains(focused())) table.focus({ preventScroll: true });
      line.tr.remove();
      lines.delete(trial);
      unused.push(line);
    }
    let next = above.nextSibling;
    let index = first;
    for (const [trial, row] of wanted) {
      const line = lines.get(trial) ?? unused.pop() ?? makeLine();
      lines.set(trial, line);
      fill(line, row, index);
      index += 1;
      if (line.tr === next) next = next.nextSibling;
      else body.insertBefore(line.tr, next);
    }
    above.firstChild.style.height = `${first * ROW_HEIGHT}px`;
    below.firstChild.style.height = `${(rows.length - last) * ROW_HEIGHT}px`;
    if (all !== known) keepHeight(all);
    const active = state.active !== null && wanted.has(state.active) ? `${id}-${state.active}` : "";
    table.setAttribute("aria-activedescendant", active);
  }

  /**
   * Keep the height that the table has without a filter.
   * @param {number} all
   */
  function keepHeight(all) {
    known = all;
    const more = scroller.offsetHeight - scroller.clientHeight; // its border, and a scroll bar below
    scroller.style.minHeight = `${Math.min((all + 1) * ROW_HEIGHT + more, MAX_HEIGHT)}px`;
  }

  /**
   * Scroll a row into view, below the header.
   * @param {number} index
   */
  function reveal(index) {
    const minimum = (index + 2) * ROW_HEIGHT - scroller.clientHeight;
    scroller.scrollTop = Math.min(Math.max(scroller.scrollTop, minimum), index * ROW_HEIGHT);
  }

  const focus = () => table.focus({ preventScroll: true });
  return { root, nothing, scroller, element: table, headers, body, drawHeader, drawRows, makeLine, reveal, focus };
}
