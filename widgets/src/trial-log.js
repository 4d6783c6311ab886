// A trial's log in its detail: it follows its end, says what is left out above, and can be filtered. See ../README.md.

import { asShown, make, setText, showText } from "./page.js";
import { amountBefore, linesWith } from "./trial-numbers.js";

const NEAR_END = 4; // px from the end within which the log follows it

/**
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 * @param {HTMLElement} ranks the choice of the rank
 */
export function makeLog(on, ranks) {
  const filter = make("input", {
    type: "search",
    placeholder: "filter lines",
    ariaLabel: "Filter the log",
    spellcheck: false,
  });
  const count = make("small", { role: "status" });
  const above = make("small", { className: "nbt-above" });
  const box = make("pre", { className: "nbt-log", tabIndex: 0, role: "region", ariaLabel: "log" });
  const root = make("div", { hidden: true }, [
    make("h4", { className: "nbt-log-head" }, ["Log ", ranks, filter, count]),
    above,
    box,
  ]);
  let [known, shown, isNew] = ["", "", true];

  /** Show the lines with the filter's text; appending keeps the user's selection. */
  function draw() {
    const { lines, all } = linesWith(known, filter.value);
    const text = asShown(lines.join("\n"));
    setText(count, filter.value.trim() ? `${lines.length} of ${all} lines` : "");
    if (text === shown && !isNew) return;
    const follows = isNew || box.scrollHeight - box.clientHeight - box.scrollTop < NEAR_END;
    if (shown && text.startsWith(shown)) box.append(text.slice(shown.length));
    else box.textContent = text;
    shown = text;
    isNew = box.clientHeight === 0; // not laid out yet
    if (follows) box.scrollTop = box.scrollHeight;
  }

  on(filter, "input", () => {
    isNew = true;
    draw();
  });
  on(filter, "keydown", (event) => {
    if (event.key !== "Escape" || !filter.value) return;
    event.preventDefault();
    event.stopPropagation();
    filter.value = "";
    draw();
  });

  return {
    root,
    /** Forget what is shown: another trial's log follows. */
    reset() {
      [known, shown, isNew, filter.value] = ["", "", true, ""];
      box.textContent = "";
    },
    /**
     * @param {string} log empty to hide it
     * @param {number} [missing] bytes before it
     */
    show(log, missing = 0) {
      root.hidden = !log;
      known = log;
      showText(
        above,
        missing > 0 ? `${amountBefore(missing)} above are left out: .logs() of the trial returns all` : "",
      );
      draw();
    },
  };
}
