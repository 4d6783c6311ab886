// The bar above the table: filter, count, selection, columns, copies of the rows, new points. See ../README.md.

import { asShown, make, showText } from "./page.js";
import { makeChooser } from "./trial-chooser.js";
import { arrange, exportedRows } from "./trial-columns.js";
import { parseFilter } from "./trial-filter.js";
import { copyText } from "./write-cell.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {import("./trial-columns.js").Arrangement} Arrangement */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-store.js").Store} Store */

const DONE = 1500; // milliseconds that a button says what it has done

/** @param {number} count */
const grouped = (count) => count.toLocaleString("en-US");

/**
 * Offer a text as a file.
 * @param {string} text
 * @param {string} name
 */
function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * @param {View} view
 * @param {Store} store
 * @param {import("./trial-table.js").State} state
 * @param {string} id prefix of the ids of its elements
 * @param {() => Row[]} rows returns the rows that are shown, in their order
 * @param {{filtered: () => void, arranged: () => void}} changed
 */
export function makeTools({ model, on }, store, state, id, rows, changed) {
  const filter = make("input", {
    type: "search",
    placeholder: "filter: lr < 0.01 and status = failed",
    title: "lr < 0.01 and (status == failed or not accuracy > 0.9); a word finds trials with this word",
    spellcheck: false,
    ariaLabel: "Filter the trials",
  });
  const [before, wrong, after] = [make("span"), make("mark"), make("span")];
  const reason = make("span");
  const filterError = make("div", { className: "nbt-filter-error", role: "status", id: `${id}-filter-error` }, [
    reason,
    make("code", { ariaHidden: "true" }, [before, wrong, after]),
  ]);
  filter.setAttribute("aria-describedby", filterError.id);
  const field = make("div", { className: "nbt-filter" }, [filter, filterError]);
  const count = make("span", { className: "nbt-count" });
  const clear = make("button", { type: "button", className: "nbt-clear", title: "clear the selection" });
  const copy = make("button", { type: "button", className: "nbt-copy-rows", textContent: "Copy" });
  const csv = make("button", { type: "button", className: "nbt-csv", textContent: "CSV" });
  copy.title = "copy the rows, the selected ones if there are any, for a spreadsheet";
  csv.title = "save the rows, the selected ones if there are any, as a file";
  const done = make("span", { className: "nbt-sr", role: "status" });
  const add = make("button", { type: "button", className: "nbt-add", textContent: "Add a point…" });
  add.ariaExpanded = "false";
  const arrangement = () => /** @type {Arrangement} */ (model.get("arrangement") ?? []);
  const chooser = makeChooser(store, on, arrangement, (chosen) => {
    model.set("arrangement", chosen);
    model.save_changes();
    changed.arranged();
  });
  const root = make("div", { className: "nbt-tools" }, [field, count, clear, chooser.root, copy, csv, done, add]);

  let parsed = parseFilter("", []);

  /** Read the filter. After an error the last valid one holds. */
  function read() {
    const text = filter.value;
    const now = parseFilter(text, store.columns);
    filter.ariaInvalid = String(now.error !== "");
    showText(reason, now.error);
    filterError.hidden = !now.error;
    for (const [part, from, to] of /** @type {[HTMLElement, number, number][]} */ ([
      [before, 0, now.from],
      [wrong, now.from, now.to],
      [after, now.to, text.length],
    ]))
      part.textContent = asShown(text.slice(from, to));
    if (!now.error) parsed = now;
  }

  /** Return the rows to copy, as text. @param {"," | "\t"} separator */
  function chosenRows(separator) {
    const selected = rows().filter(([trial]) => state.selected.has(trial));
    const chosen = selected.length ? selected : rows();
    const choices = arrange(store.columns, arrangement()).filter(({ shown }) => shown);
    return { text: exportedRows(chosen, choices, separator), count: chosen.length };
  }

  /** @param {HTMLElement} button @param {string} label @param {string} said */
  function say(button, label, said) {
    const usual = button.textContent;
    button.textContent = label;
    done.textContent = said;
    setTimeout(() => {
      button.textContent = usual;
      done.textContent = "";
    }, DONE);
  }

  async function copyRows() {
    if (copy.textContent !== "Copy") return;
    const { text, count } = chosenRows("\t");
    const copied = await copyText(text).then(
      () => true,
      () => false,
    );
    say(copy, copied ? "✓" : "✗", copied ? `${count} rows copied` : "the browser does not permit copying");
  }

  on(filter, "input", () => {
    read();
    changed.filtered();
  });
  on(copy, "click", copyRows);
  on(csv, "click", () => {
    if (csv.textContent !== "CSV") return;
    const { text, count } = chosenRows(",");
    download(text, `${store.name || "trials"}.csv`);
    say(csv, "✓", `${count} rows saved`);
  });

  /** @param {number} all how many trials there are @param {boolean} addable */
  function draw(all, addable) {
    const matching = rows().length;
    field.hidden = chooser.root.hidden = copy.hidden = csv.hidden = all === 0;
    add.hidden = !addable;
    root.hidden = field.hidden && add.hidden;
    const total = `${grouped(all)} ${all === 1 ? "trial" : "trials"}`;
    showText(count, all === 0 ? "" : parsed.reading ? `${grouped(matching)} of ${grouped(all)}` : total);
    showText(clear, state.selected.size ? `${grouped(state.selected.size)} selected ✕` : "");
    chooser.draw();
  }

  return {
    root,
    filter,
    clear,
    add,
    draw,
    read,
    copyRows,
    arrangement,
    /** @param {Row} row */
    test: (row) => parsed.test(row),
    reading: () => parsed.reading,
  };
}
