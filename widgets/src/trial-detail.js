// The panel below the table: one trial's error, workers, configuration and log. See ../README.md.

import { make, showText } from "./page.js";
import { makeForm } from "./trial-form.js";
import { pointColumns } from "./trial-point.js";
import { makeStatus, showStatus } from "./trial-status.js";
import { orderPoint, orderTrial } from "./trial-store.js";
import { makeRanks, makeWorkers } from "./trial-workers.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-store.js").Store} Store */
/** @typedef {import("./trial-table.js").State} State */

const REFRESH = 3000; // milliseconds after which the log of a running trial is asked for again
const WAITING = "waiting for the kernel…";

/**
 * @param {AnyModel} model
 * @param {Store} store
 * @param {State} state
 * @param {(where: string, act: () => any) => () => any} safe what makes a function show what it throws
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 * @param {string} id what the ids of its elements begin with
 */
export function makeDetail(model, store, state, safe, on, id) {
  const title = make("strong");
  const status = makeStatus();
  const close = make("button", { type: "button", className: "nbt-close", textContent: "Close" });
  const copy = make("button", { type: "button", className: "nbt-copy", textContent: "Copy" });
  const copied = make("small", { role: "status" });
  const waiting = make("p", { textContent: WAITING });
  const workers = makeWorkers();
  const ranks = makeRanks();
  const [traceback, config, log] = [make("pre"), make("pre"), make("pre")];
  const sections = [
    make("div", {}, [make("h4", { textContent: "Error" }), traceback]),
    workers.root,
    make("div", {}, [make("h4", {}, ["Configuration ", copy, " ", copied]), config]),
    make("div", {}, [make("h4", {}, ["Log ", ranks.root]), log]),
  ];
  const clone = make("button", {
    type: "button",
    className: "nbt-clone",
    textContent: "Clone…",
    ariaExpanded: "false",
  });
  const header = make("header", {}, [title, status.word, status.acts, clone, close]);
  const form = makeForm(store, (...point) => orderPoint(model, store, ...point), on, `${id}-clone`);
  const panel = make("section", { className: "nbt-detail", hidden: true }, [header, form.root, waiting, ...sections]);

  let asked = ""; // for which trial, and which status of it
  let timer = 0;

  /** @param {number} trial */
  function ask(trial) {
    store.requests.ask(model, { type: "detail", trial, rank: ranks.chosen() });
  }

  /** Ask again for what changes. A kernel that has not answered yet is not asked twice. */
  function refresh() {
    const { open, visible } = state;
    if (open === null || !visible || document.hidden) return;
    const running = store.rows.get(open)?.[1] === "running";
    if (running && !store.requests.waits("detail")) ask(open);
  }

  /**
   * Open a trial's detail, or close it.
   * @param {number | null} trial
   */
  function show(trial) {
    if (trial !== state.open && trial !== null) {
      store.details.delete(trial);
      store.unanswered.delete(trial);
      panel.scrollTop = 0;
    }
    if (trial !== state.open) {
      fold();
      ranks.reset();
    }
    state.open = trial;
    asked = "";
    copied.textContent = "";
    window.clearInterval(timer);
    if (trial !== null) timer = window.setInterval(safe("log", refresh), REFRESH);
  }

  function draw() {
    const { open } = state;
    panel.hidden = open === null;
    if (open === null) return;
    const word = store.rows.get(open)?.[1] ?? "";
    if (asked !== `${open} ${word}`) ask(open);
    asked = `${open} ${word}`;
    title.textContent = panel.ariaLabel = `Trial ${open}`;
    showStatus(status, open, word, store.orders.get(open), store.byScheduler.has(open));
    const detail = store.details.get(open);
    clone.hidden = !pointColumns(store.columns).length;
    form.draw(Boolean(detail?.checkpoint));
    const unanswered = store.unanswered.get(open);
    showText(waiting, unanswered ? `Not told: ${unanswered}.` : detail ? "" : WAITING);
    showText(traceback, detail?.traceback ?? "");
    showText(config, detail?.config ?? "");
    workers.draw(detail?.workers);
    ranks.draw(detail?.workers?.ranks ?? []);
    if (!detail) showLog("");
    else if (detail.rank === ranks.chosen())
      showLog(detail.log || "nothing printed"); // else it was asked for before
    else if (unanswered) showLog("");
    for (const section of sections) section.hidden = section.lastElementChild.hidden;
  }

  /**
   * Show a log. Who has scrolled to its end stays there; what is selected in it stays selected if it only grows.
   * @param {string} text
   */
  function showLog(text) {
    const known = log.textContent;
    if (text === known) return;
    const below = panel.scrollHeight - panel.clientHeight - panel.scrollTop;
    const follow = known !== "" && panel.scrollTop > 0 && below < 2;
    if (known && text.startsWith(known)) log.append(text.slice(known.length));
    else showText(log, text);
    if (follow) panel.scrollTop = panel.scrollHeight;
  }

  async function copyConfig() {
    let done = true;
    try {
      await navigator.clipboard.writeText(config.textContent); // there is none where the page is not secure
    } catch {
      getSelection()?.selectAllChildren(config);
      done = document.execCommand("copy");
    }
    copied.textContent = done ? "copied" : "selected: copy it with Ctrl+C";
  }

  /** Close the form. */
  function fold() {
    form.show(null, null);
    clone.ariaExpanded = "false";
  }

  on(copy, "click", copyConfig);
  on(ranks.select, "change", () => {
    showLog(WAITING);
    if (state.open !== null) ask(state.open);
  });
  on(status.stop, "click", () => state.open !== null && orderTrial(model, store, state.open, "stop"));
  on(status.pause, "click", () => state.open !== null && orderTrial(model, store, state.open, "pause"));
  on(clone, "click", () => {
    if (clone.ariaExpanded === "true") return fold();
    clone.ariaExpanded = "true";
    panel.scrollTop = 0;
    form.show(state.open, clone);
    form.draw(Boolean(state.open !== null && store.details.get(state.open)?.checkpoint));
  });

  const end = () => window.clearInterval(timer);
  return { panel, close, show, draw, end };
}
