// The cluster panel's form to attach to another cluster. See ../README.md.

import { addressProblem, attachHint } from "./cluster-text.js";
import { make, showText } from "./page.js";
import { CONNECT_TIMEOUT } from "./requests.js";

/** @typedef {import("./cluster-store.js").Store} Store */
/** @typedef {import("./lifecycle.js").View} View */

/**
 * @param {Store} store
 * @param {View} view
 * @param {() => void} redraw draws all views
 */
export function makeAttach(store, { on, send }, redraw) {
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
  const errorText = make("small", { id: `${id}-error`, role: "status", hidden: true });
  const hint = make("p", { id: `${id}-hint` });
  input.setAttribute("aria-describedby", `${errorText.id} ${hint.id}`);
  const field = make("label", { className: "nbt-field" }, [make("span", { textContent: "address" }), input, errorText]);
  const form = make("form", { id, noValidate: true, autocomplete: "off", className: "nbt-cluster-attach" });
  form.append(make("div", {}, [field, go]), hint);
  form.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys that are typed here
  let [open, problem, connections] = [false, "", store.connections];
  const kind = () => store.cluster?.kind ?? "";

  on(button, "click", () => {
    open = !open;
    draw();
    if (open) input.focus();
  });
  on(form, "keydown", (event) => {
    if (event.key === "Enter" && event.target === input) {
      event.preventDefault(); // JupyterLab prevents the browser from submitting the form
      form.requestSubmit();
    }
    if (event.key !== "Escape" || button.hidden) return;
    event.stopPropagation();
    open = false;
    draw();
    button.focus();
  });
  on(input, "input", () => {
    problem = store.refusal = "";
    redraw();
  });
  on(form, "submit", (event) => {
    event.preventDefault();
    if (store.connecting || store.closed) return;
    problem = addressProblem(input.value, kind());
    store.refusal = "";
    if (!problem) {
      store.connecting = true;
      send({ type: "connect", address: input.value.trim() }, CONNECT_TIMEOUT);
    }
    redraw();
    if (problem) input.focus();
  });

  function draw() {
    const needed = kind() === "none" || kind() === "gone";
    if (connections !== store.connections) {
      connections = store.connections;
      if (form.contains(document.activeElement) && !needed) button.hidden = false;
      if (form.contains(document.activeElement)) button.focus();
      [open, problem, input.value] = [false, "", ""];
    }
    button.hidden = needed || !store.cluster;
    form.hidden = !store.cluster || !(needed || open);
    button.ariaExpanded = String(open);
    button.lastElementChild.textContent = open ? " ▴" : " ▾";
    const label = store.connecting ? "connecting…" : "Connect";
    if (go.textContent !== label) go.textContent = label;
    go.ariaDisabled = String(store.connecting || store.closed); // unlike disabled, it keeps the focus
    const error = problem || store.refusal;
    showText(errorText, error);
    input.ariaInvalid = String(error !== "");
    showText(hint, attachHint(kind()));
  }
  return { button, form, draw };
}
