// The messages of ../README.md, made from a scenario's trials as nbtune/views makes them from a store.

import { format } from "../src/page.js";

/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./scenario.js").Trial & {status: string, at: number, sent: number, pausedByUser: boolean}} PlayedTrial a trial while the scenario plays */

const POINTS = 24_000; // of all curves together, as in nbtune/views/live/points.py

/**
 * Return a trial's status as it is shown: unfinished where the experiment has ended first.
 * @param {PlayedTrial} trial
 * @param {boolean} live
 */
const shownStatus = ({ status }, live) =>
  live || !["pending", "running", "paused"].includes(status) ? status : "unfinished";

/** A cell; empty where there is no value. @param {any} value */
function cell(value) {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value === undefined ? "" : value;
}

/**
 * @param {PlayedTrial} trial
 * @param {string} metric
 * @param {number} [before] how many reports before the last
 */
function value(trial, metric, before = 0) {
  return trial.values[metric]?.[trial.at - 1 - before];
}

/** @param {number | undefined} number */
const listed = (number) => (number === undefined ? [] : [number]);

/**
 * Return the best value that a trial has reported, and its iteration; null without one.
 * @param {PlayedTrial} trial
 * @param {Scenario} scenario
 */
function bestValue(trial, { metric, mode }) {
  const sign = mode === "min" ? -1 : 1;
  const reported = trial.values[metric]
    .slice(0, trial.at)
    .map((one) => (Number.isFinite(one) ? sign * Number(one) : -Infinity));
  const top = Math.max(...reported);
  return Number.isFinite(top) ? { value: sign * top, iteration: reported.indexOf(top) + 1 } : null;
}

/**
 * Return the results of a trial in its detail; null before its first report.
 * @param {PlayedTrial} trial
 * @param {Scenario} scenario
 */
export function results(trial, scenario) {
  if (!trial.at) return null;
  const best = scenario.objectives.length > 1 ? null : bestValue(trial, scenario);
  const x = Array.from({ length: trial.at }, (_, i) => i + 1);
  const y = (/** @type {string} */ name) =>
    trial.values[name].slice(0, trial.at).map((one) => (Number.isFinite(one) ? one : null));
  const saved = trial.number % 2 ? [] : x.filter((i) => i % 10 === 0);
  return {
    last: [trial.at, trial.at * scenario.seconds],
    best: best && [best.iteration, best.iteration * scenario.seconds],
    label: `best ${scenario.metric}`,
    value: best?.value ?? "",
    checkpoints: saved,
    kept: saved.at(-1) ?? null,
    metrics: Object.keys(trial.values).map((name) => [
      name,
      cell(value(trial, name)),
      best ? cell(trial.values[name][best.iteration - 1]) : "",
      x,
      y(name),
    ]),
    more: 0,
  };
}

/**
 * Return the best trial by the best value that each has reported.
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 */
export function best(trials, scenario) {
  const sign = scenario.mode === "min" ? -1 : 1;
  /** @type {PlayedTrial | null} */
  let top = null;
  let most = -Infinity;
  for (const trial of trials) {
    const reached = trial.status === "failed" ? null : bestValue(trial, scenario);
    if (reached && sign * reached.value > most) [top, most] = [trial, sign * reached.value];
  }
  return top;
}

/**
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 * @param {string} status
 * @param {number} ticks
 * @param {number} concurrent
 * @param {number | null} maxConcurrent
 */
export function headerState(trials, scenario, status, ticks, concurrent, maxConcurrent) {
  /** @type {Record<string, number>} */
  const counts = {};
  const live = status === "running";
  for (const trial of trials) counts[shownStatus(trial, live)] = (counts[shownStatus(trial, live)] ?? 0) + 1;
  const over = trials.filter(({ status }) => !["pending", "running", "paused"].includes(status)).length;
  const remaining = ((ticks * scenario.seconds) / over) * (trials.length - over);
  const top = best(trials, scenario);
  return {
    name: scenario.name,
    status,
    over,
    total: trials.length,
    counts,
    best:
      scenario.objectives.length > 1
        ? frontState(trials, scenario)
        : top && {
            label: `best ${scenario.metric}`,
            value: format(Number(bestValue(top, scenario)?.value)),
            trial: top.number,
            iteration: bestValue(top, scenario)?.iteration,
            params: Object.entries(top.config).map(([name, one]) => [
              name,
              typeof one === "number" ? format(one) : String(one ?? "None").slice(0, 200),
            ]),
          },
    elapsed: ticks * scenario.seconds,
    remaining: live && over ? { low: 0.8 * remaining, likely: remaining, high: 1.3 * remaining } : null,
    concurrent: Math.min(concurrent, maxConcurrent ?? concurrent),
    workers: scenario.workers ? `${scenario.workers} workers` : "",
    limited_by: maxConcurrent !== null && maxConcurrent < concurrent ? "max_concurrent" : "CPU",
    max_concurrent: maxConcurrent,
    steerable: true,
    resumable: live ? "" : over < trials.length ? "resume" : counts.failed ? "failed" : "",
    hint: live ? "" : scenario.hint,
    live,
    reconnect: "What was reported is kept. In a new kernel: %tune resume example",
  };
}

/**
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 */
function frontState(trials, scenario) {
  const params = scenario.objectives.map(([metric, mode]) => {
    const sign = mode === "min" ? -1 : 1;
    const values = trials.map((trial) => Number(value(trial, metric) ?? Number.NaN)).filter(Number.isFinite);
    return [`best ${metric}`, format(sign * Math.max(...values.map((one) => sign * one)))];
  });
  const count = front(trials, scenario).length;
  return count ? { label: "Pareto front", value: `${count} trials`, trial: null, iteration: null, params } : null;
}

/**
 * @param {PlayedTrial[]} changed
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 * @param {boolean} reset
 * @param {boolean} live
 */
export function table(changed, trials, scenario, reset, live) {
  const { objectives } = scenario;
  const failed = trials.some((trial) => trial.status === "failed");
  const columns = scenario.columns.filter((column) => column.role !== "error" || failed);
  const rows = changed.map((trial) => [
    trial.number,
    shownStatus(trial, live),
    ...columns.map(({ role, key }) => {
      const name = key.slice(key.indexOf("/") + 1);
      if (role === "param") return cell(trial.config[name]);
      if (role === "metric") return cell(value(trial, name));
      if (role === "iterations") return trial.at;
      if (role === "time_s") return trial.at ? trial.at * scenario.seconds : "";
      if (role === "error") return trial.status === "failed" ? trial.error : "";
      const reached = bestValue(trial, scenario);
      return role === "value" ? (reached?.value ?? "") : (reached?.iteration ?? "");
    }),
  ]);
  const by_scheduler = trials
    .filter(({ status, pausedByUser }) => status === "paused" && !pausedByUser)
    .map(({ number }) => number);
  const several = objectives.length > 1;
  const top = several ? undefined : best(trials, scenario)?.number;
  return {
    type: "table",
    reset,
    columns,
    rows,
    best: listed(top),
    front: front(trials, scenario),
    by_scheduler,
    objectives,
    name: scenario.name,
    stopped: changed.filter(({ status }) => status === "stopped").map(({ number }) => [number, "stopped by you"]),
  };
}

/**
 * Return the numbers of the trials on the Pareto front; none without several objectives.
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 */
export function front(trials, { objectives }) {
  if (objectives.length < 2) return [];
  const losses = (/** @type {PlayedTrial} */ trial) =>
    objectives.map(([metric, mode]) => (mode === "max" ? -1 : 1) * (value(trial, metric) ?? Number.NaN));
  const compared = trials
    .filter(({ status }) => status !== "failed")
    .map((trial) => ({ number: trial.number, of: losses(trial) }))
    .filter(({ of }) => of.every(Number.isFinite));
  const beats = (/** @type {number[]} */ one, /** @type {number[]} */ other) =>
    one.every((loss, i) => loss <= other[i]) && one.some((loss, i) => loss < other[i]);
  return compared.filter(({ of }) => !compared.some((other) => beats(other.of, of))).map(({ number }) => number);
}

/**
 * @param {PlayedTrial[]} changed
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 * @param {boolean} reset
 * @param {boolean} live
 */
export function points(changed, trials, scenario, reset, live) {
  const rows = changed.map((trial) => [
    trial.number,
    shownStatus(trial, live),
    Object.entries(trial.config).flat().join(" "),
    ...scenario.objectives.map(([metric]) => {
      const last = value(trial, metric);
      return Number.isFinite(last) ? last : null;
    }),
  ]);
  return { type: "points", reset, objectives: scenario.objectives, rows, front: front(trials, scenario) };
}

/**
 * Return the curves' message and its buffers. An ended trial keeps only its share of the points.
 * @param {PlayedTrial[]} changed
 * @param {PlayedTrial[]} trials
 * @param {Scenario} scenario
 * @param {string} metric
 * @param {boolean} reset
 * @param {number} seq
 * @param {boolean} live
 * @returns {[any, ArrayBufferView[]]}
 */
export function update(changed, trials, scenario, metric, reset, seq, live) {
  const top = best(trials, scenario);
  const share = Math.max(4, Math.floor(POINTS / Math.max(1, trials.length)));
  /** @type {[number, number, boolean][]} */
  const segments = [];
  /** @type {number[][]} */
  const points = [[], [], []];
  for (const trial of changed) {
    const values = trial.values[metric] ?? [];
    const thin = trial.status !== "running" && trial !== top && trial.at > share;
    const replace = reset || thin;
    const from = replace ? 0 : trial.sent;
    const indexes = thin
      ? Array.from({ length: share }, (_, i) => Math.round((i * (trial.at - 1)) / (share - 1)))
      : Array.from({ length: trial.at - from }, (_, i) => from + i);
    trial.sent = trial.at;
    if (!indexes.length) continue;
    segments.push([trial.number, indexes.length, replace]);
    for (const i of indexes) {
      points[0].push(i + 1);
      points[1].push((i + 1) * scenario.seconds);
      points[2].push(values[i] ?? Number.NaN);
    }
  }
  const message = {
    type: "update",
    reset,
    seq,
    metric,
    best: listed(top?.number),
    trials: changed.map((trial) => [
      trial.number,
      shownStatus(trial, live),
      Object.entries(trial.config)
        .map(([name, one]) => `${name} ${typeof one === "number" ? format(one) : one}`)
        .join("  ")
        .slice(0, 160),
    ]),
    segments,
  };
  return [message, [Int32Array.from(points[0]), Float64Array.from(points[1]), Float64Array.from(points[2])]];
}
