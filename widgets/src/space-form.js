// The form on a search space: rows of text, what is wrong with them, and the cell that they make. See ../README.md.

import { guard, make, showText } from "./page.js";
import { makeLine } from "./space-line.js";
import { makePictures } from "./space-picture.js";
import { drawRow, makeRow } from "./space-row.js";
import { isNew, moved, newRow, ofKind, suggested, waitsForEnd } from "./space-rows.js";
import { begin, edit, listen, settled } from "./space-store.js";
import { makeWritten } from "./written.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./space-rows.js").Row} Row */
/** @typedef {import("./space-store.js").Store} Store */

const EMPTY = "No parameter yet. Add one, and say its name and which values it may have.";
const GONE = "The kernel is gone: what is typed here now is not checked. Run the cell again for a form that is alive.";

/**
 * One view of the form. Returns what ends it.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {AbortSignal} [signal]
 */
function view(model, el, store, signal) {
  const ending = new AbortController();
  const id = `nbt-${Math.random().toString(36).slice(2)}`;
  const fault = make("div", { className: "nbt-error", role: "alert", hidden: true });
  /** @type {(where: string, act: (event?: any) => any) => (event?: any) => any} */
  const safe = (where, act) => (event) =>
    guard(
      model,
      `space form: ${where}`,
      (text) => showText(fault, text),
      () => act(event),
    );
  /** @type {(target: EventTarget, type: string, act: (event: any) => any) => void} */
  const on = (target, type, act) => target.addEventListener(type, safe(type, act), { signal: ending.signal });

  const list = make("div", { className: "nbt-rows" });
  const empty = make("p", { className: "nbt-empty", textContent: EMPTY, hidden: true });
  const add = make("button", { type: "button", textContent: "Add a parameter" });
  const require = make("button", { type: "button", textContent: "Add a constraint" });
  const count = make("span", { className: "nbt-count" });
  const undo = make("button", { type: "button", textContent: "Undo", hidden: true });
  const gone = make("span", { role: "status" });
  const tools = make("div", { className: "nbt-tools" }, [add, require, gone, undo, count]);
  const general = make("div", { className: "nbt-general", role: "status", hidden: true });
  const tips = make("ul", { className: "nbt-tips", ariaLabel: "suggestions from the last experiment", hidden: true });
  const line = makeLine(store, `${id}-line`);
  const written = makeWritten(on, () => settled(model, store));
  const root = make("div", { className: "nbt nbt-form nbt-space" }, [
    tips,
    list,
    empty,
    tools,
    general,
    line.root,
    written.root,
    fault,
  ]);
  root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab would take keys that are typed here
  const pictures = makePictures(model, root, safe);

  /** @type {Map<string, ReturnType<typeof makeRow>>} */
  const parts = new Map();
  const visited = new Set(); // fields of rows, as "row/field", that have been left once
  const open = new Set(); // rows whose condition is shown
  let removed = /** @type {{row: Row, at: number} | null} */ (null);

  /** @param {Row[]} rows @param {"soon" | "now" | "later"} [when] */
  const put = (rows, when) => edit(model, store, rows, when);
  const rowAt = (/** @type {any} */ target) => {
    const found = target.closest?.(".nbt-row");
    return found && store.rows.find((row) => row.id === found.dataset.row);
  };
  /** @param {Row} row */
  const place = (row) => store.rows.findIndex((one) => one.id === row.id);
  const focus = (/** @type {string} */ row, /** @type {string} */ field) => {
    const found = parts.get(row);
    (found?.fields.get(field)?.input ?? found?.[field])?.focus();
  };

  function drawRows() {
    for (const [key, { root: gone, picture }] of parts) {
      if (store.rows.some((row) => row.id === key)) continue;
      pictures.drop(picture);
      gone.remove();
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

  function drawTips() {
    tips.hidden = store.suggestions.length === 0;
    if (tips.childElementCount !== store.suggestions.length)
      tips.replaceChildren(
        ...store.suggestions.map(({ text }, i) => {
          const apply = make("button", { type: "button", textContent: "Apply", ariaLabel: `apply: ${text}` });
          apply.dataset.tip = String(i);
          return make("li", {}, [apply, text]);
        }),
      );
    for (const [i, item] of [...tips.children].entries()) {
      const done = store.applied.has(i);
      item.firstChild.textContent = done ? "✓ applied" : "Apply";
      item.firstChild.ariaDisabled = String(done);
    }
  }

  const draw = safe("drawing", () => {
    drawRows();
    drawTips();
    line.draw();
    empty.hidden = !store.loaded || store.rows.length > 0;
    showText(count, store.grid);
    showText(general, [...store.general, store.fault].filter(Boolean).join("\n"));
    showText(gone, removed ? `removed ${removed.row.name || "a row"}` : "");
    undo.hidden = !removed;
    written.root.hidden = !store.loaded;
    written.show(store.text, store.why);
    showText(fault, [store.error, store.closed ? GONE : ""].filter(Boolean).join("\n"));
    pictures.draw();
  });

  /** @param {string} kind */
  function append(kind) {
    const row = newRow(store.rows, kind);
    put([...store.rows, row], "later");
    focus(row.id, kind === "require" ? "expression" : "name");
  }
  on(add, "click", () => append("number"));
  on(require, "click", () => append("require"));
  on(undo, "click", () => {
    if (!removed) return;
    const { row, at } = removed;
    removed = null;
    put([...store.rows.slice(0, at), row, ...store.rows.slice(at)], "now");
    focus(row.id, row.kind === "require" ? "expression" : "name");
  });

  /** @param {Row} row */
  function remove(row) {
    const at = place(row);
    removed = { row, at };
    put(
      store.rows.filter((one) => one.id !== row.id),
      "now",
    );
    const next = store.rows[at] ?? store.rows[at - 1];
    if (next) focus(next.id, "remove");
    else add.focus();
  }
  /** @param {Row} row @param {number} step */
  const move = (row, step) => put(moved(store.rows, row.id, place(row) + step), "now");

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

  /** @param {any} target @param {boolean} over whether nothing more is typed there for now */
  function take(target, over) {
    const [row, key, option] = [rowAt(target), target.dataset.field, target.dataset.option];
    const value = target.type === "checkbox" ? target.checked : target.value;
    const when = over ? "now" : waitsForEnd(String(value)) ? "later" : "soon";
    if (option && store.line[option] !== value) store.line = { ...store.line, [option]: value };
    else if (!row || !key || (row[key] === value && !over)) return;
    const changed = row && (key === "kind" ? ofKind(row, value) : { ...row, [key]: value });
    put(
      store.rows.map((one) => (one === row ? changed : one)),
      when,
    );
  }
  for (const part of [list, line.root]) {
    on(part, "input", ({ target }) => take(target, target.tagName === "SELECT" || target.type === "checkbox"));
    on(part, "change", ({ target }) => target.type === "text" && take(target, true));
  }
  on(list, "focusout", ({ target }) => {
    const row = rowAt(target);
    if (!row || !target.dataset.field) return;
    visited.add(`${row.id}/${target.dataset.field}`);
    draw();
  });
  on(tips, "click", ({ target }) => {
    const tip = target.closest("button")?.dataset.tip;
    if (tip === undefined || store.applied.has(Number(tip))) return;
    store.applied.add(Number(tip));
    put(suggested(store.rows, store.suggestions[Number(tip)].changes), "now");
  });

  on(list, "pointerdown", (event) => {
    const row = event.button === 0 && event.target.closest(".nbt-handle") && rowAt(event.target);
    if (!row) return;
    event.preventDefault(); // else it would select text
    const over = new AbortController();
    const listening = { signal: AbortSignal.any([over.signal, ending.signal]) };
    parts.get(row.id)?.root.classList.add("nbt-dragged");
    const follow = safe("drag", (/** @type {PointerEvent} */ { clientY }) => {
      const others = store.rows.filter((one) => one.id !== row.id);
      const to = others.filter((one) => {
        const box = parts.get(one.id)?.root.getBoundingClientRect();
        return box && clientY > box.top + box.height / 2;
      }).length;
      if (to !== place(row)) put(moved(store.rows, row.id, to), "later");
    });
    const end = safe("drag", () => {
      over.abort();
      parts.get(row.id)?.root.classList.remove("nbt-dragged");
      put(store.rows, "now");
    });
    document.addEventListener("pointermove", follow, listening);
    for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, end, listening);
  });
  on(document, "visibilitychange", () => pictures.draw());

  store.views.add(draw);
  el.append(root);
  draw();
  const end = () => {
    ending.abort();
    store.views.delete(draw);
    pictures.end();
    root.remove();
  };
  signal?.addEventListener("abort", end, { once: true, signal: ending.signal });
  return end;
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
