// The cell that a form would write, shown as it is typed, with the buttons that write and copy it. The forms share it.

import { make, showText } from "./page.js";
import { copyText, writeCell } from "./write-cell.js";

const WRITTEN = "✓ written: it is the next cell";
const COPIED = "✓ copied: paste it into a new cell";

/**
 * @param {(target: EventTarget, type: string, act: (event: any) => any) => void} on listens, and shows what is thrown
 * @param {() => Promise<void>} [settled] comes to its end when the text is that of what is typed
 */
export function makeWritten(on, settled = async () => {}) {
  const write = make("button", { type: "button", className: "nbt-main", textContent: "Write cell" });
  const copy = make("button", { type: "button", textContent: "Copy" });
  const said = make("span", { role: "status" });
  const code = make("pre", { tabIndex: 0, role: "region", ariaLabel: "the cell as it would be written" });
  const root = make("section", { className: "nbt-written", ariaLabel: "the cell" }, [
    make("header", {}, [write, copy, said]),
    code,
  ]);
  let [text, wrong, writes] = ["", "", false];

  /** @param {() => Promise<string>} put */
  async function give(put) {
    if (writes) return;
    writes = true;
    try {
      await settled();
      showText(said, wrong || (await put()));
    } finally {
      writes = false;
    }
  }
  on(write, "click", () => give(async () => ((await writeCell(root, text)) === "written" ? WRITTEN : COPIED)));
  on(copy, "click", () => give(() => copyText(text).then(() => COPIED)));

  /**
   * @param {string} cell the text
   * @param {string} [why] why it is not to be written as it is; it is shown all the same
   */
  function show(cell, why = "") {
    if (cell !== text || why !== wrong) showText(said, why);
    [text, wrong] = [cell, why];
    if (code.textContent !== text) code.textContent = text;
    code.hidden = text === "";
    code.classList.toggle("nbt-stale", why !== "");
    write.ariaDisabled = copy.ariaDisabled = String(why !== ""); // unlike disabled, it keeps the focus
  }
  return { root, show };
}
