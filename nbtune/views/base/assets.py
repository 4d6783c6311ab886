"""The files that the browser gets: the widgets' own, and plotly.js from the installed plotly."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import threading
from pathlib import Path

__all__ = ["asset", "plotly_js", "plotly_version"]

_PACKAGE = Path(__file__).parents[2]
_lock = threading.Lock()
_plotly: bytes | None = None


def asset(name: str) -> Path:
    """Return the path of a front-end file: in the wheel's `nbtune/static`, or in `widgets/src` of a checkout.

    Raises:
        FileNotFoundError: neither has it.
    """
    places = (_PACKAGE / "static", _PACKAGE.parent / "widgets" / "src")
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"nbtune's front-end file {name!r} is neither in {places[0]} nor in {places[1]}: "
            "this installation is incomplete; install nbtune again, from a wheel or as a whole checkout"
        )
    return found


def plotly_js() -> bytes:
    """Return the gzipped plotly.js of the installed plotly package, compressed once in a process."""
    global _plotly
    with _lock:
        if _plotly is None:
            _plotly = gzip.compress(_plotly_file().read_bytes(), 6, mtime=0)
        return _plotly


def plotly_version() -> str:
    """Return the version of the installed plotly package."""
    return importlib.metadata.version("plotly")


def _plotly_file() -> Path:
    """Find the file without importing plotly, which takes its time."""
    spec = importlib.util.find_spec("plotly")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        file = Path(folder) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file
    raise FileNotFoundError(
        "plotly.js, which draws the curves, is not where plotly keeps it (package_data/plotly.min.js): "
        "install plotly 6 or 7 again"
    )
