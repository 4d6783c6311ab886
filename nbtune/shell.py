"""The IPython shell: whether a user can interact with it, and new cells in its notebook."""

from __future__ import annotations

import sys
from typing import Any

from nbtune.errors import NbtuneError

__all__ = ["can_interact", "insert_cell_below", "shell"]


def shell() -> Any:
    """Return the running IPython shell, or None. Does not import IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def can_interact() -> bool:
    """Tell whether a user can interact with the kernel while a cell runs.

    False under nbclient, papermill and ``nbconvert --execute``: they send ``allow_stdin=False`` with each cell. True in
    a terminal and in a program without a kernel, whose code can act on the experiment.
    """
    kernel = getattr(shell(), "kernel", None)
    if kernel is None:
        return True
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin", True))


def insert_cell_below(text: str) -> None:
    """Insert a cell below the one that runs.

    Args:
        text: the text of the cell.

    Raises:
        NbtuneError: the code does not run in IPython.
    """
    ipython = shell()
    if ipython is None:
        raise NbtuneError("writing a cell requires a notebook; print the form's .text instead")
    ipython.set_next_input(text, replace=False)
