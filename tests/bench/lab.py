"""A real JupyterLab in a real browser, in a probe, and what the browser counts of itself."""

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
    """What the browser counts: its main thread's seconds, what has come in by websockets.

    Attributes:
        frames: bytes of each frame that came in, and whether it holds the mark.
        mark: bytes that are looked for in each.

    Args:
        page: a page in which nothing is open yet.
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
        """Return seconds of the main thread so far ("task"), the time, and frames so far."""
        found = {metric["name"]: metric["value"] for metric in self._session.send("Performance.getMetrics")["metrics"]}
        return {
            "task": found["TaskDuration"],
            "when": time.time(),
            "bytes": sum(size for size, _ in self.frames),
            "marked": sum(marked for _, marked in self.frames),
        }


class Lab:
    """A JupyterLab, and a page of a browser.

    Args:
        folder: where the notebooks are.
        server: the Jupyter server.
        page: the page.
    """

    def __init__(self, folder: Path, server: Server, page: Page) -> None:
        self.folder, self.page, self._server = folder, page, server
        self.meter = Meter(page)

    def notebook(self, *cells: str) -> Notebook:
        """Open a notebook of these cells, which may also call `tell(name=value)` for `told`."""
        tell = "import json, pathlib, os, sys, time"
        tell += "\ndef tell(**found):\n    for name, value in found.items():"
        tell += "\n        pathlib.Path(f'{name}.json').write_text(json.dumps(value))"
        tell += f"\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\ntell(pid=os.getpid())"
        write(self.folder / "bench.ipynb", tell, *cells)
        opened = Notebook(self.page, self._server, "bench.ipynb")
        opened.run(0)
        return opened

    def told(self, name: str) -> Any:
        """Return what a cell has told.

        Raises:
            RuntimeError: it has not; with what the cells have printed.
        """
        file = self.folder / f"{name}.json"
        if not file.exists():
            raise RuntimeError("\n".join(self.page.locator(".jp-OutputArea-output pre").all_inner_texts())[-3000:])
        return json.loads(file.read_text())

    def watch(self) -> None:
        """Note from now on when the page's first plotly figure has been drawn, and how far it goes: see `drawn`."""
        self.page.evaluate(_WATCH)

    def drawn(self) -> list[dict[str, Any]]:
        """Return each drawing: "when" the next frame came, "points", where its lines end."""
        return list(self.page.evaluate("drawn"))

    def until_drawn(self, condition: str, timeout: float) -> dict[str, Any]:
        """Wait for a drawing; return the first for which a JavaScript expression of `d` holds."""
        found = f"(drawn ?? []).find((d) => {condition})"
        # A function: with a bare expression Playwright may keep what it has read before.
        self.page.wait_for_function(f"() => Boolean({found})", timeout=1000 * timeout, polling=200)
        return dict(self.page.evaluate(found))


@contextmanager
def lab(*, save_state: bool = False) -> Iterator[Lab]:
    """Start JupyterLab and the machine's Chromium, or Playwright's own; end both.

    Args:
        save_state: the setting "Save Widget State Automatically", which JupyterLab has off.
    """
    folder = Path(tempfile.mkdtemp(dir=Path(STORAGE).parent))
    (folder / "notebooks").mkdir()
    if save_state:
        file = folder / "settings" / _SAVE_STATE
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"saveState": True}))
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright, Server(folder / "notebooks", folder / "settings") as server:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS), env={**os.environ})
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.set_default_timeout(60_000)
        yield Lab(folder / "notebooks", server, page)
        browser.close()
