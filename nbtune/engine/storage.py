"""Where experiments are kept: a folder of this machine, or a URI that pyarrow knows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs as pafs

from nbtune.errors import ExperimentError

__all__ = ["default_storage", "make_storage", "open_storage"]


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


def make_storage(place: str) -> pafs.FileSystem:
    """Make the folder if it is not there, and return its filesystem.

    Raises:
        ExperimentError: it cannot be made or written.
    """
    filesystem, path = open_storage(place)
    try:
        filesystem.create_dir(path, recursive=True)
        probe = f"{path}/.nbtune-probe"
        with filesystem.open_output_stream(probe) as stream:
            stream.write(b"")
        filesystem.delete_file(probe)
    except OSError as error:
        raise ExperimentError(
            f"--storage: {place!r} cannot be written: {error}. Give a folder or URI that can"
        ) from error
    return filesystem
