// The selection of trials by clicks and keys. See ../README.md.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */
/** @typedef {import("./trial-rows.js").Row} Row */
/** @typedef {import("./trial-table.js").State} State */

/**
 * @param {AnyModel} model
 * @param {State} state
 * @param {() => Row[]} rows returns the rows that are shown, in their order
 */
export function makeSelection(model, state, rows) {
  /** @param {Iterable<number>} trials */
  function select(trials) {
    state.selected = new Set(trials);
    model.set(
      "selection",
      [...state.selected].sort((a, b) => a - b),
    );
    model.save_changes();
  }

  /** @param {number | null} trial */
  const indexOf = (trial) => rows().findIndex((row) => row[0] === trial);

  /** @param {number} trial */
  function toggle(trial) {
    const selected = new Set(state.selected);
    if (!selected.delete(trial)) selected.add(trial);
    select(selected);
  }

  /** @param {number} trial */
  function selectTo(trial) {
    const to = indexOf(trial);
    const from = indexOf(state.anchor);
    const first = from < 0 ? to : Math.min(from, to);
    const chosen = rows().slice(first, Math.max(from, to) + 1);
    select(chosen.map((row) => row[0]));
  }

  /**
   * Select by a click on a row.
   * @param {number} trial
   * @param {MouseEvent} event
   */
  function pick(trial, event) {
    const alone = state.selected.size === 1 && state.selected.has(trial);
    if (event.shiftKey) selectTo(trial);
    else if (event.ctrlKey || event.metaKey) toggle(trial);
    else select(alone ? [] : [trial]);
    if (!event.shiftKey) state.anchor = trial;
  }

  return { select, toggle, selectTo, pick, indexOf };
}
