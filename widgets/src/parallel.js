// Parallel coordinates over parameters and objective, brushed with the mouse or by number. See ../README.md.

import { guard, make, plotly, takePlotly } from "./page.js";
import { figure, hasWebGL, relabel } from "./parallel-figure.js";
import { arranged, begin, select } from "./parallel-store.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-store.js").Store} Store */

const GAP = 1500; // milliseconds between two drawings while rows stream in
const UNSEEN = 5000; // milliseconds after which what nobody sees gives its WebGL contexts back; a page has 16
const WIDE = 68; // px that an axis needs at least
/**
 * One view of the parallel coordinates.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {AbortSignal} [signal]
 */
function view(model, el, store, signal) {
  const ending = new AbortController();
  const field = (/** @type {string} */ name) => make("input", { type: "number", step: "any", ariaLabel: name });
  const plot = make("div", { className: "nbt-parallel-plot" });
  const empty = make("div", { className: "nbt-parallel-empty" });
  const scroller = make("div", { className: "nbt-parallel-scroller" }, [plot, empty]);
  const which = make("select", { ariaLabel: "axis to filter by" });
  const [from, to] = [field("from"), field("to")];
  const word = make("select", { ariaLabel: "value" });
  const span = make("span", { className: "nbt-parallel-span" }, ["from", from, "to", to]);
  const clear = make("button", { type: "button", textContent: "Clear", title: "select no trials" });
  const note = make("span", { className: "nbt-parallel-note", role: "status" });
  const row = make("div", { className: "nbt-parallel-row" }, [
    make("label", {}, ["filter by", which]),
    span,
    word,
    clear,
    note,
  ]);
  const fault = make("div", { className: "nbt-error", role: "alert" });
  const root = make("div", { className: "nbt nbt-parallel" }, [scroller, row, fault]);
  el.append(root);

  /** @type {any} */
  let library = null;
  /** @type {Axis[]} */
  let axes = [];
  /** @type {number | undefined} */
  let timer;
  /** @type {number | undefined} */
  let unseen;
  let [last, cost, seen, held, drawn, width, shown] = [-GAP, 0, false, false, false, 0, ""];
  const safe = (/** @type {string} */ where, /** @type {(...args: any[]) => any} */ run) => {
    const show = (/** @type {string} */ text) => {
      fault.textContent = text;
    };
    return (/** @type {any[]} */ ...args) => guard(model, `parallel: ${where}`, show, () => run(...args));
  };
  const all = (gap = 0) => {
    for (const later of store.views) later(gap);
  };
  const chosen = () => axes.find((axis) => axis.key === which.value);

  /** Give plotly's canvases back: a page has few of them. */
  const release = () => {
    if (!drawn) return;
    drawn = false;
    const canvases = [...plot.querySelectorAll("canvas")];
    library.purge(plot);
    for (const canvas of canvases) canvas.getContext("webgl")?.getExtension("WEBGL_lose_context")?.loseContext();
  };

  const fields = () => {
    const keys = axes.map((axis) => axis.key).join("\n");
    if (which.dataset.keys !== keys) {
      const before = which.value;
      which.replaceChildren(...axes.map((axis) => make("option", { value: axis.key, textContent: axis.label })));
      which.dataset.keys = keys;
      if (axes.some((axis) => axis.key === before)) which.value = before;
    }
    const axis = chosen();
    if (!axis) return;
    span.hidden = axis.kind === "words";
    word.hidden = !span.hidden;
    const [low, high] = store.brushed.get(axis.key)?.[0] ?? [-Infinity, Infinity];
    const text = (/** @type {number} */ at) =>
      Number.isFinite(at) ? String(Number((axis.kind === "log" ? 10 ** at : at).toPrecision(4))) : "";
    for (const [input, at] of /** @type {[any, number][]} */ ([
      [from, low],
      [to, high],
    ]))
      if (document.activeElement !== input || !store.brushed.has(axis.key)) input.value = text(at);
    if (axis.kind !== "words") return;
    if (word.dataset.words !== JSON.stringify(axis.words)) {
      word.dataset.words = JSON.stringify(axis.words);
      word.replaceChildren(
        make("option", { value: "", textContent: "any" }),
        ...axis.words.map((text, i) => make("option", { value: String(i), textContent: text.slice(0, 60) })),
      );
    }
    const inside = axis.words.flatMap((_, i) => (i >= low && i <= high ? [i] : []));
    word.value = inside.length === 1 ? String(inside[0]) : "";
  };

  const notes = (/** @type {ReturnType<typeof arranged>} */ { rows, without, dropped }) => {
    const begun = [...store.rows.values()].filter((row) => row.status !== "pending");
    const yet = begun.some((row) => row.status === "running") ? " yet" : "";
    const selected = model.get("selection")?.length ?? 0;
    const parts = [];
    if (selected || store.brushed.size) parts.push(`${selected} of ${rows.length} trials selected`);
    if (without && rows.length)
      parts.push(`${without} of ${begun.length} trials have no ${store.metric ?? "value"}${yet}`);
    if (dropped) parts.push(`${dropped} parameters that vary least are left out`);
    const text = parts.join("; ");
    if (note.textContent !== text) note.textContent = text;
    clear.disabled = !selected && !store.brushed.size;
    if (!rows.length)
      return without
        ? `No trial has reported ${store.metric ?? "a value"} yet.`
        : "The trials are drawn here once they report.";
    if (!axes.length) return "The trials have no parameters.";
    if (!hasWebGL()) return "Parallel coordinates need WebGL, which this browser does not offer.";
    return library ? "" : "loading plotly.js…";
  };

  const draw = safe("drawing", () => {
    timer = undefined;
    if (ending.signal.aborted || !seen || held || document.hidden || !root.offsetWidth) return;
    const began = performance.now();
    const made = arranged(store);
    axes = made.axes;
    fields();
    empty.textContent = notes(made);
    plot.hidden = Boolean(empty.textContent);
    row.hidden = plot.hidden;
    if (plot.hidden) return release();
    width = Math.max(scroller.clientWidth, axes.length * WIDE + 110);
    const selection = store.brushed.size ? [] : model.get("selection");
    const [trace, layout] = figure(made, store, selection, getComputedStyle(root), width);
    const now = JSON.stringify([trace, layout]);
    if (drawn && now === shown) return; // a drawing costs some hundred milliseconds
    shown = now;
    library.react(plot, [trace], layout, { displayModeBar: false });
    relabel(plot, axes);
    if (!drawn) {
      plot.on("plotly_restyle", safe("brush", brushedBy));
      plot.on("plotly_webglcontextlost", release);
    }
    drawn = true;
    last = performance.now();
    cost = last - began;
  });
  const later = (gap = 0) => {
    clearTimeout(timer);
    timer = window.setTimeout(draw, Math.max(0, last + (gap && Math.max(gap, 6 * cost)) - performance.now()));
  };

  /** plotly has written the new ranges and the order of the axes into its data. */
  function brushedBy() {
    const found = /** @type {any[]} */ (plot.data?.[0]?.dimensions ?? []);
    store.order = found.map((dimension) => dimension.key);
    const before = JSON.stringify([...store.brushed]);
    for (const { key, constraintrange: range } of found) {
      const ranges = range?.length ? (Array.isArray(range[0]) ? range : [range]) : null;
      const old = store.brushed.get(key);
      if (!ranges) store.brushed.delete(key);
      else {
        if (JSON.stringify(old) !== JSON.stringify(ranges)) which.value = key;
        store.brushed.set(
          key,
          ranges.map((/** @type {number[]} */ part) => [...part]),
        );
      }
    }
    if (JSON.stringify([...store.brushed]) === before) return;
    select(model, store);
    all();
  }

  const on = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {() => void} */ call) =>
    target.addEventListener(type, safe(type, call), { signal: ending.signal });
  const typed = () => {
    const axis = chosen();
    if (!axis) return;
    const place = (/** @type {string} */ text, /** @type {number} */ open) => {
      const value = text === "" ? Number.NaN : axis.kind === "log" ? Math.log10(Number(text)) : Number(text);
      return Number.isFinite(value) ? value : open;
    };
    const ends = axis.kind === "words" ? [Number(word.value) - 0.3, Number(word.value) + 0.3] : [];
    const [low, high] = ends.length ? ends : [place(from.value, -Infinity), place(to.value, Infinity)];
    const open = ends.length ? word.value === "" : low === -Infinity && high === Infinity;
    if (open) store.brushed.delete(axis.key);
    else store.brushed.set(axis.key, [[Math.min(low, high), Math.max(low, high)]]);
    select(model, store);
    all();
  };
  for (const input of [from, to, word]) on(input, "change", typed);
  on(which, "change", fields);
  on(clear, "click", () => {
    store.brushed.clear();
    select(model, store);
    all();
  });
  on(plot, "pointerdown", () => {
    held = true;
  });
  for (const type of ["pointerup", "pointercancel"])
    on(window, type, () => {
      if (!held) return;
      held = false;
      later(GAP);
    });
  on(document, "visibilitychange", () => later());

  const sight = new IntersectionObserver((entries) => {
    seen = entries[entries.length - 1].isIntersecting;
    clearTimeout(unseen);
    if (seen) later();
    else unseen = window.setTimeout(release, UNSEEN);
  });
  sight.observe(root);
  const sizes = new ResizeObserver(() => {
    if (Math.abs(scroller.clientWidth - width) > 1) later(150);
  });
  sizes.observe(scroller);
  const theme = new MutationObserver(() => later());
  for (const node of [document.body, document.documentElement])
    theme.observe(node, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"],
    });
  const told = (gap = 0) => {
    fault.textContent = store.error;
    later(gap);
  };
  store.views.add(told);
  const end = () => {
    ending.abort();
    clearTimeout(timer);
    clearTimeout(unseen);
    for (const observer of [sight, sizes, theme]) observer.disconnect();
    store.views.delete(told);
    release();
    root.remove();
  };
  signal?.addEventListener("abort", end, { once: true, signal: ending.signal });
  safe("plotly.js", async () => {
    later();
    library = await plotly(model);
    if (!ending.signal.aborted) later();
  })();
  return end;
}

export default () => {
  const store = begin();
  const show = (/** @type {string} */ text) => {
    store.error = text;
    for (const told of store.views) told();
  };
  return {
    /** @param {{model: AnyModel, signal?: AbortSignal}} context */
    initialize({ model, signal }) {
      const hear = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) =>
        guard(model, `parallel: message ${message?.type}`, show, () => {
          if (message.type === "plotly") return takePlotly(buffers[0]);
          if (message.type !== "table") return;
          if (message.reset) store.rows.clear();
          Object.assign(store, { columns: message.columns, metric: message.metric, mode: message.mode, error: "" });
          for (const [number, status, ...cells] of message.rows) store.rows.set(number, { number, status, cells });
          if (store.brushed.size) select(model, store);
          for (const told of store.views) told(GAP);
        });
      const chosen = () =>
        guard(model, "parallel: selection", show, () => {
          if (JSON.stringify(model.get("selection") ?? []) === store.own) return;
          store.brushed.clear(); // another view's selection takes the place of this one's
          store.own = "[]";
          for (const told of store.views) told();
        });
      model.on("msg:custom", hear);
      model.on("change:selection", chosen);
      const end = () => {
        model.off("msg:custom", hear);
        model.off("change:selection", chosen);
      };
      signal?.addEventListener("abort", end);
      guard(model, "parallel: ready", show, () => model.send({ type: "ready" }));
      return end;
    },
    /** @param {{model: AnyModel, el: HTMLElement, signal?: AbortSignal}} context */
    render: ({ model, el, signal }) => view(model, el, store, signal),
  };
};
