// The histogram of a parameter's samples at the end of its row, drawn by plotly.js when it is visible. See ../README.md.

import { asShown, escaped, plotly } from "./page.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./space-store.js").Picture} Picture */

const [WIDTH, HEIGHT] = [128, 28];
const MAX_LABELS = 6; // values of a choice that have room for labels below their bars

/**
 * Return plotly's traces and layout: a bar for each interval or value, and a separate one for samples without a value.
 * @param {Picture} picture
 * @param {{bar: string, none: string, text: string, font: string}} look
 */
export function pictured({ counts, labels, none }, { bar, none: pale, text, font }) {
  const named = labels && labels.length <= MAX_LABELS ? labels : null;
  const shown = (/** @type {string} */ label) => escaped(label.length > 9 ? `${label.slice(0, 8)}…` : label);
  const nonePosition = counts.length * 1.06 + 0.5;
  const x = [...counts.map((_, i) => i), ...(none ? [nonePosition] : [])];
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(1, ...counts);
  // The bar of samples without a value shows their share of all, not relative to the other bars.
  const share = total + none ? none / (total + none) : 0;
  const trace = {
    type: "bar",
    x,
    y: [...counts.map((count) => count / most), ...(none ? [share] : [])],
    width: [...counts.map(() => (labels ? 0.86 : 1)), ...(none ? [Math.max(0.8, counts.length / 14)] : [])],
    marker: { color: x.map((_, i) => (i < counts.length ? bar : pale)), line: { width: 0 } },
    hoverinfo: "none",
  };
  const annotations = (named ?? []).map((label, i) => ({
    x: i,
    y: 0,
    text: shown(label),
    showarrow: false,
    yanchor: "top",
    yshift: 3,
    font: { size: 9, color: text, family: font },
  }));
  const layout = {
    width: WIDTH,
    height: HEIGHT,
    margin: { l: 0, r: 0, t: 1, b: named ? 9 : 1 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    bargap: 0,
    xaxis: { visible: false, fixedrange: true, range: [-0.6, (none ? nonePosition : counts.length - 1) + 0.6] },
    yaxis: { visible: false, fixedrange: true, range: [0, 1.02] },
    annotations,
  };
  return [[trace], layout];
}

/**
 * The pictures of a view.
 * @param {View} view
 * @param {HTMLElement} root
 */
export function makePictures({ model, guarded, onDispose, onThemeChange }, root) {
  /** @type {any} */
  let library;
  /** @type {Map<Element, {picture: Picture | undefined, drawn: string, visible: boolean}>} */
  const pictures = new Map();

  const colours = () => {
    const style = getComputedStyle(root);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    return { bar: colour("--nbt-bar"), none: colour("--nbt-none"), text: style.color, font: style.fontFamily };
  };

  const draw = guarded("picture", () => {
    if (!library || document.hidden || !root.offsetWidth) return;
    const style = colours();
    for (const [element, state] of pictures) {
      const key = JSON.stringify([state.picture, style]);
      if (!state.visible || !state.picture || state.drawn === key) continue;
      library.react(element, ...pictured(state.picture, style), { staticPlot: true, displayModeBar: false });
      state.drawn = key;
    }
  });
  const observer = new IntersectionObserver(
    guarded("visibility", (entries) => {
      for (const { target, isIntersecting } of entries) {
        const state = pictures.get(target);
        if (state) state.visible = isIntersecting;
      }
      draw();
    }),
  );
  onThemeChange(draw);
  onDispose(() => {
    observer.disconnect();
    for (const [element, { drawn }] of pictures) if (drawn) library.purge(element);
    pictures.clear();
  });
  guarded("plotly.js", async () => {
    library = await plotly(model);
    draw();
  })();

  return {
    /** @param {HTMLElement} element @param {Picture | undefined} picture */
    show(element, picture) {
      let state = pictures.get(element);
      if (!state) {
        state = { picture, drawn: "", visible: false };
        pictures.set(element, state);
        observer.observe(element);
      }
      state.picture = picture;
      element.style.visibility = picture ? "" : "hidden";
      element.title = element.ariaLabel = asShown(picture?.text ?? "");
    },
    draw,
    /** @param {HTMLElement} element */
    drop(element) {
      if (pictures.get(element)?.drawn) library.purge(element);
      pictures.delete(element);
      observer.unobserve(element);
    },
  };
}
