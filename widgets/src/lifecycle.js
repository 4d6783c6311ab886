// The life cycle of all widgets: connecting a model, mounting its views, and disposing of both. See ../README.md.

import { guard, make, showText, takePlotly } from "./page.js";
import { makeRequests } from "./requests.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./requests.js").Requests} Requests */
/** @typedef {ReturnType<typeof makeView>} View */
/**
 * What every store has besides its widget's own state: `closed`, whether the connection to the kernel is closed;
 * `connected`, whether the kernel has ever sent something; `lastMessage`, when it last did; `messages`, how often;
 * `error`, what the latest message has thrown; `views`, the functions that draw the views; `visible`, the views that
 * are on the screen.
 * @typedef {{requests: Requests, closed: boolean, connected: boolean, lastMessage: number, messages: number,
 *   error: string, views: Set<(received?: boolean) => void>, visible: Set<object>,
 *   visibleTimer: ReturnType<typeof setInterval> | undefined}} Connection
 */
/**
 * What makes a widget. `receive` takes a custom message of the kernel; `stateTraits` are the traits that only the
 * kernel sets, and `receiveState` takes a change of one of them; `otherTraits` are those that the views share, and
 * `receiveOther` takes a change of one of them; `ready` asks for all data; `poll` keeps the kernel informed that a
 * view is visible; `render` builds a view.
 * @template {Connection} S
 * @typedef {{
 *   name: string,
 *   createStore: () => S,
 *   receive?: (store: S, message: any, buffers: DataView[], model: AnyModel) => any,
 *   stateTraits?: string[],
 *   receiveState?: (store: S, trait: string, model: AnyModel) => void,
 *   otherTraits?: string[],
 *   receiveOther?: (store: S, trait: string, model: AnyModel) => void,
 *   ready?: (store: S, model: AnyModel) => void,
 *   closed?: (store: S) => void,
 *   dispose?: (store: S) => void,
 *   poll?: boolean,
 *   render: (view: View, store: S) => void,
 * }} Definition
 */

const VISIBLE_INTERVAL = 2_000; // milliseconds between two messages that a view is visible
const DRAWING = "drawing";

/**
 * Return the factory that a widget's module exports, for anywidget.
 * @template {Connection} S
 * @param {Definition<S>} definition
 */
export const defineWidget = (definition) => () => {
  const store = definition.createStore();
  return {
    /** @param {{model: AnyModel, signal?: AbortSignal}} context */
    initialize({ model, signal }) {
      const dispose = connectModel(model, store, definition);
      signal?.addEventListener("abort", dispose, { once: true });
      return dispose;
    },
    /** @param {{model: AnyModel, el: HTMLElement, signal?: AbortSignal}} context */
    render({ model, el, signal }) {
      const view = makeView(model, el, store, definition);
      signal?.addEventListener("abort", view.dispose, { once: true, signal: view.signal });
      definition.render(view, store);
      return view.dispose;
    },
  };
};

/**
 * Return a model's store: the widget's own state, and what every widget has.
 * @template {object} S
 * @param {S} state
 * @param {(store: S & Connection, refusal: any) => void} [receive] takes the refusal of a request that has timed out
 * @returns {S & Connection}
 */
export function makeStore(state, receive = () => {}) {
  /** @type {any} */
  const store = Object.assign(state, {
    closed: false,
    connected: false,
    lastMessage: performance.now(),
    messages: 0,
    error: "",
    views: new Set(),
    visible: new Set(),
    visibleTimer: undefined,
    requests: makeRequests((refusal) => {
      receive(store, refusal);
      redraw(store);
    }),
  });
  return store;
}

/**
 * Draw all views of a model.
 * @param {{views: Set<(received?: boolean) => void>}} store
 * @param {boolean} [received] whether because of a message of the kernel
 */
export function redraw(store, received = false) {
  for (const draw of store.views) draw(received);
}

/**
 * Listen to a model and ask the kernel for its data. Returns the function that undoes it.
 * @template {Connection} S
 * @param {AnyModel} model
 * @param {S} store
 * @param {Omit<Definition<S>, "createStore" | "render">} definition
 */
export function connectModel(model, store, definition) {
  const { name, receive, receiveState, receiveOther } = definition;
  const show = (/** @type {string} */ text) => {
    store.error = text;
    redraw(store);
  };
  const guarded = (/** @type {string} */ where, /** @type {(...args: any[]) => any} */ run) => {
    return (/** @type {any[]} */ ...args) => guard(model, `${name}: ${where}`, show, () => run(...args));
  };
  /** Handle something from the kernel: it is alive, and errors of earlier messages are out of date. */
  const received = (/** @type {string} */ where, /** @type {(...args: any[]) => any} */ run) =>
    guarded(where, (...args) => {
      Object.assign(store, { closed: false, connected: true, lastMessage: performance.now() });
      const result = run(...args);
      store.messages++;
      store.error = "";
      redraw(store, true);
      return result;
    });
  const custom = received("message", (message, buffers) => {
    store.requests.receive(message);
    if (message?.type === "plotly") return takePlotly(buffers[0]);
    return receive?.(store, message, buffers, model);
  });
  const close = guarded("closing", () => {
    store.closed = true;
    store.requests.close();
    definition.closed?.(store);
    redraw(store);
  });
  /** @type {[any, (...args: any[]) => void][]} */
  const listeners = [
    ["msg:custom", custom],
    ["comm_live_update", close],
  ];
  for (const trait of definition.stateTraits ?? [])
    listeners.push([`change:${trait}`, received(trait, () => receiveState?.(store, trait, model))]);
  for (const trait of definition.otherTraits ?? []) {
    const changed = guarded(trait, () => {
      receiveOther?.(store, trait, model);
      redraw(store);
    });
    listeners.push([`change:${trait}`, changed]);
  }
  for (const [event, listener] of listeners) model.on(event, listener);
  guarded("ready", () => (definition.ready ? definition.ready(store, model) : model.send({ type: "ready" })))();
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    store.requests.dispose();
    clearInterval(store.visibleTimer);
    definition.dispose?.(store);
  };
}

/**
 * Note whether a view is visible. As long as one is, the kernel is told so every two seconds.
 * @param {AnyModel} model
 * @param {Connection} store
 * @param {string} name of the widget, for errors
 * @param {object} view
 * @param {boolean} visible
 */
function setVisible(model, store, name, view, visible) {
  if (visible && !store.visible.size) store.lastMessage = performance.now(); // the kernel has sent nothing until now
  if (visible) store.visible.add(view);
  else store.visible.delete(view);
  if (!store.visible.size) {
    clearInterval(store.visibleTimer);
    store.visibleTimer = undefined;
  } else if (store.visibleTimer === undefined) {
    const send = () =>
      guard(
        model,
        `${name}: visible`,
        () => {},
        () => model.send({ type: "visible" }),
      );
    store.visibleTimer = setInterval(send, VISIBLE_INTERVAL);
    send();
  }
}

/**
 * One view of a model. Whatever is added by its methods is removed by `dispose`.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Connection} store
 * @param {{name: string, poll?: boolean}} definition
 */
function makeView(model, el, store, { name, poll = false }) {
  const control = new AbortController();
  const { signal } = control;
  const error = make("div", { className: "nbt-error", role: "alert", hidden: true });
  /** @type {Map<string, string>} */
  const errors = new Map(); // where -> what was thrown there
  let [onScreen, messages] = [false, 0];

  const showErrors = () => showText(error, [store.error, ...new Set(errors.values())].filter(Boolean).join("\n"));

  /**
   * Return a function that does the same, but shows what it throws and reports it to the kernel.
   * @param {string} where
   * @param {(...args: any[]) => any} run
   */
  function guarded(where, run) {
    const show = (/** @type {string} */ text) => {
      errors.set(where, text);
      showErrors();
    };
    return (/** @type {any[]} */ ...args) =>
      guard(model, `${name}: ${where}`, show, () => {
        const result = run(...args);
        if (!(result instanceof Promise) && errors.delete(where)) showErrors();
        return result;
      });
  }

  /** @param {() => void} undo */
  const onDispose = (undo) => signal.addEventListener("abort", undo, { once: true });

  /** @param {EventTarget} target @param {string} type @param {(event: any) => any} call */
  const on = (target, type, call) => target.addEventListener(type, guarded(type, call), { signal });

  const isVisible = () => onScreen && !document.hidden && !signal.aborted;

  return {
    model,
    error,
    signal,
    guarded,
    on,
    onDispose,
    isVisible,

    /**
     * Call something when the colours of the page may have changed.
     * @param {() => void} call
     */
    onThemeChange(call) {
      const observer = new MutationObserver(call);
      const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"];
      for (const node of [document.body, document.documentElement])
        observer.observe(node, { attributes: true, attributeFilter });
      onDispose(() => observer.disconnect());
    },

    /**
     * Call something when an element changes its size.
     * @param {Element} element
     * @param {() => void} call
     */
    onResize(element, call) {
      const observer = new ResizeObserver(call);
      observer.observe(element);
      onDispose(() => observer.disconnect());
    },

    /**
     * Send a request to the kernel.
     * @param {object} message
     * @param {number} [timeout] milliseconds
     */
    send: (message, timeout) => store.requests.send(model, message, timeout),

    /**
     * Put the view on the page and draw it, now and at each change.
     * @param {HTMLElement} root
     * @param {(received: boolean) => void} draw
     * @param {(visible: boolean) => void} [onVisibility] called when the view becomes visible or hidden
     */
    mount(root, draw, onVisibility) {
      const guardedDraw = guarded(DRAWING, draw);
      const update = (received = false) => {
        if (messages !== store.messages) for (const where of errors.keys()) if (where !== DRAWING) errors.delete(where);
        messages = store.messages;
        guardedDraw(received);
        showErrors();
      };
      const visibility = guarded("visibility", () => {
        if (poll) setVisible(model, store, name, root, isVisible());
        onVisibility?.(isVisible());
      });
      const observer = new IntersectionObserver((entries) => {
        onScreen = entries[entries.length - 1].isIntersecting;
        visibility();
      });
      el.append(root);
      observer.observe(root);
      document.addEventListener("visibilitychange", visibility, { signal });
      store.views.add(update);
      onDispose(() => {
        store.views.delete(update);
        observer.disconnect();
        if (poll) setVisible(model, store, name, root, false);
        root.remove();
      });
      update();
    },

    dispose: () => control.abort(),
  };
}
