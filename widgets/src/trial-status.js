// A trial's status with its sign, and the button that stops it: in its row and in its detail. See ../README.md.

import { make } from "./page.js";
import { isLive, statusWord } from "./trial-rows.js";

/** @typedef {{word: HTMLElement, stop: HTMLButtonElement}} Status */

/** @type {Record<string, string>} */
const SIGNS = { pending: "○", running: "●", finished: "✓", stopped: "■", failed: "✗" };

/** @returns {Status} */
export const makeStatus = () => ({
  word: make("span"),
  stop: make("button", { type: "button", className: "nbt-stop" }),
});

/**
 * @param {Status} shown
 * @param {number} trial
 * @param {string} status
 * @param {string | undefined} stopping what its button says once it has been pressed
 */
export function showStatus({ word, stop }, trial, status, stopping) {
  word.className = `nbt-status nbt-${status}`;
  word.replaceChildren(make("span", { ariaHidden: "true", textContent: SIGNS[status] ?? "" }), statusWord(status));
  stop.hidden = !isLive(status);
  stop.textContent = stopping ?? "Stop";
  stop.ariaLabel = `${stop.textContent} trial ${trial}`;
  stop.ariaDisabled = String(stopping !== undefined); // unlike disabled, it keeps the focus
}

/**
 * Show a text, or hide its element.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function showText(element, text) {
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}
