// The trials of several objectives as points, with the Pareto front, drawn by plotly.js. See ../README.md.

import { defineWidget, makeStore } from "./lifecycle.js";
import { asShown, escaped, format, make, setText, statusWord } from "./page.js";
import { axisTitle, border, GROUPS, grouped, noteText } from "./pareto-data.js";
import { makePlot, plotAxis, plotLayout } from "./plot.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./pareto-data.js").Group} Group */
/** @typedef {import("./pareto-data.js").Point} Point */
/** @typedef {import("./plot.js").Pen} Pen */
/** @typedef {ReturnType<typeof createStore>} Store */

const PACE = { interval: 100, share: 3 };
/** @type {Record<Group, [string, string, string, number]>} group -> its word, colour, symbol and size */
const LOOKS = {
  other: ["finished", "other", "circle", 5],
  stopped: ["stopped early", "stopped", "square", 5],
  failed: ["failed", "failed", "x", 6],
  running: ["running", "running", "circle-open", 7],
  front: ["Pareto front", "best", "diamond", 10],
};

const createStore = () =>
  makeStore({
    objectives: /** @type {[string, string][]} */ ([]), // the label and mode of each
    points: /** @type {Map<number, Point>} */ (new Map()),
    front: /** @type {Set<number>} */ (new Set()),
  });

/**
 * Build one view of the points.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model, on } = view;
  const [xSelect, ySelect] = ["x axis", "y axis"].map((name) => make("select", { ariaLabel: name }));
  const note = make("div", { className: "nbt-pareto-note", role: "status" });
  const controls = [ySelect, make("label", {}, ["over", xSelect])];
  const pointAt = (/** @type {any} */ { curveNumber, pointNumber }) => drawn[curveNumber]?.[pointNumber];
  const { bar, legend, plot, empty, schedule, start, describePlot } = makePlot(
    view,
    "pareto",
    controls,
    [note],
    PACE,
    (point) => pointAt(point)?.number,
    (point) => describe(pointAt(point)),
  );
  /** @type {Point[][]} the points of each of plotly's traces */
  let drawn = [];

  /** Return the positions of the objectives on the axes; those of the model may be of another experiment. */
  const axes = () => {
    const count = store.objectives.length;
    const [x, y] = /** @type {number[]} */ (model.get("axes") ?? [0, 1]);
    return x < count && y < count && x !== y ? [x, y] : [0, 1];
  };

  const drawPlot = (/** @type {Pen} */ pen) => {
    const { colour } = pen;
    const [x, y] = axes();
    const { groups, missing } = grouped(store.points.values(), store.front, [x, y]);
    const count = GROUPS.reduce((sum, name) => sum + groups[name].length, 0);
    setText(empty, count ? "" : store.connected ? "No trial has a value of each objective yet." : "");
    plot.style.visibility = count ? "" : "hidden";
    const selection = new Set(/** @type {number[]} */ (model.get("selection") ?? []));
    const shown = GROUPS.filter((name) => groups[name].length);
    drawn = shown.map((name) => groups[name]);
    const data = shown.map((name) => trace(groups[name], name, [x, y], colour));
    const chosen = drawn.flat().filter(({ number }) => selection.has(number));
    if (chosen.length) {
      const marker = { symbol: "circle-open", size: 15, color: colour("selected"), line: { width: 2 } };
      data.push({ ...trace(chosen, "front", [x, y], colour), marker, hoverinfo: "skip" });
    }
    if (store.objectives.length === 2 && groups.front.length > 1) {
      const { x: xs, y: ys, shape } = border(groups.front, store.objectives[0][1]);
      const [atX, atY] = x === 0 ? [xs, ys] : [ys, xs];
      // On exchanged axes the steps go the other way.
      const line = { shape: (x === 0) === (shape === "hv") ? "hv" : "vh", color: colour("best"), width: 1 };
      data.push({ type: "scatter", mode: "lines", x: atX, y: atY, line, hoverinfo: "skip", opacity: 0.7 });
    }
    pen.react(data, layout(pen, store.objectives, [x, y]));
    legend.replaceChildren(
      ...shown
        .toReversed()
        .map((name) => make("span", { className: `nbt-pareto-${name}`, textContent: LOOKS[name][0] })),
    );
    const all = [...store.points.values()].filter(({ status }) => status !== "pending").length - missing;
    const text = noteText({ front: groups.front.length, drawn: all, missing, hidden: all - count });
    setText(note, count ? text : "");
    const names = [x, y].map((axis) => store.objectives[axis]?.[0] ?? "");
    describePlot(`${names[1]} over ${names[0]}, ${text}`);
  };
  const draw = () => {
    const names = store.objectives.map(([label]) => label);
    for (const [i, select] of [xSelect, ySelect].entries()) {
      if (select.dataset.names !== names.join("\n"))
        select.replaceChildren(...names.map((name, at) => make("option", { value: String(at), textContent: name })));
      select.dataset.names = names.join("\n");
      select.value = String(axes()[i]);
    }
    bar.hidden = names.length < 2;
    schedule();
  };

  /** @param {number} i the axis whose objective was chosen; the other one gets the former of this one if both are equal */
  const choose = (i) => {
    const before = axes();
    const chosen = [Number(xSelect.value), Number(ySelect.value)];
    if (chosen[0] === chosen[1]) chosen[1 - i] = before[i];
    model.set("axes", chosen);
    model.save_changes();
  };
  on(xSelect, "change", () => choose(0));
  on(ySelect, "change", () => choose(1));

  const describe = (/** @type {Point | undefined} */ point) => {
    if (!point) return [];
    const values = store.objectives.flatMap(([label], i) => [
      asShown(`${label} ${format(point.values[i])}`),
      make("br"),
    ]);
    const word = store.front.has(point.number) ? `${statusWord(point.status)}, on the front` : statusWord(point.status);
    return [make("b", { textContent: `trial ${point.number}: ${word}` }), ...values, asShown(point.label)];
  };
  start(draw, drawPlot);
}

/**
 * Return plotly's trace of a group.
 * @param {Point[]} points
 * @param {Group} name
 * @param {number[]} axes
 * @param {(name: string) => string} colour
 * @returns {any}
 */
function trace(points, name, [x, y], colour) {
  const [, tone, symbol, size] = LOOKS[name];
  const outline = name === "front" ? { line: { width: 1, color: colour("bg") } } : {};
  return {
    type: "scatter",
    mode: "markers",
    x: points.map(({ values }) => values[x]),
    y: points.map(({ values }) => values[y]),
    marker: {
      symbol,
      size,
      color: colour(tone),
      opacity: name === "other" || name === "stopped" ? 0.6 : 1,
      ...outline,
    },
    hoverinfo: "none",
    cliponaxis: false,
  };
}

/**
 * Return plotly's layout.
 * @param {Pen} pen
 * @param {[string, string][]} objectives
 * @param {number[]} axes
 */
function layout(pen, objectives, axes) {
  const [xaxis, yaxis] = axes.map((axis) => plotAxis(pen, escaped(axisTitle(objectives[axis] ?? ["", "min"]))));
  return {
    ...plotLayout(pen),
    margin: { l: 48, r: 24, t: 30, b: 36 },
    uirevision: axes.join(), // keep the zoom as long as the axes stay the same
    xaxis,
    yaxis,
  };
}

/**
 * Take the points that have changed.
 * @param {Store} store
 * @param {any} message
 */
function receive(store, message) {
  if (message.type !== "points") return;
  if (message.reset) store.points.clear();
  for (const [number, status, label, ...values] of message.rows)
    store.points.set(number, { number, status, label, values });
  Object.assign(store, { objectives: message.objectives, front: new Set(message.front) });
}

export default defineWidget({
  name: "pareto",
  createStore,
  receive,
  otherTraits: ["selection", "axes"],
  ready: () => {}, // the points are sent when a view becomes visible
  poll: true,
  render,
});
