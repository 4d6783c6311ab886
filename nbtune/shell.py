"""Who is there: a person who can act, or a program that runs a notebook."""

from __future__ import annotations

import sys
from typing import Any

from nbtune.errors import NbtuneError

__all__ = ["can_interact", "shell", "write_next"]


def shell() -> Any:
    """Return the IPython shell that this runs in, or None. IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def can_interact() -> bool:
    """Tell whether somebody can act while this runs.

    Nobody can under nbclient, papermill and ``nbconvert --execute``, which say so with each cell. In a
    plain program or a terminal, whoever wrote the next line can.
    """
    kernel = getattr(shell(), "kernel", None)
    if kernel is None:
        return True
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin", True))


def write_next(text: str) -> None:
    """Put text into a new cell below the one that runs.

    Raises:
        NbtuneError: no notebook is there.
    """
    here = shell()
    if here is None:
        raise NbtuneError("there is no notebook to write a cell into; print the form's .text instead")
    here.set_next_input(text, replace=False)
