// The header of the dashboard: name, status, progress, best trial, times and buttons of the experiment. See ../README.md.

import { makeButtons } from "./header-buttons.js";
import { makeSteer } from "./header-steer.js";
import { createStore, receiveAnswer, receiveState } from "./header-store.js";
import { concurrencyText, countText, duration, originText, remainingText, segments, silence } from "./header-text.js";
import { defineWidget, redraw } from "./lifecycle.js";
import { asShown, make, SIGNS, setText } from "./page.js";
import { makePictures } from "./picture.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./header-store.js").Store} Store */

/** @param {HTMLElement} node @param {string} text @param {string} [title] */
function put(node, text, title) {
  setText(node, text, title);
  node.hidden = !text;
}

/**
 * Build one view of the header.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const { model } = view;
  const root = make("div", { className: "nbt nbt-header", role: "group" });
  const offline = make("div", { className: "nbt-header-offline", role: "alert" });
  const offlineParts = [make("span"), make("span", { ariaLive: "off" }), make("span")];
  const main = make("div", { className: "nbt-header-main" });
  const name = make("span", { className: "nbt-header-name" });
  const status = make("span", { className: "nbt-header-status" });
  const bar = make("div", {
    className: "nbt-header-bar",
    role: "progressbar",
    ariaLabel: "progress",
    ariaValueMin: "0",
  });
  const over = make("span", { className: "nbt-header-over" });
  const counts = make("span", { className: "nbt-header-counts" });
  const best = make("div", { className: "nbt-header-best" });
  const value = make("span", { className: "nbt-header-value" });
  const metric = make("span");
  const number = make("span");
  const params = make("span", { className: "nbt-header-params" });
  const trial = make("span", { className: "nbt-header-trial" });
  const times = make("div", { className: "nbt-header-times" });
  const [elapsed, remaining, concurrency, concurrent, limitedBy] = [
    make("span", { className: "nbt-header-elapsed" }),
    make("span", { className: "nbt-header-remaining" }),
    make("span"),
    make("span"),
    make("span", { className: "nbt-header-limited" }),
  ];
  const hint = make("div", { className: "nbt-header-hint" });
  const refusal = make("div", { className: "nbt-header-refusal", role: "status" });
  const announcement = make("div", { className: "nbt-sr", ariaLive: "polite" });
  const parts = segments({}, 1).map(([key]) => make("i", { className: `nbt-header-${key}` }));
  offline.append(...offlineParts);
  bar.append(...parts);
  const buttons = makeButtons(store, view, () => redraw(store));
  const steer = makeSteer(store, view, () => redraw(store));
  buttons.root.prepend(steer.button);
  best.append(value, params, trial);
  concurrency.append(concurrent, limitedBy);
  times.append(elapsed, remaining, concurrency);
  value.append(metric, number);
  const first = make("div", { className: "nbt-header-first" }, [name, status, bar, over, counts, buttons.root]);
  const second = make("div", { className: "nbt-header-second" }, [best, times, hint]);
  main.append(first, second);
  root.append(offline, main, steer.panel, refusal, view.error, announcement);

  let announced = "";
  let shownParameters = "";
  const draw = () => {
    const state = model.get("state") ?? {};
    const now = performance.now();
    const live = Boolean(state.live);
    const silent = silence(live, store.closed, (now - store.lastMessage) / 1000, state.reconnect ?? "");
    // A view that has had a kernel stays on the screen without it; one from a saved file gives way to the picture.
    root.classList.toggle("nbt-live", store.connected || (live && !silent));
    root.classList.toggle("nbt-offline", Boolean(silent));
    offline.hidden = !silent;
    offlineParts.forEach((part, i) => void put(part, silent?.[i] ?? ""));

    const kind = String(state.status ?? "pending");
    const shown = `${SIGNS[kind] ?? "○"} ${kind}`;
    root.ariaLabel = asShown(`experiment ${state.name ?? ""}`);
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
    put(metric, top ? `★ ${top.label}` : "", String(top?.label ?? ""));
    put(number, String(top?.value ?? ""), String(top?.value ?? ""));
    put(trial, top ? originText(top) : "");
    const pairs = /** @type {[string, string][]} */ (top?.params ?? []);
    if (shownParameters !== JSON.stringify(pairs)) {
      shownParameters = JSON.stringify(pairs);
      params.title = asShown(pairs.map(([key, text]) => `${key} ${text}`).join("\n"));
      params.replaceChildren();
      for (const [key, text] of pairs) {
        const label = make("span", { className: "nbt-header-key", textContent: key });
        params.append(make("span", {}, [label, ` ${text}`]), " ");
      }
    }
    best.hidden = !top;
    put(hint, String(state.hint ?? ""), String(state.hint ?? ""));
    main.classList.toggle("nbt-header-empty", !top);

    const since = live ? ((silent ? store.lastMessage : now) - store.stateTime) / 1000 : 0;
    put(elapsed, duration((state.elapsed ?? 0) + Math.max(0, since)));
    put(remaining, live && !silent && state.remaining ? remainingText(state.remaining, since) : "");
    remaining.hidden = !live || state.concurrent == null;
    const [workers, limit] = [String(state.workers ?? ""), String(state.limited_by ?? "")];
    const [count, reason] = concurrencyText(live ? (state.concurrent ?? null) : null, workers, limit);
    put(concurrent, count);
    put(limitedBy, reason);
    concurrency.hidden = !count;
    concurrency.title = count + reason;

    buttons.draw(state, live);
    steer.draw(state, live);
    main.dataset.busy = String((live && store.stop !== "") || store.resume !== "");
    put(refusal, store.refusal);

    const activity =
      live && store.stop === "stopping" ? ", stopping" : store.resume.startsWith("resum") ? ", resuming" : "";
    const announce = `${state.name ?? ""}: ${kind}${activity}`;
    if (announced && announced !== announce) setText(announcement, `${announce}, ${text} trials`);
    announced = announce;
  };

  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer; // counts the seconds on, while anybody can see them
  const tick = view.guarded("clock", () => {
    if (view.isVisible() && model.get("state")?.live) return draw();
    clearInterval(timer);
    timer = undefined;
  });
  const startClock = () => {
    if (view.isVisible() && model.get("state")?.live) timer ??= setInterval(() => tick(), 1000);
  };
  view.onDispose(() => {
    clearInterval(timer);
    buttons.dispose();
    steer.dispose();
  });
  view.mount(
    root,
    () => {
      draw();
      startClock();
    },
    (visible) => {
      if (visible) draw();
      startClock();
    },
  );
}

export default defineWidget({
  name: "header",
  createStore,
  receive: (store, message, _buffers, model) => {
    if (message?.type !== "picture") return receiveAnswer(store, message);
    store.pictures ??= makePictures(model);
    store.pictures.receive(message.data);
  },
  closed: (store) => store.pictures?.release(),
  dispose: (store) => store.pictures?.release(),
  stateTraits: ["state", "alive"],
  receiveState: (store, trait, model) => {
    if (trait === "state") receiveState(store, model.get("state"));
  },
  ready: (store, model) => {
    if (model.get("state")) store.live = Boolean(model.get("state").live);
    model.send({ type: "ready" });
  },
  render,
});
