// Keeps the static picture of an experiment in the notebook's file up to date. See ../README.md.
//
// The kernel updates the picture itself, by its display id; but only the page on which the cell was run knows that id.
// On every other page (reloaded, reopened, another notebook) this puts the latest picture into the open notebook.
// JupyterLab and Notebook 7 give a widget access to the notebook; other frontends do not, and nothing happens there.

/** @typedef {import("../types.d.ts").AnyModel} AnyModel */

const SVG = "image/svg+xml";
const EXPERIMENT = /<metadata>[^<]*<\/metadata>/; // identifies the experiment in its pictures

/**
 * Put a picture in the place of all earlier ones of the same experiment. Results of other cells stay as they are.
 * @param {any} cells the cells of JupyterLab's notebook model
 * @param {Record<string, any>} data the picture, by MIME type
 */
export function replacePictures(cells, data) {
  const experiment = EXPERIMENT.exec(data[SVG])?.[0];
  if (!experiment) return;
  for (let cell = 0; cell < cells.length; cell++) {
    const outputs = cells.get(cell).outputs;
    for (let number = 0; number < (outputs?.length ?? 0); number++) {
      const output = outputs.get(number).toJSON();
      const svg = [output.data?.[SVG] ?? ""].flat().join("");
      if (output.output_type === "display_data" && svg.includes(experiment) && svg !== data[SVG])
        outputs.set(number, { ...output, data });
    }
  }
}

/**
 * Return what takes the pictures that the kernel sends. Of several pages with the same notebook one writes: JupyterLab
 * asks its user which version to keep if two pages change a file. That is the first one that was visible; when it is
 * closed, the next one takes over.
 * @param {AnyModel} model
 */
export function makePictures(model) {
  const context = /** @type {any} */ (model.widget_manager)?.context;
  let control = new AbortController();
  /** @type {Record<string, any> | undefined} */
  let latest;
  let [requested, writes] = [false, false];

  function apply() {
    if (writes && latest && !context.isDisposed) replacePictures(context.model.cells, latest);
  }

  /** Ask to be the page that writes, once this one is visible. @param {string} experiment */
  function request(experiment) {
    const { signal } = control;
    if (requested || document.hidden || signal.aborted) return;
    requested = true;
    const write = () => {
      writes = true;
      apply();
      return new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    };
    const locks = globalThis.navigator?.locks; // undefined on a page from another machine without https
    if (locks) locks.request(`nbtune ${context.path} ${experiment}`, { signal }, write).catch(() => {});
    else write();
  }

  return {
    /** @param {Record<string, any>} data */
    receive(data) {
      if (!context?.model?.cells) return;
      const experiment = EXPERIMENT.exec(data[SVG])?.[0] ?? "";
      if (!latest) document.addEventListener("visibilitychange", () => request(experiment), { signal: control.signal });
      latest = data;
      request(experiment);
      apply();
    },
    /** Let another page, or another widget of this one, write. */
    release() {
      control.abort();
      control = new AbortController();
      latest = undefined;
      requested = writes = false;
    },
  };
}
