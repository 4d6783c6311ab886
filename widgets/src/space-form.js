// The form on a search space: rows of fields, their errors, and the cell that they make. See ../README.md.

import { makeCellPreview } from "./cell-preview.js";
import { defineWidget } from "./lifecycle.js";
import { make, showText } from "./page.js";
import { makeLine } from "./space-line.js";
import { makePictures } from "./space-picture.js";
import { drawRow, makeRow } from "./space-row.js";
import { isCall, isNew, moved, newRow, withKind, withSuggestion } from "./space-rows.js";
import { connection, createStore, edit, waitUntilChecked } from "./space-store.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./space-rows.js").Row} Row */
/** @typedef {import("./space-store.js").Store} Store */

const EMPTY = "No parameters yet. Add one and enter its name and values.";
const OFFLINE = "No connection to the kernel: changes are not checked. Run this cell again when it has one.";

/**
 * Build one view of the form.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model, on, guarded } = view;
  const id = `nbt-${Math.random().toString(36).slice(2)}`;
  const list = make("div", { className: "nbt-rows" });
  const empty = make("p", { className: "nbt-empty", textContent: EMPTY, hidden: true });
  const add = make("button", { type: "button", textContent: "Add a parameter" });
  const require = make("button", { type: "button", textContent: "Add a constraint" });
  const count = make("span", { className: "nbt-count" });
  const undo = make("button", { type: "button", textContent: "Undo", hidden: true });
  const removedText = make("span", { role: "status" });
  const tools = make("div", { className: "nbt-tools" }, [add, require, removedText, undo, count]);
  const general = make("div", { className: "nbt-general", role: "status", hidden: true });
  const plan = make("div", { className: "nbt-plan", role: "status", ariaLabel: "plan", hidden: true });
  const offline = make("div", { className: "nbt-offline-note", role: "alert", hidden: true });
  const suggestions = make("ul", {
    className: "nbt-suggestions",
    ariaLabel: "suggestions from the last experiment",
    hidden: true,
  });
  const line = makeLine(store, `${id}-line`);
  const preview = makeCellPreview(on, () => waitUntilChecked(model, store));
  const root = make("div", { className: "nbt nbt-form nbt-space" }, [
    suggestions,
    list,
    empty,
    tools,
    general,
    line.root,
    plan,
    preview.root,
    offline,
    view.error,
  ]);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys that are typed here
  const pictures = makePictures(view, root);

  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  const parts = new Map();
  const visited = new Set(); // fields, as "row/field", that have lost the focus once
  const open = new Set(); // rows whose condition is shown
  let removed = /** @type {{row: Row, at: number} | null} */ (null);

  /** @param {Row[]} rows @param {"soon" | "now" | "later"} [when] */
  const setRows = (rows, when) => edit(model, store, rows, when);
  const rowAt = (/** @type {any} */ target) => {
    const element = target.closest?.(".nbt-row");
    return element && store.rows.find((row) => row.id === element.dataset.row);
  };
  /** @param {Row} row */
  const indexOf = (row) => store.rows.findIndex((one) => one.id === row.id);
  const focus = (/** @type {string} */ row, /** @type {string} */ field) => {
    const elements = parts.get(row);
    (elements?.fields.get(field)?.input ?? elements?.[field])?.focus();
  };

  function drawRows() {
    for (const [key, { root: element, picture }] of parts) {
      if (store.rows.some((row) => row.id === key)) continue;
      pictures.drop(picture);
      element.remove();
      parts.delete(key);
    }
    const before = /** @type {any} */ (document.activeElement);
    for (const [position, row] of store.rows.entries()) {
      let made = parts.get(row.id);
      if (!made) {
        made = makeRow(`${id}-${row.id}`);
        made.root.dataset.row = row.id;
        parts.set(row.id, made);
      }
      if (list.children[position] !== made.root) list.insertBefore(made.root, list.children[position] ?? null);
      const seen = (/** @type {string} */ key) => !isNew(row) || visited.has(`${row.id}/${key}`);
      drawRow(made, row, store, { position, count: store.rows.length, open: open.has(row.id), visited: seen });
      pictures.show(made.picture, store.pictures[row.id]);
    }
    if (before !== document.activeElement && list.contains(before)) before.focus({ preventScroll: true });
  }

  function drawSuggestions() {
    suggestions.hidden = store.suggestions.length === 0;
    if (suggestions.childElementCount !== store.suggestions.length)
      suggestions.replaceChildren(
        ...store.suggestions.map(({ text }, i) => {
          const apply = make("button", { type: "button", textContent: "Apply", ariaLabel: `apply: ${text}` });
          apply.dataset.suggestion = String(i);
          return make("li", {}, [apply, text]);
        }),
      );
    for (const [i, item] of [...suggestions.children].entries()) {
      const done = store.applied.has(i);
      item.firstChild.textContent = done ? "✓ applied" : "Apply";
      item.firstChild.ariaDisabled = String(done);
    }
  }

  const draw = () => {
    drawRows();
    drawSuggestions();
    line.draw();
    empty.hidden = !store.loaded || store.rows.length > 0;
    showText(count, store.grid);
    showText(general, [...store.general, store.samplingError].filter(Boolean).join("\n"));
    showText(removedText, removed ? `removed ${removed.row.name || "a row"}` : "");
    undo.hidden = !removed;
    const { lines, possible } = store.plan;
    showText(plan, lines.length ? `${possible ? "plan: " : "✗ "}${lines.join("\n")}` : "");
    plan.classList.toggle("nbt-impossible", !possible);
    preview.root.hidden = !store.loaded;
    preview.show(store.text, store.blockedReason);
    showText(offline, store.closed ? OFFLINE : "");
    pictures.draw();
  };

  /** @param {string} kind */
  function append(kind) {
    const row = newRow(store.rows, kind);
    setRows([...store.rows, row], "later");
    focus(row.id, kind === "require" ? "expression" : "name");
  }
  on(add, "click", () => append("number"));
  on(require, "click", () => append("require"));
  on(undo, "click", () => {
    if (!removed) return;
    const { row, at } = removed;
    removed = null;
    setRows([...store.rows.slice(0, at), row, ...store.rows.slice(at)], "now");
    focus(row.id, row.kind === "require" ? "expression" : "name");
  });

  /** @param {Row} row */
  function remove(row) {
    const at = indexOf(row);
    removed = { row, at };
    setRows(
      store.rows.filter((one) => one.id !== row.id),
      "now",
    );
    const next = store.rows[at] ?? store.rows[at - 1];
    if (next) focus(next.id, "remove");
    else add.focus();
  }
  /** @param {Row} row @param {number} step */
  const move = (row, step) => setRows(moved(store.rows, row.id, indexOf(row) + step), "now");

  on(list, "click", ({ target }) => {
    const act = target.closest("button")?.dataset.act;
    const row = rowAt(target);
    if (!act || !row) return;
    if (act === "remove") remove(row);
    else if (act === "when") {
      const wasOpen = parts.get(row.id)?.only.ariaExpanded === "true";
      if (wasOpen) open.delete(row.id);
      else open.add(row.id);
      draw();
      if (!wasOpen) focus(row.id, "when");
    } else if (target.ariaDisabled !== "true") move(row, act === "up" ? -1 : 1);
  });
  on(list, "keydown", (event) => {
    const row = rowAt(event.target);
    if (!row || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    move(row, event.key === "ArrowUp" ? -1 : 1);
  });

  /** @param {any} target @param {boolean} complete whether the input is complete, not being typed */
  function readField(target, complete) {
    const [row, key, option] = [rowAt(target), target.dataset.field, target.dataset.option];
    const value = target.type === "checkbox" ? target.checked : target.value;
    const when = complete ? "now" : isCall(String(value)) ? "later" : "soon";
    if (option && store.line[option] !== value) store.line = { ...store.line, [option]: value };
    else if (!row || !key || (row[key] === value && !complete)) return;
    const changed = row && (key === "kind" ? withKind(row, value) : { ...row, [key]: value });
    setRows(
      store.rows.map((one) => (one === row ? changed : one)),
      when,
    );
  }
  for (const part of [list, line.root]) {
    on(part, "input", ({ target }) => readField(target, target.tagName === "SELECT" || target.type === "checkbox"));
    on(part, "change", ({ target }) => target.type === "text" && readField(target, true));
  }
  on(list, "focusout", ({ target }) => {
    const row = rowAt(target);
    if (!row || !target.dataset.field) return;
    visited.add(`${row.id}/${target.dataset.field}`);
    draw();
  });
  on(suggestions, "click", ({ target }) => {
    const index = target.closest("button")?.dataset.suggestion;
    if (index === undefined || store.applied.has(Number(index))) return;
    store.applied.add(Number(index));
    setRows(withSuggestion(store.rows, store.suggestions[Number(index)].changes), "now");
  });

  on(list, "pointerdown", (event) => {
    const row = event.button === 0 && event.target.closest(".nbt-handle") && rowAt(event.target);
    if (!row) return;
    event.preventDefault(); // it would select text
    const drag = new AbortController();
    const options = { signal: AbortSignal.any([drag.signal, view.signal]) };
    parts.get(row.id)?.root.classList.add("nbt-dragged");
    const follow = guarded("drag", (/** @type {PointerEvent} */ { clientY }) => {
      const others = store.rows.filter((one) => one.id !== row.id);
      const to = others.filter((one) => {
        const box = parts.get(one.id)?.root.getBoundingClientRect();
        return box && clientY > box.top + box.height / 2;
      }).length;
      if (to !== indexOf(row)) setRows(moved(store.rows, row.id, to), "later");
    });
    const end = guarded("drag", () => {
      drag.abort();
      parts.get(row.id)?.root.classList.remove("nbt-dragged");
      setRows(store.rows, "now");
    });
    document.addEventListener("pointermove", follow, options);
    for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, end, options);
  });
  view.mount(root, draw, (visible) => visible && pictures.draw());
}

export default defineWidget({ ...connection, createStore, render });
