// The plan in the scaling form. See ../README.md.

import { make, setText, showText } from "./page.js";

/** @typedef {{state: string, lines: string[], cluster?: string, revision?: number}} Planned */
/** @typedef {{connecting: boolean, refusal: string, closed: boolean}} Connecting */

const NONE = "No cluster is connected, so there is no plan.";

/**
 * @param {() => void} connect called by the button
 * @param {(target: EventTarget, type: string, act: (event: any) => void) => void} on
 */
export function makePlan(connect, on) {
  const cluster = make("span", { className: "nbt-scaling-cluster" });
  const first = make("p", { className: "nbt-scaling-first" });
  const details = make("ul");
  const button = make("button", {
    type: "button",
    title: "Connect to a cluster of this machine, or start an embedded Ray",
  });
  const refusal = make("small", { role: "status", hidden: true });
  const text = make("div", { role: "status", ariaLabel: "plan" }, [first, details]);
  const root = make("section", { className: "nbt-scaling-plan", ariaLabel: "plan" }, [
    make("header", {}, [make("strong", { textContent: "Plan" }), cluster]),
    text,
    button,
    refusal,
  ]);
  let shown = "";
  on(button, "click", connect);

  /**
   * @param {Planned} planned
   * @param {Connecting} connecting
   * @param {boolean} stale whether the fields have changed since
   */
  function draw(planned, connecting, stale) {
    const none = planned.state === "none";
    const lines = none ? [NONE] : planned.lines?.length ? planned.lines : ["…"];
    root.dataset.state = planned.state ?? "";
    root.classList.toggle("nbt-stale", stale);
    showText(cluster, planned.cluster ? `on ${planned.cluster}` : "");
    cluster.title = cluster.textContent;
    const key = JSON.stringify([planned.state, lines]);
    if (key !== shown) {
      shown = key;
      const failed = planned.state === "impossible" || planned.state === "refused";
      setText(first, `${failed ? "✗ " : ""}${lines[0]}`);
      details.replaceChildren(
        ...lines.slice(1).map((line) => make("li", { textContent: line.replace(/^\s*[-•]\s*/, "") })),
      );
      details.hidden = lines.length < 2;
    }
    button.hidden = !none && !connecting.connecting;
    const label = connecting.connecting ? "connecting…" : "Connect";
    if (button.textContent !== label) button.textContent = label;
    button.ariaDisabled = String(connecting.connecting || connecting.closed); // unlike disabled, it keeps the focus
    showText(refusal, connecting.refusal);
  }
  return { root, draw };
}
