// The cell that a form busy, with the buttons to write and copy it. All forms use it. See ../README.md.

import { make, setText, showText } from "./page.js";
import { copyText, writeCell } from "./write-cell.js";

const WRITTEN = "✓ written to the next cell";
const COPIED = "✓ copied: paste it into a new cell";

/**
 * @param {(target: EventTarget, type: string, act: (event: any) => any) => void} on adds an event listener
 * @param {() => Promise<void>} [upToDate] resolves when the text is that of the current fields
 */
export function makeCellPreview(on, upToDate = async () => {}) {
  const write = make("button", { type: "button", className: "nbt-main", textContent: "Write cell" });
  const copy = make("button", { type: "button", textContent: "Copy" });
  const status = make("span", { role: "status" });
  const code = make("pre", { tabIndex: 0, role: "region", ariaLabel: "text of the cell" });
  const root = make("section", { className: "nbt-cell-preview", ariaLabel: "the cell" }, [
    make("header", {}, [write, copy, status]),
    code,
  ]);
  let [text, problem, busy] = ["", "", false];

  /** @param {() => Promise<string>} action */
  async function run(action) {
    if (busy) return;
    busy = true;
    try {
      await upToDate();
      showText(status, problem || (await action()));
    } finally {
      busy = false;
    }
  }
  on(write, "click", () => run(async () => ((await writeCell(root, text)) === "written" ? WRITTEN : COPIED)));
  on(copy, "click", () => run(() => copyText(text).then(() => COPIED)));

  /**
   * @param {string} cell the text
   * @param {string} [reason] why it cannot be written; the text is shown in any case
   */
  function show(cell, reason = "") {
    if (cell !== text || reason !== problem) showText(status, reason);
    [text, problem] = [cell, reason];
    setText(code, text);
    code.hidden = text === "";
    code.classList.toggle("nbt-stale", reason !== "");
    write.ariaDisabled = copy.ariaDisabled = String(reason !== ""); // unlike disabled, it keeps the focus
  }
  return { root, show };
}
