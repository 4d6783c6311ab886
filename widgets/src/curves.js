// The live curves of one metric. All trials are joined to a few lines, which plotly.js draws fast. See ../README.md.

import { bestText, COPIES, groups, MAX_BACKGROUND, receiveUpdate, traces, trialAt, wholeStep } from "./curve-data.js";
import { placesOn, rungMarks } from "./curve-rungs.js";
import { defineWidget, makeStore } from "./lifecycle.js";
import { asShown, escaped, format, make, statusWord } from "./page.js";
import { makePlot, plotAxis, plotLayout } from "./plot.js";

/** @typedef {import("./curve-data.js").Curve} Curve */
/** @typedef {import("./curve-data.js").Joined} Joined */
/** @typedef {import("./curve-data.js").Settings} Settings */
/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./plot.js").Pen} Pen */
/** @typedef {ReturnType<typeof createStore>} Store */

const AXIS_TITLES = { iteration: "iteration", time_s: "seconds", trial: "trial" };
const MARGIN = { l: 48, r: 36, t: 30, b: 36 }; // px; above are plotly's buttons and the texts of the rungs
const PACE = { interval: 40, share: 1.5 };

const createStore = () =>
  makeStore({
    curves: /** @type {Map<number, Curve>} */ (new Map()),
    copies: /** @type {import("./curve-data.js").Copy[]} */ ([]),
    rungs: /** @type {import("./curve-rungs.js").Rung[]} */ ([]),
    best: /** @type {number[]} */ ([]),
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
  const { model, on } = view;
  const { curves } = store;
  const metric = make("select", { ariaLabel: "metric" });
  const axis = make("select", { ariaLabel: "x axis" }, [
    make("option", { value: "iteration", textContent: "iteration" }),
    make("option", { value: "time_s", textContent: "seconds" }),
  ]);
  const logx = make("input", { type: "checkbox" });
  const logy = make("input", { type: "checkbox" });
  const smooth = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", ariaLabel: "smoothing" });
  const smoothLabel = make("label", {}, ["smooth", smooth]);
  const over = make("label", {}, ["over", axis]);
  const logxLabel = make("label", {}, [logx, "log x"]);
  // Those that mean nothing where trials report once are the last: they disappear, and nothing moves.
  const controls = [metric, make("label", {}, [logy, "log y"]), over, logxLabel, smoothLabel];
  const pointed = (/** @type {any} */ point) => trialAt(lines[point.curveNumber], point.pointNumber);
  const { legend, empty, schedule, start, describePlot } = makePlot(
    view,
    "curves",
    controls,
    [],
    PACE,
    pointed,
    (point) => describe(point),
  );
  /** @type {Joined[]} */
  let lines = [];
  /** @type {{joined: Joined, key: string} | null} */
  let background = null;
  let drawnChanges = -1;

  const drawPlot = (/** @type {Pen} */ pen) => {
    const { colour } = pen;
    const settings = /** @type {Settings} */ (model.get("settings"));
    const changed = drawnChanges !== store.changes;
    const selection = /** @type {number[]} */ (model.get("selection"));
    const made = traces(curves, store.best, selection, settings, colour, background, changed, store.copies);
    [lines, background, drawnChanges] = [made.lines, made.background, store.changes];
    const points = made.lines.reduce((sum, line) => sum + line.trials.length, 0);
    empty.textContent = points
      ? ""
      : curves.size
        ? `No trial has reported ${store.metric || "anything"} yet.`
        : "No reports yet.";
    legend.hidden = !points;
    const drawn = { ...settings, x: made.x };
    const rungs = points ? store.rungs : [];
    const place = rungs.length ? placesOn(made.lines, drawn.logx, pen.width - MARGIN.l - MARGIN.r) : () => 0;
    const marks = rungMarks(rungs, drawn, colour, place);
    const shown = { ...layout(pen, drawn, store.metric, points > 0), ...marks };
    const dtick = settings.logx ? null : wholeStep(curves, made.x); // there is no iteration 1.5
    if (dtick) Object.assign(shown.xaxis, { dtick });
    for (const control of [over, logxLabel, smoothLabel])
      control.style.visibility = made.x === "trial" && points ? "hidden" : "";
    pen.react(made.data, shown);
    describePlot(
      `${store.metric} over ${axis.selectedOptions[0]?.textContent}, ${curves.size} trials${bestText(store.best)}`,
    );
  };
  const draw = () => {
    const names = /** @type {string[]} */ (model.get("metrics"));
    const chosen = /** @type {string} */ (model.get("metric"));
    const all = names.includes(chosen) || !chosen ? names : [chosen, ...names];
    if (all.join("\n") !== [...metric.options].map((option) => option.value).join("\n"))
      metric.replaceChildren(...all.map((name) => make("option", { value: name, textContent: name })));
    metric.value = chosen;
    metric.hidden = all.length === 0;
    metric.disabled = store.closed; // the points of another metric come from the kernel
    const settings = /** @type {Settings} */ (model.get("settings"));
    [axis.value, logx.checked, logy.checked] = [settings.x, settings.logx, settings.logy];
    smooth.value = String(settings.smooth);
    smooth.title = `smoothing ${settings.smooth}`;
    const grouped = groups(curves, store.best, model.get("selection"));
    const others = grouped.other.length;
    const labels = {
      best: grouped.best.length > 1 ? "best configuration" : "best",
      running: "running",
      selected: "selected",
      other: others > MAX_BACKGROUND ? `others, ${MAX_BACKGROUND} of ${others}` : "others",
    };
    legend.replaceChildren(
      ...Object.entries(labels)
        .filter(([group]) => grouped[/** @type {"best"} */ (group)].length)
        .map(([group, label]) => make("span", { className: `nbt-${group}`, textContent: label })),
      ...(store.copies.length ? [make("span", { className: "nbt-copied", textContent: "copied" })] : []),
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

  const describe = (/** @type {any} */ point) => {
    const trial = pointed(point);
    const curve = curves.get(trial);
    if (!curve) return [];
    const position = axis.value === "time_s" ? `${format(point.x)} s` : `iteration ${format(point.x)}`;
    const copy = point.curveNumber === COPIES ? store.copies[point.pointNumber] : null;
    return [
      make("b", { textContent: `trial ${trial}: ${store.metric} ${format(point.y)}` }),
      copy ? `from trial ${copy[4]} at iteration ${copy[5]}` : `${position}, ${statusWord(curve.status)}`,
      make("br"),
      asShown(curve.label),
    ];
  };
  start(draw, drawPlot);
}

/**
 * Return plotly's layout.
 * @param {Pen} pen
 * @param {Settings} settings
 * @param {string} metric
 * @param {boolean} hasPoints whether there is anything to draw
 */
function layout(pen, settings, metric, hasPoints) {
  const axis = (/** @type {string} */ title, /** @type {boolean} */ isLog) => ({
    ...plotAxis(pen, title),
    ticklabeloverflow: "allow",
    visible: hasPoints,
    type: isLog ? "log" : "linear",
    ...(isLog && { tickformat: "~g", nticks: 8 }), // whole numbers, not the digits 2 and 5 between powers of ten
  });
  return {
    ...plotLayout(pen),
    margin: MARGIN,
    uirevision: `${metric} ${settings.x} ${settings.logx} ${settings.logy}`, // keep the zoom as long as the axes stay the same
    xaxis: axis(AXIS_TITLES[settings.x], settings.logx),
    yaxis: axis(escaped(metric), settings.logy),
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
  store.copies = message.copies ?? store.copies; // null where nothing has changed
  store.rungs = message.rungs ?? store.rungs;
  if (background || message.reset) store.changes++;
}

export default defineWidget({
  name: "curves",
  createStore,
  receive,
  otherTraits: ["selection", "settings", "metric", "metrics"],
  render,
});
