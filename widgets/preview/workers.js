// The workers of a distributed experiment: their table in a trial's detail, and their logs.

/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./messages.js").PlayedTrial} PlayedTrial */

const LINES = 40; // that each worker has printed
const SLOW = 2.4; // the slow worker's time, as a multiple of the interval between reports

/**
 * Return a trial's workers as nbtune/views/live/workers.py does. One of several is slow: the others wait for it.
 * @param {PlayedTrial} trial
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
 * Return the log of one worker, or the logs of all, one below the other.
 * @param {number} count
 * @param {number | null} rank
 */
export function printed(count, rank) {
  const lines = Array.from({ length: LINES }, (_, epoch) => `epoch ${epoch + 1}`);
  const logOf = (/** @type {number} */ one) => lines.map((line) => `${line} of worker ${one}\n`).join("");
  if (rank !== null) return logOf(rank);
  return Array.from({ length: count }, (_, one) => `--- rank ${one} ---\n${logOf(one)}`).join("");
}
