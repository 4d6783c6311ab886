// The cluster panel's tables: what each node and all of them have, and who uses it. See ../README.md.

import {
  amountOf,
  amountText,
  COLUMNS,
  customText,
  customUse,
  freeText,
  several,
  share,
  usedText,
} from "./cluster-text.js";
import { make, showText } from "./page.js";

/** @typedef {import("./cluster-text.js").Node} Node */
/** @typedef {import("./cluster-text.js").Amount} Amount */
/** @typedef {import("./cluster-store.js").Store} Store */
/** @typedef {{row: HTMLElement, name: HTMLElement, sign: HTMLElement, note: HTMLElement, why: HTMLTableCellElement, cells: HTMLElement[]}} Row */

/** @param {string} heading @param {string} [title] */
const header = (heading, title = "") => make("th", { scope: "col", textContent: heading, title });

/** A cell with a bar: the number above, the bar below.
 * @param {HTMLElement} cell @param {Amount | undefined} amount */
function fill(cell, amount) {
  if (!cell.firstChild) cell.append(make("span"), make("i", { ariaHidden: "true" }, [make("b")]));
  const [text, bar] = /** @type {HTMLElement[]} */ ([...cell.children]);
  const shown = amount ? usedText(amount) : "–";
  if (text.textContent !== shown) text.textContent = shown;
  cell.title = amount ? `${shown}, ${freeText(amount)}` : "";
  bar.hidden = !amount;
  const width = `${amount ? 100 * share(amount) : 0}%`;
  const inner = /** @type {HTMLElement} */ (bar.firstElementChild);
  if (inner.style.width !== width) inner.style.width = width;
}

/** @returns {Row} */
function makeRow() {
  const [sign, name, note] = [
    make("span"),
    make("span", { className: "nbt-cluster-name" }),
    make("span", { className: "nbt-cluster-note" }),
  ];
  const first = make("th", { scope: "row" }, [sign, " ", name, " ", note]);
  const cells = [...COLUMNS, ["", "other"]].map(() => make("td"));
  const why = make("td", { hidden: true, className: "nbt-cluster-why" });
  return { row: make("tr", {}, [first, ...cells, why]), name, sign, note, why, cells };
}

/** @param {Row} row @param {Amount[]} amounts */
function fillAmounts({ cells }, amounts) {
  COLUMNS.forEach(([name], i) => {
    fill(cells[i], amountOf(amounts, name));
  });
  const custom = customText(amounts);
  const last = cells[COLUMNS.length];
  if (!last.firstChild) last.append(make("span", { className: "nbt-cluster-custom" }));
  if (last.textContent !== custom) last.title = /** @type {any} */ (last.firstChild).textContent = custom;
}

/** @param {Row} row @param {Node} node @param {boolean} plain whether no node has custom resources */
function fillNode(row, node, plain) {
  row.sign.textContent = node.alive ? "●" : "✗";
  row.row.className = node.alive ? "" : "nbt-cluster-dead";
  row.name.textContent = row.name.title = node.name;
  row.note.textContent = [node.head ? "head" : "", node.alive ? "" : "dead", node.id.slice(0, 6), node.accelerator]
    .filter(Boolean)
    .join(" · ");
  for (const cell of row.cells) cell.hidden = !node.alive;
  row.why.hidden = node.alive;
  row.why.colSpan = COLUMNS.length + (plain ? 0 : 1);
  row.why.title = row.why.textContent = node.why || "Ray does not say why";
  if (node.alive) fillAmounts(row, node.amounts);
}

/** The table of nodes, all of them together in its first row. */
export function makeNodes() {
  const all = makeRow();
  const heads = COLUMNS.map(([, heading]) => header(heading));
  const custom = header("other");
  const body = make("tbody");
  const head = make("thead", {}, [make("tr", {}, [header("node"), ...heads, custom]), all.row]);
  all.row.className = "nbt-cluster-all";
  const table = make("table", { ariaLabel: "Nodes" }, [head, body]);
  const root = make("div", { className: "nbt-cluster-scroll", tabIndex: 0, role: "region", ariaLabel: "nodes" }, [
    table,
  ]);
  /** @type {Map<string, Row>} */
  const rows = new Map();

  /** @param {Store} store @param {boolean} everything */
  function draw(store, everything) {
    const facts = store.facts;
    root.hidden = !facts?.amounts;
    if (!facts?.amounts) return;
    showText(all.name, several(facts.alive ?? 0, "node"));
    showText(all.note, "in all");
    fillAmounts(all, facts.amounts);
    const plain = !customText(facts.amounts);
    const other = table.classList.contains("nbt-cluster-plain") !== plain;
    table.classList.toggle("nbt-cluster-plain", plain);
    for (const [id, row] of rows)
      if (!store.nodes.has(id)) {
        row.row.remove();
        rows.delete(id);
      }
    const order = [...store.nodes.values()].sort((a, b) => Number(b.alive) - Number(a.alive));
    order.forEach((node, i) => {
      const known = rows.get(node.id);
      const row = known ?? makeRow();
      if (!known || everything || other || store.changed.has(node.id)) fillNode(row, node, plain);
      rows.set(node.id, row);
      if (body.children[i] !== row.row) body.insertBefore(row.row, body.children[i] ?? null);
    });
  }
  return { root, draw };
}

/** The table of who uses what. */
export function makeUsers() {
  const body = make("tbody");
  const heads = ["who", "trials", "CPUs", "GPUs", "memory", "other"].map((heading) => header(heading));
  const table = make("table", { ariaLabel: "Who uses it" }, [make("thead", {}, [make("tr", {}, heads)]), body]);
  const idle = make("p", { className: "nbt-cluster-idle", textContent: "Nothing is in use." });
  const root = make("div", {
    className: "nbt-cluster-users",
    tabIndex: 0,
    role: "region",
    ariaLabel: "users",
  });
  root.append(table, idle);
  let shown = "";

  /** @param {string} name @param {string} note @param {string} trials @param {Record<string, number>} resources */
  function line(name, note, trials, resources) {
    const cell = (/** @type {string} */ text) => make("td", { textContent: text, title: text });
    const amounts = ["CPU", "GPU", "memory"].map((one) => cell(resources[one] ? amountText(one, resources[one]) : "–"));
    const custom = make("td", { title: customUse(resources) }, [
      make("span", { className: "nbt-cluster-custom", textContent: customUse(resources) }),
    ]);
    const first = make("th", { scope: "row" }, [
      make("span", { className: "nbt-cluster-name", textContent: name, title: name }),
      " ",
      make("span", { className: "nbt-cluster-note", textContent: note }),
    ]);
    return make("tr", {}, [first, cell(trials), ...amounts, custom]);
  }

  /** @param {Store} store */
  function draw({ facts }) {
    root.hidden = !facts?.users;
    const key = JSON.stringify([facts?.users, facts?.others]);
    if (!facts?.users || key === shown) return;
    shown = key;
    const rows = facts.users.map((user) =>
      line(user.name, user.here ? "of this kernel" : "of another kernel", String(user.trials), user.resources),
    );
    const others = facts.others ?? {};
    if (Object.keys(others).length) rows.push(line("others", "not nbtune's", "", others));
    body.replaceChildren(...rows);
    table.hidden = !rows.length;
    idle.hidden = rows.length > 0;
  }
  return { root, draw };
}
