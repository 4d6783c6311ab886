// A plot of trials by plotly.js: its elements, when it is drawn, its tooltip, and the selection by clicks.

import { asShown, make, plotly } from "./page.js";

/** @typedef {import("./lifecycle.js").View} View */
/**
 * What is drawn with: the width in px, the style of the view, its colours by name, and plotly's `react`.
 * @typedef {{width: number, style: CSSStyleDeclaration, colour: (name: string) => string,
 *   react: (data: any[], layout: any) => void}} Pen
 */

// An explicit list: plotly's default has a button that uploads the data to Plotly's servers.
const CONFIG = {
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

/**
 * Make the elements of a plot. `start` mounts and draws them.
 * @param {View} view
 * @param {string} name that of the widget, for its classes in CSS
 * @param {HTMLElement[]} controls the elements of the bar above the plot, before the legend
 * @param {HTMLElement[]} notes the elements below the plot
 * @param {{interval: number, share: number}} pace milliseconds between two drawings, and at least so many times
 *   as long as the last one took
 * @param {(point: any) => number | undefined} trialAt returns the trial at one of plotly's points
 * @param {(point: any) => (Node | string)[]} describe returns the tooltip of one; empty for none
 */
export function makePlot(view, name, controls, notes, pace, trialAt, describe) {
  const { model, guarded, signal } = view;
  const part = (/** @type {string} */ kind) => make("div", { className: `nbt-plot-${kind} nbt-${name}-${kind}` });
  const [bar, legend, plot, empty, tooltip] = ["bar", "legend", "plot", "empty", "tooltip"].map(part);
  bar.append(...controls, legend);
  plot.role = "img";
  tooltip.hidden = true;
  const root = make("div", { className: `nbt nbt-plot nbt-${name}` }, [
    bar,
    plot,
    empty,
    tooltip,
    ...notes,
    view.error,
  ]);
  /** @type {any} */
  let library = null;
  let [timer, lastDrawing, duration, listening] = [0, 0, 0, false];
  /** @type {(pen: Pen) => void} */
  let drawPlot = () => {};

  const redraw = guarded("plot", () => {
    timer = 0;
    if (!library || !view.isVisible() || !root.offsetWidth) return;
    const began = performance.now();
    const style = getComputedStyle(root);
    drawPlot({
      width: root.offsetWidth,
      style,
      colour: (color) => style.getPropertyValue(`--nbt-${color}`).trim(),
      react: (data, layout) => library.react(plot, data, layout, CONFIG),
    });
    if (!listening) listen(); // plotly adds `on` to the element with its first drawing
    listening = true;
    lastDrawing = performance.now();
    duration = lastDrawing - began;
  });
  const schedule = () => {
    if (timer) return;
    const due = lastDrawing + Math.max(pace.interval, pace.share * duration);
    timer = window.setTimeout(() => requestAnimationFrame(redraw), Math.max(0, due - performance.now()));
  };

  const showTooltip = (/** @type {any} */ { points: [point], event }) => {
    const parts = describe(point);
    if (!parts.length) return;
    tooltip.replaceChildren(...parts);
    tooltip.hidden = false;
    const box = root.getBoundingClientRect();
    const x = event.clientX - box.left;
    const left = x + 14 + tooltip.offsetWidth > box.width ? x - 14 - tooltip.offsetWidth : x + 14;
    tooltip.style.left = `${Math.max(0, left)}px`;
    const top = Math.min(event.clientY - box.top + 10, box.height - tooltip.offsetHeight);
    tooltip.style.top = `${Math.max(0, top)}px`;
  };
  const select = (/** @type {any} */ { points: [point], event }) => {
    const trial = trialAt(point);
    if (trial === undefined) return;
    const before = /** @type {number[]} */ (model.get("selection") ?? []);
    const others = before.filter((number) => number !== trial);
    const isSelected = others.length < before.length;
    let selection = isSelected && !others.length ? [] : [trial];
    if (event.ctrlKey || event.metaKey || event.shiftKey)
      selection = isSelected ? others : [...before, trial].sort((a, b) => a - b);
    model.set("selection", selection);
    model.save_changes();
  };
  const listen = () => {
    const events = /** @type {any} */ (plot);
    events.on("plotly_hover", guarded("hover", showTooltip));
    events.on("plotly_click", guarded("click", select));
    events.on("plotly_unhover", () => {
      tooltip.hidden = true;
    });
  };

  /**
   * Mount the view, and draw the plot when plotly.js is loaded.
   * @param {() => void} draw draws the rest, and calls `schedule`
   * @param {(pen: Pen) => void} drawn draws the plot
   */
  const start = (draw, drawn) => {
    drawPlot = drawn;
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
      if (!signal.aborted) redraw();
    })();
  };
  /** @param {string} text for screen readers */
  const describePlot = (text) => {
    plot.ariaLabel = asShown(text);
  };
  return { bar, legend, plot, empty, schedule, start, describePlot };
}

/**
 * Return what the layouts of all plots have in common.
 * @param {Pen} pen
 */
export function plotLayout({ width, style, colour }) {
  return {
    width,
    height: 310,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("fg"), family: style.fontFamily, size: 12 },
    showlegend: false,
    hovermode: "closest",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("dim"), activecolor: colour("fg") },
  };
}

/**
 * Return what their axes have in common.
 * @param {Pen} pen
 * @param {string} title escaped
 */
export function plotAxis({ colour }, title) {
  return {
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zeroline: false,
    automargin: true,
    title: { text: title, standoff: 4 },
  };
}
