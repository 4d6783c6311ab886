// Carries out what the widgets order, as nbtune/views/live/commands.py does, on the preview's experiment.

/** @typedef {import("./kernel.js").Kernel} Kernel */

const ENDING = 500; // milliseconds from an order to what it brings about
const ORDERS = ["stop", "pause", "resume", "add", "extend", "max_concurrent"];
const REFUSAL = "no trial has kept a checkpoint so far, and a paused trial goes on from its latest";

/**
 * Carry out an order and answer it. Returns whether the message is one.
 * @param {Kernel} kernel
 * @param {string} widget
 * @param {any} message
 */
export function carryOut(kernel, widget, message) {
  if (!ORDERS.includes(message.type)) return false;
  const { model } = kernel.widgets[widget];
  const { type: order, trial } = message;
  const answer = (/** @type {object} */ content) => model.receive({ ...content, id: message.id });
  const refuse = (/** @type {string} */ why) => answer({ type: "refused", order, trial: trial ?? null, message: why });
  if (kernel.refuses) refuse(REFUSAL);
  else if (widget === "head") ofAll(kernel, message, answer, refuse);
  else if (order === "add") {
    kernel.add(trial ?? null, message.config);
    answer({ type: "added", trial: trial ?? null });
  } else ofOne(kernel, order, trial, answer, refuse);
  return true;
}

/**
 * @param {Kernel} kernel
 * @param {any} message
 * @param {(content: object) => void} answer
 * @param {(why: string) => void} refuse
 */
function ofAll(kernel, message, answer, refuse) {
  const { type: order } = message;
  const live = kernel.status === "running";
  if (order === "stop") {
    if (!live) return refuse(`it is ${kernel.status}`);
    answer({ type: "stopping" });
    setTimeout(() => kernel.end("stopped"), ENDING);
  } else if (order === "max_concurrent") {
    kernel.maxConcurrent = message.max_concurrent;
    answer({ type: "done", order });
    kernel.tell();
  } else {
    if (live && order === "resume") return refuse("it is running: there is nothing to resume");
    if (!live) answer({ type: "resuming", pending: true });
    setTimeout(
      () => {
        for (let i = 0; i < (message.samples ?? 0); i++) kernel.add(null, {});
        if (!live) kernel.resume(message.failed === true);
        answer({ type: "done", order });
        kernel.tell();
      },
      live ? 0 : ENDING,
    );
  }
}

/**
 * @param {Kernel} kernel
 * @param {string} order
 * @param {number} number
 * @param {(content: object) => void} answer
 * @param {(why: string) => void} refuse
 */
function ofOne(kernel, order, number, answer, refuse) {
  const trial = kernel.trials[number];
  const from = { stop: ["running", "pending", "paused"], pause: ["running"], resume: ["running", "paused"] }[order];
  if (!from?.includes(trial.status)) return refuse(`trial ${number} is over`);
  answer({ type: { stop: "stopping", pause: "pausing", resume: "resuming" }[order], trial: number });
  if (order === "pause") trial.held = true;
  else if (order === "resume") trial.held = false;
  if (order === "resume" && trial.status === "running") return; // it was only about to be paused
  setTimeout(() => {
    if (order === "stop") kernel.set(trial, "stopped");
    else if (order === "pause" && trial.held && trial.status === "running" && !kernel.slow) kernel.set(trial, "paused");
    else if (order === "resume" && trial.status === "paused") kernel.set(trial, "pending");
  }, ENDING);
}
