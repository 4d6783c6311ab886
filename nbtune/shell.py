"""The IPython shell: whether a user can interact with it, its variables, texts and new cells in its notebook."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import socket
import sys
import threading
from typing import Any

from nbtune.errors import NbtuneError
from nbtune.shown import shown_lines

__all__ = [
    "can_interact",
    "cell_id",
    "cell_label",
    "cell_number",
    "insert_cell_below",
    "notebook_id",
    "say",
    "shell",
    "variable_of",
]


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


def cell_id() -> str | None:
    """Return the id of the notebook's cell that runs, or None if the frontend does not tell."""
    kernel = getattr(shell(), "kernel", None)
    if kernel is None:
        return None
    metadata = kernel.get_parent("shell").get("metadata") or {}
    return metadata.get("cellId")


def notebook_id() -> str:
    """Return an id of the notebook, equal in each of its kernels; empty if the notebook is unknown.

    It tells nothing of the path from which it is made.
    """
    variables = getattr(shell(), "user_ns", {})
    path = os.environ.get("JPY_SESSION_NAME") or variables.get("__vsc_ipynb_file__") or ""  # Jupyter Server, VS Code
    if not path:
        return ""
    text = "\n".join([getpass.getuser(), socket.gethostname(), str(path)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cell_label(filename: str) -> str | None:
    """Return what a traceback calls a cell, ``Cell In[5]``; None if the file is not a cell of the notebook.

    Args:
        filename: the file name that the cell's code was compiled under.
    """
    number = getattr(getattr(shell(), "compile", None), "_filename_map", {}).get(filename)
    return None if number is None else f"Cell In[{number}]"


def cell_number(ipython: Any) -> int:
    """Return the number of the cell that runs, as Jupyter shows it beside the cell.

    Args:
        ipython: the shell. Its `execution_count` is the number of the next cell since IPython 9.
    """
    return len(ipython.history_manager.input_hist_parsed) - 1


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


def variable_of(value: object) -> str | None:
    """Return the name of a variable of the notebook that refers to a value, or None.

    Args:
        value: the value.
    """
    ipython = shell()
    variables = {} if ipython is None else dict(ipython.user_ns)
    return next((name for name, other in variables.items() if other is value and not name.startswith("_")), None)


def say(text: str) -> None:
    """Tell the user something that needs no action: printed by a cell, logged in a program and on other threads.

    Args:
        text: one sentence.
    """
    if shell() is None or threading.current_thread() is not threading.main_thread():
        logging.getLogger("nbtune").info(shown_lines(text))
    else:
        print(shown_lines(text))
