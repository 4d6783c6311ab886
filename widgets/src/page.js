// What the widgets share: error handling, elements, numbers, statuses, and plotly.js, which a page loads once.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */

const RETRY_DELAY = 10_000; // milliseconds after which plotly.js is requested again

/**
 * Return a cell as text, `None` for null; numbers have four significant digits, as in `nbtune.views.text.number`.
 * @param {number | string | boolean | null | undefined} cell
 * @returns {string}
 */
export function format(cell) {
  if (typeof cell === "boolean") return cell ? "True" : "False";
  if (cell === null) return "None";
  if (typeof cell !== "number") return cell ?? "";
  const size = Math.abs(cell);
  if (!Number.isFinite(cell) || (Number.isInteger(cell) && size < 1e15)) return String(cell);
  if (size >= 1e3 && size < 1e6) return (size % 1 === 0.5 ? 2 * Math.round(cell / 2) : cell).toFixed(0);
  const rounded = fourDigits(cell);
  const [digits, power] = rounded.split("e");
  if (Number(power) >= -4 && Number(power) < 3) return String(Number(rounded));
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

/**
 * `toExponential(3)`, but rounding half to even as Python does.
 * @param {number} value
 */
function fourDigits(value) {
  const halfway =
    value.toExponential(4).includes("5e") && /^(-?\d\.\d\d[02468])50+(e.*)$/.exec(value.toExponential(25));
  return halfway ? halfway[1] + halfway[2] : value.toExponential(3);
}

/**
 * A sign for each status of a trial or an experiment: colour must not be the only distinction.
 * @type {Record<string, string>}
 */
export const SIGNS = {
  pending: "○",
  running: "●",
  paused: "‖",
  finished: "✓",
  stopped: "■",
  failed: "✗",
  lost: "✗",
  unread: "✗",
  unfinished: "◐",
};

/** @param {string} status of a trial */
export const statusWord = (status) => (status === "stopped" ? "stopped early" : status);

/**
 * Escape the user's text for plotly, which reads some HTML.
 * @param {string} text
 */
export function escaped(text) {
  return asShown(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * Return the promise of the page's plotly.js. It is requested once, and again by a later view if there was no answer:
 * the first kernel may have stopped.
 * @param {AnyModel} model
 */
export function plotly(model) {
  const page = expectPlotly();
  if (page.__nbtunePlotlyPromise && !(performance.now() - page.__nbtunePlotlyRequested < RETRY_DELAY)) {
    page.__nbtunePlotlyRequested = performance.now();
    model.send({ type: "plotly" });
  }
  return page.__nbtunePlotly;
}

function expectPlotly() {
  const page = /** @type {any} */ (globalThis);
  page.__nbtunePlotly ??= new Promise((resolve, reject) => {
    page.__nbtunePlotlyPromise = { resolve, reject };
  });
  return page;
}

/** @param {DataView} packed the gzipped file */
export async function takePlotly(packed) {
  const page = expectPlotly();
  const promise = page.__nbtunePlotlyPromise;
  if (!promise) return;
  page.__nbtunePlotlyPromise = null; // later copies are ignored
  const pagePlotly = page.Plotly; // another plotly.js on the page, which this one would replace
  try {
    const stream = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const text = await new Response(stream).text();
    const module = { exports: /** @type {any} */ ({}) };
    // As a CommonJS module: on a page with an AMD loader plotly.js would register itself there.
    new Function("module", "exports", "define", `${text}\n//# sourceURL=nbtune-plotly.js`)(module, module.exports);
    promise.resolve(module.exports);
  } catch (error) {
    page.__nbtunePlotly = undefined; // the next view requests it again
    promise.reject(error);
    throw error;
  } finally {
    page.Plotly = pagePlotly;
  }
}

/** @type {WeakMap<AnyModel, Map<string, string>>} model -> where -> the error that was last reported */
const lastReported = new WeakMap();

/**
 * Run a function; an exception is shown and reported to the kernel, once where it repeats.
 * @template T
 * @param {AnyModel} model
 * @param {string} where
 * @param {(text: string) => void} show
 * @param {() => T} run
 * @returns {T | undefined}
 */
export function guard(model, where, show, run) {
  const failed = (/** @type {any} */ error) => {
    show(`Error in this view (${where}): ${error?.message ?? error}`);
    const reported = lastReported.get(model) ?? new Map();
    const message = String(error);
    if (reported.get(where) === message) return;
    lastReported.set(model, reported.set(where, message));
    try {
      model.send({ type: "error", where, message, stack: error?.stack ?? "" });
    } catch {
      // There is no kernel to report to; the error is on the screen.
    }
  };
  try {
    const result = run();
    if (result instanceof Promise) result.catch(failed);
    return result;
  } catch (error) {
    failed(error);
  }
}

// Emoji and some scripts join characters. Between others, these would only make two texts look equal.
const HIDDEN =
  /(?<![^\0-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\0-\x7f\u200c\u200d])|(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Return a text as it is shown: invisible characters, controls, and overrides of the writing direction become U+FFFD.
 * Names, values and messages may come from others. Everything is shown by this function; `make` and `setText` call it.
 * @param {string} text
 */
export const asShown = (text) => text.replace(/\r\n/g, "\n").replace(HIDDEN, "\ufffd");

/**
 * Create an element.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {(Node | string)[]} [children]
 * @returns {any}
 */
export function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const name of ["textContent", "title", "ariaLabel"])
    if (typeof properties[name] === "string") element[name] = asShown(properties[name]);
  element.append(...children.map((child) => (typeof child === "string" ? asShown(child) : child)));
  return element;
}

/**
 * Set the text of an element. An equal text is not set again: screen readers would repeat it.
 * @param {Element} element
 * @param {string} text
 * @param {string} [title] of the element
 */
export function setText(element, text, title) {
  const shown = asShown(text);
  if (element.textContent !== shown) element.textContent = shown;
  if (title === undefined) return;
  const hint = asShown(title);
  const target = /** @type {HTMLElement} */ (element);
  if (target.title !== hint) target.title = hint;
}

/**
 * Show a text, or hide its element.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function showText(element, text) {
  element.hidden = !text;
  setText(element, text);
}
