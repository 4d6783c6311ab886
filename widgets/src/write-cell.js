// Text into a new code cell after the one that shows a widget; where that cannot be done, onto the clipboard.
// There is no extension of JupyterLab's behind it: it presses the notebook's own button and pastes, as a person does.

const SOON = 1_500; // milliseconds within which the notebook has answered
const AT_ONCE = 300; // milliseconds within which a button that has been pressed has done something
const LOOK = 20; // milliseconds between two looks
const BELOW = "notebook:insert-cell-below";

/**
 * Put text into a new code cell right after the notebook cell that holds an element (JupyterLab 4, Notebook 7).
 * No cell that was there is changed. Call it from a click or a key: the clipboard is for these only.
 * @param {Element} el
 * @param {string} text
 * @returns {Promise<"written" | "copied">} "copied": it is on the clipboard, to be pasted into a new cell
 */
export async function writeCell(el, text) {
  const cell = el.closest(".jp-Notebook .jp-Cell");
  const fresh = cell && (await insertBelow(cell));
  const editor = fresh && (await soon(() => emptyEditor(fresh)));
  if (editor && paste(editor, text) && (await soon(() => sameText(shownText(editor), text)))) return "written";
  await copyText(text);
  return "copied";
}

/**
 * Put text onto the clipboard.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Not there on a page without https, or not allowed here: the old way.
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
  if (!copied) throw new Error("the browser allows no copying here; select the text of the cell and copy it yourself");
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
  const app = /** @type {any} */ (globalThis).jupyterapp; // there where JupyterLab is told to show itself
  if (app?.commands?.hasCommand(BELOW)) {
    await app.commands.execute(BELOW);
    return soon(fresh);
  }
  const button = await soon(() => insertButton(cell));
  if (!button || !cell.matches(".jp-mod-active")) return null;
  button.click();
  const made = await soon(fresh, AT_ONCE);
  if (made) return made;
  // Those of the notebook's own toolbar act when the mouse goes down, so as not to take the focus.
  if (cell.matches(".jp-mod-active")) mouse(button, "mousedown");
  return soon(fresh);
}

/**
 * Make a cell the active one, as a click on its output does.
 * @param {Element} cell
 */
async function activate(cell) {
  const active = () => cell.matches(".jp-mod-active");
  if (!active()) {
    const inside = cell.querySelector(".jp-Cell-outputWrapper") ?? cell;
    mouse(inside, "mousedown");
    mouse(inside, "mouseup");
  }
  return soon(active);
}

/**
 * @param {Element} target
 * @param {string} type
 */
function mouse(target, type) {
  target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, button: 0 }));
}

/**
 * The button that inserts a cell below the active one: of the cell's toolbar, which a cell with a folded input has
 * not, or of the notebook's.
 * @param {Element} cell
 * @returns {HTMLElement | null}
 */
function insertButton(cell) {
  const named = `[data-command="${BELOW}"]`;
  return (
    cell.querySelector(`.jp-cell-toolbar ${named}`) ??
    cell.closest(".jp-NotebookPanel")?.querySelector(`.jp-NotebookPanel-toolbar ${named}`) ??
    null
  );
}

/**
 * @param {Element} cell
 * @returns {HTMLElement | null} its editor, once it is there; only an empty one that can be written in
 */
function emptyEditor(cell) {
  /** @type {HTMLElement | null} */
  const editor = cell.querySelector('.jp-InputArea-editor .cm-content[contenteditable="true"]');
  return editor && shownText(editor) === "" ? editor : null;
}

/**
 * @param {HTMLElement} editor
 * @param {string} text
 * @returns {boolean} whether the editor has taken the paste for its own
 */
function paste(editor, text) {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  editor.focus();
  return !editor.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}

/**
 * What an editor shows: all of its text, or of a long one what is on the screen, then "\0".
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
 * Wait for something.
 * @template T
 * @param {() => T} look
 * @param {number} [within] milliseconds
 * @returns {Promise<T>} the first that is true, or the last
 */
async function soon(look, within = SOON) {
  const until = performance.now() + within;
  let seen = look();
  while (!seen && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    seen = look();
  }
  return seen;
}
