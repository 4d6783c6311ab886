// The cluster panel: what the connected cluster has, what is in use and by whom, and attaching to another. See ../README.md.

import { makeAttach } from "./cluster-attach.js";
import { createStore, receive } from "./cluster-store.js";
import { makeNodes, makeUsers } from "./cluster-table.js";
import { KINDS, plural, silenceText } from "./cluster-text.js";
import { defineWidget, redraw } from "./lifecycle.js";
import { make, showText } from "./page.js";

/** @typedef {import("./cluster-store.js").Store} Store */
/** @typedef {import("./lifecycle.js").View} View */

const NONE = "No cluster is connected. The first %%tune connects automatically; Connect does it now.";

/**
 * Build one view of the panel.
 * @param {View} view
 * @param {Store} store
 */
function render(view, store) {
  const [sign, label, address, dead] = [
    make("span", { ariaHidden: "true" }),
    make("strong"),
    make("code"),
    make("span", { className: "nbt-cluster-lost" }),
  ];
  const attach = makeAttach(store, view, () => redraw(store));
  const header = make("header", {}, [sign, label, address, dead, attach.button]);
  const note = make("p", { role: "status" });
  const offline = make("p", { className: "nbt-cluster-offline", role: "alert" });
  const [nodes, users] = [makeNodes(), makeUsers()];
  const legend = make("p", {
    className: "nbt-cluster-legend",
    textContent:
      "In use: what Ray has allocated to trials and tasks, not what their processes consume; for the object store, its contents.",
  });
  const body = make("div", { className: "nbt-cluster-body" }, [nodes.root, users.root, legend]);
  const root = make("div", { className: "nbt nbt-form nbt-cluster", role: "group", ariaLabel: "cluster" });
  root.append(header, note, offline, attach.form, body, view.error);

  const draw = () => {
    const { cluster } = store;
    const kind = cluster?.kind ?? "";
    const [mark, text, meaning] = KINDS[kind] ?? ["○", "waiting for the cluster…", ""];
    root.dataset.kind = kind;
    showText(sign, mark);
    showText(label, text);
    label.title = meaning;
    showText(address, cluster?.address ?? "");
    showText(dead, cluster?.dead ? `✗ ${plural(cluster.dead, "dead node")}` : "");
    showText(note, kind === "none" ? NONE : "");
    const silent = store.visible.size ? (performance.now() - store.lastMessage) / 1000 : 0;
    const silence = store.connecting && !store.closed ? "" : silenceText(store.closed, silent);
    showText(offline, silence || (kind === "gone" ? (cluster?.reason ?? "") : ""));
    body.classList.toggle("nbt-stale", silence !== "");
    attach.draw();
    nodes.draw(store);
    users.draw(store);
    legend.hidden = nodes.root.hidden;
  };

  // A silent kernel sends nothing that would redraw the view.
  const timer = setInterval(() => view.isVisible() && redraw(store), 1000);
  view.onDispose(() => clearInterval(timer));
  view.mount(root, draw);
}

export default defineWidget({ name: "cluster", createStore, receive, poll: true, render });
