// A trial's configuration in its detail, copied as a dictionary or as lines of a cell, or written as a cell.

import { make, showText } from "./page.js";
import { copyText, writeCell } from "./write-cell.js";

/** @typedef {{config: string, lines?: string, cell?: string}} Texts */

/** @param {(target: EventTarget, type: string, act: (event: any) => any) => void} on */
export function makeConfiguration(on) {
  const button = (/** @type {string} */ textContent, /** @type {string} */ title) =>
    make("button", { type: "button", textContent, title });
  const copy = button("Copy", "copy the dictionary");
  const lines = button("Copy as %%tune lines", "copy the lines of a %%tune cell, with these values as defaults");
  const write = button("Make a cell of this trial", "write a cell that runs this trial alone, without tuning");
  const said = make("small", { role: "status" });
  const config = make("pre");
  const root = make("div", {}, [make("h4", {}, ["Configuration ", copy, lines, write, said]), config]);
  /** @type {Texts} */
  let texts = { config: "" };

  /** @param {string} text */
  async function copyShown(text) {
    try {
      await copyText(text);
      said.textContent = "copied";
    } catch {
      if (text === config.textContent) getSelection()?.selectAllChildren(config);
      said.textContent =
        text === config.textContent ? "selected: press Ctrl+C to copy" : "the browser does not permit it";
    }
  }

  on(copy, "click", () => copyShown(texts.config));
  on(lines, "click", () => copyShown(texts.lines ?? ""));
  on(write, "click", async () => {
    said.textContent = "";
    const done = await writeCell(root, texts.cell ?? "");
    said.textContent = done === "written" ? "written to the next cell" : "copied: paste it into a new cell";
  });

  return {
    root,
    reset() {
      said.textContent = "";
    },
    /** @param {Texts | undefined} detail */
    draw(detail) {
      texts = detail ?? { config: "" };
      showText(config, texts.config);
      lines.hidden = !texts.lines;
      write.hidden = !texts.cell;
    },
  };
}
