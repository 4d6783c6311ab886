"""Folders on the disk, for the completion of paths."""

from __future__ import annotations

import os
from collections.abc import Iterator

from nbtune.notebook.completion.candidates import Candidate
from nbtune.notebook.completion.lookup import Lookups

__all__ = ["folder_candidates", "working_folder"]

_listed: Lookups[str] = Lookups()


def folder_candidates(path: str) -> list[Candidate]:
    """Return the folders that a path may continue with; none of a URI, whose storage is not asked.

    Args:
        path: the path as it was typed; it may begin with ``~``.
    """
    if "://" in path or "\0" in path:
        return []
    head, slash, name = path.rpartition("/")
    if not slash and path.startswith("~"):
        return [Candidate(f"{path}/", "path", final=False)]
    folder = os.path.expanduser(f"{head}{slash}") or "."
    names = _listed((working_folder(), folder), lambda: _folders(folder))
    shown = sorted(one for one in names if name.startswith(".") or not one.startswith("."))
    return [Candidate(f"{head}{slash}{one}/", "path", final=False) for one in shown]


def working_folder() -> str:
    """Return the working folder; an empty text if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _folders(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name.isprintable():
                yield entry.name
