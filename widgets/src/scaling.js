// The scaling form: the resources of a trial, the errors of its fields, the plan, and the cell. See ../README.md.

import { makeCellPreview } from "./cell-preview.js";
import { defineWidget, makeStore, redraw } from "./lifecycle.js";
import { make, showText } from "./page.js";
import { CONNECT_TIMEOUT } from "./requests.js";
import { BLANK, makeFields } from "./scaling-form.js";
import { makePlan } from "./scaling-plan.js";

/** @typedef {import("./lifecycle.js").View} View */
/** @typedef {ReturnType<typeof initialState>} State */
/** @typedef {ReturnType<typeof createStore>} Store */

const TYPING_DELAY = 120; // milliseconds after the last key until the kernel gets the fields
const INVALID = "Correct the marked fields first.";
const OFFLINE = "No connection to the kernel. Run this cell again when it has one.";

const createStore = () => makeStore(initialState(), receive);

const initialState = () => ({
  connecting: false,
  refusal: "", // why connecting failed
  typingTimer: /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined),
});

/**
 * Take a message of the kernel, or the refusal of a request that has timed out.
 * @param {State} store
 * @param {any} message
 */
function receive(store, message) {
  if (message.type === "refused") Object.assign(store, { connecting: false, refusal: message.message });
  if (message.type === "connected") Object.assign(store, { connecting: false, refusal: "" });
}

/**
 * Build one view of the form.
 * @param {View} view
 * @param {Store} store
 */
function render({ model, error, on, guarded, send, mount }, store) {
  /** @param {string} name @param {string | boolean} value */
  function setField(name, value) {
    model.set("fields", { ...model.get("fields"), [name]: value }); // also redraws the other views
    clearTimeout(store.typingTimer);
    const save = guarded("fields", () => model.save_changes());
    store.typingTimer = setTimeout(() => save(), typeof value === "string" && name !== "mode" ? TYPING_DELAY : 0);
  }
  function connect() {
    if (store.connecting || store.closed) return;
    Object.assign(store, { connecting: true, refusal: "" });
    send({ type: "connect" }, CONNECT_TIMEOUT);
    redraw(store);
  }
  const fields = makeFields(setField, on);
  const plan = makePlan(connect, on);
  const preview = makeCellPreview(on);
  const offline = make("p", { role: "alert", className: "nbt-scaling-offline" });
  const root = make("form", { className: "nbt nbt-form nbt-scaling", noValidate: true, ariaLabel: "scaling" });
  root.append(offline, make("div", { className: "nbt-scaling-main" }, [fields.root, plan.root]), preview.root, error);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab must not handle keys that are typed here
  on(root, "submit", (event) => event.preventDefault());

  mount(root, () => {
    const [checked, planned] = [model.get("checked") ?? {}, model.get("planned") ?? {}];
    const problems = checked.problems ?? {};
    const invalid = Object.keys(problems).length > 0;
    fields.draw({ ...BLANK, ...model.get("fields") }, problems, checked.train_v2 !== false);
    plan.draw(planned, store, invalid || planned.revision !== checked.revision);
    preview.show(checked.cell ?? "", invalid ? INVALID : "");
    showText(offline, store.closed ? OFFLINE : "");
  });
}

export default defineWidget({
  name: "scaling",
  createStore,
  receive,
  stateTraits: ["checked", "planned"],
  otherTraits: ["fields"],
  dispose: (store) => clearTimeout(store.typingTimer),
  poll: true,
  render,
});
