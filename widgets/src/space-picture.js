// The small picture of what is sampled at the end of a row, drawn by plotly.js once it is seen.

import { escaped, plotly } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./space-store.js").Picture} Picture */

const [WIDTH, HEIGHT] = [128, 28];
const LABELS = 6; // values of a choice whose names find room below their bars

/**
 * What plotly draws: a bar for each interval or value, and one apart for the samples that have no value.
 * @param {Picture} picture
 * @param {{bar: string, none: string, text: string, font: string}} look
 */
export function pictured({ counts, labels, none }, { bar, none: pale, text, font }) {
  const named = labels && labels.length <= LABELS ? labels : null;
  const shown = (/** @type {string} */ label) => escaped(label.length > 9 ? `${label.slice(0, 8)}…` : label);
  const apart = counts.length * 1.06 + 0.5;
  const x = [...counts.map((_, i) => i), ...(none ? [apart] : [])];
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(1, ...counts);
  // The bar of those without a value has their share of the height, whatever the height of the others.
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
    xaxis: { visible: false, fixedrange: true, range: [-0.6, (none ? apart : counts.length - 1) + 0.6] },
    yaxis: { visible: false, fixedrange: true, range: [0, 1.02] },
    annotations,
  };
  return [[trace], layout];
}

/**
 * The pictures of a view.
 * @param {AnyModel} model
 * @param {HTMLElement} root
 * @param {(where: string, act: (event?: any) => any) => (event?: any) => any} safe
 */
export function makePictures(model, root, safe) {
  /** @type {any} */
  let library;
  /** @type {Map<Element, {picture: Picture | undefined, drawn: string, seen: boolean}>} */
  const known = new Map();

  const look = () => {
    const style = getComputedStyle(root);
    const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    return { bar: of("--nbt-bar"), none: of("--nbt-none"), text: style.color, font: style.fontFamily };
  };

  const draw = safe("picture", () => {
    if (!library || document.hidden || !root.offsetWidth) return;
    const now = look();
    for (const [place, state] of known) {
      const wanted = JSON.stringify([state.picture, now]);
      if (!state.seen || !state.picture || state.drawn === wanted) continue;
      library.react(place, ...pictured(state.picture, now), { staticPlot: true, displayModeBar: false });
      state.drawn = wanted;
    }
  });
  const sight = new IntersectionObserver(
    safe("sight", (entries) => {
      for (const { target, isIntersecting } of entries) {
        const state = known.get(target);
        if (state) state.seen = isIntersecting;
      }
      draw();
    }),
  );
  const theme = new MutationObserver(draw);
  for (const node of [document.body, document.documentElement])
    theme.observe(node, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"],
    });
  safe("plotly.js", async () => {
    library = await plotly(model);
    draw();
  })();

  return {
    /** @param {HTMLElement} place @param {Picture | undefined} picture */
    show(place, picture) {
      let state = known.get(place);
      if (!state) {
        state = { picture, drawn: "", seen: false };
        known.set(place, state);
        sight.observe(place);
      }
      state.picture = picture;
      place.style.visibility = picture ? "" : "hidden";
      place.title = place.ariaLabel = picture?.text ?? "";
    },
    draw,
    /** @param {HTMLElement} place */
    drop(place) {
      if (known.get(place)?.drawn) library.purge(place);
      known.delete(place);
      sight.unobserve(place);
    },
    end() {
      sight.disconnect();
      theme.disconnect();
      for (const [place, { drawn }] of known) if (drawn) library.purge(place);
      known.clear();
    },
  };
}
