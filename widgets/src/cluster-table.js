// The cluster panel's tables: the resources of each node and of all, and their users. See ../README.md.

import {
  amountOf,
  amountText,
  COLUMNS,
  customText,
  customUse,
  freeText,
  plural,
  share,
  usedText,
} from "./cluster-text.js";
import { asShown, make, setText, showText } from "./page.js";

/** @typedef {import("./cluster-text.js").Node} Node */
/** @typedef {import("./cluster-text.js").Amount} Amount */
/** @typedef {import("./cluster-store.js").Store} Store */
/** @typedef {{row: HTMLElement, name: HTMLElement, sign: HTMLElement, note: HTMLElement, reason: HTMLTableCellElement, cells: HTMLElement[]}} Row */

/** @param {string} heading @param {string} [title] */
const header = (heading, title = "") => make("th", { scope: "col", textContent: heading, title });

/** Fill a cell with a number and a bar below it.
 * @param {HTMLElement} cell @param {Amount | undefined} amount */
function fill(cell, amount) {
  if (!cell.firstChild) cell.append(make("span"), make("i", { ariaHidden: "true" }, [make("b")]));
  const [text, bar] = /** @type {HTMLElement[]} */ ([...cell.children]);
  const shown = amount ? usedText(amount) : "–";
  setText(text, shown);
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
  const reason = make("td", { hidden: true, className: "nbt-cluster-reason" });
  return { row: make("tr", {}, [first, ...cells, reason]), name, sign, note, reason, cells };
}

/** @param {Row} row @param {Amount[]} amounts */
function fillAmounts({ cells }, amounts) {
  COLUMNS.forEach(([name], i) => {
    fill(cells[i], amountOf(amounts, name));
  });
  const custom = customText(amounts);
  const last = cells[COLUMNS.length];
  if (!last.firstChild) last.append(make("span", { className: "nbt-cluster-custom" }));
  setText(last.children[0], custom);
  last.title = asShown(custom);
}

/** @param {Row} row @param {Node} node @param {boolean} plain whether no node has custom resources */
function fillNode(row, node, plain) {
  row.sign.textContent = node.alive ? "●" : "✗";
  row.row.className = node.alive ? "" : "nbt-cluster-dead";
  setText(row.name, node.name, node.name);
  const notes = [node.head ? "head" : "", node.alive ? "" : "dead", node.id.slice(0, 6), node.accelerator];
  setText(row.note, notes.filter(Boolean).join(" · "));
  for (const cell of row.cells) cell.hidden = !node.alive;
  row.reason.hidden = node.alive;
  row.reason.colSpan = COLUMNS.length + (plain ? 0 : 1);
  const reason = node.reason || "Ray gives no reason";
  setText(row.reason, reason, reason);
  if (node.alive) fillAmounts(row, node.amounts);
}

/** The table of nodes; its first row is their total. */
export function makeNodes() {
  const all = makeRow();
  const headers = COLUMNS.map(([, heading]) => header(heading));
  const custom = header("other");
  const body = make("tbody");
  const thead = make("thead", {}, [make("tr", {}, [header("node"), ...headers, custom]), all.row]);
  all.row.className = "nbt-cluster-all";
  const table = make("table", { ariaLabel: "Nodes" }, [thead, body]);
  const root = make("div", { className: "nbt-cluster-scroll", tabIndex: 0, role: "region", ariaLabel: "nodes" }, [
    table,
  ]);
  /** @type {Map<string, {row: Row, node: Node | null}>} */
  const rows = new Map(); // with the node that each row shows

  /** @param {Store} store */
  function draw({ cluster, nodes }) {
    root.hidden = !cluster?.amounts;
    if (!cluster?.amounts) return;
    showText(all.name, plural(cluster.alive ?? 0, "node"));
    showText(all.note, "total");
    fillAmounts(all, cluster.amounts);
    const plain = !customText(cluster.amounts);
    const changed = table.classList.contains("nbt-cluster-plain") !== plain;
    table.classList.toggle("nbt-cluster-plain", plain);
    for (const [id, { row }] of rows)
      if (!nodes.has(id)) {
        row.row.remove();
        rows.delete(id);
      }
    const order = [...nodes.values()].sort((a, b) => Number(b.alive) - Number(a.alive));
    order.forEach((node, i) => {
      const shown = rows.get(node.id);
      const row = shown?.row ?? makeRow();
      if (changed || shown?.node !== node) fillNode(row, node, plain);
      rows.set(node.id, { row, node });
      if (body.children[i] !== row.row) body.insertBefore(row.row, body.children[i] ?? null);
    });
  }
  return { root, draw };
}

/** The table of users: experiments, and everything else together. */
export function makeUsers() {
  const body = make("tbody");
  const headers = ["user", "trials", "CPUs", "GPUs", "memory", "other"].map((heading) => header(heading));
  const table = make("table", { ariaLabel: "Users" }, [make("thead", {}, [make("tr", {}, headers)]), body]);
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
  function draw({ cluster }) {
    root.hidden = !cluster?.users;
    const key = JSON.stringify([cluster?.users, cluster?.others]);
    if (!cluster?.users || key === shown) return;
    shown = key;
    const rows = cluster.users.map((user) =>
      line(user.name, user.here ? "this kernel" : "another kernel", String(user.trials), user.resources),
    );
    const others = cluster.others ?? {};
    if (Object.keys(others).length) rows.push(line("others", "not nbtune's", "", others));
    body.replaceChildren(...rows);
    table.hidden = !rows.length;
    idle.hidden = rows.length > 0;
  }
  return { root, draw };
}
