// The table of trials: sorted, filtered, selected; each with its error, configuration, log and stop. See ../README.md.

/** @typedef {import("../types").AnyModel} Model */
/** @typedef {number | string | boolean | null | undefined} Cell */
/** @typedef {{key: string, label: string, role: string}} Column */
/** @typedef {[number, string, ...Cell[]]} Row */
/** @typedef {ReturnType<typeof keep>} Data */

const ROW = 26; // px, the height of a row and of the head in trials.css
const HEIGHT = 320; // px, the greatest height of the scroller there
const SPECIAL = ["NaN", "Infinity", "-Infinity"];
/** @type {Record<string, string>} */
const SIGNS = { pending: "○", running: "●", finished: "✓", stopped: "■", failed: "✗" };
const STATUSES = Object.keys(SIGNS); // as they are sorted
/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1 / 0, End: 1 / 0 };
/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARE = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };
/** @type {(status: string) => string} */
const wordOf = (status) => (status === "stopped" ? "stopped early" : status);
/** @type {(status: string | undefined) => boolean} */
const isLive = (status) => status === "pending" || status === "running";
/** @type {(count: number) => string} */
const many = (count) => count.toLocaleString("en-US");

/** A cell's text, as `nbtune.views.text.number` writes it. @param {Cell} value @returns {string} */
export function format(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "number") return value ?? "";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value || 0);
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
  if (Math.abs(rounded) >= 1e-4 && Math.abs(rounded) < 1e6) return String(rounded);
  const [digits, power] = value.toExponential(3).split("e");
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

/** @type {WeakMap<Row, string[]>} */
const written = new WeakMap();
/** The texts of a row's entries, made once. @param {Row} row @returns {string[]} */
function texts(row) {
  const known = written.get(row) ?? row.map((value, i) => (i === 1 ? wordOf(row[1]) : format(value)));
  written.set(row, known);
  return known;
}

/** A cell as a number; NaN where it is none. @param {Cell} value @returns {number} */
function numeric(value) {
  return typeof value === "string" && !SPECIAL.includes(value) ? Number.NaN : Number(value ?? Number.NaN);
}

/** 0 for a number, 1 for text, 2 for what is missing. @param {Cell} value */
function rank(value) {
  return value === null || value === undefined || value === "NaN" ? 2 : Number.isNaN(numeric(value)) ? 1 : 0;
}

/** How two cells are ordered; what is missing is last in both directions. @param {Cell} a @param {Cell} b @param {number} direction */
export function compareCells(a, b, direction) {
  if (typeof a === "number" && typeof b === "number") return a < b ? -direction : a > b ? direction : 0;
  const [p, q] = [rank(a), rank(b)];
  if (p !== q) return p + q > 1 ? p - q : (p - q) * direction;
  if (p === 2) return 0;
  const [x, y] = p === 0 ? [numeric(a), numeric(b)] : [String(a), String(b)];
  return x === y ? 0 : x < y ? -direction : direction;
}

/** How rows are ordered by an entry (0 the number, 1 the status). @param {number} index @param {number} direction @returns {(a: Row, b: Row) => number} */
export function comparator(index, direction) {
  if (index === 1) return (a, b) => (STATUSES.indexOf(a[1]) - STATUSES.indexOf(b[1])) * direction || a[0] - b[0];
  return (a, b) => compareCells(a[index], b[index], direction) || a[0] - b[0];
}

/** A filter of words and comparisons, all of which must hold. @param {string} text @param {Column[]} columns */
export function parseFilter(text, columns) {
  const all = [["trial"], ["status"], ...columns.map((column) => [column.label, column.key])];
  const names = all
    .flat()
    .filter(Boolean)
    .sort((a, b) => b.length - a.length);
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const quoted = `"[^"]*"|'[^']*'`;
  const left = `(${escaped}|${quoted}|[^\\s<>=!"']+)\\s*([<>]=?|==?|!=)\\s*(${quoted}|[^\\s<>=!]+)?`;
  /** @type {(part: string) => string} */
  const bare = (part) => part.replace(/^(["'])(.*)\1$/, "$2");
  /** @type {((row: Row) => boolean)[]} */
  const tests = [];
  let error = "";
  for (const [, name, sign, right, word] of text.matchAll(new RegExp(`${left}|(${quoted}|\\S+)`, "gi"))) {
    const value = bare(word ?? right ?? "").toLowerCase();
    const exact = all.findIndex((known) => known.includes(bare(name ?? "")));
    const alike = all.findIndex((known) => known.some((k) => k.toLowerCase() === bare(name ?? "").toLowerCase()));
    const index = exact < 0 ? alike : exact;
    const number = Number(value.replace(/^([+-]?)inf(inity)?$/, "$1Infinity") || Number.NaN);
    if (word && /^[<>=!]/.test(word)) error ||= `a column is missing before ${word}`;
    else if (word && value !== "and") tests.push((row) => texts(row).some((t) => t.toLowerCase().includes(value)));
    else if (word) continue;
    else if (index < 0) error ||= `no column is named ${bare(name)}`;
    else if (!right) error ||= `a value is missing after ${sign}`;
    else if (COMPARE[sign] && Number.isNaN(number)) error ||= `${value} is not a number`;
    else if (COMPARE[sign]) tests.push((row) => COMPARE[sign](numeric(row[index]), number));
    else {
      const said = value === "none" ? ["", "none"] : [value];
      /** @type {(row: Row) => boolean} */
      const same = (row) => numeric(row[index]) === number || said.includes(texts(row)[index]?.toLowerCase());
      const also = index === 1 && value === "stopped" ? "stopped" : null;
      tests.push((row) => (same(row) || row[1] === also) === (sign !== "!="));
    }
  }
  return { error, test: (/** @type {Row} */ row) => tests.every((test) => test(row)) };
}

/** Take in the rows of a `table` message. @param {Map<number, Row>} rows @param {{reset?: boolean, rows: Row[]}} message */
export function mergeRows(rows, message) {
  if (message.reset) rows.clear();
  for (const row of message.rows) rows.set(row[0], row);
}

/** The rows to have in the document: the first, and the one after the last. @param {number} top @param {number} count @param {number} height @param {number} overscan */
export function visibleWindow(top, count, height = HEIGHT, overscan = 8) {
  const first = Math.min(Math.floor(Math.max(top, 0) / ROW), Math.max(0, count - Math.floor(height / ROW)));
  return [Math.max(0, first - overscan), Math.min(count, first + Math.ceil(height / ROW) + overscan)];
}

/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {Record<string, string>} attributes @param {...(Node | string)} children @returns {HTMLElementTagNameMap[K]} */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show a text, or hide the element. @param {HTMLElement} element @param {string} text */
function put(element, text) {
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}

/** Wrap a handler: what it throws goes to Python, and as text to `show`. @template T @param {Model} model @param {string} where @param {(text: string) => void} show @param {(event: T) => void} act @returns {(event: T) => void} */
function guard(model, where, show, act) {
  let told = "";
  return (event) => {
    try {
      act(event);
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      show(`${where}: ${message}`);
      if (message !== told) model.send({ type: "error", where: `trials: ${where}`, message, stack: stack ?? "" });
      told = message; // what happens at every drawing is told once
    }
  };
}

/** @param {HTMLElement} text @param {HTMLElement} says */
async function copy(text, says) {
  const { clipboard } = navigator; // undefined where the page is not secure
  const copied = clipboard?.writeText(text.textContent ?? "").then(() => true);
  const done = await copied?.catch(() => false);
  if (!done) getSelection()?.selectAllChildren(text);
  says.textContent = done || document.execCommand("copy") ? "copied" : "selected: copy it with Ctrl+C";
}

/** What is known of a model's trials, for all its views. @param {Model} model @param {AbortSignal} [signal] */
function keep(model, signal) {
  const data = {
    rows: /** @type {Map<number, Row>} */ (new Map()),
    columns: /** @type {Column[]} */ ([]),
    widths: /** @type {number[]} */ ([]), // of each entry, in characters
    textual: /** @type {boolean[]} */ ([]), // whether an entry is text in any row
    layout: 0, // counts the changes of the columns and of the two above
    best: /** @type {number | null} */ (null),
    stops: /** @type {Map<number, string>} */ (new Map()), // what the stop buttons of these trials say
    details: /** @type {Map<number, any>} */ (new Map()),
    note: "",
    views: /** @type {Set<() => void>} */ (new Set()),
    tell() {
      for (const view of data.views) view();
    },
  };
  /** @type {Record<string, (message: any) => void>} */
  const takers = {
    detail: (message) => data.details.set(message.trial, message),
    stopping: ({ trial }) => isLive(data.rows.get(trial)?.[1]) && data.stops.set(trial, "stopping…"),
    refused({ trial, message }) {
      data.stops.delete(trial);
      data.note = `trial ${trial} is not stopped: ${message}`;
    },
    table({ reset, columns, rows, best }) {
      mergeRows(data.rows, { reset, rows });
      if (reset) {
        const textual = [false, true, ...columns.map((/** @type {Column} */ { role }) => role === "error")];
        const widths = [4, 20, ...columns.map((/** @type {Column} */ { label }) => Math.min(label.length + 2, 24))];
        Object.assign(data, { columns, textual, widths, note: "" });
        data.layout += 1;
      }
      for (const row of rows) {
        if (!isLive(row[1])) data.stops.delete(row[0]);
        for (const [i, text] of texts(row).entries()) {
          const width = Math.max(data.widths[i], Math.min(text.length, 26));
          const textual = data.textual[i] || (i > 1 && text !== "" && Number.isNaN(numeric(row[i])) && text !== "NaN");
          if (width !== data.widths[i] || textual !== data.textual[i]) data.layout += 1;
          [data.widths[i], data.textual[i]] = [width, textual];
        }
      }
      data.best = best ?? null;
    },
  };
  /** @param {string} text */
  const show = (text) => {
    data.note = text;
    data.tell();
  };
  const receive = guard(model, "message", show, (/** @type {any} */ message) => {
    takers[message?.type]?.(message);
    data.tell();
  });
  model.on("msg:custom", receive);
  signal?.addEventListener("abort", () => model.off("msg:custom", receive));
  model.send({ type: "ready" });
  return data;
}

const MARKUP = `
<div class="nbt-tools">
  <input type="search" placeholder="filter: lr < 0.01 and status = failed" spellcheck="false" aria-label="Filter the trials">
  <span class="nbt-count"></span><span class="nbt-why" role="status"></span>
  <button class="nbt-clear" title="clear the selection"></button>
</div>
<div class="nbt-scroll"><table role="grid" tabindex="0" aria-label="Trials" aria-multiselectable="true">
  <colgroup></colgroup><thead><tr aria-rowindex="1"></tr></thead>
  <tbody><tr aria-hidden="true"><td></td></tr><tr aria-hidden="true"><td></td></tr></tbody>
</table></div>
<div class="nbt-empty"></div><div class="nbt-error" role="alert"></div>
<section class="nbt-detail">
  <header><strong></strong><span></span><button class="nbt-stop"></button><button class="nbt-close">Close</button></header>
  <p>waiting for the kernel…</p>
  <div><h4>Error</h4><pre></pre></div>
  <div><h4>Configuration <button class="nbt-copy">Copy</button> <small role="status"></small></h4><pre></pre></div>
  <div><h4>Log</h4><pre></pre></div>
</section>`;

/** One view. @param {Model} model @param {HTMLElement} el @param {Data} data @param {AbortSignal} signal */
function view(model, el, data, signal) {
  const root = h("div", { class: "nbt nbt-trials", "data-lm-suppress-shortcuts": "true" });
  root.innerHTML = MARKUP; // of this file; whatever comes from a trial is set as text
  const part = (/** @type {string} */ selector) => /** @type {any} */ (root.querySelector(selector));
  const [tools, filter, scroller, table] = [".nbt-tools", "input", ".nbt-scroll", "table"].map(part);
  const [heads, body, panel, alert] = ["thead tr", "tbody", "section", ".nbt-error"].map(part);
  const [above, below] = body.rows;
  const id = `nbt-${Math.random().toString(36).slice(2)}`;
  part(".nbt-why").id = `${id}-why`;
  filter.setAttribute("aria-describedby", `${id}-why`);
  /** @type {Map<number, ReturnType<typeof makeLine>>} */
  const lines = new Map();
  let [order, shown] = /** @type {Row[][]} */ ([[], []]); // all in order; those of them that match
  let [column, direction, layout, frame] = [0, 1, -1, 0];
  let by = /** @type {string | number} */ (0); // the key of the column to sort by; 0 the number, 1 the status
  let [visible, stale, asked, failure] = [false, true, "", ""];
  let { test } = parseFilter("", []);
  let selected = /** @type {Set<number>} */ (new Set());
  // Trials: of the row that keys act on, where a range begins, whose detail is open.
  let [active, anchor, open] = /** @type {(number | null)[]} */ ([null, null, null]);

  const schedule = () => {
    if (visible && !frame) frame = requestAnimationFrame(paint);
  };
  const complain = (/** @type {string} */ text) => {
    failure = text;
    put(alert, text);
  };
  /** @type {(where: string, act: (event: any) => void) => (event: any) => void} */
  const safe = (where, act) => guard(model, where, complain, act);
  const paint = safe("drawing", draw);
  /** @type {(target: EventTarget, type: string, act: (event: any) => void) => void} */
  const on = (target, type, act) => target.addEventListener(type, safe(type, act), { signal });
  const restale = () => {
    stale = true;
    schedule();
  };
  const focused = () => /** @type {Document} */ (root.getRootNode()).activeElement;

  function drawHead() {
    layout = data.layout;
    order = []; // they may be others
    const keys = [0, 1, ...data.columns.map(({ key }) => key)];
    column = keys.indexOf(by);
    if (column < 0) [by, column, direction] = [0, 0, 1];
    const rest = data.columns.findIndex(({ role }) => role === "error") + 2; // takes what room is left
    const widths = data.widths.map((width, i) => `${width}ch + ${i ? 16 : 50}px`);
    table.style.setProperty("--nbt-first", `calc(${widths[0]})`);
    table.style.minWidth = `calc(${widths.join(" + ")})`;
    const cols = widths.map((width, i) => h("col", i === rest && i > 1 ? {} : { style: `width: calc(${width})` }));
    part("colgroup").replaceChildren(...cols, ...(rest > 1 ? [] : [h("col", {})]));
    const titles = ["trial", "status", ...data.columns.map(({ label }) => label)];
    const cells = titles.map((title, i) => {
      const sorted = i !== column || (i === 0 && direction > 0) ? "none" : direction > 0 ? "ascending" : "descending";
      const mark = h("span", { "aria-hidden": "true" }, { none: "", ascending: "▲", descending: "▼" }[sorted]);
      const button = h("button", { class: "nbt-sort", title: `sort by ${title}` }, title, mark);
      return h("th", { scope: "col", "aria-sort": sorted, class: data.textual[i] ? "" : "nbt-num" }, button);
    });
    const focus = [...heads.children].findIndex((cell) => cell.contains(focused()));
    heads.replaceChildren(...cells, ...(rest > 1 ? [] : [h("td", { "aria-hidden": "true" })]));
    cells[focus]?.querySelector("button")?.focus({ preventScroll: true });
    for (const line of lines.values()) line.tr.remove();
    lines.clear();
  }

  function makeLine() {
    const [open, stop] = [h("button", { class: "nbt-open" }), h("button", {})];
    const [number, status] = [h("span", {}), h("span", {})];
    const star = h("span", { class: "nbt-star", role: "img", "aria-label": "best" }, "★");
    const cells = data.columns.map((_, i) => h("td", { class: data.textual[i + 2] ? "" : "nbt-num" }));
    const tr = h("tr", {}, h("th", { scope: "row" }, open, star, number), h("td", {}, status, stop), ...cells);
    if (heads.children.length > cells.length + 2) tr.append(h("td", { "aria-hidden": "true" }));
    return { tr, open, star, number, status, stop, cells, row: /** @type {Row | null} */ (null), flags: "" };
  }

  /** @param {ReturnType<typeof makeLine>} line @param {Row} row @param {number} index */
  function fill(line, row, index) {
    const [number, best, here, isOpen] = [row[0], row[0] === data.best, row[0] === active, row[0] === open];
    const flags = [index, best, here, isOpen, selected.has(number), data.stops.get(number)].join();
    if (line.row === row && line.flags === flags) return;
    Object.assign(line, { row, flags });
    line.tr.dataset.trial = String(number);
    line.tr.className = `${here ? "nbt-active" : ""} ${best ? "nbt-best" : ""}`;
    Object.assign(line.tr, { id: `${id}-${number}`, ariaRowIndex: index + 2, ariaSelected: selected.has(number) });
    const said = { textContent: isOpen ? "▾" : "▸", ariaLabel: `Details of trial ${number}`, ariaExpanded: isOpen };
    Object.assign(line.open, said, { tabIndex: here ? 0 : -1 });
    line.star.hidden = !best;
    line.number.textContent = String(number);
    fillStatus(line.status, line.stop, row);
    line.stop.tabIndex = here ? 0 : -1;
    for (const [i, cell] of line.cells.entries()) {
      const text = texts(row)[i + 2] ?? "";
      if (cell.textContent !== text) cell.textContent = text;
      cell.title = String(row[i + 2] ?? "");
    }
  }

  /** @param {HTMLElement} status @param {HTMLButtonElement} stop @param {Row | undefined} row */
  function fillStatus(status, stop, row) {
    const [number, word] = row ?? [0, ""];
    const said = data.stops.get(number);
    status.className = `nbt-status nbt-${word}`;
    status.replaceChildren(h("span", { "aria-hidden": "true" }, SIGNS[word] ?? ""), wordOf(word));
    Object.assign(stop, { className: "nbt-stop", hidden: !isLive(word), textContent: said ?? "Stop" });
    Object.assign(stop, { ariaLabel: `${said ?? "Stop"} trial ${number}`, ariaDisabled: Boolean(said) }); // keeps the focus
  }

  function drawDetail() {
    panel.hidden = open === null;
    if (open === null) return;
    const [row, detail] = [data.rows.get(open), data.details.get(open)];
    const key = `${open} ${row?.[1]}`;
    if (asked !== key) model.send({ type: "detail", trial: open });
    asked = key;
    const [title, status, stop] = panel.firstElementChild.children;
    title.textContent = panel.ariaLabel = `Trial ${open}`;
    fillStatus(status, stop, row);
    part("section > p").hidden = Boolean(detail);
    const said = [detail?.traceback, detail?.config, detail && (detail.log || "nothing printed")];
    for (const [i, section] of panel.querySelectorAll("div").entries()) {
      section.hidden = !said[i];
      put(section.lastElementChild, said[i] ?? "");
    }
  }

  function draw() {
    frame = 0;
    const top = scroller.scrollTop;
    if (layout !== data.layout) {
      read();
      drawHead();
    }
    if (stale) {
      // What was in order nearly is in order still, which makes the sorting cheap.
      const known = /** @type {Row[]} */ (order.map(([number]) => data.rows.get(number)));
      order = [...known, ...[...data.rows.values()].slice(known.length)].sort(comparator(column, direction));
      shown = order.filter(test);
      stale = false;
    }
    const [all, found] = [order.length, shown.length];
    tools.hidden = scroller.hidden = !all;
    const nothing = "No trial yet. The first will appear here as soon as its process has started.";
    put(part(".nbt-empty"), found ? "" : all ? "No trial matches." : nothing);
    put(alert, [failure, data.note].filter(Boolean).join("\n"));
    const whole = `${many(all)} ${all === 1 ? "trial" : "trials"}`;
    put(part(".nbt-count"), filter.value.trim() ? `${many(found)} of ${many(all)}` : whole);
    put(part(".nbt-clear"), selected.size ? `${many(selected.size)} selected ✕` : "");
    table.ariaRowCount = found + 1;
    const [first, last] = visibleWindow(top, found);
    const wanted = new Map(shown.slice(first, last).map((row) => [row[0], row]));
    const spare = [];
    for (const [number, line] of lines) {
      if (wanted.has(number)) continue;
      if (line.tr.contains(focused())) table.focus({ preventScroll: true });
      line.tr.remove();
      lines.delete(number);
      spare.push(line);
    }
    let [at, index] = [above.nextSibling, first];
    for (const [number, row] of wanted) {
      const line = lines.get(number) ?? spare.pop() ?? makeLine();
      lines.set(number, line);
      fill(line, row, index++);
      if (line.tr === at) at = at.nextSibling;
      else body.insertBefore(line.tr, at);
    }
    above.firstChild.style.height = `${first * ROW}px`;
    below.firstChild.style.height = `${(found - last) * ROW}px`;
    const here = active !== null && wanted.has(active);
    table.setAttribute("aria-activedescendant", here ? `${id}-${active}` : "");
    drawDetail();
  }

  function read() {
    const parsed = parseFilter(filter.value, data.columns);
    filter.ariaInvalid = Boolean(parsed.error);
    put(part(".nbt-why"), parsed.error);
    if (!parsed.error) test = parsed.test;
    restale();
  }
  /** @param {Iterable<number>} numbers */
  function select(numbers) {
    selected = new Set(numbers);
    const ascending = [...selected].sort((a, b) => a - b);
    model.set("selection", ascending);
    model.save_changes();
  }
  const toggle = (/** @type {number} */ number) =>
    select(selected.has(number) ? [...selected].filter((other) => other !== number) : [...selected, number]);
  /** @param {number} number */
  function selectTo(number) {
    const [a, b] = [anchor, number].map((end) => shown.findIndex((row) => row[0] === end));
    select(shown.slice(Math.min(a < 0 ? b : a, b), Math.max(a, b) + 1).map((row) => row[0]));
  }
  /** @param {number | null} number */
  function show(number) {
    if (number !== open && number !== null) data.details.delete(number);
    [open, asked] = [number, ""];
    part("small").textContent = "";
    if (number === null) table.focus({ preventScroll: true });
  }
  /** @param {number | null} trial */
  function stop(trial) {
    if (trial === null || data.stops.has(trial)) return;
    data.stops.set(trial, "waiting…");
    data.note = "";
    model.send({ type: "stop", trial });
    data.tell();
  }
  /** @param {number} index */
  function sortBy(index) {
    if (index !== column) [by, direction] = [[0, 1, ...data.columns.map(({ key }) => key)][index], 1];
    else if (direction > 0) direction = -1;
    else [by, direction] = [0, 1];
    layout = -1;
    restale();
  }
  /** @param {number} step @param {boolean} extend */
  function move(step, extend) {
    const next = Math.min(Math.max(shown.findIndex((row) => row[0] === active) + step, 0), shown.length - 1);
    anchor = extend ? (anchor ?? active) : shown[next][0];
    active = shown[next][0];
    if (extend) selectTo(active);
    const least = (next + 2) * ROW - scroller.clientHeight; // below the head, above the lower edge
    scroller.scrollTop = Math.min(Math.max(scroller.scrollTop, least), next * ROW);
  }

  on(filter, "input", read);
  on(scroller, "scroll", schedule);
  on(body, "mousedown", (event) => event.shiftKey && event.preventDefault()); // else it would select text
  on(body, "dblclick", ({ target }) => {
    const trial = target.closest("button") ? undefined : target.closest("tr").dataset.trial;
    if (trial) show(Number(trial));
    schedule();
  });
  on(root, "click", ({ target, shiftKey, ctrlKey, metaKey, detail }) => {
    const trial = target.closest("tr")?.dataset.trial;
    const number = trial ? Number(trial) : open;
    const button = target.closest("button")?.className;
    if (trial) active = number;
    if (button === "nbt-sort") sortBy([...heads.children].indexOf(target.closest("th")));
    else if (button === "nbt-open") show(open === number ? null : number);
    else if (button === "nbt-stop") stop(number);
    else if (button === "nbt-copy") copy(target.closest("div").lastElementChild, part("small"));
    else if (button === "nbt-close") show(null);
    else if (button === "nbt-clear") select([]);
    else if (trial && number !== null && detail < 2) {
      if (shiftKey) selectTo(number);
      else if (ctrlKey || metaKey) toggle(number);
      else select(selected.size === 1 && selected.has(number) ? [] : [number]);
      if (!shiftKey) anchor = number;
    }
    if ((trial && !button) || button === "nbt-clear") table.focus({ preventScroll: true });
    schedule();
  });
  on(table, "focus", () => {
    active ??= shown[Math.ceil(scroller.scrollTop / ROW)]?.[0] ?? null;
    schedule();
  });
  on(root, "keydown", (event) => {
    const { key, target, shiftKey } = event;
    if (key === "Escape" && open !== null && target !== filter) show(null);
    else if ((target !== table && !body.contains(target)) || !shown.length || event.altKey) return;
    else if (STEPS[key]) {
      move(STEPS[key], shiftKey);
      table.focus({ preventScroll: true });
    } else if (target !== table || active === null) return;
    else if (key === "Enter") show(active);
    else if (key === " ") toggle(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
    schedule();
  });

  const reselect = safe("selection", () => {
    selected = new Set(model.get("selection") ?? []);
    schedule();
  });
  const observer = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    schedule();
  });
  data.views.add(restale);
  model.on("change:selection", reselect);
  signal.addEventListener("abort", () => {
    data.views.delete(restale);
    model.off("change:selection", reselect);
    observer.disconnect();
    cancelAnimationFrame(frame);
    root.remove();
  });
  el.append(root);
  reselect(null);
  observer.observe(root);
}

function create() {
  /** @type {WeakMap<Model, Data>} */
  const kept = new WeakMap();
  /** @type {Data | undefined} anywidget gives `initialize` and `render` different objects for one model */
  let last;
  return {
    /** @param {{model: Model, signal?: AbortSignal}} props */
    initialize({ model, signal }) {
      last = keep(model, signal);
      kept.set(model, last);
    },
    /** @param {{model: Model, el: HTMLElement, signal?: AbortSignal}} props */
    render({ model, el, signal }) {
      const gone = new AbortController();
      signal?.addEventListener("abort", () => gone.abort());
      view(model, el, kept.get(model) ?? last ?? keep(model), gone.signal);
      return () => gone.abort();
    },
  };
}

// Called, it is one model's own; as it is, a module's.
export default Object.assign(create, create());
