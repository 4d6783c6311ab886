// The workers of a distributed experiment: what a trial's detail tells of them, and what they have printed.

/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./tell.js").Told} Told */

const LINES = 40; // that each of them has printed
const SLOW = 2.4; // times as long as the experiment's reports are apart

/**
 * A trial's workers, as nbtune/views/live/workers.py tells of them. One of several is slow: the others wait for it.
 * @param {Told} trial
 * @param {Scenario} scenario
 */
export function workers(trial, { workers: count, metric, seconds }) {
  if (!count || trial.status === "pending") return null;
  const ranks = Array.from({ length: count }, (_, rank) => rank);
  const slow = count > 1 ? Math.min(2, count - 1) : -1;
  const rows = ranks.map((rank) => {
    const own = trial.at ? seconds * (rank === slow ? SLOW : 0.8 + 0.05 * (rank % 3)) : null;
    const waited = own && count > 1 ? SLOW * seconds - own : own && 0;
    const value = trial.values[metric][trial.at - 1];
    const node = `10.0.${Math.floor(rank / 8)}.${10 + Math.floor(rank / 4)}`;
    const last = Number.isFinite(value) ? value - 0.002 * rank : null;
    return [rank, node, String(rank % 4), trial.at, own, waited, own && 0.9 * own, last, rank === slow && trial.at > 2];
  });
  return { ranks, metric: trial.at ? metric : null, rows };
}

/**
 * What one worker has printed, or all of them below each other.
 * @param {number} count
 * @param {number | null} rank
 */
export function printed(count, rank) {
  const lines = Array.from({ length: LINES }, (_, epoch) => `epoch ${epoch + 1}`);
  const of = (/** @type {number} */ one) => lines.map((line) => `${line} of worker ${one}\n`).join("");
  if (rank !== null) return of(rank);
  return Array.from({ length: count }, (_, one) => `--- rank ${one} ---\n${of(one)}`).join("");
}
