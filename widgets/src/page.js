// What the widgets share: errors that are shown and told, elements, numbers, the page's plotly.js.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */

/** @param {number} value */
export function format(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return String(value);
  if (size >= 1e4 && size < 1e6) return value.toFixed(0);
  if (size >= 1e-4 && size < 1e4) return String(Number(value.toPrecision(4)));
  return String(Number(value.toPrecision(4)).toExponential()).replace(/e([+-])(\d)$/, "e$10$2");
}

/**
 * A trial's text as plotly shows it letter by letter.
 * @param {string} text
 */
export function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * The page's plotly.js; asked for once.
 * @param {AnyModel} model
 */
export function plotly(model) {
  const page = /** @type {any} */ (globalThis);
  if (!page.__nbtunePlotly) {
    expectPlotly();
    model.send({ type: "plotly" });
  }
  return page.__nbtunePlotly;
}

function expectPlotly() {
  const page = /** @type {any} */ (globalThis);
  page.__nbtunePlotly ??= new Promise((resolve, reject) => {
    page.__nbtunePlotlyArrived = { resolve, reject };
  });
}

/** @param {DataView} packed the gzipped file */
export async function takePlotly(packed) {
  expectPlotly();
  const page = /** @type {any} */ (globalThis);
  const arrived = page.__nbtunePlotlyArrived;
  if (!arrived) return;
  page.__nbtunePlotlyArrived = null; // the first to come is taken
  try {
    const stream = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const text = await new Response(stream).text();
    const module = { exports: /** @type {any} */ ({}) };
    // As a CommonJS module: a page with an AMD loader would keep it to itself.
    new Function("module", "exports", "define", `${text}\n//# sourceURL=nbtune-plotly.js`)(module, module.exports);
    arrived.resolve(module.exports);
  } catch (error) {
    arrived.reject(error);
    throw error;
  }
}

/**
 * Run something; what it throws is shown and told to Python.
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
    model.send({ type: "error", where, message: String(error), stack: error?.stack ?? "" });
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
