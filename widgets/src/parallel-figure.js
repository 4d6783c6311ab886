// The figure of the parallel coordinates, as plotly draws it, and what plotly's ticks lack. See ../README.md.

import { format } from "./page.js";
import { lineOf, plain, short } from "./parallel-data.js";

/** @typedef {import("./parallel-data.js").Axis} Axis */
/** @typedef {import("./parallel-data.js").Ranges} Ranges */

const HEIGHT = 300;

/**
 * Write the ticks of logarithmic axes, and of those where some trial has no value: plotly's have neither.
 * @param {HTMLElement} plot
 * @param {Axis[]} axes as they were drawn
 */
export function relabel(plot, axes) {
  for (const group of plot.querySelectorAll(".y-axis")) {
    const axis = axes[/** @type {any} */ (group).__data__?.visibleIndex];
    if (!axis || axis.kind === "words" || (axis.kind === "linear" && axis.none === null)) continue;
    const low = axis.none === null ? axis.range[0] : axis.none + (axis.range[1] - axis.none) / 9;
    const decades = Math.floor(axis.range[1]) - Math.ceil(low);
    const text = (/** @type {number} */ at) =>
      format(axis.kind === "log" ? Number((10 ** at).toPrecision(decades > 0 ? 4 : 2)) : at);
    for (const tick of group.querySelectorAll(".axis .tick")) {
      const at = Number(/** @type {any} */ (tick).__data__);
      const hidden = at < low - 1e-9 || (axis.kind === "log" && decades > 0 && Math.abs(at - Math.round(at)) > 1e-9);
      const label = tick.querySelector("text");
      if (label) label.textContent = hidden ? "" : text(at);
      /** @type {SVGElement} */ (tick).style.visibility = hidden ? "hidden" : "";
    }
    const ends = [axis.range[1], axis.range[0]];
    group.querySelectorAll(".axis-extent-top text, .axis-extent-bottom text").forEach((label, i) => {
      label.textContent = i && axis.none !== null ? "none" : text(ends[i]);
    });
  }
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
 * Return plotly's trace and layout.
 * @param {ReturnType<typeof import("./parallel-data.js").arrange>} made what is drawn
 * @param {{mode: string | null, brushed: Map<string, Ranges>}} store
 * @param {number[]} selection empty where all are to be coloured
 * @param {CSSStyleDeclaration} style of the widget
 * @param {number} width
 */
export function figure(made, store, selection, style, width) {
  const { axes } = made;
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--nbt-${name}`).trim();
  const light = (style.color.match(/[\d.]+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 382;
  const theme = { dark: light, grey: light ? "#444444" : "#d4d4d4", one: colour("running") };
  const letters = Math.floor((width - 164) / Math.max(1, axes.length - 1) / 7 - 1.5);
  const line = lineOf(made.metric, made.rows, store.mode === "min", selection, theme);
  const title = { text: plain(short(made.metric?.label ?? "", 28)), side: "right", font: { size: 10 } };
  const bar = { thickness: 8, outlinewidth: 0, tickfont: { size: 10 }, x: 1.01, xpad: 8, ypad: 0, title };
  const text = { color: style.color, family: style.fontFamily };
  const dimensions = axes.map((axis) => {
    const each = Math.ceil(axis.words.length / 16);
    const ranges = store.brushed.get(axis.key);
    const [low, high] = axis.range;
    return {
      key: axis.key,
      label: plain(short(axis.label, Math.max(6, Math.min(20, letters)))),
      values: axis.values,
      range: axis.range,
      ...(axis.kind === "words" && {
        tickvals: axis.words.map((_, i) => i),
        ticktext: axis.words.map((text, i) => (i % each ? "" : short(text, Math.max(5, Math.min(20, letters))))),
      }),
      ...(ranges && { constraintrange: ranges.map(([a, b]) => [Math.max(a, low - 1), Math.min(b, high + 1)]) }),
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
    margin: { l: 72, r: 92, t: 46, b: 22 },
    paper_bgcolor: "rgba(0,0,0,0)",
    font: text,
  };
  return /** @type {const} */ ([trace, layout]);
}
