// The panel below the table: a trial's error, workers, configuration and log. See ../README.md.

import { asShown, make, showText } from "./page.js";
import { makeForm } from "./trial-form.js";
import { pointColumns } from "./trial-point.js";
import { makeStatus, showStatus } from "./trial-status.js";
import { sendCommand, sendPoint } from "./trial-store.js";
import { makeRanks, makeWorkers } from "./trial-workers.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./trial-store.js").Store} Store */
/** @typedef {import("./trial-table.js").State} State */

const REFRESH_INTERVAL = 3000; // milliseconds between two requests for the log of a running trial
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
  const copy = make("button", { type: "button", className: "nbt-copy", textContent: "Copy" });
  const copied = make("small", { role: "status" });
  const waiting = make("p", { textContent: WAITING });
  const workers = makeWorkers();
  const ranks = makeRanks();
  const [traceback, data, config, log] = [make("pre"), make("pre"), make("pre"), make("pre")];
  const sections = [
    make("div", {}, [make("h4", { textContent: "Error" }), traceback]),
    workers.root,
    make("div", {}, [make("h4", { textContent: "Data" }), data]),
    make("div", {}, [make("h4", {}, ["Configuration ", copy, " ", copied]), config]),
    make("div", {}, [make("h4", {}, ["Log ", ranks.root]), log]),
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
  const panel = make("section", { className: "nbt-detail", hidden: true }, [header, form.root, waiting, ...sections]);

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
    }
    state.open = trial;
    requested = "";
    copied.textContent = "";
    window.clearInterval(timer);
    if (trial !== null) timer = window.setInterval(guarded("log", refresh), REFRESH_INTERVAL);
  }

  function draw() {
    const { open } = state;
    panel.hidden = open === null;
    if (open === null) return;
    const word = store.rows.get(open)?.[1] ?? "";
    if (requested !== `${open} ${word}`) request(open);
    requested = `${open} ${word}`;
    title.textContent = panel.ariaLabel = `Trial ${open}`;
    showStatus(status, open, word, store.commands.get(open), store.byScheduler.has(open));
    const detail = store.details.get(open);
    clone.hidden = !pointColumns(store.columns).length;
    form.draw(Boolean(detail?.checkpoint));
    const refusal = store.refusedDetails.get(open);
    showText(waiting, refusal ? `Not available: ${refusal}` : detail ? "" : WAITING);
    showText(traceback, detail?.traceback ?? "");
    showText(reason, detail?.reason ?? "");
    showText(data, detail?.data ?? "");
    showText(config, detail?.config ?? "");
    workers.draw(detail?.workers);
    ranks.draw(detail?.workers?.ranks ?? []);
    if (!detail) showLog("");
    else if (detail.rank === ranks.chosen())
      showLog(detail.log || "nothing printed"); // the log of another rank is out of date
    else if (refusal) showLog("");
    for (const section of sections) section.hidden = section.lastElementChild.hidden;
  }

  /**
   * Show a log. A panel that is scrolled to its end stays there; appending keeps the user's selection.
   * @param {string} output
   */
  function showLog(output) {
    const [known, text] = [log.textContent, asShown(output)];
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
      await navigator.clipboard.writeText(config.textContent); // undefined on a page without https
    } catch {
      getSelection()?.selectAllChildren(config);
      done = document.execCommand("copy");
    }
    copied.textContent = done ? "copied" : "selected: press Ctrl+C to copy";
  }

  /** Close the form. */
  function closeForm() {
    form.show(null, null);
    clone.ariaExpanded = "false";
  }

  on(copy, "click", copyConfig);
  on(ranks.select, "change", () => {
    showLog(WAITING);
    if (state.open !== null) request(state.open);
  });
  on(status.stop, "click", () => state.open !== null && sendCommand(model, store, state.open, "stop"));
  on(status.pause, "click", () => state.open !== null && sendCommand(model, store, state.open, "pause"));
  on(clone, "click", () => {
    if (clone.ariaExpanded === "true") return closeForm();
    clone.ariaExpanded = "true";
    panel.scrollTop = 0;
    form.show(state.open, clone);
    form.draw(Boolean(state.open !== null && store.details.get(state.open)?.checkpoint));
  });

  return { panel, close, show, draw, dispose: () => window.clearInterval(timer) };
}
