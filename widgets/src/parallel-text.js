// The texts below the parallel coordinates, and in place of an empty plot. See ../README.md.

/** @typedef {ReturnType<typeof import("./parallel-data.js").tally>} Tally */

/**
 * @param {Tally} counts
 * @param {string | null} metric
 * @param {boolean} brushed whether any axis has a range
 * @param {number} dropped how many parameters have no axis
 */
export function noteText({ started, drawn, selected, withoutValue, ended }, metric, brushed, dropped) {
  const value = metric ?? "value";
  const parts = [];
  if (selected || brushed) parts.push(`${selected} of ${drawn} trials selected`);
  if (ended) parts.push(`${ended} of ${started} trials have no ${value}`);
  if (withoutValue)
    parts.push(
      ended ? `${withoutValue} more have none yet` : `${withoutValue} of ${started} trials have no ${value} yet`,
    );
  if (dropped) parts.push(`${dropped} parameters with the fewest values are not shown`);
  return parts.join("; ");
}

/**
 * @param {Tally} counts none of which is drawn
 * @param {string | null} metric
 */
export function emptyText({ started, withoutValue }, metric) {
  if (!started) return "No reports yet.";
  return `No trial has reported ${metric ?? "a value"}${withoutValue ? " yet" : ""}.`;
}
