// The choice of the table's columns and of their order. See ../README.md.

import { make } from "./page.js";
import { arrange, moved } from "./trial-columns.js";

/** @typedef {import("./trial-columns.js").Arrangement} Arrangement */
/** @typedef {import("./trial-columns.js").Choice} Choice */
/** @typedef {import("./trial-store.js").Store} Store */

/**
 * The button and the list that it opens, above the table.
 * @param {Store} store
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 * @param {() => Arrangement} arrangement
 * @param {(arrangement: Arrangement) => void} set
 */
export function makeChooser(store, on, arrangement, set) {
  const button = make("button", {
    type: "button",
    className: "nbt-columns",
    textContent: "Columns ▾",
    ariaExpanded: "false",
    title: "choose the columns and their order",
  });
  const list = make("ul");
  const reset = make("button", { type: "button", textContent: "Reset" });
  const panel = make("div", { className: "nbt-chooser", role: "group", ariaLabel: "columns", hidden: true }, [
    list,
    reset,
  ]);
  const root = make("div", { className: "nbt-chooser-root" }, [button, panel]);
  let shown = ""; // the choices that the list has

  const choices = () => arrange(store.columns, arrangement());

  function draw() {
    button.hidden = store.columns.length === 0;
    if (panel.hidden) return;
    const all = choices();
    reset.ariaDisabled = String(arrangement().length === 0);
    if (shown === JSON.stringify(all)) return;
    shown = JSON.stringify(all);
    const focused = /** @type {HTMLElement | null} */ (
      panel.contains(document.activeElement) ? document.activeElement : null
    );
    const [key, act] = [focused?.dataset.key, focused?.dataset.act];
    list.replaceChildren(...all.map((choice, i) => line(choice, i, all.length)));
    if (key === undefined) return;
    const again = [...list.querySelectorAll(`[data-act=${act}]`)].find((one) => one.dataset.key === key);
    again?.focus();
  }

  /** @param {Choice} choice @param {number} i @param {number} count */
  function line({ key, label, shown }, i, count) {
    const box = make("input", { type: "checkbox", checked: shown });
    const step = (/** @type {string} */ act, /** @type {string} */ sign, /** @type {boolean} */ last) => {
      const title = `move ${label} ${act}: to the ${act === "up" ? "left" : "right"} in the table`;
      const made = make("button", { type: "button", textContent: sign, ariaLabel: `move ${label} ${act}`, title });
      made.ariaDisabled = String(last);
      return made;
    };
    const [up, down] = [step("up", "↑", i === 0), step("down", "↓", i === count - 1)];
    for (const [act, element] of Object.entries({ box, up, down })) Object.assign(element.dataset, { act, key });
    return make("li", {}, [make("label", {}, [box, make("span", { textContent: label, title: label })]), up, down]);
  }

  /** @param {boolean} open @param {boolean} [focus] whether the focus goes along */
  function show(open, focus = true) {
    panel.hidden = !open;
    button.ariaExpanded = String(open);
    draw();
    if (focus) (open ? (list.querySelector("input") ?? reset) : button).focus();
  }

  on(button, "click", () => show(panel.hidden));
  on(panel, "click", ({ target }) => {
    if (target === reset) return set([]);
    const { act, key } = target.dataset;
    const all = choices();
    const at = all.findIndex((choice) => choice.key === key);
    if (at < 0 || (act !== "up" && act !== "down")) return;
    const to = at + (act === "up" ? -1 : 1);
    if (to >= 0 && to < all.length) set(moved(all, at, to));
  });
  on(panel, "change", ({ target }) =>
    set(choices().map(({ key, shown }) => [key, key === target.dataset.key ? target.checked : shown])),
  );
  on(root, "keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    show(false);
  });
  on(root, "focusout", ({ relatedTarget }) => {
    if (!panel.hidden && relatedTarget && !root.contains(relatedTarget)) show(false, false);
  });
  on(document, "pointerdown", (event) => {
    if (!panel.hidden && !event.composedPath().includes(root)) show(false, false);
  });

  return { root, draw };
}
