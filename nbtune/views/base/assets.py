"""The files for the browser: those of the widgets, and plotly.js from the installed plotly package."""

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
    """Return the path of a file of the widgets: in `nbtune/static` of a wheel, or in `widgets/src` of a checkout.

    Args:
        name: the name of the file.

    Raises:
        FileNotFoundError: it is in neither of them.
    """
    folders = (_PACKAGE / "static", _PACKAGE.parent / "widgets" / "src")
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"nbtune's file {name!r} is neither in {folders[0]} nor in {folders[1]}: the installation is incomplete; "
            "install nbtune again, from a wheel or a complete checkout"
        )
    return path


def plotly_js() -> bytes:
    """Return plotly.js of the installed plotly package, gzipped; it is compressed once per process."""
    global _plotly
    with _lock:
        if _plotly is None:
            _plotly = gzip.compress(_plotly_file().read_bytes(), 6, mtime=0)
        return _plotly


def plotly_version() -> str:
    """Return the version of the installed plotly package."""
    return importlib.metadata.version("plotly")


def _plotly_file() -> Path:
    """Find the file without importing plotly, which is slow."""
    spec = importlib.util.find_spec("plotly")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        file = Path(folder) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file
    raise FileNotFoundError(
        "the installed plotly package has no package_data/plotly.min.js, which draws the curves; install plotly 6 or 7"
    )
