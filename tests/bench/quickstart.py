"""The quickstart notebook in a fresh kernel of JupyterLab: from Shift-Enter in the cell of the sweep to its first point."""

from __future__ import annotations

import json
import re
import sys
import time

from tests.bench.measure import ROOT, STORAGE, Options, Row, alternate, median, probe, write_result

__all__ = ["measure"]

NOTEBOOK = ROOT / "notebooks" / "01_quickstart.ipynb"
READING = 15.0
"""Seconds between the end of the cell with `%load_ext nbtune` and the start of the sweep, in which the other cells run."""
_EARLY = '%load_ext nbtune\n%config NbTune.start = "load"'
_ENTER = """() => document.addEventListener("keydown", (event) => {
  if (event.key === "Enter") globalThis.entered = Date.now() / 1000;
}, true)"""


def measure(options: Options) -> list[Row]:
    """Measure with Ray started by `%load_ext`, and with the default, which starts it with the sweep."""
    results = alternate(options.rounds, ("load", "sweep"), lambda side: probe("quickstart", side))
    first = {side: median(one["first"] for one in rounds) for side, rounds in results.items()}
    note = {
        side: f"the cell returned after {median(one['returned'] for one in rounds):.2f} s"
        for side, rounds in results.items()
    }
    return [
        Row("quickstart", 'first point, NbTune.start = "load"', first["load"], "s", 2.5, note["load"], results),
        Row("quickstart", "first point, Ray to start", first["sweep"], "s", None, note["sweep"]),
    ]


def cells(side: str) -> list[str]:
    """Return the code cells of the notebook up to the sweep.

    Args:
        side: "load" to start Ray early.
    """
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = code[: 1 + next(number for number, text in enumerate(code) if text.startswith("%%tune"))]
    return [text.replace("%load_ext nbtune", _EARLY) for text in code] if side == "load" else code


def _probe(side: str) -> None:
    from playwright.sync_api import expect

    from tests.bench.lab import lab

    with lab() as opened:
        (opened.folder / "pyproject.toml").write_text(f"[tool.nbtune]\nstorage = {json.dumps(STORAGE)}\n")
        code = cells(side)
        notebook = opened.notebook(*code)
        page, sweep = opened.page, len(code)
        page.set_viewport_size(
            {"width": 1200, "height": 4000}
        )  # all cells: a dashboard that is not visible is not drawn
        notebook.run(1, timeout=120)
        due = time.monotonic() + READING
        for number in range(2, sweep):
            notebook.run(number)
        page.wait_for_timeout(max(0.0, 1000 * (due - time.monotonic())))
        page.evaluate(_ENTER)
        opened.watch()
        cell = notebook.start(sweep)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=120_000)
        returned = time.time()
        first = opened.until_drawn("d.points >= 1", 120)["when"]
        entered = page.evaluate("entered")
        output = cell.inner_text()
    if "Error" in output:
        raise RuntimeError(output)
    write_result(first=first - entered, returned=returned - entered)


if __name__ == "__main__":
    _probe(sys.argv[1])
