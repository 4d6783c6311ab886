// What all views of the header share: when its state came, and how far the user's commands have come. See ../README.md.

import { makeStore } from "./lifecycle.js";

/** @typedef {ReturnType<typeof createStore>} Store */
/** @typedef {ReturnType<typeof initialState>} State */

/** @type {Record<string, string>} */
const NOT_DONE = {
  stop: "Not stopped",
  resume: "Not resumed",
  extend: "No samples added",
  max_concurrent: "Limit not changed",
};

export const createStore = () => makeStore(initialState(), receiveAnswer);

const initialState = () => ({
  stateTime: performance.now(), // when the latest state came
  stop: /** @type {"" | "confirm" | "waiting" | "stopping"} */ (""),
  resume: /** @type {"" | "waiting" | "resuming" | "resumed"} */ (""),
  stateSinceResume: false, // whether a state has come since the answer that it is being resumed
  live: /** @type {boolean | undefined} */ (undefined),
  requestedLimit: /** @type {number | null | undefined} */ (undefined), // until the state has it
  extend: /** @type {"" | "waiting" | "done"} */ (""),
  refusal: "", // why a command was refused
  pictures: /** @type {ReturnType<typeof import("./picture.js").makePictures> | undefined} */ (undefined),
  lateId: "", // the id of the request, where that is only because it has timed out
});

/**
 * Take a new state: commands that it shows as done are no longer waited for.
 * @param {State} store
 * @param {any} state
 */
export function receiveState(store, state) {
  const live = Boolean(state?.live);
  if (live !== store.live) {
    store.stop = store.resume = store.refusal = store.lateId = "";
    store.requestedLimit = undefined;
  }
  if (store.resume === "resumed") store.resume = "";
  if (store.requestedLimit === (state?.max_concurrent ?? null)) store.requestedLimit = undefined;
  [store.live, store.stateSinceResume, store.stateTime] = [live, true, performance.now()];
}

/**
 * Take the answer to a command.
 * @param {State} store
 * @param {any} answer
 */
export function receiveAnswer(store, answer) {
  const { type, command, id, late } = answer ?? {};
  if (late && !isWaiting(store, command)) return; // the state shows it as done
  if (store.lateId && store.lateId === id) store.refusal = store.lateId = ""; // an answer after the timeout
  if (type === "stopping") store.stop = "stopping";
  if (type === "resuming") [store.resume, store.stateSinceResume] = ["resuming", false];
  if (type === "done") {
    // It may have run and ended already.
    if (store.resume === "resuming") store.resume = store.stateSinceResume ? "" : "resumed";
    if (command === "extend") store.extend = "done";
  }
  if (type !== "refused") return;
  store.lateId = late ? id : "";
  store.refusal = `${NOT_DONE[command] ?? "Refused"}: ${answer.message}`;
  if (command === "stop") store.stop = "";
  if (command === "max_concurrent") store.requestedLimit = undefined;
  if (command === "extend") store.extend = "";
  if (command === "resume" || command === "extend") store.resume = "";
}

/** @param {State} store @param {string} command */
function isWaiting(store, command) {
  if (command === "stop") return store.stop === "waiting";
  if (command === "max_concurrent") return store.requestedLimit !== undefined;
  return command === "extend" ? store.extend === "waiting" || store.resume !== "" : store.resume !== "";
}
