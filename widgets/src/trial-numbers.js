// The texts and small curves of a trial's results, and the lines of its log; pure functions without the DOM.

/** @typedef {import("./trial-rows.js").Cell} Cell */
/**
 * The results of a trial: `last` and `best` are an iteration and seconds, `label` what the trials are compared by and
 * `value` that of this one, `checkpoints` the iterations of those that exist, `kept` that of the best one; `metrics`
 * have a name, the last value, the value at the best iteration, and a curve; `more` metrics are left out.
 * @typedef {{last: [number, number | null], best: [number, number | null] | null, label: string, value: Cell,
 *   checkpoints: number[], kept: number | null, metrics: [string, Cell, Cell, number[], (number | null)[]][],
 *   more: number}} Results
 */

/**
 * Return the size of what is left out, in words.
 * @param {number} bytes
 */
export function amountBefore(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Return the lines of a text that contain another one, without regard to case.
 * @param {string} text
 * @param {string} wanted
 */
export function linesWith(text, wanted) {
  const all = text.split("\n");
  const plain = wanted.trim().toLowerCase();
  const count = all.length - Number(all[all.length - 1] === "");
  return { lines: plain ? all.filter((line) => line.toLowerCase().includes(plain)) : all, all: count };
}

/**
 * Return where a report was made, in words.
 * @param {[iteration: number, seconds: number | null]} at
 * @param {(seconds: number) => string} format
 */
export const placeText = ([iteration, seconds], format) =>
  seconds === null ? `iteration ${iteration}` : `iteration ${iteration}, ${format(seconds)} s`;

/**
 * Return the path of a small curve in SVG; values that are missing are gaps, and a point between gaps is a short line.
 * @param {number[]} x
 * @param {(number | null)[]} y
 * @param {number} width
 * @param {number} height
 */
export function sparkline(x, y, width, height) {
  const finite = /** @type {number[]} */ (y.filter((one) => one !== null));
  if (x.length < 2 || !finite.length) return "";
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const [first, last] = [x[0], x[x.length - 1]];
  const across = (/** @type {number} */ at) => (width * (at - first)) / (last - first || 1);
  const up = (/** @type {number} */ one) =>
    high === low ? height / 2 : height - (height * (one - low)) / (high - low);
  let path = "";
  for (const [i, one] of y.entries()) {
    if (one === null) continue;
    const point = `${across(x[i]).toFixed(1)} ${up(one).toFixed(1)}`;
    const alone = (i === 0 || y[i - 1] === null) && (i === y.length - 1 || y[i + 1] === null);
    path += i > 0 && y[i - 1] !== null ? `L${point}` : `M${point}${alone ? "h0.1" : ""}`;
  }
  return path;
}

/**
 * Return what a small curve shows, in words.
 * @param {string} name
 * @param {(number | null)[]} y
 * @param {(value: number) => string} format
 */
export function curveText(name, y, format) {
  const finite = /** @type {number[]} */ (y.filter((one) => one !== null));
  if (!finite.length) return "";
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return `${name}: from ${format(finite[0])} to ${format(finite[finite.length - 1])}, lowest ${format(low)}, highest ${format(high)}`;
}

/**
 * Return which checkpoints a trial has, in words.
 * @param {number[]} iterations
 * @param {number | null} kept
 */
export function checkpointText(iterations, kept) {
  if (!iterations.length) return "";
  const shown = iterations.length > 6 ? `… ${iterations.slice(-6).join(", ")}` : iterations.join(", ");
  const best = kept === null || iterations.length < 2 ? "" : `; .checkpoint is that of iteration ${kept}`;
  return `${iterations.length === 1 ? "checkpoint" : `${iterations.length} checkpoints`} of iteration ${shown}${best}`;
}
