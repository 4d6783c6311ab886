// From a widget's name to a model and its views, in the way and order of anywidget.

import { Model } from "./model.js";

/**
 * Fetch a widget's text as Python sends it.
 * @param {string} file
 */
export async function fetched(file) {
  const answer = await fetch(`widget/${file}`);
  if (!answer.ok) throw new Error(`${file}: ${answer.statusText}`);
  return answer.text();
}

export class Widget {
  /** @type {any} */
  #definition;
  #ending = new AbortController();
  /** @type {((() => void) | object | undefined)} */
  #undo;
  /** @type {{remove: () => Promise<number>}[]} */
  views = [];

  /**
   * @param {string} name
   * @param {Record<string, any>} traits
   * @param {(message: any) => void} send
   */
  constructor(name, traits, send) {
    this.name = name;
    this.model = new Model(traits, send);
  }

  /** Load the module from its text, anew for each model, and initialize it. */
  async start() {
    const text = `${await fetched(`${this.name}.js`)}\n//# sourceURL=${this.name}.js`;
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const module = await import(url);
    URL.revokeObjectURL(url);
    this.#definition = typeof module.default === "function" ? await module.default() : module.default;
    const context = { model: this.model.handedTo("initialize"), signal: this.#ending.signal };
    this.#undo = await this.#definition.initialize?.(context);
  }

  /**
   * Add a view. Removing it returns how many of its listeners are still on the model.
   * @param {HTMLElement} el
   */
  async show(el) {
    const context = {};
    const ending = new AbortController();
    const signal = AbortSignal.any([this.#ending.signal, ending.signal]);
    const undo = await this.#definition.render({ model: this.model.handedTo(context), el, signal });
    const view = {
      remove: async () => {
        this.views = this.views.filter((one) => one !== view);
        ending.abort();
        await undo?.();
        el.remove();
        return this.model.listeners(context);
      },
    };
    this.views.push(view);
    return view;
  }

  /** The model goes, and its views with it. */
  async destroy() {
    for (const view of this.views) await view.remove();
    this.#ending.abort();
    if (typeof this.#undo === "function") this.#undo();
    return this.model.listeners();
  }
}
