// The preview page of the form on a space: its bar and the widget; the page's server runs the kernel's part.

import { leaks } from "./leaks.js";
import { fetched, Widget } from "./mount.js";

/** @type {Record<string, string>} */
const choice = {
  scenario: "cell",
  theme: "light",
  width: "full",
  ...Object.fromEntries(new URLSearchParams(location.search)),
};

/** @param {string} selector @returns {any} */
const find = (selector) => document.querySelector(selector);

function applyTheme() {
  document.body.dataset.jpThemeLight = String(choice.theme !== "dark");
  find("main").style.width = choice.width === "full" ? "" : `${choice.width}px`;
}

for (const select of document.querySelectorAll("select")) {
  select.value = choice[select.name];
  select.addEventListener("change", () => {
    choice[select.name] = select.value;
    history.replaceState(null, "", `?${new URLSearchParams(choice)}`);
    if (select.name === "theme" || select.name === "width") applyTheme();
    else location.reload();
  });
}
applyTheme();

/** The messages of the browser, in their order. @type {any[]} */
const received = [];
/** The messages that a busy kernel has not handled yet. @type {any[]} */
const waiting = [];
/** Answers are in the order of the requests. */
let last = Promise.resolve();

/** @param {any} message */
async function ask(message) {
  if (message.type === "plotly") {
    const file = await fetch("widget/plotly.min.js.gz");
    return widget.model.receive({ type: "plotly" }, [new Uint8Array(await file.arrayBuffer())]);
  }
  const body = JSON.stringify({ scenario: choice.scenario, message });
  const answer = await fetch("space-form", { method: "POST", body });
  const reader = /** @type {ReadableStream} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (text + value).split("\n");
    text = lines.pop() ?? "";
    for (const line of find("#lost").checked ? [] : lines) widget.model.receive(JSON.parse(line));
  }
}

/** @param {any} message */
function receive(message) {
  received.push(message);
  find("#messages").append(Object.assign(document.createElement("li"), { textContent: JSON.stringify(message) }));
  if (find("#lost").checked) return;
  if (find("#busy").checked) waiting.push(message);
  else last = last.then(() => ask(message));
}

function addView() {
  const place = document.createElement("div");
  find("#space-form").append(place);
  return widget.show(place);
}

const widget = new Widget("space-form", {}, receive);
document.head.append(Object.assign(document.createElement("style"), { textContent: await fetched("space-form.css") }));
await widget.start();
await addView();

find("#busy").addEventListener("change", () => {
  for (const message of waiting.splice(0)) receive(message);
});
find("#lost").addEventListener("change", () => widget.model.emit("comm_live_update"));
find("#more").addEventListener("click", addView);
find("#fewer").addEventListener("click", () => widget.views.at(-1)?.remove());
/** The interface for tests. */
Object.assign(globalThis, { preview: { received, widget, addView, leaks, answered: () => last } });
await last;
document.body.dataset.ready = "true";
