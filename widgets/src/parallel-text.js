// What is said beneath the parallel coordinates, and in their place where there are none. See ../README.md.

/** @typedef {ReturnType<typeof import("./parallel-data.js").tally>} Tally */

/**
 * @param {Tally} counts
 * @param {string | null} metric
 * @param {boolean} brushed whether some range is set
 * @param {number} dropped how many parameters have no axis
 */
export function noteText({ begun, drawn, selected, waiting, ended }, metric, brushed, dropped) {
  const value = metric ?? "value";
  const parts = [];
  if (selected || brushed) parts.push(`${selected} of ${drawn} trials selected`);
  if (ended) parts.push(`${ended} of ${begun} trials have no ${value}`);
  if (waiting)
    parts.push(ended ? `${waiting} more have none yet` : `${waiting} of ${begun} trials have no ${value} yet`);
  if (dropped) parts.push(`${dropped} parameters that vary least are left out`);
  return parts.join("; ");
}

/**
 * @param {Tally} counts of which none is drawn
 * @param {string | null} metric
 */
export function emptyText({ begun, waiting }, metric) {
  if (!begun) return "The trials are drawn here once they report.";
  return `No trial has reported ${metric ?? "a value"}${waiting ? " yet" : ""}.`;
}
