// The plan beside the scaling form. See ../README.md.

import { make, showText } from "./page.js";

/** @typedef {{state: string, lines: string[], cluster?: string, revision?: number}} Planned */
/** @typedef {{connecting: boolean, refused: string, closed: boolean}} Link */

const NONE = "No cluster is connected, so nothing can be planned.";

/**
 * @param {() => void} connect what the button does
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 */
export function makePlan(connect, on) {
  const cluster = make("span", { className: "nbt-scaling-cluster" });
  const first = make("p", { className: "nbt-scaling-first" });
  const rest = make("ul");
  const button = make("button", { type: "button", title: "A cluster of this machine, or a Ray of this kernel's own" });
  const refused = make("small", { role: "status", hidden: true });
  const text = make("div", { role: "status", ariaLabel: "plan" }, [first, rest]);
  const root = make("section", { className: "nbt-scaling-plan", ariaLabel: "plan" }, [
    make("header", {}, [make("strong", { textContent: "Plan" }), cluster]),
    text,
    button,
    refused,
  ]);
  let shown = "";
  on(button, "click", connect);

  /**
   * @param {Planned} planned
   * @param {Link} link
   * @param {boolean} stale whether it is of what was typed before
   */
  function draw(planned, link, stale) {
    const none = planned.state === "none";
    const lines = none ? [NONE] : planned.lines?.length ? planned.lines : ["…"];
    root.dataset.state = planned.state ?? "";
    root.classList.toggle("nbt-stale", stale);
    showText(cluster, planned.cluster ? `on ${planned.cluster}` : "");
    cluster.title = cluster.textContent;
    const key = JSON.stringify([planned.state, lines]);
    if (key !== shown) {
      shown = key;
      const wrong = planned.state === "impossible" || planned.state === "refused";
      first.textContent = `${wrong ? "✗ " : ""}${lines[0]}`;
      rest.replaceChildren(
        ...lines.slice(1).map((line) => make("li", { textContent: line.replace(/^\s*[-•]\s*/, "") })),
      );
      rest.hidden = lines.length < 2;
    }
    button.hidden = !none && !link.connecting;
    const label = link.connecting ? "connecting…" : "Connect";
    if (button.textContent !== label) button.textContent = label;
    button.ariaDisabled = String(link.connecting || link.closed); // unlike disabled, it keeps the focus
    showText(refused, link.refused);
  }
  return { root, draw };
}
