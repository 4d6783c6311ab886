// A model as anywidget gives it to a widget: traits and messages, without Jupyter.

/** @typedef {{name: string, callback: (...args: any[]) => void, context: unknown}} Listener */

export class Model {
  /** @type {Listener[]} */
  #listeners = [];
  /** @type {Record<string, any>} */
  #traits;
  /** @type {Record<string, any>} */
  #unsaved = {};
  #send;

  /**
   * @param {Record<string, any>} traits
   * @param {(message: any) => void} send takes the messages to the kernel; traits are sent as {type: "traits", …}
   */
  constructor(traits, send) {
    this.#traits = traits;
    this.#send = send;
  }

  /** @param {string} name */
  get(name) {
    return this.#traits[name];
  }

  /**
   * Listeners are called if the value differs, as in Backbone.
   * @param {string} name
   * @param {any} value
   */
  set(name, value) {
    if (JSON.stringify(value) === JSON.stringify(this.#traits[name])) return;
    this.#traits[name] = this.#unsaved[name] = value;
    this.emit(`change:${name}`, this, value);
    this.emit("change", this);
  }

  save_changes() {
    const changed = this.#unsaved;
    this.#unsaved = {};
    if (Object.keys(changed).length) this.#send({ type: "traits", ...JSON.parse(JSON.stringify(changed)) });
  }

  /**
   * Set traits as the kernel does.
   * @param {Record<string, any>} traits
   */
  update(traits) {
    for (const [name, value] of Object.entries(JSON.parse(JSON.stringify(traits)))) {
      this.set(name, value);
      delete this.#unsaved[name];
    }
  }

  /**
   * Take a message of the kernel. Its buffers are parts of a larger one, as a websocket's are.
   * @param {any} message
   * @param {ArrayBufferView[]} [buffers]
   */
  receive(message, buffers = []) {
    const views = buffers.map((buffer) => {
      const bytes = new Uint8Array(buffer.byteLength + 3);
      bytes.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), 3);
      return new DataView(bytes.buffer, 3);
    });
    this.emit("msg:custom", JSON.parse(JSON.stringify(message)), views);
  }

  /**
   * @param {string} name
   * @param {...any} args
   */
  emit(name, ...args) {
    for (const listener of this.#listeners.filter((one) => one.name === name)) {
      try {
        listener.callback(...args);
      } catch (error) {
        reportError(error);
      }
    }
  }

  /**
   * Return the number of listeners: of one view, or of all.
   * @param {unknown} [context]
   */
  listeners(context) {
    return this.#listeners.filter((one) => context === undefined || one.context === context).length;
  }

  /**
   * Return the model as anywidget does: a separate object for `initialize` and for each view.
   * @param {unknown} context
   */
  handedTo(context) {
    return {
      get: (/** @type {string} */ name) => this.get(name),
      set: (/** @type {string} */ name, /** @type {any} */ value) => this.set(name, value),
      save_changes: () => this.save_changes(),
      send: (/** @type {any} */ message) => this.#send(JSON.parse(JSON.stringify(message))),
      on: (/** @type {string} */ name, /** @type {(...args: any[]) => void} */ callback) => {
        for (const one of name.split(" ")) this.#listeners.push({ name: one, callback, context });
      },
      off: (/** @type {string | null} */ name, /** @type {((...args: any[]) => void) | null} */ callback) => {
        const names = name?.split(" ");
        this.#listeners = this.#listeners.filter(
          (one) =>
            one.context !== context ||
            (names && !names.includes(one.name)) ||
            (callback && one.callback !== callback) ||
            false,
        );
      },
    };
  }
}
