// What all views of the form on a space share: what is typed, and the kernel's answers to it. See ../README.md.

import { makeStore, redraw } from "./lifecycle.js";
import { guard } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./space-rows.js").Row} Row */
/** @typedef {ReturnType<typeof createStore>} Store */
/** @typedef {{text: string, changes: Record<string, Record<string, string>>}} Suggestion */
/** @typedef {{text: string, counts: number[], labels: string[] | null, none: number}} Picture */

const TYPING_DELAY = 200; // milliseconds after the last key until the kernel is asked
const CHECK_TIMEOUT = 5_000; // milliseconds within which an idle kernel has checked the form

export const createStore = () =>
  makeStore(initialState(), (store, { id, message }) => {
    if (id !== store.requestId || store.closed) return; // an older request, or the form shows that it is offline
    store.error = `The latest changes are not checked yet: ${message}.`;
  });

const initialState = () => ({
  token: Math.random().toString(36).slice(2), // other pages receive the answers to this page's requests, too
  rows: /** @type {Row[]} */ ([]),
  line: /** @type {Record<string, string>} */ ({}), // the fields of the magic line
  choices: /** @type {Record<string, string[]>} */ ({}), // field of the line -> the values to choose from
  suggestions: /** @type {Suggestion[]} */ ([]),
  applied: /** @type {Set<number>} */ (new Set()), // the indexes of the applied suggestions
  problems: /** @type {Record<string, Record<string, string>>} */ ({}), // row -> field -> error
  notes: /** @type {Record<string, Record<string, string>>} */ ({}), // row -> field -> remark
  lineProblems: /** @type {Record<string, string>} */ ({}), // field of the line -> error
  general: /** @type {string[]} */ ([]), // errors that belong to no field
  samplingError: "",
  text: "",
  blockedReason: "", // why the cell cannot be written
  grid: "", // how many trials the form makes
  plan: { lines: /** @type {string[]} */ ([]), possible: true },
  pictures: /** @type {Record<string, Picture>} */ ({}),
  seq: 0, // counts the changes
  requestId: "", // of the latest request
  checkedSeq: 0, // the change that the latest answer belongs to
  typingTimer: /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined),
  waiting: /** @type {(() => void)[]} */ ([]), // called with each answer
  loaded: false,
});

/**
 * Change the rows; the kernel checks them.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {Row[]} rows
 * @param {"soon" | "now" | "later"} when "soon": after a pause in typing; "later": with the next request
 */
export function edit(model, store, rows, when = "soon") {
  store.rows = rows;
  store.seq++;
  clearTimeout(store.typingTimer);
  store.typingTimer = undefined;
  if (when === "now") requestCheck(model, store);
  else if (when === "soon") store.typingTimer = setTimeout(() => requestCheck(model, store), TYPING_DELAY);
  redraw(store);
}

/** @param {Store} store */
export function resumeWaiting(store) {
  for (const resume of store.waiting.splice(0)) resume();
}

/** @param {AnyModel} model @param {Store} store */
function requestCheck(model, store) {
  clearTimeout(store.typingTimer);
  store.typingTimer = undefined;
  const { seq, token, rows, line } = store;
  const show = (/** @type {string} */ text) => {
    store.error = text;
    redraw(store);
  };
  guard(model, "space form: request", show, () => {
    store.requestId = store.requests.send(model, { type: "edit", seq, token, rows, line });
  });
}

/**
 * Wait until the kernel has checked the current rows.
 * @param {AnyModel} model
 * @param {Store} store
 * @returns {Promise<void>}
 */
export async function waitUntilChecked(model, store) {
  const deadline = performance.now() + CHECK_TIMEOUT;
  const seq = store.seq;
  if (store.checkedSeq >= seq) return;
  requestCheck(model, store);
  while (store.checkedSeq < seq) {
    const remaining = deadline - performance.now();
    if (store.closed || remaining < 0)
      throw new Error("the kernel does not answer, so this cell is not checked; try again when the kernel is idle");
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, remaining);
      store.waiting.push(() => resolve(clearTimeout(timer)));
    });
  }
}

/**
 * Take a message of the kernel.
 * @param {Store} store
 * @param {any} message
 */
export function receive(store, message) {
  if (message.token !== store.token || message.seq < store.seq) return; // another page's, or out of date
  if (message.type === "form") {
    const { rows, line, choices, suggestions } = message;
    Object.assign(store, { rows, line, choices, suggestions, loaded: true });
  }
  if (message.type === "checked") {
    const { problems, notes, line_problems, general, text, blocked_reason, grid, seq } = message;
    Object.assign(store, { problems, notes, lineProblems: line_problems, general });
    Object.assign(store, { text, blockedReason: blocked_reason, grid, checkedSeq: seq });
    resumeWaiting(store);
  }
  if (message.type === "plan") store.plan = { lines: message.lines, possible: message.possible };
  if (message.type === "pictures")
    Object.assign(store, { pictures: message.pictures, samplingError: message.sampling_error });
}

/**
 * Ask the kernel for the form.
 * @param {Store} store
 * @param {AnyModel} model
 */
export function requestForm(store, model) {
  store.requestId = store.requests.send(model, { type: "ready", token: store.token, seq: store.seq });
}

/** What `connectModel` needs to connect a form's model. */
export const connection = {
  name: "space form",
  receive,
  ready: requestForm,
  closed: resumeWaiting,
  dispose: (/** @type {Store} */ store) => clearTimeout(store.typingTimer),
};
