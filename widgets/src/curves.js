// The live curves of one metric: all trials as a few joined lines, drawn by plotly.js. See ../README.md.

import { kinds, MOST, take, traces, trialAt } from "./curve-data.js";
import { escaped, format, guard, make, plotly, statusWord, takePlotly } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./curve-data.js").Curve} Curve */
/** @typedef {import("./curve-data.js").Joined} Joined */
/** @typedef {import("./curve-data.js").Settings} Settings */

const NAMES = { iteration: "iteration", time_s: "seconds", trial: "trial" };
// Said one by one: plotly's own choice has one that sends the data to its makers.
const BUTTONS = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
const GAP = 40; // milliseconds between two drawings, at least

/**
 * One view of the curves.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Map<number, Curve>} curves
 * @param {{best: number | null, seq: number, metric: string, changes: number}} state
 * @param {Set<(error?: string) => void>} views
 */
function view(model, el, curves, state, views) {
  const ending = new AbortController();
  const on = { signal: ending.signal };
  const metric = make("select", { ariaLabel: "metric" });
  const axis = make("select", { ariaLabel: "x axis" }, [
    make("option", { value: "iteration", textContent: "iteration" }),
    make("option", { value: "time_s", textContent: "seconds" }),
  ]);
  const logx = make("input", { type: "checkbox" });
  const logy = make("input", { type: "checkbox" });
  const smooth = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", ariaLabel: "smoothing" });
  const key = make("div", { className: "nbt-curves-key" });
  const bar = make("div", { className: "nbt-curves-bar" }, [
    metric,
    make("label", {}, ["over", axis]),
    make("label", {}, [logx, "log x"]),
    make("label", {}, [logy, "log y"]),
    make("label", {}, ["smooth", smooth]),
    key,
  ]);
  const plot = make("div", { className: "nbt-curves-plot", role: "img" });
  const empty = make("div", { className: "nbt-curves-empty" });
  const tip = make("div", { className: "nbt-curves-tip", hidden: true });
  const fault = make("div", { className: "nbt-error", role: "alert" });
  const root = make("div", { className: "nbt nbt-curves" }, [bar, plot, empty, tip, fault]);
  el.append(root);

  /** @type {any} */
  let library = null;
  /** @type {Joined[]} */
  let lines = [];
  /** @type {{joined: Joined, key: string} | null} */
  let background = null;
  let [drawn, timer, last, cost, seen, listening] = [-1, 0, 0, 0, true, false];
  const settings = () => /** @type {Settings} */ (model.get("settings"));
  const safe = (/** @type {string} */ where, /** @type {() => any} */ run) =>
    guard(model, where, (text) => (Object.assign(fault, { textContent: text }).dataset.where = where), run);

  const draw = () =>
    safe("drawing", () => {
      timer = 0;
      if (ending.signal.aborted || !library || !seen || !root.offsetWidth) return;
      const began = performance.now();
      const style = getComputedStyle(root);
      const colour = (/** @type {string} */ name) => style.getPropertyValue(`--nbt-${name}`).trim();
      const set = settings();
      const made = traces(curves, state.best, model.get("selection"), set, colour, background, drawn !== state.changes);
      [lines, background, drawn] = [made.lines, made.background, state.changes];
      const points = made.lines.reduce((sum, line) => sum + line.trials.length, 0);
      empty.textContent = points
        ? ""
        : curves.size
          ? `No trial has reported ${state.metric || "anything"} yet.`
          : "The curves begin with the first report.";
      key.hidden = !points;
      const looks = layout({ ...set, x: made.x }, state.metric, colour, style, root.offsetWidth, points > 0);
      library.react(plot, made.data, looks, { displaylogo: false, modeBarButtons: BUTTONS });
      if (!listening) listen(); // a drawing of nothing, in a hidden tab, has nothing to listen to
      listening = true;
      if (fault.dataset.where === "drawing") fault.textContent = "";
      plot.ariaLabel = `${state.metric} over ${axis.selectedOptions[0]?.textContent}, ${curves.size} trials${state.best === null ? "" : `, best is trial ${state.best}`}`;
      last = performance.now();
      cost = last - began;
    });
  const later = () => {
    if (!timer)
      timer = window.setTimeout(
        () => requestAnimationFrame(draw),
        Math.max(0, last + Math.max(GAP, 1.5 * cost) - performance.now()),
      );
  };
  const controls = () =>
    safe("controls", () => {
      const names = /** @type {string[]} */ (model.get("metrics"));
      const chosen = /** @type {string} */ (model.get("metric"));
      const all = names.includes(chosen) || !chosen ? names : [chosen, ...names];
      if (all.join("\n") !== [...metric.options].map((option) => option.value).join("\n"))
        metric.replaceChildren(...all.map((name) => make("option", { value: name, textContent: name })));
      metric.value = chosen;
      metric.hidden = all.length === 0;
      const set = settings();
      [axis.value, logx.checked, logy.checked, smooth.value] = [set.x, set.logx, set.logy, String(set.smooth)];
      smooth.title = `smoothing ${set.smooth}`;
      const counts = kinds(curves, state.best, model.get("selection"));
      const words = {
        best: "best",
        running: "running",
        selected: "selected",
        other: counts.other.length > MOST ? `others, ${MOST} of ${counts.other.length}` : "others",
      };
      key.replaceChildren(
        ...Object.entries(words)
          .filter(([kind]) => counts[/** @type {"best"} */ (kind)].length)
          .map(([kind, word]) => make("span", { className: `nbt-${kind}`, textContent: word })),
      );
      later();
    });
  const change = () => {
    model.set("settings", { x: axis.value, logx: logx.checked, logy: logy.checked, smooth: Number(smooth.value) });
    model.save_changes();
  };
  for (const control of [axis, logx, logy]) control.addEventListener("change", () => safe("settings", change), on);
  smooth.addEventListener("input", () => safe("settings", change), on);
  metric.addEventListener(
    "change",
    () =>
      safe("metric", () => {
        model.set("metric", metric.value);
        model.save_changes();
        empty.textContent = "waiting for the kernel…";
      }),
    on,
  );

  const listen = () => {
    plot.on("plotly_hover", (/** @type {any} */ event) =>
      safe("hover", () => {
        const point = event.points[0];
        const trial = trialAt(lines[point.curveNumber], point.pointNumber);
        const curve = curves.get(trial);
        if (!curve) return;
        const at = axis.value === "time_s" ? `${format(point.x)} s` : `iteration ${format(point.x)}`;
        tip.replaceChildren(
          make("b", { textContent: `trial ${trial}: ${state.metric} ${format(point.y)}` }),
          `${at}, ${statusWord(curve.status)}`,
          make("br"),
          curve.label,
        );
        tip.hidden = false;
        const box = root.getBoundingClientRect();
        const left = event.event.clientX - box.left;
        tip.style.left = `${Math.max(0, left + 14 + tip.offsetWidth > box.width ? left - 14 - tip.offsetWidth : left + 14)}px`;
        tip.style.top = `${Math.max(0, Math.min(event.event.clientY - box.top + 10, box.height - tip.offsetHeight))}px`;
      }),
    );
    plot.on("plotly_unhover", () => {
      tip.hidden = true;
    });
    plot.on("plotly_click", (/** @type {any} */ event) =>
      safe("click", () => {
        const point = event.points[0];
        const trial = trialAt(lines[point.curveNumber], point.pointNumber);
        const before = /** @type {number[]} */ (model.get("selection"));
        const several = event.event.ctrlKey || event.event.metaKey || event.event.shiftKey;
        const without = before.filter((number) => number !== trial);
        const alone = before.length === 1 && before[0] === trial;
        model.set(
          "selection",
          several
            ? without.length < before.length
              ? without
              : [...before, trial].sort((a, b) => a - b)
            : alone
              ? []
              : [trial],
        );
        model.save_changes();
      }),
    );
  };

  const told = (/** @type {string | undefined} */ error) => {
    if (error) fault.textContent = error;
    else controls();
  };
  views.add(told);
  const traits = "change:selection change:settings change:metric change:metrics";
  model.on(/** @type {any} */ (traits), controls);
  const sizes = new ResizeObserver(() => later());
  sizes.observe(root);
  const sight = new IntersectionObserver((entries) => {
    seen = entries.some((entry) => entry.isIntersecting);
    if (seen) later();
  });
  sight.observe(root);
  const theme = new MutationObserver(() => later());
  for (const node of [document.body, document.documentElement])
    theme.observe(node, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"],
    });
  controls();
  safe("plotly.js", async () => {
    empty.textContent = "loading plotly.js…";
    library = await plotly(model);
    if (ending.signal.aborted) return;
    draw();
  });
  return () => {
    ending.abort();
    window.clearTimeout(timer);
    for (const observer of [sizes, sight, theme]) observer.disconnect();
    model.off(/** @type {any} */ (traits), controls);
    views.delete(told);
    library?.purge(plot);
    root.remove();
  };
}

/**
 * @param {Settings} set
 * @param {string} metric
 * @param {(name: string) => string} colour
 * @param {CSSStyleDeclaration} style
 * @param {number} width
 * @param {boolean} any whether there is anything to see
 */
function layout(set, metric, colour, style, width, any) {
  const axis = {
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zeroline: false,
    ticklabeloverflow: "allow",
    automargin: true,
    visible: any,
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
    uirevision: `${metric} ${set.x} ${set.logx} ${set.logy}`, // zoom is kept until the axes mean something else
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("dim"), activecolor: colour("fg") },
    xaxis: {
      ...axis,
      type: set.logx ? "log" : "linear",
      title: { text: NAMES[set.x], standoff: 4 },
    },
    yaxis: { ...axis, type: set.logy ? "log" : "linear", title: { text: escaped(metric), standoff: 4 } },
  };
}

export default () => {
  /** @type {Map<number, Curve>} */
  const curves = new Map();
  // changes counts the updates that have touched the background.
  const state = { best: /** @type {number | null} */ (null), seq: 0, metric: "", changes: 0 };
  let asked = false;
  /** @type {Set<(error?: string) => void>} */
  const views = new Set();
  const tell = (/** @type {string | undefined} */ error) => {
    for (const told of views) told(error);
  };
  return {
    /** @param {{model: AnyModel}} context */
    initialize({ model }) {
      const hear = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) =>
        guard(model, `message ${message?.type}`, tell, () => {
          if (message.type === "plotly") return takePlotly(buffers[0]);
          if (message.type !== "update") return;
          if (!message.reset && message.seq !== state.seq + 1) {
            if (!asked) model.send({ type: "ready" });
            asked = true;
            return;
          }
          asked = false;
          const others = message.segments.some(
            (/** @type {number[]} */ [trial]) => curves.get(trial)?.status !== "running",
          );
          take(curves, message, buffers);
          Object.assign(state, { best: message.best, seq: message.seq, metric: message.metric });
          if (others || message.reset) state.changes++;
          tell(undefined);
        });
      model.on("msg:custom", hear);
      model.send({ type: "ready" });
      return () => model.off("msg:custom", hear);
    },
    /** @param {{model: AnyModel, el: HTMLElement}} context */
    render: ({ model, el }) => view(model, el, curves, state, views),
  };
};
