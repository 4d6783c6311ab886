// A trial's status with its sign, and its Stop and Pause buttons, in its row and in its detail. See ../README.md.

import { make, SIGNS } from "./page.js";
import { isLive, texts } from "./trial-rows.js";

/** @typedef {"stop" | "pause" | "resume"} Command */
/** @typedef {{command: Command, accepted: boolean}} PendingCommand accepted: whether the cluster has accepted it */
/** @typedef {{word: HTMLElement, acts: HTMLElement, pause: HTMLButtonElement, stop: HTMLButtonElement}} Status */

const ACCEPTED = { stop: "stopping…", pause: "pausing…", resume: "resuming…" };

/** @returns {Status} */
export function makeStatus() {
  const pause = make("button", { type: "button", className: "nbt-pause" });
  const stop = make("button", { type: "button", className: "nbt-stop" });
  return { word: make("span"), acts: make("span", { className: "nbt-acts" }, [pause, stop]), pause, stop };
}

/**
 * Return the command of a trial's Pause button, or null where it has none now.
 * @param {string | undefined} status
 * @param {PendingCommand | undefined} pending
 * @param {boolean} byScheduler whether the scheduler has paused it; then only the scheduler can resume it
 * @returns {Command | null}
 */
export function nextCommand(status, pending, byScheduler) {
  if (pending) return pending.command === "pause" && pending.accepted ? "resume" : null;
  if (status === "running") return "pause";
  return status === "paused" && !byScheduler ? "resume" : null;
}

/**
 * Return the label of a trial's Pause button; an empty string where it has none.
 * @param {string | undefined} status
 * @param {PendingCommand | undefined} pending
 * @param {boolean} byScheduler
 */
export function pauseLabel(status, pending, byScheduler) {
  if (status !== "running" && status !== "paused") return "";
  if (pending) return pending.command === "stop" ? "" : pending.accepted ? ACCEPTED[pending.command] : "waiting…";
  if (status === "running") return "Pause";
  return byScheduler ? "" : "Resume";
}

/**
 * @param {Status} shown
 * @param {number} trial
 * @param {Pick<import("./trial-store.js").Store, "rows" | "commands" | "byScheduler" | "closed">} store
 */
export function showStatus({ word, pause, stop }, trial, { rows, commands, byScheduler: waiting, closed }) {
  const row = rows.get(trial);
  const [status, words] = row ? [row[1], texts(row)[1]] : ["", ""];
  const [pending, byScheduler] = [commands.get(trial), waiting.has(trial)];
  word.className = `nbt-status nbt-${status}`;
  word.replaceChildren(
    make("span", { ariaHidden: "true", textContent: SIGNS[status] ?? "" }),
    make("span", { className: "nbt-word", textContent: words }),
  );
  word.title = status === "paused" ? `paused by ${byScheduler ? "the scheduler" : "you"}` : words;
  const stopping = pending?.command === "stop";
  stop.hidden = !isLive(status);
  stop.textContent = stopping ? (pending.accepted ? ACCEPTED.stop : "waiting…") : "Stop";
  stop.dataset.sign = stopping ? "…" : SIGNS.stopped;
  stop.ariaLabel = `${stop.textContent} trial ${trial}`;
  stop.ariaDisabled = String(stopping || closed); // unlike disabled, it keeps the focus
  const label = pauseLabel(status, pending, byScheduler);
  const next = nextCommand(status, pending, byScheduler);
  pause.hidden = !label;
  pause.textContent = label;
  stop.title = stop.textContent;
  pause.title =
    label === "Pause"
      ? "pause at the next checkpoint"
      : pending?.command === "pause" && pending.accepted
        ? "pauses at its next checkpoint; click to cancel"
        : label;
  pause.dataset.sign = label === "Pause" ? SIGNS.paused : label === "Resume" ? "▶" : "…";
  pause.ariaLabel = `${label} trial ${trial}`;
  pause.ariaDisabled = String(next === null || closed);
}
