// The preview page: the choices in its bar, the widgets, and a list of their messages.

import { Kernel } from "./preview/kernel.js";
import { leaks } from "./preview/leaks.js";
import { fetched, Widget } from "./preview/mount.js";
import { SCENARIOS, scenario } from "./preview/scenario.js";

const NAMES = ["header", "curves", "trials", "parallel", "pareto"];
const SETTINGS = { x: "iteration", logx: false, logy: false, smooth: 0 };
const SHOWN = 200; // messages in the panel

const chosen = { scenario: "20", theme: "light", live: "1", width: "full" };
/** @type {Record<string, string>} */
const choice = { ...chosen, ...Object.fromEntries(new URLSearchParams(location.search)) };
if (!SCENARIOS.includes(choice.scenario)) choice.scenario = chosen.scenario;

/** @param {string} selector @returns {any} */
const find = (selector) => document.querySelector(selector);

function applyTheme() {
  document.body.dataset.jpThemeLight = String(choice.theme !== "dark");
  document.body.dataset.jpThemeName = choice.theme === "dark" ? "JupyterLab Dark" : "JupyterLab Light";
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

/** @param {string} name */
async function addStyles(name) {
  const style = Object.assign(document.createElement("style"), { textContent: await fetched(`${name}.css`) });
  document.head.append(style);
}

/** @param {string} widget @param {any} message */
function log(widget, message) {
  const line = Object.assign(document.createElement("li"), { textContent: `${widget} ${JSON.stringify(message)}` });
  const list = find("#messages");
  list.append(line);
  if (list.childElementCount > SHOWN) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

/** @param {Widget} widget */
function addView(widget) {
  const place = document.createElement("div");
  find(`#${widget.name}`).append(place);
  return widget.show(place);
}

/**
 * Link a trait of several models in the browser, as ipywidgets' jslink does.
 * @param {Widget[]} linked
 * @param {string} trait
 */
function link(linked, trait) {
  for (const { model } of linked)
    model.handedTo("link").on(`change:${trait}`, (/** @type {any} */ _, /** @type {any} */ value) => {
      for (const other of linked) {
        if (other.model === model) continue;
        other.model.set(trait, value);
        other.model.save_changes();
      }
    });
}

const recorded = await (await fetch("preview/recorded.json")).json();
const kernel = new Kernel(scenario(choice.scenario, recorded), log);
/** @type {Record<string, Record<string, any>>} */
const traits = {
  header: { state: {} },
  curves: { metric: kernel.metric, metrics: [], mode: null, settings: SETTINGS, selection: [] },
  trials: { selection: [], arrangement: [] },
  parallel: { selection: [] },
  pareto: { selection: [], axes: [0, 1] },
};
const shown = NAMES.filter((name) => name !== "pareto" || kernel.scenario.objectives.length > 1);
for (const name of shown) {
  const widget = new Widget(name, { alive: 0, ...traits[name] }, (message) => kernel.receive(name, message));
  kernel.widgets[name] = widget;
  await addStyles(name);
}
kernel.sendUpdates(true, ["header"]); // a model has its traits from the beginning
for (const [name, widget] of Object.entries(kernel.widgets)) {
  try {
    await widget.start();
    await addView(widget);
  } catch (error) {
    delete kernel.widgets[name];
    find(`#${name}`).textContent = `${name}.js: ${error}`;
    console.error(error);
  }
}
link(
  Object.values(kernel.widgets).filter((widget) => widget.name !== "header"),
  "selection",
);

find("#busy").addEventListener("change", () => {
  kernel.busy = find("#busy").checked;
  kernel.catchUp();
});
for (const name of /** @type {const} */ (["refuses", "slow"]))
  find(`#${name}`).addEventListener("change", () => {
    kernel[name] = find(`#${name}`).checked;
  });
find("#lost").addEventListener("change", () => {
  kernel.lost = find("#lost").checked;
  kernel.catchUp();
});
find("#delay").addEventListener("change", () => {
  kernel.delay = Number(find("#delay").value);
});
find("#more").addEventListener("click", () => Object.values(kernel.widgets).forEach(addView));
find("#fewer").addEventListener("click", () => {
  for (const { views } of Object.values(kernel.widgets)) views.at(-1)?.remove();
});

kernel.play(choice.live);
/** The interface for tests. */
Object.assign(globalThis, { preview: { kernel, widgets: kernel.widgets, addView, leaks } });
document.body.dataset.ready = "true";
