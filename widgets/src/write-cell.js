// Writes text into a new code cell below the one that shows a widget, or else copies it to the clipboard. There is no
// JupyterLab extension for it: this clicks the notebook's button and pastes, as a user does.

const TIMEOUT = 1_500; // milliseconds for the notebook to react
const CLICK_TIMEOUT = 300; // milliseconds for a clicked button to have an effect
const POLL_INTERVAL = 20; // milliseconds
const INSERT_BELOW = "notebook:insert-cell-below";

/**
 * Write text into a new code cell below the notebook cell that contains an element (JupyterLab 4, Notebook 7). No other
 * cell changes. Call it from a click or key handler: browsers allow the clipboard only there.
 * @param {Element} el
 * @param {string} text
 * @returns {Promise<"written" | "copied">} "copied": to the clipboard only
 */
export async function writeCell(el, text) {
  const cell = el.closest(".jp-Notebook .jp-Cell");
  const fresh = cell && (await insertBelow(cell));
  const editor = fresh && (await waitFor(() => emptyEditor(fresh)));
  if (editor && paste(editor, text) && (await waitFor(() => sameText(shownText(editor), text)))) return "written";
  await copyText(text);
  return "copied";
}

/**
 * Copy text to the clipboard.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Undefined without https, or not permitted: use the older method.
  }
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.style.cssText = "position: fixed; top: 0; opacity: 0";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  if (!copied) throw new Error("the browser does not permit copying; select the text of the cell and press Ctrl+C");
}

/**
 * @param {Element} cell
 * @returns {Promise<Element | null>} the new code cell below it
 */
async function insertBelow(cell) {
  const cells = cell.parentElement;
  if (!cells || !(await activate(cell))) return null;
  const known = new Set(cells.children);
  const fresh = () => {
    const next = cell.nextElementSibling;
    return next && !known.has(next) && next.matches(".jp-CodeCell.jp-mod-active") ? next : null;
  };
  const app = /** @type {any} */ (globalThis).jupyterapp; // only where JupyterLab exposes it
  if (app?.commands?.hasCommand(INSERT_BELOW)) {
    await app.commands.execute(INSERT_BELOW);
    return waitFor(fresh);
  }
  const button = await waitFor(() => insertButton(cell));
  if (!button || !cell.matches(".jp-mod-active")) return null;
  button.click();
  const made = await waitFor(fresh, CLICK_TIMEOUT);
  if (made) return made;
  // The buttons of the notebook's toolbar act on mousedown, to leave the focus where it is.
  if (cell.matches(".jp-mod-active")) mouse(button, "mousedown");
  return waitFor(fresh);
}

/**
 * Activate a cell, as a click on its output does.
 * @param {Element} cell
 */
async function activate(cell) {
  const active = () => cell.matches(".jp-mod-active");
  if (!active()) {
    const inside = cell.querySelector(".jp-Cell-outputWrapper") ?? cell;
    mouse(inside, "mousedown");
    mouse(inside, "mouseup");
  }
  return waitFor(active);
}

/**
 * @param {Element} target
 * @param {string} type
 */
function mouse(target, type) {
  target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, button: 0 }));
}

/**
 * Return the button that inserts a cell below the active one: in the cell's toolbar, which a cell with a collapsed input
 * lacks, or in the notebook's.
 * @param {Element} cell
 * @returns {HTMLElement | null}
 */
function insertButton(cell) {
  const named = `[data-command="${INSERT_BELOW}"]`;
  return (
    cell.querySelector(`.jp-cell-toolbar ${named}`) ??
    cell.closest(".jp-NotebookPanel")?.querySelector(`.jp-NotebookPanel-toolbar ${named}`) ??
    null
  );
}

/**
 * @param {Element} cell
 * @returns {HTMLElement | null} its editor, if it is empty and editable
 */
function emptyEditor(cell) {
  /** @type {HTMLElement | null} */
  const editor = cell.querySelector('.jp-InputArea-editor .cm-content[contenteditable="true"]');
  return editor && shownText(editor) === "" ? editor : null;
}

/**
 * @param {HTMLElement} editor
 * @param {string} text
 * @returns {boolean} whether the editor has handled the paste
 */
function paste(editor, text) {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  editor.focus();
  return !editor.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}

/**
 * Return the text of an editor; of a long one the part that is on the screen, followed by "\0".
 * @param {HTMLElement} editor
 */
function shownText(editor) {
  const lines = [];
  for (const child of editor.children) {
    if (child.classList.contains("cm-gap")) return `${lines.join("\n")}\0`;
    if (!child.classList.contains("cm-line")) continue;
    const line = /** @type {Element} */ (child.cloneNode(true));
    for (const hint of line.querySelectorAll(".cm-placeholder")) hint.remove();
    lines.push(line.textContent);
  }
  return lines.join("\n");
}

/**
 * @param {string} shown as `shownText` returns it
 * @param {string} text
 */
const sameText = (shown, text) => (shown.endsWith("\0") ? text.startsWith(shown.slice(0, -1)) : shown === text);

/**
 * Poll until a function returns something true.
 * @template T
 * @param {() => T} look
 * @param {number} [timeout] milliseconds
 * @returns {Promise<T>} its last result
 */
async function waitFor(look, timeout = TIMEOUT) {
  const until = performance.now() + timeout;
  let seen = look();
  while (!seen && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    seen = look();
  }
  return seen;
}
