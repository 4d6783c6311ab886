// The live curves of one metric. All trials are joined to a few lines, which plotly.js draws fast. See ../README.md.

import { groups, isShort, MAX_BACKGROUND, receiveUpdate, traces, trialAt } from "./curve-data.js";
import { defineWidget, makeStore } from "./lifecycle.js";
import { asShown, escaped, format, make, plotly, statusWord } from "./page.js";

/** @typedef {import("./curve-data.js").Curve} Curve */
/** @typedef {import("./curve-data.js").Joined} Joined */
/** @typedef {import("./curve-data.js").Settings} Settings */
/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {ReturnType<typeof createStore>} Store */

const AXIS_TITLES = { iteration: "iteration", time_s: "seconds", trial: "trial" };
// An explicit list: plotly's default has a button that uploads the data to Plotly's servers.
const BUTTONS = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
const MIN_INTERVAL = 40; // milliseconds between two drawings

const createStore = () =>
  makeStore({
    curves: /** @type {Map<number, Curve>} */ (new Map()),
    best: /** @type {number | null} */ (null),
    seq: 0,
    metric: "",
    changes: 0, // how many updates have changed trials that do not run: those of the background
    resyncing: false, // whether everything has been asked for again
  });

/**
 * Build one view of the curves.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model, on, guarded, signal } = view;
  const { curves } = store;
  const metric = make("select", { ariaLabel: "metric" });
  const axis = make("select", { ariaLabel: "x axis" }, [
    make("option", { value: "iteration", textContent: "iteration" }),
    make("option", { value: "time_s", textContent: "seconds" }),
  ]);
  const logx = make("input", { type: "checkbox" });
  const logy = make("input", { type: "checkbox" });
  const smooth = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", ariaLabel: "smoothing" });
  const legend = make("div", { className: "nbt-curves-legend" });
  const bar = make("div", { className: "nbt-curves-bar" }, [
    metric,
    make("label", {}, ["over", axis]),
    make("label", {}, [logx, "log x"]),
    make("label", {}, [logy, "log y"]),
    make("label", {}, ["smooth", smooth]),
    legend,
  ]);
  const plot = make("div", { className: "nbt-curves-plot", role: "img" });
  const empty = make("div", { className: "nbt-curves-empty" });
  const tooltip = make("div", { className: "nbt-curves-tooltip", hidden: true });
  const root = make("div", { className: "nbt nbt-curves" }, [bar, plot, empty, tooltip, view.error]);

  /** @type {any} */
  let library = null;
  /** @type {Joined[]} */
  let lines = [];
  /** @type {{joined: Joined, key: string} | null} */
  let background = null;
  let [drawnChanges, timer, lastDrawing, duration, listening] = [-1, 0, 0, 0, false];

  const drawPlot = guarded("plot", () => {
    timer = 0;
    if (!library || !view.isVisible() || !root.offsetWidth) return;
    const began = performance.now();
    const style = getComputedStyle(root);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--nbt-${name}`).trim();
    const settings = /** @type {Settings} */ (model.get("settings"));
    const changed = drawnChanges !== store.changes;
    const made = traces(curves, store.best, model.get("selection"), settings, colour, background, changed);
    [lines, background, drawnChanges] = [made.lines, made.background, store.changes];
    const points = made.lines.reduce((sum, line) => sum + line.trials.length, 0);
    empty.textContent = points
      ? ""
      : curves.size
        ? `No trial has reported ${store.metric || "anything"} yet.`
        : "No reports yet.";
    legend.hidden = !points;
    const shown = layout({ ...settings, x: made.x }, store.metric, colour, style, root.offsetWidth, points > 0);
    if (isShort(curves, made.x) && !settings.logx) Object.assign(shown.xaxis, { dtick: 1 }); // there is no iteration 1.5
    library.react(plot, made.data, shown, { displaylogo: false, modeBarButtons: BUTTONS });
    if (!listening) listen(); // plotly adds `on` to the element with its first drawing
    listening = true;
    plot.ariaLabel = asShown(
      `${store.metric} over ${axis.selectedOptions[0]?.textContent}, ${curves.size} trials${store.best === null ? "" : `, best is trial ${store.best}`}`,
    );
    lastDrawing = performance.now();
    duration = lastDrawing - began;
  });
  const schedule = () => {
    if (timer) return;
    const due = lastDrawing + Math.max(MIN_INTERVAL, 1.5 * duration);
    timer = window.setTimeout(() => requestAnimationFrame(drawPlot), Math.max(0, due - performance.now()));
  };
  const draw = () => {
    const names = /** @type {string[]} */ (model.get("metrics"));
    const chosen = /** @type {string} */ (model.get("metric"));
    const all = names.includes(chosen) || !chosen ? names : [chosen, ...names];
    if (all.join("\n") !== [...metric.options].map((option) => option.value).join("\n"))
      metric.replaceChildren(...all.map((name) => make("option", { value: name, textContent: name })));
    metric.value = chosen;
    metric.hidden = all.length === 0;
    const settings = /** @type {Settings} */ (model.get("settings"));
    [axis.value, logx.checked, logy.checked] = [settings.x, settings.logx, settings.logy];
    smooth.value = String(settings.smooth);
    smooth.title = `smoothing ${settings.smooth}`;
    const grouped = groups(curves, store.best, model.get("selection"));
    const others = grouped.other.length;
    const labels = {
      best: "best",
      running: "running",
      selected: "selected",
      other: others > MAX_BACKGROUND ? `others, ${MAX_BACKGROUND} of ${others}` : "others",
    };
    legend.replaceChildren(
      ...Object.entries(labels)
        .filter(([group]) => grouped[/** @type {"best"} */ (group)].length)
        .map(([group, label]) => make("span", { className: `nbt-${group}`, textContent: label })),
    );
    schedule();
  };
  const saveSettings = () => {
    model.set("settings", { x: axis.value, logx: logx.checked, logy: logy.checked, smooth: Number(smooth.value) });
    model.save_changes();
  };
  for (const control of [axis, logx, logy]) on(control, "change", saveSettings);
  on(smooth, "input", saveSettings);
  on(metric, "change", () => {
    model.set("metric", metric.value);
    model.save_changes();
    empty.textContent = "waiting for the kernel…";
  });

  const showTooltip = (/** @type {any} */ { points: [point], event }) => {
    const trial = trialAt(lines[point.curveNumber], point.pointNumber);
    const curve = curves.get(trial);
    if (!curve) return;
    const position = axis.value === "time_s" ? `${format(point.x)} s` : `iteration ${format(point.x)}`;
    tooltip.replaceChildren(
      make("b", { textContent: `trial ${trial}: ${store.metric} ${format(point.y)}` }),
      `${position}, ${statusWord(curve.status)}`,
      make("br"),
      asShown(curve.label),
    );
    tooltip.hidden = false;
    const box = root.getBoundingClientRect();
    const x = event.clientX - box.left;
    const left = x + 14 + tooltip.offsetWidth > box.width ? x - 14 - tooltip.offsetWidth : x + 14;
    tooltip.style.left = `${Math.max(0, left)}px`;
    const top = Math.min(event.clientY - box.top + 10, box.height - tooltip.offsetHeight);
    tooltip.style.top = `${Math.max(0, top)}px`;
  };
  const select = (/** @type {any} */ { points: [point], event }) => {
    const trial = trialAt(lines[point.curveNumber], point.pointNumber);
    const before = /** @type {number[]} */ (model.get("selection"));
    const others = before.filter((number) => number !== trial);
    const isSelected = others.length < before.length;
    let selection = isSelected && !others.length ? [] : [trial];
    if (event.ctrlKey || event.metaKey || event.shiftKey)
      selection = isSelected ? others : [...before, trial].sort((a, b) => a - b);
    model.set("selection", selection);
    model.save_changes();
  };
  const listen = () => {
    plot.on("plotly_hover", guarded("hover", showTooltip));
    plot.on("plotly_click", guarded("click", select));
    plot.on("plotly_unhover", () => {
      tooltip.hidden = true;
    });
  };

  view.onResize(root, schedule);
  view.onThemeChange(schedule);
  view.onDispose(() => {
    window.clearTimeout(timer);
    library?.purge(plot);
  });
  view.mount(root, draw, (visible) => visible && schedule());
  guarded("plotly.js", async () => {
    empty.textContent = "loading plotly.js…";
    library = await plotly(model);
    if (!signal.aborted) drawPlot();
  })();
}

/**
 * Return plotly's layout.
 * @param {Settings} settings
 * @param {string} metric
 * @param {(name: string) => string} colour
 * @param {CSSStyleDeclaration} style
 * @param {number} width px
 * @param {boolean} hasPoints whether there is anything to draw
 */
function layout(settings, metric, colour, style, width, hasPoints) {
  const axis = {
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zeroline: false,
    ticklabeloverflow: "allow",
    automargin: true,
    visible: hasPoints,
  };
  return {
    width,
    height: 290,
    margin: { l: 48, r: 36, t: 8, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("fg"), family: style.fontFamily, size: 12 },
    showlegend: false,
    hovermode: "closest",
    uirevision: `${metric} ${settings.x} ${settings.logx} ${settings.logy}`, // keep the zoom as long as the axes stay the same
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("dim"), activecolor: colour("fg") },
    xaxis: {
      ...axis,
      type: settings.logx ? "log" : "linear",
      title: { text: AXIS_TITLES[settings.x], standoff: 4 },
    },
    yaxis: { ...axis, type: settings.logy ? "log" : "linear", title: { text: escaped(metric), standoff: 4 } },
  };
}

/**
 * Take the points of an update, or ask for everything again where an update was missed.
 * @param {Store} store
 * @param {any} message
 * @param {DataView[]} buffers
 * @param {import("../types.d.ts").AnyModel} model
 */
function receive(store, message, buffers, model) {
  if (message.type !== "update") return;
  if (!message.reset && message.seq !== store.seq + 1) {
    if (!store.resyncing) model.send({ type: "ready" });
    store.resyncing = true;
    return;
  }
  store.resyncing = false;
  const { curves } = store;
  const background = message.segments.some(
    (/** @type {number[]} */ [trial]) => curves.get(trial)?.status !== "running",
  );
  receiveUpdate(curves, message, buffers);
  Object.assign(store, { best: message.best, seq: message.seq, metric: message.metric });
  if (background || message.reset) store.changes++;
}

export default defineWidget({
  name: "curves",
  createStore,
  receive,
  otherTraits: ["selection", "settings", "metric", "metrics"],
  render,
});
