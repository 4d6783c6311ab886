// The points of several objectives: groups, the border of the front, texts; pure functions without the DOM. See ../README.md.

/** @typedef {{number: number, status: string, label: string, values: (number | null)[]}} Point */
/** @typedef {"other" | "stopped" | "failed" | "running" | "front"} Group */

const MAX_OTHERS = 4000; // points that are drawn of each group; all of the front are

/** The groups in the order of drawing: the last is on top. @type {Group[]} */
export const GROUPS = ["other", "stopped", "failed", "running", "front"];

/**
 * Return the points that have both values, by their groups.
 * @param {Iterable<Point>} points
 * @param {Set<number>} front the numbers of the trials on the Pareto front
 * @param {number[]} axes the positions of the objectives on the x and the y axis
 */
export function grouped(points, front, axes) {
  const groups = /** @type {Record<Group, Point[]>} */ ({ other: [], stopped: [], failed: [], running: [], front: [] });
  let missing = 0;
  for (const point of points) {
    if (axes.some((axis) => typeof point.values[axis] !== "number")) {
      if (point.status !== "pending") missing++;
      continue;
    }
    const { status } = point;
    const own = status === "stopped" || status === "failed" || status === "running" ? status : "other";
    groups[front.has(point.number) ? "front" : own].push(point);
  }
  for (const name of GROUPS) if (name !== "front") groups[name] = thinned(groups[name], MAX_OTHERS);
  return { groups, missing };
}

/**
 * Return an even selection of points, where there are too many.
 * @param {Point[]} points
 * @param {number} limit
 */
export function thinned(points, limit) {
  if (points.length <= limit) return points;
  return Array.from({ length: limit }, (_, i) => points[Math.round((i * (points.length - 1)) / (limit - 1))]);
}

/**
 * Return the border of what two objectives dominate, as plotly draws it: the points by x, joined by steps.
 * @param {Point[]} front
 * @param {string} mode of the objective on the x axis
 */
export function border(front, mode) {
  const points = [...front].sort((a, b) => Number(a.values[0]) - Number(b.values[0]));
  return {
    x: points.map(({ values }) => values[0]),
    y: points.map(({ values }) => values[1]),
    shape: mode === "min" ? "hv" : "vh",
  };
}

/**
 * Return the text below the plot.
 * @param {{front: number, drawn: number, missing: number, hidden: number}} counts `hidden`: points that are not drawn
 */
export function noteText({ front, drawn, missing, hidden }) {
  const parts = [`${front} of ${drawn} trials on the Pareto front`];
  if (missing) parts.push(`${missing} without a value of each objective`);
  if (hidden) parts.push(`${hidden} points are not drawn`);
  return parts.join("; ");
}

/**
 * Return the title of an axis.
 * @param {[string, string]} objective its label and mode
 */
export const axisTitle = ([label, mode]) => `${label} (${mode === "max" ? "higher" : "lower"} is better)`;
