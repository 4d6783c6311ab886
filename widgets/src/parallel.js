// Parallel coordinates over parameters and objective, brushed with the mouse or by number. See ../README.md.

import { guard, make, plotly, takePlotly } from "./page.js";
import { tally } from "./parallel-data.js";
import { figure, hasWebGL, relabel } from "./parallel-figure.js";
import { makeFilter } from "./parallel-filter.js";
import { arranged, begin, select } from "./parallel-store.js";
import { emptyText, noteText } from "./parallel-text.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
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
  const plot = make("div", { className: "nbt-parallel-plot" });
  const empty = make("div", { className: "nbt-parallel-empty" });
  const scroller = make("div", { className: "nbt-parallel-scroller" }, [plot, empty]);
  const fault = make("div", { className: "nbt-error", role: "alert" });
  /** @type {any} */
  let library = null;
  /** @type {number | undefined} */
  let timer;
  /** @type {number | undefined} */
  let saying;
  /** @type {number | undefined} */
  let unseen;
  let [last, cost, said, dropped] = [-GAP, 0, -GAP, 0];
  let [seen, held, drawn, width, shown] = [false, false, false, 0, ""];
  const safe = (/** @type {string} */ where, /** @type {(...args: any[]) => any} */ run) => {
    const show = (/** @type {string} */ text) => {
      fault.textContent = text;
    };
    return (/** @type {any[]} */ ...args) => guard(model, `parallel: ${where}`, show, () => run(...args));
  };
  const on = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {() => void} */ call) =>
    target.addEventListener(type, safe(type, call), { signal: ending.signal });
  const brushed = () => {
    select(model, store);
    for (const told of store.views) told();
  };
  const filter = makeFilter(store, on, brushed);
  const root = make("div", { className: "nbt nbt-parallel" }, [scroller, filter.row, fault]);
  el.append(root);

  /** Give plotly's canvases back: a page has few of them. */
  const release = () => {
    if (!drawn) return;
    drawn = false;
    const canvases = [...plot.querySelectorAll("canvas")];
    library.purge(plot);
    for (const canvas of canvases) canvas.getContext("webgl")?.getExtension("WEBGL_lose_context")?.loseContext();
  };

  const visible = () => !ending.signal.aborted && seen && !document.hidden && root.offsetWidth > 0;

  /** What is said counts the trials as they are now, also while the drawing waits for its turn. */
  const say = safe("counting", () => {
    clearTimeout(saying);
    saying = undefined;
    if (!visible()) return;
    said = performance.now();
    const selection = model.get("selection") ?? [];
    const counts = tally(store.columns, store.rows.values(), selection);
    const text = noteText(counts, store.metric, store.brushed.size > 0, dropped);
    filter.say(text, selection.length > 0 || store.brushed.size > 0);
  });
  const sayLater = () => {
    saying ??= window.setTimeout(say, Math.max(0, said + GAP - performance.now()));
  };

  /** @param {ReturnType<typeof arranged>} made */
  const whyEmpty = ({ axes, rows }) => {
    if (!rows.length) return emptyText(tally(store.columns, store.rows.values(), []), store.metric);
    if (!axes.length) return "The trials have no parameters.";
    if (!hasWebGL()) return "Parallel coordinates need WebGL, which this browser does not offer.";
    return library ? "" : "loading plotly.js…";
  };

  const draw = safe("drawing", () => {
    timer = undefined;
    if (held || !visible()) return;
    const began = performance.now();
    const first = !drawn;
    const made = arranged(store);
    dropped = made.dropped;
    filter.showAxes(made.axes);
    say();
    empty.textContent = whyEmpty(made);
    plot.hidden = Boolean(empty.textContent);
    filter.row.hidden = plot.hidden;
    if (plot.hidden) return release();
    drawPlot(made);
    last = performance.now();
    cost = first ? 0 : last - began; // the first makes plotly ready too: it says nothing of the next
  });

  /** @param {ReturnType<typeof arranged>} made */
  const drawPlot = (made) => {
    width = Math.max(scroller.clientWidth, made.axes.length * WIDE + 110);
    const selection = store.brushed.size ? [] : model.get("selection");
    const [trace, layout] = figure(made, store, selection, getComputedStyle(root), width);
    // A drawing takes some hundred milliseconds. What plotly shows is in its data, with the brush and the order of axes.
    const wanted = JSON.stringify(layout);
    if (drawn && shown === wanted && JSON.stringify(plot.data) === JSON.stringify([trace])) return;
    shown = "";
    library.react(plot, [trace], layout, { displayModeBar: false });
    relabel(plot, made.axes);
    if (!drawn) {
      plot.on("plotly_restyle", safe("brush", brushedBy));
      plot.on("plotly_webglcontextlost", release);
    }
    [drawn, shown] = [true, wanted];
  };
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
        if (JSON.stringify(old) !== JSON.stringify(ranges)) filter.choose(key);
        store.brushed.set(
          key,
          ranges.map((/** @type {number[]} */ part) => [...part]),
        );
      }
    }
    if (JSON.stringify([...store.brushed]) !== before) brushed();
  }

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
    if (gap) sayLater();
    later(gap);
  };
  store.views.add(told);
  const end = () => {
    ending.abort();
    for (const one of [timer, saying, unseen]) clearTimeout(one);
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
