// A trial's results in its detail: the last and the best metrics, each with a small curve. See ../README.md.

import { format, make, setText, showText } from "./page.js";
import { checkpointText, curveText, placeText, sparkline } from "./trial-numbers.js";
import { precise } from "./trial-rows.js";

/** @typedef {import("./trial-numbers.js").Results} Results */

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [140, 18]; // px of a small curve

function makeSparkline() {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const title = document.createElementNS(SVG, "title");
  svg.setAttribute("viewBox", `-1 -2 ${WIDTH + 2} ${HEIGHT + 4}`);
  svg.setAttribute("width", String(WIDTH + 2));
  svg.setAttribute("height", String(HEIGHT + 4));
  svg.setAttribute("role", "img");
  svg.append(title, path);
  return { svg, path, title };
}

function makeMetricLine() {
  const curve = makeSparkline();
  const cells = [make("th", { scope: "row" }), make("td"), make("td"), make("td", {}, [curve.svg])];
  return { row: make("tr", {}, cells), cells, ...curve };
}

export function makeResults() {
  const [lastAt, bestAt] = [make("th", { scope: "col" }), make("th", { scope: "col" })];
  const body = make("tbody");
  const head = make("tr", {}, [make("th", { scope: "col", textContent: "metric" }), lastAt, bestAt, make("th")]);
  head.lastElementChild.ariaLabel = "curve";
  const table = make("table", { ariaLabel: "Results" }, [make("thead", {}, [head]), body]);
  const notes = make("p");
  const scroller = make("div", { className: "nbt-results", tabIndex: 0, role: "region", ariaLabel: "results" }, [
    table,
  ]);
  const root = make("div", {}, [make("h4", { textContent: "Results" }), scroller, notes]);
  const lines = /** @type {ReturnType<typeof makeMetricLine>[]} */ ([]);

  /**
   * @param {Results | null | undefined} results
   * @param {string[]} origin where the trial comes from
   */
  function draw(results, origin) {
    const metrics = results?.metrics ?? [];
    root.hidden = !results && !origin.length;
    scroller.hidden = !metrics.length;
    const texts = [...origin];
    if (results) {
      setText(lastAt, `last: ${placeText(results.last, format)}`);
      setText(bestAt, results.best ? `${results.label}: ${placeText(results.best, format)}` : "");
      if (!results.best && results.label && results.value !== "")
        texts.unshift(`${results.label}: ${format(results.value)}`);
      const saved = checkpointText(results.checkpoints, results.kept);
      if (saved) texts.push(saved);
      if (results.more) texts.push(`${results.more} more metrics are not shown: .metrics of the trial has all`);
    }
    showText(notes, texts.join("\n"));
    while (lines.length < metrics.length) {
      lines.push(makeMetricLine());
      body.append(lines[lines.length - 1].row);
    }
    for (const { row } of lines.splice(metrics.length)) row.remove();
    for (const [i, [name, last, best, x, y]] of metrics.entries()) {
      const { cells, path, svg, title } = lines[i];
      setText(cells[0], name, name);
      setText(cells[1], format(last), precise(last));
      setText(cells[2], format(best), precise(best));
      cells[2].hidden = bestAt.textContent === "";
      const drawn = sparkline(x, y, WIDTH, HEIGHT);
      if (path.getAttribute("d") !== drawn) path.setAttribute("d", drawn);
      svg.style.display = drawn ? "" : "none";
      setText(title, curveText(name, y, format));
      svg.setAttribute("aria-label", title.textContent ?? "");
    }
    bestAt.hidden = bestAt.textContent === "";
  }

  return { root, draw };
}
