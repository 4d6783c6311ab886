// The cluster panel: what the connected cluster has, what is in use and by whom, and attaching to another.

import { makeAttach } from "./cluster-attach.js";
import { begin, CONNECTED, listen, look, redraw } from "./cluster-store.js";
import { makeNodes, makeUsers } from "./cluster-table.js";
import { KINDS, several, silenceText } from "./cluster-text.js";
import { guard, make, showText } from "./page.js";

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./cluster-store.js").Store} Store */

const NONE = "No cluster is connected yet. The first %%tune connects by itself, and so does the button.";

/**
 * One view of the panel.
 * @param {AnyModel} model
 * @param {HTMLElement} el
 * @param {Store} store
 * @param {AbortSignal} [signal]
 */
function view(model, el, store, signal) {
  const control = new AbortController();
  const end = () => control.abort();
  signal?.addEventListener("abort", end, { once: true });
  const failed = make("div", { className: "nbt-error", role: "alert" });
  const show = (/** @type {string} */ text) => {
    failed.textContent = store.error = text;
  };
  /** Each handler of this view is guarded, and goes with it.
   * @param {EventTarget} target @param {string} type @param {(event: any) => void} call */
  const on = (target, type, call) =>
    target.addEventListener(type, (event) => guard(model, `cluster: ${type}`, show, () => call(event)), {
      signal: control.signal,
    });

  const [sign, word, address, dead] = [
    make("span", { ariaHidden: "true" }),
    make("strong"),
    make("code"),
    make("span", { className: "nbt-cluster-lost" }),
  ];
  const attach = makeAttach(
    store,
    (message) => store.requests.ask(model, message, CONNECTED),
    on,
    () => redraw(store),
  );
  const head = make("header", {}, [sign, word, address, dead, attach.button]);
  const note = make("p", { role: "status" });
  const gone = make("p", { className: "nbt-cluster-gone", role: "alert" });
  const [nodes, users] = [makeNodes(), makeUsers()];
  const legend = make("p", {
    className: "nbt-cluster-legend",
    textContent:
      "Used is what Ray has given away for trials and tasks, not what their processes take; of the object store, what is filled.",
  });
  const body = make("div", { className: "nbt-cluster-body" }, [nodes.root, users.root, legend]);
  const root = make("div", { className: "nbt nbt-form nbt-cluster", role: "group", ariaLabel: "cluster" });
  root.append(head, note, gone, attach.form, body, failed);
  el.append(root);

  let first = true;
  const draw = () =>
    guard(model, "cluster: view", show, () => {
      const facts = store.facts;
      const kind = facts?.kind ?? "";
      const [mark, words, meaning] = KINDS[kind] ?? ["○", "asking the cluster…", ""];
      root.dataset.kind = kind;
      showText(sign, mark);
      showText(word, words);
      word.title = meaning;
      showText(address, facts?.address ?? "");
      showText(dead, facts?.dead ? `✗ ${several(facts.dead, "dead node")}` : "");
      showText(note, kind === "none" ? NONE : "");
      const silent = store.looking.size ? (performance.now() - store.heard) / 1000 : 0;
      const silence = store.connecting && !store.closed ? "" : silenceText(store.closed, silent);
      showText(gone, silence || (kind === "gone" ? (facts?.why ?? "") : ""));
      body.classList.toggle("nbt-stale", silence !== "");
      attach.draw();
      nodes.draw(store, first);
      users.draw(store);
      legend.hidden = nodes.root.hidden;
      if (failed.textContent !== store.error) failed.textContent = store.error;
      first = false;
    });

  let onScreen = false;
  const seen = () => look(model, store, root, onScreen && !document.hidden && !control.signal.aborted);
  const observer = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    seen();
  });
  observer.observe(root);
  on(document, "visibilitychange", seen);
  const timer = setInterval(() => {
    if (store.looking.has(root)) draw(); // a kernel that says nothing is noticed by the clock
  }, 1000);
  store.views.add(draw);
  control.signal.addEventListener("abort", () => {
    store.views.delete(draw);
    observer.disconnect();
    clearInterval(timer);
    seen();
    root.remove();
  });
  draw();
  return end;
}

export default () => {
  const store = begin();
  return {
    /** @param {{model: AnyModel, signal?: AbortSignal}} context */
    initialize({ model, signal }) {
      const end = listen(model, store);
      signal?.addEventListener("abort", end);
      return end;
    },
    /** @param {{model: AnyModel, el: HTMLElement, signal?: AbortSignal}} context */
    render: ({ model, el, signal }) => view(model, el, store, signal),
  };
};
