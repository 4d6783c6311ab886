// The preview page of the cluster panel and the scaling form: its bar, the two widgets, and a list of their messages.

import { ClusterKernel } from "./cluster-kernel.js";
import { leaks } from "./leaks.js";
import { fetched, Widget } from "./mount.js";

/** @type {Record<string, string>} */
const choice = {
  scenario: "three",
  form: "one",
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

/** @param {string} widget @param {any} message */
function log(widget, message) {
  const text = `${widget} ${JSON.stringify(message)}`;
  find("#messages").append(Object.assign(document.createElement("li"), { textContent: text }));
}

/** @param {Widget} widget */
function addView(widget) {
  const place = document.createElement("div");
  find(`#${widget.name}`).append(place);
  return widget.show(place);
}

const kernel = new ClusterKernel(choice.scenario, choice.form, log);
for (const name of ["cluster", "scaling"]) {
  const traits = name === "scaling" ? await kernel.traits() : {};
  const widget = new Widget(name, traits, (message) => kernel.receive(name, message));
  kernel.widgets[name] = widget;
  const style = Object.assign(document.createElement("style"), { textContent: await fetched(`${name}.css`) });
  document.head.append(style);
  await widget.start();
  await addView(widget);
}

for (const name of /** @type {const} */ (["refuses", "silent"]))
  find(`#${name}`).addEventListener("change", () => {
    kernel[name] = find(`#${name}`).checked;
  });
find("#more").addEventListener("click", () => Object.values(kernel.widgets).forEach(addView));
find("#fewer").addEventListener("click", () => {
  for (const { views } of Object.values(kernel.widgets)) views.at(-1)?.remove();
});
/** The interface for tests. */
Object.assign(globalThis, { preview: { kernel, widgets: kernel.widgets, addView, leaks } });
document.body.dataset.ready = "true";
