// The head's buttons: stop, with a question before it, or resume; and how far that has come. See ../README.md.

import { make } from "./page.js";

/** @typedef {import("./head-store.js").Store} Store */

const CONFIRM = 5; // seconds after which the question is taken back
const WAITING = "waiting for the kernel…";
const STOP = { "": "Stop", asking: "Stop", waiting: WAITING, stopping: "stopping…" };
const GOING = { "": "", waiting: WAITING, resuming: "resuming…", resumed: "resuming…" };
/** @type {Record<string, string>} */
const RETRY = { resume: "Resume", failed: "Retry failed" };
/** @type {Record<string, string>} */
const TITLES = {
  resume: "Go on: unfinished trials from their last checkpoints, then what is still missing",
  failed: "Try the failed trials again, from their last checkpoints",
};

/**
 * @param {Store} store
 * @param {(message: object) => void} send
 * @param {(target: EventTarget, type: string, call: (event: any) => void) => void} on
 */
export function makeButtons(store, send, on) {
  const root = make("span", { className: "nbt-head-stop" });
  const button = make("button", { type: "button" });
  const again = make("button", { type: "button" });
  const ask = make("span", { className: "nbt-head-ask", role: "group", ariaLabel: "Stop all trials?" });
  const yes = make("button", { type: "button", textContent: "Yes" });
  const no = make("button", { type: "button", textContent: "No" });
  ask.append("Stop all trials?", yes, no);
  root.append(button, again, ask);

  const all = () => {
    for (const view of store.views) view();
  };
  let wanted = ""; // what a click on `again` orders
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let asked;
  const keep = () => {
    clearTimeout(asked);
    if (store.stop === "asking") store.stop = "";
    all();
  };
  on(button, "click", () => {
    if (store.closed || store.stop) return;
    [store.stop, store.message] = ["asking", ""];
    asked = setTimeout(keep, CONFIRM * 1000);
    all();
  });
  on(no, "click", keep);
  on(ask, "keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    keep();
  });
  on(yes, "click", () => {
    clearTimeout(asked);
    store.stop = "waiting";
    all();
    send({ type: "stop" });
  });
  on(again, "click", () => {
    if (store.closed || store.again) return;
    [store.again, store.message] = ["waiting", ""];
    all();
    send({ type: "resume", failed: wanted === "failed" });
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
    wanted = live ? "" : (state.again ?? "");
    button.hidden = !live || store.stop === "asking";
    again.hidden = live || !(wanted || store.again);
    ask.hidden = !live || store.stop !== "asking";
    label(button, STOP[store.stop], store.stop === "");
    label(again, GOING[store.again] || RETRY[wanted] || "", store.again === "");
    again.title = store.again ? "" : (TITLES[wanted] ?? "");
    if (!focused?.hidden && focused !== yes && focused !== no) return;
    // What has taken the place of what had the focus.
    if (!ask.hidden && focused === button) no.focus();
    else if (ask.hidden) (button.hidden ? again : button).focus();
  }

  const end = () => {
    clearTimeout(asked);
    if (store.stop === "asking") store.stop = "";
  };
  return { root, draw, end };
}
