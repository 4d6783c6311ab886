// The axes, lines and selection of the parallel coordinates; pure functions without the DOM. See ../README.md.

import { asShown, escaped, format } from "./page.js";

/** @typedef {number | string | boolean | null | undefined} Cell */
/** @typedef {{key: string, label: string, role: string, log?: boolean, choices?: Cell[] | null}} Column */
/** @typedef {{number: number, status: string, cells: Cell[]}} Row */
/** @typedef {[number, number][]} Ranges */
/**
 * An axis: `values` are positions, the logarithms on a logarithmic axis; `none` is the position of missing values.
 * `ticks` are positions with their texts, null for plotly's own, and `ends` the texts at its lower and upper end.
 * @typedef {{key: string, label: string, kind: "linear" | "log" | "categories", values: number[], categories: string[],
 *   range: [number, number], none: number | null, ticks: [number, string][] | null, ends: [string, string]}} Axis
 */

const MAX_AXES = 12;
const VIRIDIS = "#440154 #482878 #3e4989 #31688e #26828e #1f9e89 #35b779 #6ece58 #b5de2b #fde725".split(" ");
const SPECIAL = ["NaN", "Infinity", "-Infinity"];

/** @param {Cell} cell */
const isNumber = (cell) => typeof cell === "number" && Number.isFinite(cell);

/** The text of None, and of a missing value. */
const NONE = "None";

/** @param {Cell} cell */
const isMissing = (cell) => cell === null || cell === undefined || cell === "";

/** @param {Cell} cell */
export const categoryOf = (cell) => (isMissing(cell) ? NONE : format(cell));

/**
 * Shorten text in its middle: names often differ only at their ends.
 * @param {string} text
 * @param {number} [maximum] characters
 */
export function short(text, maximum = 20) {
  const letters = [...asShown(text)];
  if (letters.length <= maximum) return letters.join("");
  const start = Math.floor((maximum - 1) / 2);
  return `${letters.slice(0, start).join("")}…${letters.slice(letters.length - (maximum - 1 - start)).join("")}`;
}

/**
 * Escape text for plotly: neither markup nor TeX.
 * @param {string} text
 */
export const plain = (text) => escaped(text).replace(/\$/g, "&#36;");

/**
 * Return the axis of a column.
 * @param {Column} column
 * @param {Cell[]} cells one for each trial
 * @returns {Axis}
 */
export function axisOf(column, cells) {
  const { key, label, choices, log } = column;
  const numbers = /** @type {number[]} */ (cells.filter(isNumber));
  const isText = (/** @type {Cell} */ cell) =>
    !isMissing(cell) && typeof cell !== "number" && !SPECIAL.includes(String(cell));
  if (choices || !numbers.length || cells.some(isText)) {
    const others = cells.filter((cell) => !choices?.includes(/** @type {any} */ (cell)));
    if (others.every(isNumber)) others.sort((a, b) => Number(a) - Number(b));
    const categories = [...new Set([...(choices ?? []), ...others].map(categoryOf))];
    const values = cells.map((cell) => categories.indexOf(categoryOf(cell)));
    const range = /** @type {[number, number]} */ ([0, Math.max(1, categories.length - 1)]);
    return { key, label, kind: "categories", values, categories, range, none: null, ticks: null, ends: ["", ""] };
  }
  const kind = log && numbers.every((value) => value > 0) ? "log" : "linear";
  const place = kind === "log" ? Math.log10 : (/** @type {number} */ value) => value;
  const [least, greatest] = numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);
  let [low, high] = [place(least), place(greatest)];
  const single = low === high;
  if (single) {
    const pad = kind === "log" ? 0.5 : Math.abs(low) / 10 || 1;
    [low, high] = [low - pad, high + pad];
  }
  const none = numbers.length < cells.length ? low - (high - low) / 8 : null;
  const values = cells.map((cell) => (isNumber(cell) ? place(Number(cell)) : Number(none)));
  const isWhole = numbers.every(Number.isInteger);
  const plotlyTicks = kind === "linear" && none === null && !single && !isWhole;
  const round = single ? [least] : kind === "log" ? roundLogBetween(least, greatest) : roundBetween(low, high);
  const marks = isWhole ? round.filter(Number.isInteger) : round;
  return {
    key,
    label,
    kind,
    values,
    categories: [],
    range: [none ?? low, high],
    none,
    ticks: plotlyTicks ? null : marks.map((value) => [place(value), format(value)]),
    ends: [none === null ? (single ? "" : format(least)) : NONE, single ? "" : format(greatest)],
  };
}

/**
 * Return the index of the value by which trials are compared: a column of its own, or the last value. -1 without.
 * @param {Column[]} columns
 * @param {string} [metric] the objective; the first metric if it is not given
 */
function valueIndex(columns, metric) {
  const named = (/** @type {string} */ role) =>
    columns.findIndex((column) => column.role === role && (metric === undefined || column.key === `${role}/${metric}`));
  const value = named("value");
  return value < 0 ? named("metric") : value;
}

/**
 * Return the trials that can be drawn, and their axes: the parameters, then the values.
 * @param {Column[]} columns
 * @param {Row[]} rows
 * @param {string[]} [objectives] their metrics
 * @param {number} [chosen] the objective of which a trial must have a value
 * @returns {{axes: Axis[], rows: Row[], dropped: number, metric: Axis | null}}
 */
export function arrange(columns, rows, objectives = [], chosen = 0) {
  const metricIndex = valueIndex(columns, objectives[chosen]);
  const drawn = metricIndex < 0 ? rows : rows.filter((row) => isNumber(row.cells[metricIndex]));
  const cellsOf = (/** @type {number} */ i) => drawn.map((row) => row.cells[i]);
  const valueAxis = (/** @type {number} */ i) => axisOf({ ...columns[i], log: false, choices: null }, cellsOf(i));
  const metric = metricIndex < 0 ? null : valueAxis(metricIndex);
  const others = objectives.map((name) => valueIndex(columns, name)).filter((i) => i >= 0 && i !== metricIndex);
  let axes = columns.flatMap((column, i) => (column.role === "param" ? [axisOf(column, cellsOf(i))] : []));
  const all = axes.length;
  const room = MAX_AXES - (metric ? 1 : 0) - others.length;
  if (axes.length > room) {
    const varies = new Map(axes.map((axis) => [axis, new Set(axis.values).size]));
    const first = [...axes].sort((a, b) => Number(varies.get(b)) - Number(varies.get(a))).slice(0, room);
    axes = axes.filter((axis) => first.includes(axis) && Number(varies.get(axis)) > 1);
  }
  const dropped = all - axes.length;
  axes.push(...others.map(valueAxis));
  if (metric) axes.push(metric);
  return { axes, rows: drawn, dropped, metric };
}

/**
 * Count the trials that have started: those that are drawn, those of them that are selected, those that have no value of
 * the metric yet, and those that have ended without one.
 * @param {Column[]} columns
 * @param {Iterable<Row>} rows
 * @param {number[]} selection
 * @param {string} [metric] the objective; the first metric if it is not given
 */
export function tally(columns, rows, selection, metric) {
  const metricIndex = valueIndex(columns, metric);
  const chosen = new Set(selection);
  const counts = { started: 0, drawn: 0, selected: 0, withoutValue: 0, ended: 0 };
  for (const { number, status, cells } of rows) {
    if (status === "pending") continue;
    counts.started++;
    if (metricIndex < 0 || isNumber(cells[metricIndex])) {
      counts.drawn++;
      if (chosen.has(number)) counts.selected++;
    } else if (status === "running") counts.withoutValue++;
    else counts.ended++;
  }
  return counts;
}

/**
 * Return the numbers of the trials that are within the ranges of every brushed axis.
 * @param {Axis[]} axes
 * @param {Row[]} rows
 * @param {Map<string, Ranges>} brushed key -> ranges of positions
 */
export function within(axes, rows, brushed) {
  const bound = axes.filter((axis) => brushed.has(axis.key));
  const passes = (/** @type {Axis} */ axis, /** @type {number} */ i) =>
    brushed.get(axis.key)?.some(([low, high]) => axis.values[i] >= low && axis.values[i] <= high);
  return rows.filter((_, i) => bound.every((axis) => passes(axis, i))).map((row) => row.number);
}

/**
 * Return about four round numbers between two.
 * @param {number} low
 * @param {number} high
 */
export function roundBetween(low, high) {
  const target = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(target));
  const step = power * ([1, 2, 5].find((times) => times * power >= target) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9 && ticks.length < 10; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/**
 * Return powers of ten between two numbers, or other round numbers where there are fewer than two.
 * @param {number} low
 * @param {number} high
 */
export function roundLogBetween(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const count = Math.floor(Math.log10(high) + 1e-9) - first + 1;
  if (count < 2) return roundBetween(low, high);
  const step = Math.ceil(count / 7);
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => Number(`1e${first + i * step}`));
}

/**
 * Return plotly's line: coloured by the metric, the best brightest, grey where not selected. plotly draws greater values
 * of `color` on top, so that the best trial has the greatest value here, and grey lines the smallest.
 * @param {Axis | null} metric
 * @param {Row[]} rows
 * @param {boolean} minimize whether the smallest value is the best
 * @param {number[]} selection empty to colour all lines
 * @param {{dark: boolean, grey: string, single: string}} theme
 */
export function lineOf(metric, rows, minimize, selection, theme) {
  const chosen = new Set(selection);
  const sign = minimize ? -1 : 1;
  const colours = metric ? (theme.dark ? VIRIDIS.slice(2) : VIRIDIS.slice(0, -1)) : [theme.single, theme.single];
  const [worst, best] = (metric?.range ?? [0, 1]).map((end) => sign * end).sort((a, b) => a - b);
  const cmin = worst - (best - worst) / 100;
  const color = rows.map((row, i) =>
    chosen.size && !chosen.has(row.number) ? cmin : sign * (metric?.values[i] ?? sign),
  );
  const scale = colours.map((colour, i) => [0.005 + (0.995 * i) / (colours.length - 1), colour]);
  const first = chosen.size ? theme.grey : colours[0];
  const [low, high] = metric?.range ?? [0, 1];
  const ticks = metric ? roundBetween(low, high) : [];
  return {
    color,
    cmin,
    cmax: best,
    colorscale: [[0, first], [0.005, first], ...scale],
    // The bar has the direction of the axis: parallel.css turns it round where the smallest value is the best.
    colorbar: { tickvals: ticks.map((tick) => (minimize ? tick - low - high : tick)), ticktext: ticks.map(format) },
  };
}
