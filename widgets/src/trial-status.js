// A trial's status with its sign, and the buttons that steer it: in its row and in its detail. See ../README.md.

import { make, SIGNS, statusWord } from "./page.js";
import { isLive } from "./trial-rows.js";

/** @typedef {"stop" | "pause" | "resume"} Order */
/** @typedef {{order: Order, taken: boolean}} Ordered an order, and whether the cluster has taken it */
/** @typedef {{word: HTMLElement, acts: HTMLElement, pause: HTMLButtonElement, stop: HTMLButtonElement}} Status */

const TAKEN = { stop: "stopping…", pause: "pausing…", resume: "resuming…" };

/** @returns {Status} */
export function makeStatus() {
  const pause = make("button", { type: "button", className: "nbt-pause" });
  const stop = make("button", { type: "button", className: "nbt-stop" });
  return { word: make("span"), acts: make("span", { className: "nbt-acts" }, [pause, stop]), pause, stop };
}

/**
 * What a click on a trial's second button orders, or null where it can order nothing now.
 * @param {string | undefined} status
 * @param {Ordered | undefined} ordered
 * @param {boolean} byScheduler whether the scheduler has paused it, which alone can resume it
 * @returns {Order | null}
 */
export function nextOrder(status, ordered, byScheduler) {
  if (ordered) return ordered.order === "pause" && ordered.taken ? "resume" : null;
  if (status === "running") return "pause";
  return status === "paused" && !byScheduler ? "resume" : null;
}

/**
 * What a trial's second button says; nothing where there is none.
 * @param {string | undefined} status
 * @param {Ordered | undefined} ordered
 * @param {boolean} byScheduler
 */
export function pauseLabel(status, ordered, byScheduler) {
  if (status !== "running" && status !== "paused") return "";
  if (ordered) return ordered.order === "stop" ? "" : ordered.taken ? TAKEN[ordered.order] : "waiting…";
  if (status === "running") return "Pause";
  return byScheduler ? "" : "Resume";
}

/**
 * @param {Status} shown
 * @param {number} trial
 * @param {string} status
 * @param {Ordered | undefined} ordered
 * @param {boolean} byScheduler
 */
export function showStatus({ word, pause, stop }, trial, status, ordered, byScheduler) {
  word.className = `nbt-status nbt-${status}`;
  word.replaceChildren(make("span", { ariaHidden: "true", textContent: SIGNS[status] ?? "" }), statusWord(status));
  word.title = status === "paused" ? `paused by ${byScheduler ? "the scheduler" : "you"}` : "";
  const stopping = ordered?.order === "stop";
  stop.hidden = !isLive(status);
  stop.textContent = stopping ? (ordered.taken ? TAKEN.stop : "waiting…") : "Stop";
  stop.ariaLabel = `${stop.textContent} trial ${trial}`;
  stop.ariaDisabled = String(stopping); // unlike disabled, it keeps the focus
  const label = pauseLabel(status, ordered, byScheduler);
  const next = nextOrder(status, ordered, byScheduler);
  pause.hidden = !label;
  pause.textContent = label;
  pause.title =
    label === "Pause"
      ? "with its next checkpoint"
      : ordered?.order === "pause" && ordered.taken
        ? "it pauses with its next checkpoint; click to let it run on"
        : "";
  pause.ariaLabel = `${label} trial ${trial}`;
  pause.ariaDisabled = String(next === null);
}
