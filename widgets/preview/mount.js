// Creates a model and its views from a widget's name, in the order in which anywidget does it.

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
  #control = new AbortController();
  /** @type {((() => void) | object | undefined)} */
  #dispose;
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
    const context = { model: this.model.handedTo("initialize"), signal: this.#control.signal };
    this.#dispose = await this.#definition.initialize?.(context);
  }

  /**
   * Add a view. Removing it returns how many of its listeners are still on the model.
   * @param {HTMLElement} el
   */
  async show(el) {
    const context = {};
    const control = new AbortController();
    const signal = AbortSignal.any([this.#control.signal, control.signal]);
    const dispose = await this.#definition.render({ model: this.model.handedTo(context), el, signal });
    const view = {
      remove: async () => {
        this.views = this.views.filter((one) => one !== view);
        control.abort();
        await dispose?.();
        el.remove();
        return this.model.listeners(context);
      },
    };
    this.views.push(view);
    return view;
  }

  /** Dispose of the model and its views. */
  async destroy() {
    for (const view of this.views) await view.remove();
    this.#control.abort();
    if (typeof this.#dispose === "function") this.#dispose();
    return this.model.listeners();
  }
}
