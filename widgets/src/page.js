// What the widgets share: errors that are shown and told, elements, numbers, statuses, the page's plotly.js.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */

const AGAIN = 10_000; // milliseconds after which plotly.js is asked for again

/**
 * A cell as text; a number with four significant digits, as `nbtune.views.text.number` writes it.
 * @param {number | string | boolean | null | undefined} cell
 * @returns {string}
 */
export function format(cell) {
  if (typeof cell === "boolean") return cell ? "True" : "False";
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
 * `toExponential(3)`, but of two that are equally near the even one, as Python rounds.
 * @param {number} value
 */
function fourDigits(value) {
  const halfway =
    value.toExponential(4).includes("5e") && /^(-?\d\.\d\d[02468])50+(e.*)$/.exec(value.toExponential(25));
  return halfway ? halfway[1] + halfway[2] : value.toExponential(3);
}

/**
 * A sign for each status of a trial or an experiment, so that no colour is the only one.
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
 * A trial's text as plotly shows it letter by letter.
 * @param {string} text
 */
export function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * The page's plotly.js. It is asked for once, and again by a later view if that has had no answer: the kernel
 * that was asked may be gone.
 * @param {AnyModel} model
 */
export function plotly(model) {
  const page = expectPlotly();
  if (page.__nbtunePlotlyArrived && !(performance.now() - page.__nbtunePlotlyAsked < AGAIN)) {
    page.__nbtunePlotlyAsked = performance.now();
    model.send({ type: "plotly" });
  }
  return page.__nbtunePlotly;
}

function expectPlotly() {
  const page = /** @type {any} */ (globalThis);
  page.__nbtunePlotly ??= new Promise((resolve, reject) => {
    page.__nbtunePlotlyArrived = { resolve, reject };
  });
  return page;
}

/** @param {DataView} packed the gzipped file */
export async function takePlotly(packed) {
  const page = expectPlotly();
  const arrived = page.__nbtunePlotlyArrived;
  if (!arrived) return;
  page.__nbtunePlotlyArrived = null; // the first to come is taken
  const own = page.Plotly; // the page's, which plotly.js would replace
  try {
    const stream = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const text = await new Response(stream).text();
    const module = { exports: /** @type {any} */ ({}) };
    // As a CommonJS module: a page with an AMD loader would keep it to itself.
    new Function("module", "exports", "define", `${text}\n//# sourceURL=nbtune-plotly.js`)(module, module.exports);
    arrived.resolve(module.exports);
  } catch (error) {
    page.__nbtunePlotly = undefined; // the next that needs it asks again
    arrived.reject(error);
    throw error;
  } finally {
    page.Plotly = own;
  }
}

/** @type {WeakMap<AnyModel, Map<string, string>>} of each model: where -> which error Python was last told from there */
const lastTold = new WeakMap();

/**
 * Run something; what it throws is shown and told to Python, once if it is thrown again and again.
 * @template T
 * @param {AnyModel} model
 * @param {string} where
 * @param {(text: string) => void} show
 * @param {() => T} run
 * @returns {T | undefined}
 */
export function guard(model, where, show, run) {
  const failed = (/** @type {any} */ error) => {
    show(`This view met an error (${where}): ${error?.message ?? error}`);
    const told = lastTold.get(model) ?? new Map();
    const message = String(error);
    if (told.get(where) === message) return;
    lastTold.set(model, told.set(where, message));
    try {
      model.send({ type: "error", where, message, stack: error?.stack ?? "" });
    } catch {
      // Without a kernel there is nobody to tell; the screen says it.
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

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {(Node | string)[]} [children]
 * @returns {any}
 */
export function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * Show a text, or hide its element. Nothing is set anew that is there: it would be read out and laid out again.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function showText(element, text) {
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}
