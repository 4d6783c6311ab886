// What all views of a form on a space share: what is typed, and what the kernel has said of it. See ../README.md.

import { guard, takePlotly } from "./page.js";
import { makeRequests } from "./requests.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./space-rows.js").Row} Row */
/** @typedef {ReturnType<typeof begin>} Store */
/** @typedef {{text: string, changes: Record<string, Record<string, string>>}} Suggestion */
/** @typedef {{text: string, counts: number[], labels: string[] | null, none: number}} Picture */

const TYPING = 200; // milliseconds without a key after which what is typed is looked at
const ANSWER = 5_000; // milliseconds within which a kernel that has nothing else to do answers

export const begin = () => {
  const store = fresh();
  return Object.assign(store, {
    requests: makeRequests(({ id, message }) => {
      if (id !== store.asked || store.closed) return; // something else was typed since, or the form says it
      store.error = `What is typed is not checked yet: ${message}.`;
      redraw(store);
    }),
  });
};

const fresh = () => ({
  token: Math.random().toString(36).slice(2), // tells this page's questions from another's
  rows: /** @type {Row[]} */ ([]),
  line: /** @type {Record<string, string>} */ ({}), // the fields of the magic line
  choices: /** @type {Record<string, string[]>} */ ({}), // of its fields: the values to choose from
  suggestions: /** @type {Suggestion[]} */ ([]),
  applied: /** @type {Set<number>} */ (new Set()), // which of them
  problems: /** @type {Record<string, Record<string, string>>} */ ({}), // row -> field -> what is wrong
  notes: /** @type {Record<string, Record<string, string>>} */ ({}),
  wrong: /** @type {Record<string, string>} */ ({}), // field of the line -> what is wrong
  general: /** @type {string[]} */ ([]), // what is wrong with no field of its own
  fault: "", // why nothing can be sampled
  text: "",
  why: "", // why the text is not to be written
  grid: "", // how many trials it makes
  plan: { lines: /** @type {string[]} */ ([]), possible: true },
  pictures: /** @type {Record<string, Picture>} */ ({}),
  seq: 0, // of the latest question
  asked: "", // its id
  answered: 0, // of the latest answer
  timer: /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined),
  waiting: /** @type {(() => void)[]} */ ([]), // called with each answer
  loaded: false,
  closed: false,
  error: "",
  views: /** @type {Set<() => void>} */ (new Set()),
});

/** @param {ReturnType<typeof fresh>} store */
export function redraw(store) {
  for (const view of store.views) view();
}

/**
 * Take in what was typed or done; the kernel is asked when nothing more has been typed for a moment.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {Row[]} rows
 * @param {"soon" | "now" | "later"} when "later": with the next question
 */
export function edit(model, store, rows, when = "soon") {
  store.rows = rows;
  store.seq++;
  clearTimeout(store.timer);
  store.timer = undefined;
  if (when === "now") ask(model, store);
  else if (when === "soon") store.timer = setTimeout(() => ask(model, store), TYPING);
  redraw(store);
}

/** @param {Store} store */
function resume(store) {
  for (const go of store.waiting.splice(0)) go();
}

/** @param {AnyModel} model @param {Store} store */
function ask(model, store) {
  clearTimeout(store.timer);
  store.timer = undefined;
  const { seq, token, rows, line } = store;
  guard(
    model,
    "space form: asking",
    (text) => {
      store.error = text;
      redraw(store);
    },
    () => {
      store.asked = store.requests.ask(model, { type: "edit", seq, token, rows, line });
    },
  );
}

/**
 * Wait until the kernel has answered to what is typed now.
 * @param {AnyModel} model
 * @param {Store} store
 * @returns {Promise<void>}
 */
export async function settled(model, store) {
  const until = performance.now() + ANSWER;
  const wanted = store.seq;
  if (store.answered >= wanted) return;
  ask(model, store);
  while (store.answered < wanted) {
    const left = until - performance.now();
    if (store.closed || left < 0)
      throw new Error("the kernel does not answer, so that this cell is not checked yet; try again when it is free");
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, left);
      store.waiting.push(() => resolve(clearTimeout(timer)));
    });
  }
}

/**
 * @param {Store} store
 * @param {any} message
 * @param {DataView[]} buffers
 */
function take(store, message, buffers) {
  store.closed = false;
  store.requests.heard(message);
  if (message.type === "plotly") return takePlotly(buffers[0]);
  if (message.token !== store.token || message.seq < store.seq) return; // another page's, or no longer so
  if (message.type === "form") {
    const { rows, line, choices, suggestions } = message;
    Object.assign(store, { rows, line, choices, suggestions, loaded: true });
  }
  if (message.type === "checked") {
    const { problems, notes, wrong, general, text, why, grid, seq } = message;
    Object.assign(store, { problems, notes, wrong, general, text, why, grid, answered: seq, error: "" });
    resume(store);
  }
  if (message.type === "plan") store.plan = { lines: message.lines, possible: message.possible };
  if (message.type === "pictures") Object.assign(store, { pictures: message.pictures, fault: message.fault });
}

/**
 * @param {AnyModel} model
 * @param {Store} store
 */
export function listen(model, store) {
  const show = (/** @type {string} */ text) => {
    store.error = text;
    redraw(store);
  };
  const hear = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) =>
    guard(model, `space form: message ${message?.type}`, show, () => {
      const taken = take(store, message, buffers);
      redraw(store);
      return taken;
    });
  const closed = () => {
    store.closed = true;
    store.requests.close();
    resume(store);
    redraw(store);
  };
  model.on("msg:custom", hear);
  /** @type {any} */ (model).on("comm_live_update", closed);
  guard(model, "space form: ready", show, () => {
    store.asked = store.requests.ask(model, { type: "ready", token: store.token, seq: store.seq });
  });
  return () => {
    clearTimeout(store.timer);
    store.requests.end();
    model.off("msg:custom", hear);
    /** @type {any} */ (model).off("comm_live_update", closed);
  };
}
