// The figure of the parallel coordinates for plotly, and the tick labels that plotly cannot make. See ../README.md.

import { asShown } from "./page.js";
import { lineOf, plain, short } from "./parallel-data.js";
import { objectiveOf } from "./parallel-store.js";

/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-data.js").Ranges} Ranges */

const HEIGHT = 300;
const LEFT_MARGIN = 72; // px, which has the tick labels of the first axis
const LEFT_LETTERS = 9; // characters of a tick label that fit there

/**
 * Write the ticks of axes that plotly has no support for: logarithmic ones, and those with missing values.
 * @param {HTMLElement} plot
 * @param {Axis[]} axes in the order in which they were drawn
 */
export function relabel(plot, axes) {
  for (const group of plot.querySelectorAll(".y-axis")) {
    const { visibleIndex, domainScale } = /** @type {any} */ (group).__data__ ?? {};
    const axis = axes[visibleIndex];
    const ticks = [...group.querySelectorAll(".axis .tick")];
    if (axis?.kind === "categories") ticks.forEach((tick, i) => void nameWhole(tick, axis.categories[i]));
    if (!axis?.ticks) continue;
    while (ticks.length && ticks.length < axis.ticks.length) {
      const more = /** @type {Element} */ (ticks[0].cloneNode(true));
      ticks[0].after(more);
      ticks.push(more);
    }
    ticks.forEach((tick, i) => {
      const [at, text] = axis.ticks?.[i] ?? [0, ""];
      const label = tick.querySelector("text");
      if (label) label.textContent = text;
      /** @type {SVGElement} */ (tick).style.visibility = text ? "" : "hidden";
      if (text) tick.setAttribute("transform", `translate(0,${domainScale(at)})`);
    });
    const [low, high] = axis.ends;
    group.querySelectorAll(".axis-extent-top text, .axis-extent-bottom text").forEach((label, i) => {
      label.textContent = i ? low : high;
    });
  }
}

/**
 * Show a category, which may be shortened, as a whole while the pointer is on it.
 * @param {Element} tick
 * @param {string | undefined} category
 */
function nameWhole(tick, category) {
  const label = tick.querySelector("text");
  if (!label || category === undefined) return;
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = asShown(category);
  label.style.pointerEvents = "auto";
  label.append(title);
}

/** @type {boolean | undefined} */
let drawable;
export function hasWebGL() {
  if (drawable === undefined) {
    const context = document.createElement("canvas").getContext("webgl");
    drawable = Boolean(context);
    context?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return drawable;
}

/**
 * Return ranges as plotly writes them: a single one is not in a list.
 * @param {number[][]} ranges
 */
const asPlotly = (ranges) => (ranges.length === 1 ? ranges[0] : ranges);

/**
 * Return plotly's trace and layout.
 * @param {ReturnType<typeof import("./parallel-data.js").arrange>} made the axes and rows
 * @param {import("./parallel-store.js").Store} store
 * @param {number[]} selection empty to colour all lines
 * @param {CSSStyleDeclaration} style of the widget's root
 * @param {number} width
 */
export function figure(made, store, selection, style, width) {
  const { axes } = made;
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--nbt-${name}`).trim();
  const light = (style.color.match(/[\d.]+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 382;
  const theme = { dark: light, grey: light ? "#444444" : "#d4d4d4", single: colour("running") };
  const letters = Math.floor((width - 164) / Math.max(1, axes.length - 1) / 7 - 1.5);
  const line = lineOf(made.metric, made.rows, objectiveOf(store)[1] === "min", selection, theme);
  const title = { text: plain(short(made.metric?.label ?? "", 28)), side: "right", font: { size: 10 } };
  const bar = { thickness: 8, outlinewidth: 0, tickfont: { size: 10 }, x: 1.01, xpad: 8, ypad: 0, title, y: 0.5 };
  const text = { color: style.color, family: style.fontFamily };
  const dimensions = axes.map((axis, position) => {
    const tickLetters = Math.max(5, Math.min(position ? 20 : LEFT_LETTERS, letters));
    const each = Math.ceil(axis.categories.length / 16);
    const ranges = store.brushed.get(axis.key);
    const [low, high] = axis.range;
    return {
      key: axis.key,
      label: plain(short(axis.label, Math.max(6, Math.min(20, letters)))),
      values: axis.values,
      range: axis.range,
      ...(axis.kind === "categories" && {
        tickvals: axis.categories.map((_, i) => i),
        ticktext: axis.categories.map((text, i) => (i % each ? "" : short(text, tickLetters))),
      }),
      ...(ranges && {
        constraintrange: asPlotly(ranges.map(([a, b]) => [Math.max(a, low - 1), Math.min(b, high + 1)])),
      }),
    };
  });
  const trace = {
    type: "parcoords",
    dimensions,
    line: { ...line, showscale: Boolean(made.metric), colorbar: { ...line.colorbar, ...bar } },
    labelfont: { ...text, size: 12 },
    tickfont: { ...text, size: 10 },
    rangefont: { ...text, size: 10 },
    unselected: { line: { color: theme.grey, opacity: 1 } },
  };
  const layout = {
    width,
    height: HEIGHT,
    margin: { l: LEFT_MARGIN, r: 92, t: 46, b: 22 },
    paper_bgcolor: "rgba(0,0,0,0)",
    font: text,
  };
  return /** @type {const} */ ([trace, layout]);
}
