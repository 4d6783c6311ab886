"""Where experiments are kept: a folder of this machine, or a URI that pyarrow knows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs as pafs

from nbtune.errors import ExperimentError

__all__ = ["default_storage", "open_storage"]


def default_storage() -> str:
    """Return the folder that Ray keeps results in by default, ``~/ray_results``."""
    return str(Path.home() / "ray_results")


def open_storage(place: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a folder or URI, and the path on it.

    Raises:
        ExperimentError: pyarrow cannot open it.
    """
    try:
        if "://" in place:
            filesystem, path = pafs.FileSystem.from_uri(place)
            return filesystem, path
        return pafs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{place!r} cannot be opened: {error}") from error
