// The head: what an experiment is called, how far it is, what is best, and what is ordered. See ../README.md.

import { makeButtons } from "./head-buttons.js";
import { makeSteer } from "./head-steer.js";
import { begin, listen, safely } from "./head-store.js";
import { atOnceText, countText, duration, leftText, segments, silence } from "./head-text.js";
import { make, SIGNS } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./head-store.js").Store} Store */

/** Set a text only where it differs, so that nothing is read out or laid out again for nothing.
 * @param {HTMLElement} node @param {string} text @param {string} [title] */
function put(node, text, title) {
  if (node.textContent !== text) node.textContent = text;
  if (title !== undefined && node.title !== title) node.title = title;
  node.hidden = !text;
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
  const best = make("div", { className: "nbt-head-best" });
  const value = make("span", { className: "nbt-head-value" });
  const metric = make("span");
  const number = make("span");
  const params = make("span", { className: "nbt-head-params" });
  const trial = make("span", { className: "nbt-head-trial" });
  const times = make("div", { className: "nbt-head-times" });
  const [elapsed, left, atOnce, howMany, limited] = [
    make("span", { className: "nbt-head-elapsed" }),
    make("span", { className: "nbt-head-left" }),
    make("span"),
    make("span"),
    make("span", { className: "nbt-head-limited" }),
  ];
  const hint = make("div", { className: "nbt-head-hint" });
  const refused = make("div", { className: "nbt-head-refused", role: "status" });
  const failed = make("div", { className: "nbt-error", role: "alert" });
  const said = make("div", { className: "nbt-sr", ariaLive: "polite" });
  const parts = segments({}, 1).map(([key]) => make("i", { className: `nbt-head-${key}` }));
  gone.append(...goneParts);
  bar.append(...parts);
  /** Each handler of this view is guarded, and goes with it.
   * @param {EventTarget} target @param {string} type @param {(event: any) => void} call */
  const on = (target, type, call) =>
    target.addEventListener(type, safely(model, store, type, call), { signal: control.signal });
  const send = (/** @type {object} */ message) => store.requests.ask(model, message);
  const buttons = makeButtons(store, send, on);
  const steer = makeSteer(store, send, on);
  buttons.root.prepend(steer.button);
  best.append(value, params, trial);
  atOnce.append(howMany, limited);
  times.append(elapsed, left, atOnce);
  value.append(metric, number);
  const first = make("div", { className: "nbt-head-first" }, [name, status, bar, over, counts, buttons.root]);
  const second = make("div", { className: "nbt-head-second" }, [best, times, hint]);
  main.append(first, second);
  root.append(gone, main, steer.panel, refused, failed, said);
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
    const shown = `${SIGNS[kind] ?? "○"} ${kind}`;
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
    put(elapsed, duration((state.elapsed ?? 0) + Math.max(0, since)));
    put(left, live && !lost && state.left ? leftText(state.left, since) : "");
    left.hidden = !live || state.concurrent == null;
    const [workers, limitedBy] = [String(state.workers ?? ""), String(state.limited_by ?? "")];
    const [many, limit] = atOnceText(live ? (state.concurrent ?? null) : null, workers, limitedBy);
    put(howMany, many);
    put(limited, limit);
    atOnce.hidden = !many;
    atOnce.title = many + limit;

    buttons.draw(state, live);
    steer.draw(state, live);
    main.dataset.asked = String((live && store.stop !== "") || store.again !== "");
    put(refused, store.message);

    const doing =
      live && store.stop === "stopping" ? ", stopping" : store.again.startsWith("resum") ? ", resuming" : "";
    const say = `${state.name ?? ""}: ${kind}${doing}`;
    if (spoken && spoken !== say) said.textContent = `${say}, ${text} trials`;
    spoken = say;
  });
  const update = () => {
    draw();
    put(failed, store.error);
  };

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
    buttons.end();
    steer.end();
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
