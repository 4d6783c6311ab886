// The messages of widgets/README.md, made from a scenario's trials as nbtune/views makes them from a store.

import { format } from "../src/page.js";

/** @typedef {import("./scenario.js").Scenario} Scenario */
/** @typedef {import("./scenario.js").Trial & {status: string, at: number, told: number, held: boolean}} Told a trial as it runs */

const POINTS = 24_000; // of all curves together, as in nbtune/views/live/points.py

/**
 * A trial's status as it is shown: nothing runs, waits or pauses where the experiment is over.
 * @param {Told} trial
 * @param {boolean} live
 */
const seen = ({ status }, live) => (live || !["pending", "running", "paused"].includes(status) ? status : "unfinished");

/** @param {any} value */
function cell(value) {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : (value ?? null);
}

/**
 * @param {Told} trial
 * @param {string} metric
 * @param {number} [before] how many reports before the last
 */
function value(trial, metric, before = 0) {
  return trial.values[metric]?.[trial.at - 1 - before];
}

/**
 * The best trial: by the last value, as far as it is finite.
 * @param {Told[]} trials
 * @param {Scenario} scenario
 */
export function best(trials, { metric, mode }) {
  const sign = mode === "min" ? -1 : 1;
  /** @type {Told | null} */
  let found = null;
  for (const trial of trials) {
    const last = value(trial, metric);
    if (!Number.isFinite(last) || trial.status === "failed") continue;
    if (!found || sign * Number(last) > sign * Number(value(found, metric))) found = trial;
  }
  return found;
}

/**
 * @param {Told[]} trials
 * @param {Scenario} scenario
 * @param {string} status
 * @param {number} ticks
 * @param {number} atOnce
 * @param {number | null} maxConcurrent
 */
export function head(trials, scenario, status, ticks, atOnce, maxConcurrent) {
  /** @type {Record<string, number>} */
  const counts = {};
  const live = status === "running";
  for (const trial of trials) counts[seen(trial, live)] = (counts[seen(trial, live)] ?? 0) + 1;
  const over = trials.filter(({ status }) => !["pending", "running", "paused"].includes(status)).length;
  const left = ((ticks * scenario.seconds) / over) * (trials.length - over);
  const top = best(trials, scenario);
  return {
    name: scenario.name,
    status,
    over,
    total: trials.length,
    counts,
    best: top && {
      metric: scenario.metric,
      value: format(Number(value(top, scenario.metric))),
      trial: top.number,
      params: Object.entries(top.config).map(([name, one]) => [
        name,
        typeof one === "number" ? format(one) : String(one ?? "None").slice(0, 200),
      ]),
    },
    elapsed: ticks * scenario.seconds,
    left: live && over ? { low: 0.8 * left, likely: left, high: 1.3 * left } : null,
    concurrent: Math.min(atOnce, maxConcurrent ?? atOnce),
    workers: scenario.workers ? `${scenario.workers} workers` : "",
    limited_by: maxConcurrent !== null && maxConcurrent < atOnce ? "max_concurrent" : "CPU",
    max_concurrent: maxConcurrent,
    steer: true,
    again: live ? "" : over < trials.length ? "resume" : counts.failed ? "failed" : "",
    hint: live ? "" : scenario.hint,
    live,
    gone: "What was reported is kept. In a new kernel: %tune resume example",
  };
}

/**
 * @param {Told[]} changed
 * @param {Told[]} trials
 * @param {Scenario} scenario
 * @param {boolean} reset
 * @param {boolean} live
 */
export function table(changed, trials, scenario, reset, live) {
  const { metric, mode } = scenario;
  const sign = mode === "min" ? -1 : 1;
  const failed = trials.some((trial) => trial.status === "failed");
  const columns = scenario.columns.filter((column) => column.role !== "error" || failed);
  const rows = changed.map((trial) => [
    trial.number,
    seen(trial, live),
    ...columns.map(({ role, key }) => {
      const name = key.slice(key.indexOf("/") + 1);
      if (role === "param") return cell(trial.config[name]);
      if (role === "metric") return cell(value(trial, name));
      if (role === "iterations") return trial.at;
      if (role === "time_s") return trial.at ? trial.at * scenario.seconds : null;
      if (role === "error") return trial.status === "failed" ? trial.error : null;
      const told = trial.values[metric].slice(0, trial.at).filter(Number.isFinite);
      return told.length ? sign * Math.max(...told.map((one) => sign * one)) : null;
    }),
  ]);
  const by_scheduler = trials.filter(({ status, held }) => status === "paused" && !held).map(({ number }) => number);
  const top = best(trials, scenario)?.number ?? null;
  return { type: "table", reset, columns, rows, best: top, by_scheduler, metric, mode };
}

/**
 * The curves' message and its buffers. A trial that is over keeps only its share of the points.
 * @param {Told[]} changed
 * @param {Told[]} trials
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
    const from = replace ? 0 : trial.told;
    const kept = thin
      ? Array.from({ length: share }, (_, i) => Math.round((i * (trial.at - 1)) / (share - 1)))
      : Array.from({ length: trial.at - from }, (_, i) => from + i);
    trial.told = trial.at;
    if (!kept.length) continue;
    segments.push([trial.number, kept.length, replace]);
    for (const i of kept) {
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
    best: top?.number ?? null,
    trials: changed.map((trial) => [
      trial.number,
      seen(trial, live),
      Object.entries(trial.config)
        .map(([name, one]) => `${name} ${typeof one === "number" ? format(one) : one}`)
        .join("  ")
        .slice(0, 160),
    ]),
    segments,
  };
  return [message, [Int32Array.from(points[0]), Float64Array.from(points[1]), Float64Array.from(points[2])]];
}
