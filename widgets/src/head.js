// The head: what an experiment is called, how far it is, what is best, and the button that stops it. See ../README.md.

import { guard, make } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {ReturnType<typeof begin>} Store */

const SIGNS = { pending: "○", running: "●", finished: "✓", stopped: "■", failed: "✗", lost: "✗" };
const ORDER = ["running", "finished", "stopped", "failed"];
const SILENCE = 10;
const CONFIRM = 5;

/** What all views of a model share: when its state came, when the kernel was last heard, whether it ever was, how far a stop has come. */
const begin = () => ({
  at: performance.now(),
  heard: performance.now(),
  closed: false,
  met: false,
  stop: /** @type {"" | "asking" | "waiting" | "stopping"} */ (""),
  message: "",
  error: "",
  views: /** @type {Set<() => void>} */ (new Set()),
});

/** @param {string} status */
export const word = (status) => (status === "stopped" ? "stopped early" : status);

/**
 * Return seconds as m:ss or h:mm:ss.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * Return the counts as text: those that are zero are left out, but "running" stays while it runs.
 * @param {Record<string, number>} counts
 * @param {boolean} live
 */
export function countText(counts, live) {
  const shown = ORDER.filter((status) => counts?.[status] || (live && status === "running"));
  return shown.map((status) => `${counts?.[status] ?? 0} ${word(status)}`).join(" · ");
}

/**
 * Return the bar's segments in their order, with each one's share of the whole.
 * @param {Record<string, number>} counts
 * @param {number} total
 * @returns {[string, number][]}
 */
export function segments(counts, total) {
  const order = ["finished", "stopped", "failed", "running"];
  const sum = order.reduce((all, status) => all + (counts?.[status] ?? 0), 0);
  const whole = Math.max(total || 0, sum, 1);
  return order.map((status) => [status, (counts?.[status] ?? 0) / whole]);
}

/**
 * Return what to say of a silent kernel, or null: [before, how long, after].
 * @param {{ live: boolean, gone: string }} state
 * @param {boolean} closed whether the connection is known to be closed
 * @param {number} silent seconds since the kernel's last word
 * @returns {[string, string, string] | null}
 */
export function silence(state, closed, silent) {
  if (!state.live || (!closed && silent < SILENCE)) return null;
  const after = state.gone ? ` ${state.gone}` : "";
  if (closed) return ["The kernel is gone.", "", after];
  return ["No word from the kernel for ", silent < 60 ? `${Math.floor(silent)} s` : duration(silent), `.${after}`];
}

/** Set a text only where it differs, so that nothing is read out or laid out again for nothing.
 * @param {HTMLElement} node @param {string} text @param {string} [title] */
function put(node, text, title) {
  if (node.textContent !== text) node.textContent = text;
  if (title !== undefined && node.title !== title) node.title = title;
  node.hidden = !text;
}

/**
 * Return a function that does the same, but shows in the widget and tells Python what it throws.
 * @param {AnyModel} model
 * @param {Store} store
 * @param {string} where
 * @param {(...args: any[]) => void} call
 */
function safely(model, store, where, call) {
  const show = (/** @type {string} */ text) => {
    store.error = text;
    if (where !== "view") for (const view of store.views) view();
  };
  return (/** @type {any[]} */ ...args) => {
    try {
      guard(model, `head: ${where}`, show, () => call(...args));
    } catch {
      // Python could not be told, since the kernel is gone; the screen says it.
    }
  };
}

/**
 * @param {AnyModel} model
 * @param {Store} store
 */
function listen(model, store) {
  const heard = () => {
    store.heard = performance.now();
    store.closed = false;
    store.met = true;
  };
  /** @type {Record<string, (...args: any[]) => void>} */
  const events = {
    "change:state": () => {
      heard();
      store.at = store.heard;
      store.error = "";
      if (!model.get("state")?.live) store.stop = store.message = "";
    },
    "change:alive": heard,
    "msg:custom": (message) => {
      heard();
      if (message?.type === "stopping") store.stop = "stopping";
      if (message?.type === "refused") [store.stop, store.message] = ["", `Not stopped: ${message.message}`];
    },
    comm_live_update: () => {
      store.closed = true;
    },
  };
  /** @type {[any, () => void][]} */
  const bound = Object.entries(events).map(([name, call]) => [
    name,
    safely(model, store, name, (...args) => {
      call(...args);
      for (const view of store.views) view();
    }),
  ]);
  for (const [name, call] of bound) model.on(name, call);
  safely(model, store, "ready", () => model.send({ type: "ready" }))();
  return () => {
    for (const [name, call] of bound) model.off(name, call);
  };
}

/**
 * One view of the head.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {AbortSignal} [signal]
 */
function view(model, el, store, signal) {
  const control = new AbortController();
  const end = () => control.abort();
  signal?.addEventListener("abort", end, { once: true });

  const root = make("div", { className: "nbt nbt-head", role: "group" });
  const gone = make("div", { className: "nbt-head-gone", role: "alert" });
  const goneParts = [make("span"), make("span", { ariaLive: "off" }), make("span")];
  const main = make("div", { className: "nbt-head-main" });
  const name = make("span", { className: "nbt-head-name" });
  const status = make("span", { className: "nbt-head-status" });
  const bar = make("div", { className: "nbt-head-bar", role: "progressbar", ariaLabel: "progress", ariaValueMin: "0" });
  const over = make("span", { className: "nbt-head-over" });
  const counts = make("span", { className: "nbt-head-counts" });
  const stop = make("span", { className: "nbt-head-stop" });
  const button = make("button", { type: "button" });
  const ask = make("span", { className: "nbt-head-ask", role: "group", ariaLabel: "Stop all trials?" });
  const yes = make("button", { type: "button", textContent: "Yes" });
  const no = make("button", { type: "button", textContent: "No" });
  const best = make("div", { className: "nbt-head-best" });
  const value = make("span", { className: "nbt-head-value" });
  const metric = make("span");
  const number = make("span");
  const params = make("span", { className: "nbt-head-params" });
  const trial = make("span", { className: "nbt-head-trial" });
  const times = make("div", { className: "nbt-head-times" });
  const [elapsed, left, atOnce] = [
    make("span", { className: "nbt-head-elapsed" }),
    make("span", { className: "nbt-head-left" }),
    make("span"),
  ];
  const hint = make("div", { className: "nbt-head-hint" });
  const refused = make("div", { className: "nbt-head-refused", role: "status" });
  const failed = make("div", { className: "nbt-error", role: "alert" });
  const said = make("div", { className: "nbt-sr", ariaLive: "polite" });
  const parts = segments({}, 1).map(([key]) => make("i", { className: `nbt-head-${key}` }));
  gone.append(...goneParts);
  bar.append(...parts);
  ask.append("Stop all trials?", yes, no);
  stop.append(button, ask);
  best.append(value, params, trial);
  times.append(elapsed, left, atOnce);
  value.append(metric, number);
  const first = make("div", { className: "nbt-head-first" }, [name, status, bar, over, counts, stop]);
  const second = make("div", { className: "nbt-head-second" }, [best, times, hint]);
  main.append(first, second);
  root.append(gone, main, refused, failed, said);
  el.append(root);

  let spoken = "";
  let bests = "";
  const draw = safely(model, store, "view", () => {
    const state = model.get("state") ?? {};
    const now = performance.now();
    const live = Boolean(state.live);
    const lost = silence({ live, gone: state.gone ?? "" }, store.closed, (now - store.heard) / 1000);
    // What was heard here stays the better view when the kernel is gone; one from a file was never alive.
    root.classList.toggle("nbt-live", store.met || (live && !lost));
    root.classList.toggle("nbt-gone", Boolean(lost));
    gone.hidden = !lost;
    goneParts.forEach((part, i) => void put(part, lost?.[i] ?? ""));

    const kind = String(state.status ?? "pending");
    const shown = `${/** @type {any} */ (SIGNS)[kind] ?? "○"} ${kind}`;
    root.ariaLabel = `experiment ${state.name ?? ""}`;
    put(name, String(state.name ?? ""), String(state.name ?? ""));
    put(status, shown);
    status.dataset.status = hint.dataset.status = kind;

    const total = state.total ?? 0;
    const text = `${state.over ?? 0} of ${total}`;
    const tally = countText(state.counts, live);
    put(over, text);
    over.style.minWidth = `${2 * String(total).length + 4}ch`;
    put(counts, tally, tally);
    bar.ariaValueNow = String(state.over ?? 0);
    bar.ariaValueMax = String(total);
    bar.ariaValueText = `${text} trials${tally ? `: ${tally}` : ""}`;
    bar.title = tally;
    segments(state.counts, total).forEach(([, share], i) => {
      parts[i].hidden = !share;
      parts[i].style.flexGrow = String(share);
    });

    const top = state.best;
    put(metric, top ? `★ best ${top.metric}` : "", String(top?.metric ?? ""));
    put(number, String(top?.value ?? ""), String(top?.value ?? ""));
    put(trial, top ? `(trial ${top.trial})` : "");
    const pairs = /** @type {[string, string][]} */ (top?.params ?? []);
    if (bests !== JSON.stringify(pairs)) {
      bests = JSON.stringify(pairs);
      params.title = pairs.map(([key, text]) => `${key} ${text}`).join("\n");
      params.replaceChildren();
      for (const [key, text] of pairs) {
        const pair = make("span");
        const label = make("span", { className: "nbt-head-key" });
        label.textContent = key;
        pair.append(label, ` ${text}`);
        params.append(pair, " ");
      }
    }
    best.hidden = !top;
    put(hint, String(state.hint ?? ""), String(state.hint ?? ""));
    main.classList.toggle("nbt-head-empty", !top);

    const since = live ? ((lost ? store.heard : now) - store.at) / 1000 : 0;
    const rest = live && !lost && state.left != null ? Math.max(1, state.left - since) : null;
    put(elapsed, duration((state.elapsed ?? 0) + Math.max(0, since)));
    put(left, rest === null ? "" : `about ${duration(rest)} left`);
    left.hidden = !live || state.at_once == null;
    put(atOnce, live && state.at_once != null ? `${state.at_once} at once` : "");

    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    stop.hidden = !live;
    ask.hidden = store.stop !== "asking";
    button.disabled = store.closed || store.stop === "waiting" || store.stop === "stopping";
    put(button, { "": "Stop", asking: "Stop", waiting: "waiting for the kernel…", stopping: "stopping…" }[store.stop]);
    button.hidden = store.stop === "asking";
    if (focused && !ask.hidden && focused === button) no.focus();
    if (focused && ask.hidden && (focused === yes || focused === no)) button.focus();
    main.classList.toggle("nbt-head-asked", live && store.stop !== "");
    put(refused, store.message);

    const say = `${state.name ?? ""}: ${kind}${live && store.stop === "stopping" ? ", stopping" : ""}`;
    if (spoken && spoken !== say) said.textContent = `${say}, ${text} trials`;
    spoken = say;
  });
  const update = () => {
    draw();
    put(failed, store.error);
  };

  /** Each handler of this view is guarded, and goes with it.
   * @param {EventTarget} target @param {string} type @param {(event: any) => void} call */
  const on = (target, type, call) =>
    target.addEventListener(type, safely(model, store, type, call), { signal: control.signal });
  const all = () => {
    for (const view of store.views) view();
  };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let asked;
  const keep = () => {
    clearTimeout(asked);
    if (store.stop === "asking") store.stop = "";
    all();
  };
  on(button, "click", () => {
    [store.stop, store.message] = ["asking", ""];
    asked = setTimeout(keep, CONFIRM * 1000);
    all();
  });
  on(no, "click", keep);
  on(ask, "keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    keep();
  });
  on(yes, "click", () => {
    clearTimeout(asked);
    store.stop = "waiting";
    all();
    model.send({ type: "stop" });
  });

  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  let onScreen = true;
  const wanted = () => onScreen && !document.hidden && Boolean(model.get("state")?.live);
  const tick = () => {
    if (wanted()) update();
    else timer = void clearInterval(timer);
  };
  const start = () => {
    if (!wanted() || control.signal.aborted) return;
    update();
    timer ??= setInterval(tick, 1000);
  };
  /** What the model's events call: while nobody sees it, only what costs nothing is done. */
  const shown = () => {
    update();
    start();
  };
  const observer = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    start();
  });
  observer.observe(root);
  on(document, "visibilitychange", start);
  store.views.add(shown);
  control.signal.addEventListener("abort", () => {
    store.views.delete(shown);
    observer.disconnect();
    clearInterval(timer);
    clearTimeout(asked);
    if (store.stop === "asking") store.stop = "";
    root.remove();
  });
  shown();
  return end;
}

export default () => {
  const store = begin();
  return {
    /** @param {{model: AnyModel, signal?: AbortSignal}} context */
    initialize({ model, signal }) {
      const end = listen(model, store);
      signal?.addEventListener("abort", end);
      return end;
    },
    /** @param {{model: AnyModel, el: HTMLElement, signal?: AbortSignal}} context */
    render: ({ model, el, signal }) => view(model, el, store, signal),
  };
};
