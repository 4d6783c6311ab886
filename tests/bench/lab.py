"""A real JupyterLab in a real browser, for probes, and the metrics of the browser."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.bench.measure import STORAGE
from tests.browser.conftest import FLAGS
from tests.browser.lab import Notebook, Server, write

__all__ = ["Lab", "Meter", "lab"]

_SAVE_STATE = Path("user", "@jupyter-widgets", "jupyterlab-manager", "plugin.jupyterlab-settings")
_WATCH = """() => {
  globalThis.drawn = [];
  const watch = () => {
    const plot = document.querySelector(".js-plotly-plot");
    if (!plot?.on) return requestAnimationFrame(watch);
    const note = () => {
      const points = plot.data.reduce((sum, trace) => sum + (trace.x?.length ?? 0), 0);
      const ends = {};  // floor(y) of a line that has come to its end -> its last x
      if (points < 20_000) for (const { mode, x, y } of plot.data) for (let i = 0; mode !== "text" && i < x.length; i++)
        if (Number.isNaN(y[i + 1] ?? NaN) && !Number.isNaN(y[i]))
          ends[Math.floor(y[i])] = Math.max(x[i], ends[Math.floor(y[i])] ?? 0);
      const longest = plot.data.reduce((most, { x }) => Math.max(most, x?.at(-2) || 0, x?.at(-1) || 0), 0);
      requestAnimationFrame(() => drawn.push({ when: Date.now() / 1000, points, ends, longest }));
    };
    note();
    plot.on("plotly_afterplot", note);
  };
  watch();
}"""


class Meter:
    """Metrics of the browser: the time of its main thread, and the data received through websockets.

    Args:
        page: a new page.

    Attributes:
        frames: the size of each received frame in bytes, and whether it contains the mark.
        mark: the bytes to look for in each frame.
    """

    def __init__(self, page: Page) -> None:
        self.mark = b"\0never\0"
        self.frames: list[tuple[int, bool]] = []
        self._session = page.context.new_cdp_session(page)
        self._session.on("Network.webSocketFrameReceived", self._received)
        self._session.send("Network.enable")
        self._session.send("Performance.enable")

    def _received(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        content = base64.b64decode(frame["payloadData"]) if frame["opcode"] == 2 else frame["payloadData"].encode()
        self.frames.append((len(content), self.mark in content))

    def read(self) -> dict[str, float]:
        """Return the seconds of the main thread ("task"), the time, and the bytes and marked frames received so far."""
        results = {
            metric["name"]: metric["value"] for metric in self._session.send("Performance.getMetrics")["metrics"]
        }
        return {
            "task": results["TaskDuration"],
            "when": time.time(),
            "bytes": sum(size for size, _ in self.frames),
            "marked": sum(marked for _, marked in self.frames),
        }


class Lab:
    """A JupyterLab, and a page of a browser.

    Args:
        folder: the folder of the notebooks.
        server: the Jupyter server.
        page: the page.
    """

    def __init__(self, folder: Path, server: Server, page: Page) -> None:
        self.folder, self.page, self._server = folder, page, server
        self.meter = Meter(page)

    def notebook(self, *cells: str) -> Notebook:
        """Open a notebook with these cells, which may call `record(name=value)`; see `recorded`."""
        setup = "import json, pathlib, os, sys, time"
        setup += "\ndef record(**values):\n    for name, value in values.items():"
        setup += "\n        pathlib.Path(f'{name}.json').write_text(json.dumps(value))"
        setup += f"\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\nrecord(pid=os.getpid())"
        write(self.folder / "bench.ipynb", setup, *cells)
        opened = Notebook(self.page, self._server, "bench.ipynb")
        opened.run(0)
        return opened

    def recorded(self, name: str) -> Any:
        """Return a value that a cell has recorded.

        Args:
            name: the name of the value.

        Raises:
            RuntimeError: no cell has recorded it; the message is the output of the cells.
        """
        file = self.folder / f"{name}.json"
        if not file.exists():
            raise RuntimeError("\n".join(self.page.locator(".jp-OutputArea-output pre").all_inner_texts())[-3000:])
        return json.loads(file.read_text())

    def watch(self) -> None:
        """Record all drawings of the page's first plotly figure from now on; see `drawn`."""
        self.page.evaluate(_WATCH)

    def drawn(self) -> list[dict[str, Any]]:
        """Return all drawings: the time of the next frame ("when"), the number of points, and the ends of the lines."""
        return list(self.page.evaluate("drawn"))

    def until_drawn(self, condition: str, timeout: float) -> dict[str, Any]:
        """Wait for a drawing that satisfies a condition, and return it.

        Args:
            condition: a JavaScript expression of the drawing `d`.
            timeout: seconds.
        """
        expression = f"(drawn ?? []).find((d) => {condition})"
        # A function, since Playwright may cache the value of a plain expression.
        self.page.wait_for_function(f"() => Boolean({expression})", timeout=1000 * timeout, polling=200)
        return dict(self.page.evaluate(expression))


@contextmanager
def lab(*, save_state: bool = False) -> Iterator[Lab]:
    """Start JupyterLab and Chromium (the installed one, or Playwright's), and end both after the block.

    Args:
        save_state: the setting "Save Widget State Automatically", which is off by default.
    """
    folder = Path(tempfile.mkdtemp(dir=Path(STORAGE).parent))
    (folder / "notebooks").mkdir()
    if save_state:
        file = folder / "settings" / _SAVE_STATE
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"saveState": True}))
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright, Server(folder / "notebooks", folder / "settings") as server:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), env={**os.environ})
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.set_default_timeout(60_000)
        yield Lab(folder / "notebooks", server, page)
        browser.close()
