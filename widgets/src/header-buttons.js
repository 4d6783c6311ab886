// The header's buttons: stop, with a confirmation, or resume; and the progress of these commands. See ../README.md.

import { make } from "./page.js";

/** @typedef {import("./header-store.js").Store} Store */
/** @typedef {import("./lifecycle.js").View} View */

const CONFIRM_TIMEOUT = 5; // seconds after which the confirmation is withdrawn
const WAITING = "waiting for the kernel…";
const STOP = { "": "Stop", confirm: "Stop", waiting: WAITING, stopping: "stopping…" };
const RESUME = { "": "", waiting: WAITING, resuming: "resuming…", resumed: "resuming…" };
/** @type {Record<string, string>} */
const RESUME_LABELS = { resume: "Resume", failed: "Retry failed" };
/** @type {Record<string, string>} */
const TITLES = {
  resume: "Resume the unfinished trials from their last checkpoints, then run the remaining samples",
  failed: "Run the failed trials again from their last checkpoints",
};

/**
 * @param {Store} store
 * @param {View} view
 * @param {() => void} redraw draws all views
 */
export function makeButtons(store, { on, send }, redraw) {
  const root = make("span", { className: "nbt-header-stop" });
  const button = make("button", { type: "button" });
  const resume = make("button", { type: "button" });
  const confirm = make("span", { className: "nbt-header-confirm", role: "group", ariaLabel: "Stop all trials?" });
  const yes = make("button", { type: "button", textContent: "Yes" });
  const no = make("button", { type: "button", textContent: "No" });
  confirm.append("Stop all trials?", yes, no);
  root.append(button, resume, confirm);

  let action = ""; // what a click on `resume` does: "resume" or "failed"
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let confirmTimer;
  const cancel = () => {
    clearTimeout(confirmTimer);
    if (store.stop === "confirm") store.stop = "";
    redraw();
  };
  on(button, "click", () => {
    if (store.closed || store.stop) return;
    [store.stop, store.refusal] = ["confirm", ""];
    confirmTimer = setTimeout(cancel, CONFIRM_TIMEOUT * 1000);
    redraw();
  });
  on(no, "click", cancel);
  on(confirm, "keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    cancel();
  });
  on(yes, "click", () => {
    clearTimeout(confirmTimer);
    store.stop = "waiting";
    redraw();
    send({ type: "stop" });
  });
  on(resume, "click", () => {
    if (store.closed || store.resume) return;
    [store.resume, store.refusal] = ["waiting", ""];
    redraw();
    send({ type: "resume", failed: action === "failed" });
  });

  /** @param {HTMLElement} node @param {string} text @param {boolean} idle */
  function label(node, text, idle) {
    if (node.textContent !== text) node.textContent = text;
    node.ariaDisabled = String(!idle || store.closed); // unlike disabled, it keeps the focus
  }

  /**
   * @param {any} state
   * @param {boolean} live
   */
  function draw(state, live) {
    const focused = /** @type {any} */ (root.contains(document.activeElement) ? document.activeElement : null);
    action = live ? "" : (state.resumable ?? "");
    button.hidden = !live || store.stop === "confirm";
    resume.hidden = live || !(action || store.resume);
    confirm.hidden = !live || store.stop !== "confirm";
    label(button, STOP[store.stop], store.stop === "");
    label(resume, RESUME[store.resume] || RESUME_LABELS[action] || "", store.resume === "");
    resume.title = store.resume ? "" : (TITLES[action] ?? "");
    if (!focused?.hidden && focused !== yes && focused !== no) return;
    // The button that had the focus is hidden: focus the one in its place.
    if (!confirm.hidden && focused === button) no.focus();
    else if (confirm.hidden) (button.hidden ? resume : button).focus();
  }

  const dispose = () => {
    clearTimeout(confirmTimer);
    if (store.stop === "confirm") store.stop = "";
  };
  return { root, draw, dispose };
}
