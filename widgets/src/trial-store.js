// What all views of the table share: the trials, and the progress of the user's commands. See ../README.md.

import { makeStore, redraw } from "./lifecycle.js";
import { isLive, mergeRows, numeric, texts, writeStatus } from "./trial-rows.js";
import { nextCommand } from "./trial-status.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-status.js").Command} Command */
/** @typedef {import("./trial-status.js").PendingCommand} PendingCommand */
/** @typedef {{trial: number, config: string, checkpoint: boolean, traceback: string | null, reason: string, rank: number | null,
 *   log: string | null, data?: string | null, workers: import("./trial-ranks.js").Workers | null, missing?: number, origin?: string[],
 *   lines?: string, cell?: string, results?: import("./trial-numbers.js").Results | null}} Detail */
/** @typedef {ReturnType<typeof createStore>} Store */
/** @typedef {ReturnType<typeof initialState>} State */

const PARTICIPLES = { stop: "stopped", pause: "paused", resume: "resumed" };
const MAX_WIDTH = 26; // characters of a column
const STATUS_WIDTH = 19; // characters of the column of the statuses: "stopped by median" with its sign
const BUTTONS_WIDTH = 26; // the same where a trial has buttons
const MAX_LABEL_WIDTH = 24; // characters of a column whose cells are narrower than its label

export const createStore = () => makeStore(initialState(), receive);

const initialState = () => ({
  rows: /** @type {Map<number, Row>} */ (new Map()),
  columns: /** @type {Column[]} */ ([]),
  widths: /** @type {number[]} */ ([]), // of each entry of a row, in characters
  isText: /** @type {boolean[]} */ ([]), // of each entry: whether any row has text there
  hasButtons: false, // whether any trial is or was live, so that there are buttons beside its status
  objectives: /** @type {[string, string][]} */ ([]), // each with its mode
  name: "", // of the experiment
  layout: 0, // counts the changes of the columns, widths and alignments
  best: /** @type {Set<number>} */ (new Set()),
  front: /** @type {Set<number>} */ (new Set()), // the trials on the Pareto front, with several objectives
  commands: /** @type {Map<number, PendingCommand>} */ (new Map()), // trial -> its command, until its status shows it
  byScheduler: /** @type {Set<number>} */ (new Set()), // the trials that the scheduler has paused
  point: { trial: /** @type {number | null} */ (null), phase: "", message: "" }, // the latest point that was added
  details: /** @type {Map<number, Detail>} */ (new Map()),
  refusedDetails: /** @type {Map<number, string>} */ (new Map()), // trial -> why the kernel sent no detail
  refusal: "", // why a command was refused
  lateId: "", // the id of the request, where that is only because it has timed out
});

/**
 * Send a command for a trial, once.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {number} trial
 * @param {"stop" | "pause"} button which one was pressed; "pause" also resumes
 */
export function sendCommand(model, store, trial, button) {
  const pending = store.commands.get(trial);
  const next = nextCommand(store.rows.get(trial)?.[1], pending, store.byScheduler.has(trial));
  const command = button === "pause" ? next : pending?.command === "stop" ? null : button;
  if (!command || store.closed) return;
  store.commands.set(trial, { command, accepted: false });
  store.refusal = "";
  store.requests.send(model, { type: command, trial });
  redraw(store);
}

/**
 * Add a point to try next.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {number | null} trial the trial that is cloned
 * @param {object} config
 * @param {boolean} checkpoint whether it starts from that trial's checkpoint
 */
export function sendPoint(model, store, trial, config, checkpoint) {
  if (store.closed) {
    store.point = { trial, phase: "", message: "there is no connection to the kernel" };
    return redraw(store);
  }
  store.point = { trial, phase: "waiting", message: "" };
  store.requests.send(model, { type: "add", config, trial, checkpoint });
  redraw(store);
}

/** @type {Record<string, Command>} */
const ANSWERS = { stopping: "stop", pausing: "pause", resuming: "resume" };

/**
 * Take a message of the kernel, or the refusal of a request that has timed out.
 * @param {State} store
 * @param {any} message
 */
export function receive(store, message) {
  const { type, trial, id, late } = message;
  if (store.lateId && store.lateId === id && !late) store.lateId = store.refusal = ""; // an answer after the timeout
  if (type === "table") receiveTable(store, message);
  if (type === "detail") {
    store.details.set(trial, message);
    store.refusedDetails.delete(trial);
  }
  if (type === "added") store.point = { trial, phase: "added", message: "" };
  if (ANSWERS[type] && store.commands.get(trial)?.command === ANSWERS[type]) {
    store.commands.set(trial, { command: ANSWERS[type], accepted: true });
    dropFinishedCommand(store, trial);
  }
  if (type !== "refused") return;
  if (message.command === "detail") {
    store.refusedDetails.set(trial, message.message);
    return;
  }
  if (message.command === "add") {
    if (late && (store.point.phase !== "waiting" || store.point.trial !== trial)) return;
    store.point = { trial, phase: "", message: message.message };
    return;
  }
  const command = /** @type {Command} */ (message.command ?? "stop");
  if (late && store.commands.get(trial)?.command !== command) return; // the trial's status shows it as done
  if (store.commands.get(trial)?.command === command) store.commands.delete(trial);
  store.lateId = late ? id : "";
  store.refusal = `trial ${trial} is not ${PARTICIPLES[command]}: ${message.message}`;
}

/**
 * Forget a trial's command once its status shows it as done, or as impossible.
 * @param {State} store
 * @param {number} trial
 */
function dropFinishedCommand(store, trial) {
  const pending = store.commands.get(trial);
  const status = store.rows.get(trial)?.[1];
  if (!pending) return;
  const done = { stop: false, pause: status !== "running", resume: pending.accepted && status !== "paused" };
  if (!isLive(status) || done[pending.command]) store.commands.delete(trial);
}

/**
 * @param {State} store
 * @param {{reset: boolean, columns: Column[], rows: Row[], best?: number[], front?: number[], by_scheduler?: number[],
 *   objectives?: [string, string][], name?: string, stopped?: [number, string][]}} message
 */
function receiveTable(store, message) {
  if (message.reset) {
    const { columns } = message;
    store.widths = [
      4,
      store.hasButtons ? BUTTONS_WIDTH : STATUS_WIDTH,
      ...columns.map(({ label }) => Math.min(label.length + 2, MAX_LABEL_WIDTH)),
    ];
    store.isText = [false, true, ...columns.map(({ role }) => role === "error")];
    Object.assign(store, { columns, objectives: message.objectives ?? [], name: message.name ?? "" });
    store.refusal = "";
    store.layout += 1;
  }
  mergeRows(store.rows, message);
  const stopped = new Map(message.stopped);
  for (const row of message.rows) {
    writeStatus(row, stopped.get(row[0]) ?? "");
    dropFinishedCommand(store, row[0]);
    measure(store, row);
  }
  store.best = new Set(message.best);
  store.front = new Set(message.front);
  store.byScheduler = new Set(message.by_scheduler);
}

/**
 * Widen the columns for a row, and note which of its entries are text.
 * @param {State} store
 * @param {Row} row
 */
function measure(store, row) {
  if (!store.hasButtons && isLive(row[1])) {
    store.hasButtons = true; // it stays so at the end, when nothing should move
    store.widths[1] = BUTTONS_WIDTH;
    store.layout += 1;
  }
  for (const [i, text] of texts(row).entries()) {
    const width = Math.min(text.length, MAX_WIDTH);
    if (width > store.widths[i]) {
      store.widths[i] = width;
      store.layout += 1;
    }
    const hasText = row[i] !== null && text !== "" && text !== "NaN";
    if (i > 1 && !store.isText[i] && hasText && Number.isNaN(numeric(row[i]))) {
      store.isText[i] = true;
      store.layout += 1;
    }
  }
}
