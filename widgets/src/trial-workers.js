// A distributed trial's workers in its detail: their table, and the choice of the rank whose log is shown. See ../README.md.

import { make, setText, showText } from "./page.js";
import { secondsShare, WORKER_HEADERS, workersTitle, workerTexts } from "./trial-ranks.js";

/** @typedef {import("./trial-ranks.js").Workers} Workers */
/** @typedef {{row: HTMLElement, cells: HTMLElement[], texts: HTMLElement[], mark: HTMLElement, bar: HTMLElement}} Line */

const BAR_COLUMN = WORKER_HEADERS.findIndex(([name]) => name === "seconds");

/** @returns {Line} */
function makeLine() {
  const mark = make("span", { className: "nbt-straggler", textContent: "straggler", hidden: true });
  const bar = make("b");
  const texts = [...WORKER_HEADERS, ["", ""]].map(() => make("span"));
  const cells = texts.map((text, i) => make(i ? "td" : "th", {}, [text]));
  cells[0].scope = "row";
  cells[BAR_COLUMN].prepend(mark, make("i", { ariaHidden: "true" }, [bar]));
  return { row: make("tr", {}, cells), cells, texts, mark, bar };
}

/** The table of workers; it scrolls. */
export function makeWorkers() {
  const title = make("h4");
  const metric = make("th", { scope: "col" });
  const headers = WORKER_HEADERS.map(([textContent, title]) => make("th", { scope: "col", textContent, title }));
  const body = make("tbody");
  const table = make("table", { ariaLabel: "Workers" }, [
    make("thead", {}, [make("tr", {}, [...headers, metric])]),
    body,
  ]);
  const scroller = make("div", { className: "nbt-workers", tabIndex: 0, role: "region", ariaLabel: "workers" }, [
    table,
  ]);
  const root = make("div", {}, [title, scroller]);
  const lines = /** @type {Line[]} */ ([]);

  /** @param {Workers | null | undefined} workers */
  function draw(workers) {
    const rows = workers?.rows ?? [];
    scroller.hidden = rows.length === 0;
    showText(title, rows.length ? workersTitle(rows) : "");
    while (lines.length < rows.length) {
      lines.push(makeLine());
      body.append(lines[lines.length - 1].row);
    }
    for (const { row } of lines.splice(rows.length)) row.remove();
    showText(metric, workers?.metric ?? "");
    metric.title = metric.textContent;
    for (const [i, worker] of rows.entries()) {
      const { cells, texts, mark, bar } = lines[i];
      for (const [j, text] of workerTexts(worker).entries()) {
        setText(texts[j], text);
        cells[j].title = texts[j].textContent;
      }
      cells[cells.length - 1].hidden = metric.hidden;
      mark.hidden = !worker[8];
      lines[i].row.className = worker[8] ? "nbt-slow" : "";
      const width = `${Math.round(100 * secondsShare(worker, rows))}%`;
      if (bar.style.width !== width) bar.style.width = width;
    }
  }
  return { root, draw };
}

/** The choice of the rank whose log is shown, or of all. */
export function makeRanks() {
  const select = make("select", {}, [make("option", { value: "", textContent: "all" })]);
  const root = make("label", { className: "nbt-ranks", hidden: true }, ["rank ", select]);
  let known = "";

  return {
    root,
    select,
    /** The rank that is chosen, or null for all of them. */
    chosen: () => (select.value === "" ? null : Number(select.value)),
    /** Choose all of them. */
    reset: () => {
      select.value = "";
    },
    /** @param {number[]} ranks */
    draw(ranks) {
      root.hidden = ranks.length === 0;
      if (known === ranks.join()) return; // an open list is left alone
      known = ranks.join();
      const { value } = select;
      const options = ranks.map((rank) => make("option", { value: String(rank), textContent: String(rank) }));
      select.replaceChildren(select.firstElementChild, ...options);
      select.value = ranks.map(String).includes(value) ? value : "";
    },
  };
}
