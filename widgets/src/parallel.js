// Parallel coordinates over parameters and metric, brushed with the mouse or by number. See ../README.md.

import { defineWidget, redraw } from "./lifecycle.js";
import { make, plotly, setText } from "./page.js";
import { tally } from "./parallel-data.js";
import { figure, hasWebGL, relabel } from "./parallel-figure.js";
import { makeFilter } from "./parallel-filter.js";
import { arranged, createStore, objectiveOf, receive, receiveSelection, selectBrushed } from "./parallel-store.js";
import { emptyText, noteText } from "./parallel-text.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./parallel-store.js").Store} Store */

const STREAM_INTERVAL = 1500; // milliseconds between two drawings while rows arrive
const RELEASE_DELAY = 5000; // milliseconds after which a hidden view releases its WebGL contexts; a page has 16
const MIN_AXIS_WIDTH = 68; // px

/**
 * Build one view of the parallel coordinates.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model, on, guarded, signal } = view;
  const plot = make("div", { className: "nbt-parallel-plot" });
  const empty = make("div", { className: "nbt-parallel-empty" });
  const scroller = make("div", { className: "nbt-parallel-scroller" }, [plot, empty]);
  /** @type {any} */
  let library = null;
  /** @type {Record<"draw" | "count" | "release", number | undefined>} */
  const timers = { draw: undefined, count: undefined, release: undefined };
  let [lastDrawing, duration, lastCount, dropped] = [-STREAM_INTERVAL, 0, -STREAM_INTERVAL, 0];
  let [dragging, drawn, width, drawnLayout] = [false, false, 0, ""];
  const brushChanged = () => {
    selectBrushed(model, store);
    redraw(store);
  };
  const filter = makeFilter(store, on, brushChanged);
  const chosen = make("select", { ariaLabel: "colour by" });
  const chosenLabel = make("label", { hidden: true }, ["colour by", chosen]);
  filter.row.prepend(chosenLabel);
  const root = make("div", { className: "nbt nbt-parallel" }, [scroller, filter.row, view.error]);

  /** Release plotly's WebGL contexts: a page has few of them. */
  const release = () => {
    if (!drawn) return;
    drawn = false;
    const canvases = [...plot.querySelectorAll("canvas")];
    library.purge(plot);
    for (const canvas of canvases) canvas.getContext("webgl")?.getExtension("WEBGL_lose_context")?.loseContext();
  };

  const isDrawable = () => view.isVisible() && root.offsetWidth > 0;

  /** Count the trials as they are now, also while the next drawing waits. */
  const drawNote = guarded("note", () => {
    clearTimeout(timers.count);
    timers.count = undefined;
    if (!isDrawable()) return;
    lastCount = performance.now();
    const selection = model.get("selection") ?? [];
    const [metric] = objectiveOf(store);
    const counts = tally(store.columns, store.rows.values(), selection, metric ?? undefined);
    const text = noteText(counts, metric, store.brushed.size > 0, dropped);
    filter.showNote(text, selection.length > 0 || store.brushed.size > 0);
  });
  const scheduleNote = () => {
    timers.count ??= window.setTimeout(drawNote, Math.max(0, lastCount + STREAM_INTERVAL - performance.now()));
  };

  /** @param {ReturnType<typeof arranged>} made */
  const emptyReason = ({ axes, rows }) => {
    const [metric] = objectiveOf(store);
    if (!rows.length) return emptyText(tally(store.columns, store.rows.values(), [], metric ?? undefined), metric);
    if (!axes.length) return "The trials have no parameters.";
    if (!hasWebGL()) return "Parallel coordinates need WebGL, which this browser does not offer.";
    return library ? "" : "loading plotly.js…";
  };

  const draw = guarded("plot", () => {
    timers.draw = undefined;
    if (dragging || !isDrawable()) return;
    const began = performance.now();
    const first = !drawn;
    const made = arranged(store);
    dropped = made.dropped;
    filter.showAxes(made.axes);
    showObjectives();
    drawNote();
    setText(empty, emptyReason(made));
    plot.hidden = Boolean(empty.textContent);
    filter.row.hidden = plot.hidden;
    if (plot.hidden) return release();
    drawPlot(made);
    lastDrawing = performance.now();
    duration = first ? 0 : lastDrawing - began; // the first one also initializes plotly
  });

  /** Show the choice of the objective that colours the lines, where there are several. */
  const showObjectives = () => {
    chosenLabel.hidden = store.objectives.length < 2;
    const names = store.objectives.map(([metric]) => metric);
    if (chosen.dataset.names !== names.join("\n"))
      chosen.replaceChildren(...names.map((name, i) => make("option", { value: String(i), textContent: name })));
    chosen.dataset.names = names.join("\n");
    chosen.value = String(store.chosen);
  };

  /** @param {ReturnType<typeof arranged>} made */
  const drawPlot = (made) => {
    width = Math.max(scroller.clientWidth, made.axes.length * MIN_AXIS_WIDTH + 110);
    const selection = store.brushed.size ? [] : model.get("selection");
    const [trace, layout] = figure(made, store, selection, getComputedStyle(root), width);
    // A drawing takes some hundred milliseconds: skip it where plotly's data, brush and axes are the same.
    const layoutKey = JSON.stringify(layout);
    if (drawn && drawnLayout === layoutKey && JSON.stringify(plot.data) === JSON.stringify([trace])) return;
    drawnLayout = "";
    plot.classList.toggle("nbt-parallel-min", objectiveOf(store)[1] === "min");
    library.react(plot, [trace], layout, { displayModeBar: false });
    relabel(plot, made.axes);
    if (!drawn) scroller.scrollLeft = scroller.scrollWidth; // the objective is the last axis
    if (!drawn) {
      plot.on("plotly_restyle", guarded("brush", readBrush));
      plot.on("plotly_webglcontextlost", release);
    }
    [drawn, drawnLayout] = [true, layoutKey];
  };
  const schedule = (interval = 0) => {
    clearTimeout(timers.draw);
    const due = lastDrawing + (interval && Math.max(interval, 6 * duration));
    timers.draw = window.setTimeout(draw, Math.max(0, due - performance.now()));
  };

  /** Read the new ranges and the order of the axes from plotly's data. */
  function readBrush() {
    const dimensions = /** @type {any[]} */ (plot.data?.[0]?.dimensions ?? []);
    store.order = dimensions.map((dimension) => dimension.key);
    const before = JSON.stringify([...store.brushed]);
    for (const { key, constraintrange: range } of dimensions) {
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
    if (JSON.stringify([...store.brushed]) !== before) brushChanged();
  }

  on(chosen, "change", () => {
    store.chosen = Number(chosen.value);
    store.order = []; // the chosen objective is the last axis
    redraw(store);
  });
  on(plot, "pointerdown", () => {
    dragging = true;
  });
  for (const type of ["pointerup", "pointercancel"])
    on(window, type, () => {
      if (!dragging) return;
      dragging = false;
      schedule(STREAM_INTERVAL);
    });
  view.onResize(scroller, () => {
    if (Math.abs(scroller.clientWidth - width) > 1) schedule(150);
  });
  view.onThemeChange(() => schedule());
  view.onDispose(() => {
    for (const timer of Object.values(timers)) clearTimeout(timer);
    release();
  });
  view.mount(
    root,
    (received) => {
      if (received) scheduleNote();
      schedule(received ? STREAM_INTERVAL : 0);
    },
    (visible) => {
      clearTimeout(timers.release);
      if (visible) schedule();
      else timers.release = window.setTimeout(release, RELEASE_DELAY);
    },
  );
  guarded("plotly.js", async () => {
    library = await plotly(model);
    if (!signal.aborted) schedule();
  })();
}

export default defineWidget({
  name: "parallel",
  createStore,
  receive,
  otherTraits: ["selection"],
  receiveOther: (store, _, model) => receiveSelection(store, model),
  render,
});
