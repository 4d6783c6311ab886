// The rungs of a scheduler in the live curves; pure functions without the DOM.

/** @typedef {import("./curve-data.js").Joined} Joined */
/** @typedef {import("./curve-data.js").Settings} Settings */
/** @typedef {[at: number, unit: string, reached: number, wentOn: number]} Rung */

const UNITS = { iteration: "training_iteration", time_s: "time_total_s", trial: "" };

const LETTER = 6; // px of a letter of a rung's text

/**
 * Return the lines and the texts of the rungs in plotly's layout: those that are counted in the unit of the axis. Texts
 * that would overlap are in two rows; where that is not enough, they are left out.
 * @param {Rung[]} rungs
 * @param {Settings} settings
 * @param {(name: string) => string} colour
 * @param {(at: number) => number} place returns the px from the left of a place on the axis
 */
export function rungMarks(rungs, settings, colour, place) {
  const shown = rungs.filter(([, unit]) => unit === UNITS[settings.x]);
  const ends = [-Infinity, -Infinity]; // px of the last text in each row
  const annotations = shown.flatMap(([at, , reached, wentOn]) => {
    const text = `${wentOn}/${reached}`;
    const half = (text.length * LETTER) / 2;
    const row = ends.findIndex((end) => place(at) - half >= end + LETTER);
    if (row < 0) return [];
    ends[row] = place(at) + half;
    return {
      x: settings.logx ? Math.log10(at) : at,
      y: 1,
      yref: "paper",
      yanchor: "bottom",
      yshift: row * 11,
      text,
      hovertext: `rung ${at}: ${wentOn} of ${reached} went on`,
      showarrow: false,
      font: { size: 10, color: colour("dim") },
    };
  });
  const shapes = shown.map(([at]) => ({
    type: "line",
    x0: at,
    x1: at,
    yref: "paper",
    y0: 0,
    y1: 1,
    layer: "below",
    line: { color: colour("other"), width: 1, dash: "dot" },
  }));
  return { shapes, annotations };
}

/**
 * Return what places px from the left are for numbers on the horizontal axis, as far as the points tell.
 * @param {Joined[]} lines
 * @param {boolean} log
 * @param {number} width px of the axis
 */
export function placesOn(lines, log, width) {
  let [low, high] = [Infinity, -Infinity];
  for (const { x } of lines)
    for (const at of x) {
      if (!Number.isFinite(at) || (log && at <= 0)) continue;
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
  const scaled = log ? Math.log10 : (/** @type {number} */ at) => at;
  return (/** @type {number} */ at) => (width * (scaled(at) - scaled(low))) / (scaled(high) - scaled(low) || 1);
}
