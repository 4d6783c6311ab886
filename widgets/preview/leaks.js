// Counts what views leave behind on the page: listeners on document and window, observers, intervals.

/** @type {Map<string, number>} */
const counts = new Map();

/**
 * @param {string} what
 * @param {number} by
 */
function count(what, by) {
  counts.set(what, (counts.get(what) ?? 0) + by);
}

/** Return the counts by kind; zeros are left out. */
export function leaks() {
  return Object.fromEntries([...counts].filter(([, number]) => number).sort());
}

for (const target of [window, document]) {
  const [add, remove] = [target.addEventListener, target.removeEventListener];
  const name = target.constructor.name;
  /** @type {{type: string, listener: any, capture: boolean}[]} */
  let listeners = [];
  const uncount = (/** @type {string} */ type, /** @type {any} */ listener, /** @type {boolean} */ capture) => {
    const before = listeners.length;
    listeners = listeners.filter((one) => one.type !== type || one.listener !== listener || one.capture !== capture);
    count(`${name} ${type}`, listeners.length - before);
  };
  Object.assign(target, {
    /** @param {string} type @param {any} listener @param {any} [options] */
    addEventListener(type, listener, options) {
      add.call(target, type, listener, options);
      const capture = Boolean(typeof options === "object" ? options?.capture : options);
      if (options?.once || options?.signal?.aborted) return;
      if (listeners.some((one) => one.type === type && one.listener === listener && one.capture === capture)) return;
      listeners.push({ type, listener, capture });
      count(`${name} ${type}`, 1);
      options?.signal?.addEventListener("abort", () => uncount(type, listener, capture));
    },
    /** @param {string} type @param {any} listener @param {any} [options] */
    removeEventListener(type, listener, options) {
      remove.call(target, type, listener, options);
      uncount(type, listener, Boolean(typeof options === "object" ? options?.capture : options));
    },
  });
}

for (const name of /** @type {const} */ (["ResizeObserver", "IntersectionObserver", "MutationObserver"])) {
  const Observer = /** @type {any} */ (globalThis[name]);
  /** @type {any} */ (globalThis)[name] = class extends Observer {
    #watched = new Set();
    /** @param {any} target @param {any} [options] */
    observe(target, options) {
      if (!this.#watched.has(target)) count(name, 1);
      this.#watched.add(target);
      super.observe(target, options);
    }
    /** @param {any} target */
    unobserve(target) {
      if (this.#watched.delete(target)) count(name, -1);
      super.unobserve(target);
    }
    disconnect() {
      count(name, -this.#watched.size);
      this.#watched.clear();
      super.disconnect();
    }
  };
}

const [set, clear] = [globalThis.setInterval, globalThis.clearInterval];
const intervals = new Set();
Object.assign(globalThis, {
  /** @param {any[]} args */
  setInterval(...args) {
    const id = /** @type {any} */ (set)(...args);
    intervals.add(id);
    count("interval", 1);
    return id;
  },
  /** @param {number} id */
  clearInterval(id) {
    if (intervals.delete(id)) count("interval", -1);
    clear(id);
  },
});
