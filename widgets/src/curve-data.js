// The points of the curves, and what is drawn of them. Pure: neither page nor model.

/** @typedef {{status: string, label: string, n: number, columns: Float64Array[]}} Curve */
/** @typedef {{x: "iteration" | "time_s" | "trial", logx: boolean, logy: boolean, smooth: number}} Settings */
/** @typedef {{x: Float64Array, y: Float64Array, trials: number[], starts: number[]}} Joined */

const SHOWN = 20; // running or selected trials that get their number at the end of their line

/**
 * Take in one update.
 * @param {Map<number, Curve>} curves
 * @param {any} message
 * @param {DataView[]} buffers
 */
export function take(curves, message, buffers) {
  if (message.reset) curves.clear();
  for (const [number, status, label] of message.trials) {
    const curve = curves.get(number) ?? fresh();
    curves.set(number, Object.assign(curve, { status, label }));
  }
  const read = [Int32Array, Float64Array, Float64Array].map((type, i) => {
    const view = buffers[i];
    return new type(/** @type {ArrayBuffer} */ (view.buffer).slice(view.byteOffset, view.byteOffset + view.byteLength));
  });
  let start = 0;
  for (const [number, count, replace] of message.segments) {
    const curve = curves.get(number) ?? fresh();
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

/** @returns {Curve} */
function fresh() {
  const columns = /** @type {any} */ ([new Float64Array(16), new Float64Array(16), new Float64Array(16)]);
  return { status: "pending", label: "", n: 0, columns };
}

/**
 * Exponential moving average that is not drawn towards its start; what is no number stays out of it.
 * @param {Float64Array} values
 * @param {number} weight from 0 (as it is) to below 1
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
 * Join curves to one line with gaps between them.
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
  let at = 0;
  for (const trial of trials) {
    const curve = curves.get(trial);
    if (!curve?.n) continue;
    joined.trials.push(trial);
    joined.starts.push(at);
    if (settings.x === "trial") x.fill(trial, at, at + curve.n);
    else x.set(curve.columns[settings.x === "time_s" ? 1 : 0].subarray(0, curve.n), at);
    y.set(smoothed(curve.columns[2].subarray(0, curve.n), settings.smooth), at);
    at += curve.n;
    x[at] = y[at] = Number.NaN;
    at++;
  }
  return { ...joined, x: x.subarray(0, at), y: y.subarray(0, at) };
}

/**
 * The trial that a point of a joined line belongs to.
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
 * Which trials are drawn how.
 * @param {Map<number, Curve>} curves
 * @param {number | null} best
 * @param {number[]} selection
 */
export function kinds(curves, best, selection) {
  const selected = new Set(selection);
  /** @type {{other: number[], running: number[], selected: number[], best: number[], failed: number[]}} */
  const found = { other: [], running: [], selected: [], best: [], failed: [] };
  for (const [number, curve] of curves) {
    const kind =
      number === best ? "best" : selected.has(number) ? "selected" : curve.status === "running" ? "running" : "other";
    found[kind].push(number);
    if (curve.status === "failed") found.failed.push(number);
  }
  return found;
}

/** Curves of the background that are drawn: plotly makes a path of each, and more of them only make it denser. */
export const MOST = 250;

/**
 * Those of many trials that stand for all: evenly spread over their last values, the extremes among them.
 * @param {Map<number, Curve>} curves
 * @param {number[]} trials
 */
export function spread(curves, trials) {
  if (trials.length <= MOST) return trials;
  const end = (/** @type {number} */ trial) => curves.get(trial)?.columns[2][(curves.get(trial)?.n ?? 0) - 1] ?? 0;
  const ends = new Map(trials.map((trial) => [trial, end(trial) || 0]));
  const ranked = [...trials].sort((a, b) => Number(ends.get(a)) - Number(ends.get(b)));
  const chosen = Array.from({ length: MOST }, (_, i) => ranked[Math.round((i * (ranked.length - 1)) / (MOST - 1))]);
  return chosen.sort((a, b) => a - b);
}

/**
 * The traces of one drawing, always the same seven in the same order.
 * @param {Map<number, Curve>} curves
 * @param {number | null} best
 * @param {number[]} selection
 * @param {Settings} chosen
 * @param {(name: string) => string} colour
 * @param {{joined: Joined, key: string} | null} before the background of the last drawing
 * @param {boolean} changed whether the background's points have changed since
 */
export function traces(curves, best, selection, chosen, colour, before, changed) {
  const longest = Math.max(0, ...[...curves.values()].map((curve) => curve.n));
  // Trials that report once have no curves: their values are drawn side by side.
  const settings = longest > 1 ? chosen : { ...chosen, x: /** @type {const} */ ("trial"), logx: false, smooth: 0 };
  const shown = kinds(curves, best, selection);
  const begun = shown.other.filter((trial) => curves.get(trial)?.n);
  const key = JSON.stringify([settings, shown.other.length, shown.other.at(-1), shown.running, shown.selected, best]);
  const other =
    before && !changed && before.key === key ? before.joined : join(curves, spread(curves, begun), settings);
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
  const single = longest > 2 ? begun.filter((trial) => curves.get(trial)?.n === 1) : []; // no line shows these
  marks(single, { mode: "markers", marker: { size: 4, color: colour("other") } });
  const size = shown.failed.length > 20 ? 5 : 8;
  marks(shown.failed, { mode: "markers", marker: { symbol: "x", size, color: colour("failed") } });
  const numbers = [...shown.running.slice(0, SHOWN), ...shown.selected.slice(0, SHOWN), ...shown.best];
  const named = marks(numbers, { mode: "text", textposition: "middle right", textfont: { size: 11 } });
  data[6].text = named.trials.flatMap((trial) => [` ${trial === best ? "★ " : ""}${trial}`, ""]);
  return { data, lines, x: settings.x, background: { joined: other, key } };
}

/**
 * @param {Map<number, Curve>} curves
 * @param {number[]} trials
 * @param {Settings} settings
 * @returns {Map<number, Curve>}
 */
function lastPoints(curves, trials, settings) {
  const found = new Map();
  for (const trial of trials) {
    const curve = curves.get(trial);
    if (!curve?.n) continue;
    const values = smoothed(curve.columns[2].subarray(0, curve.n), settings.smooth);
    let last = curve.n - 1;
    while (last > 0 && !Number.isFinite(values[last])) last--;
    const columns = curve.columns.map((column, i) => Float64Array.of(i === 2 ? values[last] : column[last]));
    found.set(trial, { ...curve, n: 1, columns });
  }
  return found;
}
