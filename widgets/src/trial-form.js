// The form of a point to try next: a new one, or a trial's with changes. See ../README.md.

import { asShown, format, make, showText } from "./page.js";
import { pointColumns, readPoint, toTyped } from "./trial-point.js";

/** @typedef {import("./trial-rows.js").Column} Column */
/** @typedef {import("./trial-store.js").Store} Store */
/** @typedef {{input: any, errorText: HTMLElement, before: string}} Field */

/**
 * @param {Store} store
 * @param {(trial: number | null, config: object, checkpoint: boolean) => void} send
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 * @param {string} id prefix of the ids of its elements
 */
export function makeForm(store, send, on, id) {
  const grid = make("div", { className: "nbt-fields" });
  const fromCheckpoint = make("input", { type: "checkbox" });
  const checkpointLabel = make("label", { className: "nbt-checkpoint" }, [fromCheckpoint, "from its checkpoint"]);
  const submit = make("button", { type: "submit" });
  const close = make("button", { type: "button", textContent: "Cancel" });
  const status = make("span", { role: "status", className: "nbt-status-text" });
  const refusal = make("div", { role: "status", className: "nbt-refusal", hidden: true });
  const foot = make("div", { className: "nbt-foot" }, [submit, checkpointLabel, close, status]);
  const root = make("form", { className: "nbt-point", noValidate: true, autocomplete: "off", hidden: true });
  root.append(grid, foot, refusal);

  let trial = /** @type {number | null} */ (null);
  let shown = ""; // the columns that the fields are of
  let columns = /** @type {Column[]} */ ([]);
  let fields = /** @type {Field[]} */ ([]);
  let opener = /** @type {HTMLElement | null} */ (null);

  /** @param {Column} column @param {number} i @returns {Field} */
  function makeField(column, i) {
    const row = trial === null ? undefined : store.rows.get(trial);
    const cell = row?.[store.columns.indexOf(column) + 2];
    const errorText = make("small", { id: `${id}-error-${i}`, hidden: true });
    const choices = column.kind === "choice" ? (column.choices ?? []) : null;
    const at = choices && row ? choices.indexOf(cell ?? null) : -1;
    const before = choices ? (at < 0 ? "" : String(at)) : row ? toTyped(cell) : "";
    const input = choices
      ? make("select", {}, [
          ...(at < 0 ? [make("option", { value: "", textContent: row ? format(cell) : "sampled" })] : []),
          ...choices.map((one, n) => make("option", { value: String(n), textContent: toTyped(one) })),
        ])
      : make("input", { type: "text", spellcheck: false, placeholder: row ? "" : "sampled" });
    Object.assign(input, { value: before, title: asShown(column.space ?? "") });
    input.setAttribute("aria-describedby", errorText.id);
    const name = make("span", { textContent: column.label, title: column.label });
    grid.append(make("label", {}, [name, input, errorText]));
    return { input, errorText, before };
  }

  function build() {
    columns = pointColumns(store.columns);
    shown = JSON.stringify(columns);
    grid.replaceChildren();
    fields = columns.map(makeField);
  }

  /**
   * Open the form for a clone of a trial or for a new point, or close it.
   * @param {number | null} of the trial
   * @param {HTMLElement | null} by the button that has opened it and gets the focus back; null closes it
   */
  function show(of, by) {
    root.hidden = by === null;
    if (by === null) {
      if (root.contains(document.activeElement)) opener?.focus();
      return;
    }
    [trial, opener] = [of, by];
    fromCheckpoint.checked = false;
    if (store.point.trial === of) Object.assign(store.point, { phase: "", message: "" });
    root.ariaLabel = of === null ? "A point to try next" : `A clone of trial ${of}`;
    build();
    draw();
    (fields[0]?.input ?? submit).focus();
  }

  /** @param {boolean} [checkpoint] whether the trial has one */
  function draw(checkpoint = false) {
    if (root.hidden) return;
    if (shown !== JSON.stringify(pointColumns(store.columns))) build();
    checkpointLabel.hidden = trial === null || !checkpoint;
    const { phase, message } = store.point.trial === trial ? store.point : { phase: "", message: "" };
    const label = phase === "waiting" ? "waiting for the kernel…" : "Try this next";
    if (submit.textContent !== label) submit.textContent = label;
    submit.ariaDisabled = String(phase === "waiting"); // unlike disabled, it checkpointLabel the focus
    showText(status, phase === "added" ? "✓ added: it is tried next" : "");
    showText(refusal, message);
  }

  on(root, "input", (event) => {
    const field = fields.find(({ input }) => input === event.target);
    if (field) mark(field, "");
    if (store.point.trial === trial && store.point.phase !== "waiting")
      Object.assign(store.point, { phase: "", message: "" });
    draw(!checkpointLabel.hidden);
  });
  on(root, "submit", (event) => {
    event.preventDefault();
    if (store.point.phase === "waiting") return;
    const { config, errors } = readPoint(
      columns,
      fields.map(({ input }) => input.value),
      fields.map(({ before }) => before),
    );
    for (const [i, error] of errors.entries()) mark(fields[i], error);
    const wrong = errors.findIndex(Boolean);
    if (wrong >= 0) return fields[wrong].input.focus();
    send(trial, config, fromCheckpoint.checked && !checkpointLabel.hidden);
  });
  on(root, "keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) {
      event.preventDefault(); // JupyterLab prevents the browser from submitting the form
      root.requestSubmit();
    }
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    show(trial, null);
    opener?.setAttribute("aria-expanded", "false");
  });
  on(close, "click", () => {
    show(trial, null);
    opener?.setAttribute("aria-expanded", "false");
  });

  /** @param {Field} field @param {string} error */
  function mark({ input, errorText }, error) {
    input.ariaInvalid = String(error !== "");
    showText(errorText, error);
  }

  return { root, show, draw, trial: () => (root.hidden ? undefined : trial) };
}
