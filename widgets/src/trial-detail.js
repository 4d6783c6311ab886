// The panel below the table: a trial's error, results, workers, configuration and log. See ../README.md.

import { make, showText } from "./page.js";
import { makeConfiguration } from "./trial-configuration.js";
import { makeForm } from "./trial-form.js";
import { makeLog } from "./trial-log.js";
import { pointColumns } from "./trial-point.js";
import { makeResults } from "./trial-results.js";
import { makeStatus, showStatus } from "./trial-status.js";
import { sendCommand, sendPoint } from "./trial-store.js";
import { makeRanks, makeWorkers } from "./trial-workers.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./trial-store.js").Store} Store */
/** @typedef {import("./trial-table.js").State} State */

const REFRESH_INTERVAL = 3000; // milliseconds between two requests for the log of a running trial
const OFFLINE = "Not available: there is no connection to the kernel.";
const WAITING = "waiting for the kernel…";

/**
 * @param {View} view
 * @param {Store} store
 * @param {State} state
 * @param {string} id prefix of the ids of its elements
 */
export function makeDetail({ model, on, guarded, isVisible, send }, store, state, id) {
  const title = make("strong");
  const status = makeStatus();
  const close = make("button", { type: "button", className: "nbt-close", textContent: "Close" });
  const waiting = make("p", { textContent: WAITING });
  const workers = makeWorkers();
  const ranks = makeRanks();
  const [traceback, data] = [make("pre"), make("pre")];
  const log = makeLog(on, ranks.root);
  const results = makeResults();
  const configuration = makeConfiguration(on);
  const sections = [
    make("div", {}, [make("h4", { textContent: "Error" }), traceback]),
    results.root,
    workers.root,
    make("div", {}, [make("h4", { textContent: "Data" }), data]),
    configuration.root,
  ];
  const clone = make("button", {
    type: "button",
    className: "nbt-clone",
    textContent: "Clone…",
    ariaExpanded: "false",
  });
  const reason = make("small");
  const header = make("header", {}, [title, status.word, reason, status.acts, clone, close]);
  const form = makeForm(store, (...point) => sendPoint(model, store, ...point), on, `${id}-clone`);
  const panel = make("section", { className: "nbt-detail", hidden: true }, [
    header,
    form.root,
    waiting,
    ...sections,
    log.root,
  ]);

  let requested = ""; // the trial and its status when its detail was last requested
  let timer = 0;

  /** @param {number} trial */
  function request(trial) {
    send({ type: "detail", trial, rank: ranks.chosen() });
  }

  /** Request the detail again while the trial runs, unless a request is still open. */
  function refresh() {
    const { open } = state;
    if (open === null || !isVisible()) return;
    const running = store.rows.get(open)?.[1] === "running";
    if (running && !store.requests.isPending("detail")) request(open);
  }

  /**
   * Open a trial's detail, or close it.
   * @param {number | null} trial
   */
  function show(trial) {
    if (trial !== state.open && trial !== null) {
      store.details.delete(trial);
      store.refusedDetails.delete(trial);
      panel.scrollTop = 0;
    }
    if (trial !== state.open) {
      closeForm();
      ranks.reset();
      log.reset();
      configuration.reset();
    }
    state.open = trial;
    requested = "";
    window.clearInterval(timer);
    if (trial !== null) timer = window.setInterval(guarded("log", refresh), REFRESH_INTERVAL);
  }

  function draw() {
    const { open } = state;
    panel.hidden = open === null;
    if (open === null) return;
    const word = store.rows.get(open)?.[1] ?? "";
    if (!store.closed && requested !== `${open} ${word}`) {
      request(open);
      requested = `${open} ${word}`;
    }
    title.textContent = panel.ariaLabel = `Trial ${open}`;
    showStatus(status, open, store);
    clone.ariaDisabled = String(store.closed);
    const detail = store.details.get(open);
    clone.hidden = !pointColumns(store.columns).length;
    form.draw(Boolean(detail?.checkpoint));
    const refusal = store.refusedDetails.get(open);
    showText(waiting, refusal ? `Not available: ${refusal}` : detail ? "" : store.closed ? OFFLINE : WAITING);
    showText(traceback, detail?.traceback ?? "");
    showText(reason, detail?.reason ?? "");
    showText(data, detail?.data ?? "");
    results.draw(detail?.results, detail?.origin ?? []);
    configuration.draw(detail);
    workers.draw(detail?.workers);
    ranks.draw(detail?.workers?.ranks ?? []);
    if (!detail) log.show("");
    else if (detail.rank === ranks.chosen())
      log.show(detail.log || "nothing printed", detail.missing); // the log of another rank is out of date
    else if (refusal) log.show("");
    for (const section of sections) {
      const content = /** @type {HTMLElement[]} */ ([...section.children].slice(1));
      if (section !== results.root) section.hidden = content.every((part) => part.hidden);
    }
  }

  /** Close the form. */
  function closeForm() {
    form.show(null, null);
    clone.ariaExpanded = "false";
  }

  on(ranks.select, "change", () => {
    log.show(WAITING);
    if (state.open !== null) request(state.open);
  });
  on(status.stop, "click", () => state.open !== null && sendCommand(model, store, state.open, "stop"));
  on(status.pause, "click", () => state.open !== null && sendCommand(model, store, state.open, "pause"));
  on(clone, "click", () => {
    if (clone.ariaExpanded === "true") return closeForm();
    if (store.closed) return;
    clone.ariaExpanded = "true";
    panel.scrollTop = 0;
    form.show(state.open, clone);
    form.draw(Boolean(state.open !== null && store.details.get(state.open)?.checkpoint));
  });

  return { panel, close, show, draw, dispose: () => window.clearInterval(timer) };
}
