// The cluster panel's way to another cluster: an address and a button. See ../README.md.

import { addressProblem, leaving } from "./cluster-text.js";
import { make, showText } from "./page.js";

/** @typedef {import("./cluster-store.js").Store} Store */

/**
 * @param {Store} store
 * @param {(message: object) => void} send
 * @param {(target: EventTarget, type: string, call: (event: any) => void) => void} on
 * @param {() => void} redraw all views
 */
export function makeAttach(store, send, on, redraw) {
  const id = `nbt-cluster-${Math.random().toString(36).slice(2)}`;
  const button = make("button", { type: "button", ariaExpanded: "false" });
  button.append("Attach to another", make("span", { ariaHidden: "true" }));
  button.setAttribute("aria-controls", id);
  const input = make("input", {
    type: "text",
    spellcheck: false,
    ariaLabel: "address",
    placeholder: "HOST:PORT, ray://HOST:PORT, auto, local",
  });
  const go = make("button", { type: "submit", className: "nbt-main" });
  const why = make("small", { id: `${id}-why`, role: "status", hidden: true });
  const hint = make("p", { id: `${id}-hint` });
  input.setAttribute("aria-describedby", `${why.id} ${hint.id}`);
  const field = make("label", { className: "nbt-field" }, [make("span", { textContent: "address" }), input, why]);
  const form = make("form", { id, noValidate: true, autocomplete: "off", className: "nbt-cluster-attach" });
  form.append(make("div", {}, [field, go]), hint);
  form.dataset.lmSuppressShortcuts = "true"; // else JupyterLab would take keys that are typed here
  let [open, own, worked] = [false, "", store.connected];
  const kind = () => store.facts?.kind ?? "";

  on(button, "click", () => {
    open = !open;
    draw();
    if (open) input.focus();
  });
  on(form, "keydown", (event) => {
    if (event.key === "Enter" && event.target === input) {
      event.preventDefault(); // not left to the browser: in JupyterLab it does not come to a submission
      form.requestSubmit();
    }
    if (event.key !== "Escape" || button.hidden) return;
    event.stopPropagation();
    open = false;
    draw();
    button.focus();
  });
  on(input, "input", () => {
    own = store.refused = "";
    redraw();
  });
  on(form, "submit", (event) => {
    event.preventDefault();
    if (store.connecting || store.closed) return;
    own = addressProblem(input.value, kind());
    store.refused = "";
    if (!own) {
      store.connecting = true;
      send({ type: "connect", address: input.value.trim() });
    }
    redraw();
    if (own) input.focus();
  });

  function draw() {
    const needed = kind() === "none" || kind() === "gone";
    if (worked !== store.connected) {
      worked = store.connected;
      if (form.contains(document.activeElement) && !needed) button.hidden = false;
      if (form.contains(document.activeElement)) button.focus();
      [open, own, input.value] = [false, "", ""];
    }
    button.hidden = needed || !store.facts;
    form.hidden = !store.facts || !(needed || open);
    button.ariaExpanded = String(open);
    button.lastElementChild.textContent = open ? " ▴" : " ▾";
    const label = store.connecting ? "connecting…" : "Connect";
    if (go.textContent !== label) go.textContent = label;
    go.ariaDisabled = String(store.connecting || store.closed); // unlike disabled, it keeps the focus
    const wrong = own || store.refused;
    showText(why, wrong);
    input.ariaInvalid = String(wrong !== "");
    showText(hint, leaving(kind()));
  }
  return { button, form, draw };
}
