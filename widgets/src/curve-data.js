// The points of the curves and their traces for plotly; pure functions without the DOM.

/** @typedef {{status: string, label: string, n: number, columns: Float64Array[]}} Curve */
/** @typedef {{x: "iteration" | "time_s" | "trial", logx: boolean, logy: boolean, smooth: number}} Settings */
/** @typedef {{x: Float64Array, y: Float64Array, trials: number[], starts: number[]}} Joined */

/** @typedef {[trial: number, iteration: number, time_s: number, value: number, source: number, sourceIteration: number]} Copy */

const MAX_LABELS = 20; // running or selected trials that have their number at the end of their line

/**
 * Take the points of an `update` message.
 * @param {Map<number, Curve>} curves
 * @param {any} message
 * @param {DataView[]} buffers
 */
export function receiveUpdate(curves, message, buffers) {
  if (message.reset) curves.clear();
  for (const [number, status, label] of message.trials) {
    const curve = curves.get(number) ?? emptyCurve();
    curves.set(number, Object.assign(curve, { status, label }));
  }
  const read = [Int32Array, Float64Array, Float64Array].map((type, i) => {
    const view = buffers[i];
    return new type(/** @type {ArrayBuffer} */ (view.buffer).slice(view.byteOffset, view.byteOffset + view.byteLength));
  });
  let start = 0;
  for (const [number, count, replace] of message.segments) {
    const curve = curves.get(number) ?? emptyCurve();
    curves.set(number, curve);
    if (replace) curve.n = 0;
    for (let i = 0; i < 3; i++) {
      if (curve.columns[i].length < curve.n + count) {
        const larger = new Float64Array(Math.max(2 * curve.columns[i].length, curve.n + count));
        larger.set(curve.columns[i].subarray(0, curve.n));
        curve.columns[i] = larger;
      }
      curve.columns[i].set(read[i].subarray(start, start + count), curve.n);
    }
    curve.n += count;
    start += count;
  }
}

/**
 * Return the distance of ticks that are whole numbers, where plotly would write fractions between few of them; null
 * where there are many, or seconds.
 * @param {Map<number, Curve>} curves
 * @param {Settings["x"]} x
 */
export function wholeStep(curves, x) {
  if (x === "time_s") return null;
  let last = 0;
  for (const [trial, { n, columns }] of curves)
    last = Math.max(last, x === "trial" ? trial : n ? columns[0][n - 1] : 0);
  return last <= 10 ? 1 : last <= 20 ? 2 : last <= 50 ? 5 : null;
}

/** @returns {Curve} */
function emptyCurve() {
  const columns = /** @type {any} */ ([new Float64Array(16), new Float64Array(16), new Float64Array(16)]);
  return { status: "pending", label: "", n: 0, columns };
}

/**
 * Return the exponential moving average with bias correction; values that are not finite are kept and do not count.
 * @param {Float64Array} values
 * @param {number} weight of the past, 0 <= weight < 1; 0 returns the values
 */
export function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return sum / share;
  });
}

/**
 * Join the curves of trials to one line with gaps between them: plotly draws few long lines much faster than many.
 * @param {Map<number, Curve>} curves
 * @param {number[]} trials
 * @param {Settings} settings
 * @returns {Joined}
 */
export function join(curves, trials, settings) {
  let length = 0;
  for (const trial of trials) length += (curves.get(trial)?.n ?? 0) + 1;
  const [x, y] = [new Float64Array(length), new Float64Array(length)];
  /** @type {Joined} */
  const joined = { x, y, trials: [], starts: [] };
  let end = 0;
  for (const trial of trials) {
    const curve = curves.get(trial);
    if (!curve?.n) continue;
    joined.trials.push(trial);
    joined.starts.push(end);
    if (settings.x === "trial") x.fill(trial, end, end + curve.n);
    else x.set(curve.columns[settings.x === "time_s" ? 1 : 0].subarray(0, curve.n), end);
    y.set(smoothed(curve.columns[2].subarray(0, curve.n), settings.smooth), end);
    end += curve.n;
    x[end] = y[end] = Number.NaN;
    end++;
  }
  return { ...joined, x: x.subarray(0, end), y: y.subarray(0, end) };
}

/**
 * Return the trial that a point of a joined line belongs to.
 * @param {Joined} joined
 * @param {number} point
 */
export function trialAt(joined, point) {
  let [low, high] = [0, joined.starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (joined.starts[middle] <= point) low = middle;
    else high = middle;
  }
  return joined.trials[low];
}

/**
 * Group trials by the way they are drawn; a failed one is in two groups.
 * @param {Map<number, Curve>} curves
 * @param {number[]} best the best trial, or the repeats of the best configuration
 * @param {number[]} selection
 */
export function groups(curves, best, selection) {
  const [selected, top] = [new Set(selection), new Set(best)];
  /** @type {{other: number[], running: number[], selected: number[], best: number[], failed: number[]}} */
  const grouped = { other: [], running: [], selected: [], best: [], failed: [] };
  for (const [number, curve] of curves) {
    const group = top.has(number)
      ? "best"
      : selected.has(number)
        ? "selected"
        : curve.status === "running"
          ? "running"
          : "other";
    grouped[group].push(number);
    if (curve.status === "failed") grouped.failed.push(number);
  }
  return grouped;
}

/**
 * Return which trials are the best, for the description of the plot.
 * @param {number[]} best as for `groups`
 */
export function bestText(best) {
  if (best.length < 2) return best.length ? `, best is trial ${best[0]}` : "";
  return `, best is the configuration of trials ${best.join(", ")}`;
}

/** The most curves in the background: plotly makes a path of each, and more cost time and show no more. */
export const MAX_BACKGROUND = 250;

/**
 * Choose trials for the background: evenly spread over their last values, with both extremes.
 * @param {Map<number, Curve>} curves
 * @param {number[]} trials
 */
export function sampleTrials(curves, trials) {
  if (trials.length <= MAX_BACKGROUND) return trials;
  const lastValue = (/** @type {number} */ trial) =>
    curves.get(trial)?.columns[2][(curves.get(trial)?.n ?? 0) - 1] ?? 0;
  const ends = new Map(trials.map((trial) => [trial, lastValue(trial) || 0]));
  const ranked = [...trials].sort((a, b) => Number(ends.get(a)) - Number(ends.get(b)));
  const chosen = Array.from(
    { length: MAX_BACKGROUND },
    (_, i) => ranked[Math.round((i * (ranked.length - 1)) / (MAX_BACKGROUND - 1))],
  );
  return chosen.sort((a, b) => a - b);
}

/**
 * Return plotly's traces: always the same eight in the same order, so that plotly updates them in place.
 * @param {Map<number, Curve>} curves
 * @param {number[]} best as for `groups`
 * @param {number[]} selection
 * @param {Settings} chosen
 * @param {(name: string) => string} colour
 * @param {{joined: Joined, key: string} | null} previous the background of the last drawing
 * @param {boolean} changed whether points of the background have changed since
 * @param {Copy[]} copies
 */
export function traces(curves, best, selection, chosen, colour, previous, changed, copies) {
  const longest = Math.max(0, ...[...curves.values()].map((curve) => curve.n));
  // Trials that report once have no curves: draw their values side by side.
  const settings = longest > 1 ? chosen : { ...chosen, x: /** @type {const} */ ("trial"), logx: false, smooth: 0 };
  const shown = groups(curves, best, selection);
  const withPoints = shown.other.filter((trial) => curves.get(trial)?.n);
  const key = JSON.stringify([settings, shown.other.length, shown.other.at(-1), shown.running, shown.selected, best]);
  const other =
    previous && !changed && previous.key === key
      ? previous.joined
      : join(curves, sampleTrials(curves, withPoints), settings);
  const lines = [other, ...[shown.running, shown.selected, shown.best].map((t) => join(curves, t, settings))];
  const styles = [
    { color: colour("other"), width: 1 },
    { color: colour("running"), width: 1.75 },
    { color: colour("selected"), width: 2.25, dash: "6px,3px" },
    { color: colour("best"), width: 3 },
  ];
  /** @type {Record<string, any>[]} */
  const data = lines.map((line, i) => ({
    type: "scatter",
    mode: longest <= 2 || (i > 0 && line.x.length < 8 * line.trials.length) ? "lines+markers" : "lines",
    x: line.x,
    y: line.y,
    line: styles[i],
    marker: { size: i ? 7 : 5 },
    opacity: i || longest <= 1 ? 1 : Math.max(0.3, Math.min(0.8, 6 / Math.sqrt(curves.size + 1))),
    hoverinfo: "none",
  }));
  const marks = (/** @type {number[]} */ trials, /** @type {object} */ look) => {
    const joined = join(lastPoints(curves, trials, settings), trials, { ...settings, smooth: 0 });
    lines.push(joined);
    data.push({ type: "scatter", x: joined.x, y: joined.y, hoverinfo: "none", cliponaxis: false, ...look });
    return joined;
  };
  const single = longest > 2 ? withPoints.filter((trial) => curves.get(trial)?.n === 1) : []; // a line of one point is invisible
  marks(single, { mode: "markers", marker: { size: 4, color: colour("other") } });
  const size = shown.failed.length > 20 ? 5 : 8;
  marks(shown.failed, { mode: "markers", marker: { symbol: "x", size, color: colour("failed") } });
  const numbers = [
    ...shown.running.slice(0, MAX_LABELS),
    ...shown.selected.slice(0, MAX_LABELS),
    ...shown.best.slice(0, MAX_LABELS),
  ];
  const named = marks(numbers, { mode: "text", textposition: "middle right", textfont: { size: 11 } });
  const several = best.length > 1; // repeats end close to each other, where their numbers would hide each other
  data[6].text = named.trials.flatMap((trial) => {
    if (!best.includes(trial)) return [` ${trial}`, ""];
    return [several ? " ★" : ` ★ ${trial}`, ""];
  });
  const copied = settings.x === "trial" ? [] : copies;
  const places = copied.map((copy) => placeOf(copy, curves, settings));
  const [x, y] = [0, 1].map((axis) => Float64Array.from(places, (place) => place[axis]));
  lines.push({ x, y, trials: copied.map(([trial]) => trial), starts: [...copied.keys()] });
  const look = {
    symbol: "diamond",
    size: copied.length > 50 ? 5 : 8,
    color: colour("bg"),
    line: { color: colour("running"), width: 1.5 },
  };
  data.push({ type: "scatter", mode: "markers", x, y, hoverinfo: "none", cliponaxis: false, marker: look });
  return { data, lines, x: settings.x, background: { joined: other, key } };
}

/**
 * Return curves of one point each: the last finite one.
 * @param {Map<number, Curve>} curves
 * @param {number[]} trials
 * @param {Settings} settings
 * @returns {Map<number, Curve>}
 */
function lastPoints(curves, trials, settings) {
  const last = new Map();
  for (const trial of trials) {
    const curve = curves.get(trial);
    if (!curve?.n) continue;
    const values = smoothed(curve.columns[2].subarray(0, curve.n), settings.smooth);
    let i = curve.n - 1;
    while (i > 0 && !Number.isFinite(values[i])) i--;
    const columns = curve.columns.map((column, axis) => Float64Array.of(axis === 2 ? values[i] : column[i]));
    last.set(trial, { ...curve, n: 1, columns });
  }
  return last;
}

/**
 * Return where a copy is marked: on its curve, which may be smoothed.
 * @param {Copy} copy
 * @param {Map<number, Curve>} curves
 * @param {Settings} settings
 */
function placeOf([trial, iteration, seconds, value], curves, settings) {
  const curve = curves.get(trial);
  const at = curve ? curve.columns[0].subarray(0, curve.n).indexOf(iteration) : -1;
  const y = curve && at >= 0 ? smoothed(curve.columns[2].subarray(0, at + 1), settings.smooth)[at] : value;
  return [settings.x === "time_s" ? seconds : iteration, y];
}

/** The number of the trace with the copies, among those of `traces`. */
export const COPIES = 7;
