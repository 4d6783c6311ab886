// Executes the widgets' commands on the preview's experiment, as nbtune/views/live/commands.py does.

/** @typedef {import("./kernel.js").Kernel} Kernel */

const DELAY = 500; // milliseconds from a command to its effect
const COMMANDS = ["stop", "pause", "resume", "add", "extend", "max_concurrent"];
const REFUSAL = "no trial has saved a checkpoint yet, and a paused trial resumes from its latest checkpoint";

/**
 * Execute a command and answer it. Returns whether the message is a command.
 * @param {Kernel} kernel
 * @param {string} widget
 * @param {any} message
 */
export function execute(kernel, widget, message) {
  if (!COMMANDS.includes(message.type)) return false;
  const { model } = kernel.widgets[widget];
  const { type: command, trial } = message;
  const answer = (/** @type {object} */ content) => model.receive({ ...content, id: message.id });
  const refuse = (/** @type {string} */ reason) =>
    answer({ type: "refused", command, trial: trial ?? null, message: reason });
  if (kernel.refuses) refuse(REFUSAL);
  else if (widget === "header") executeForExperiment(kernel, message, answer, refuse);
  else if (command === "add") {
    kernel.add(trial ?? null, message.config);
    answer({ type: "added", trial: trial ?? null });
  } else executeForTrial(kernel, command, trial, answer, refuse);
  return true;
}

/**
 * @param {Kernel} kernel
 * @param {any} message
 * @param {(content: object) => void} answer
 * @param {(reason: string) => void} refuse
 */
function executeForExperiment(kernel, message, answer, refuse) {
  const { type: command } = message;
  const live = kernel.status === "running";
  if (command === "stop") {
    if (!live) return refuse(`it is ${kernel.status}`);
    answer({ type: "stopping" });
    setTimeout(() => kernel.end("stopped"), DELAY);
  } else if (command === "max_concurrent") {
    kernel.maxConcurrent = message.max_concurrent;
    answer({ type: "done", command });
    kernel.sendUpdates();
  } else {
    if (live && command === "resume")
      return refuse("the experiment is running; only one that has ended can be resumed");
    if (!live) answer({ type: "resuming", pending: true });
    setTimeout(
      () => {
        for (let i = 0; i < (message.samples ?? 0); i++) kernel.add(null, {});
        if (!live) kernel.resume(message.failed === true);
        answer({ type: "done", command });
        kernel.sendUpdates();
      },
      live ? 0 : DELAY,
    );
  }
}

/**
 * @param {Kernel} kernel
 * @param {string} command
 * @param {number} number
 * @param {(content: object) => void} answer
 * @param {(reason: string) => void} refuse
 */
function executeForTrial(kernel, command, number, answer, refuse) {
  const trial = kernel.trials[number];
  const from = { stop: ["running", "pending", "paused"], pause: ["running"], resume: ["running", "paused"] }[command];
  if (!from?.includes(trial.status)) return refuse(`trial ${number} is over`);
  answer({ type: { stop: "stopping", pause: "pausing", resume: "resuming" }[command], trial: number });
  if (command === "pause") trial.pausedByUser = true;
  else if (command === "resume") trial.pausedByUser = false;
  if (command === "resume" && trial.status === "running") return; // the pause is cancelled
  setTimeout(() => {
    if (command === "stop") kernel.set(trial, "stopped");
    else if (command === "pause" && trial.pausedByUser && trial.status === "running" && !kernel.slow)
      kernel.set(trial, "paused");
    else if (command === "resume" && trial.status === "paused") kernel.set(trial, "pending");
  }, DELAY);
}
