"""Binding experiments to variables of the notebook, without replacing what is not an experiment."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from typing import Any

from nbtune.shell import say
from nbtune.spec.space.values import label

__all__ = ["bind_stored", "reserved"]

_IPYTHON = {"In", "Out", "display", "exit", "get_ipython", "open", "quit"}
_HISTORY = re.compile(r"_+|_i+|_i?[0-9]+|_[ido]h|_exit_code|__\w*__", re.ASCII)


def reserved(name: str) -> str | None:
    """Return whose name it is that no experiment may take, or None if it may be a variable.

    Args:
        name: the name of a variable.
    """
    if name in _IPYTHON or _HISTORY.fullmatch(name):
        return "IPython"
    if hasattr(builtins, name):
        return "Python"
    # The package itself is above all of its modules, so it is looked up when it has been imported.
    return "nbtune" if name == "nbtune" or name in sys.modules["nbtune"].__all__ else None


def bind_stored(experiment: Any, name: Any, namespace: dict[str, Any], *, usage: str) -> None:
    """Bind an experiment to a name that may come from a file; tell it if the name cannot be its variable.

    It replaces no variable but an experiment: the user did not choose the name.

    Args:
        experiment: the experiment.
        name: the name that was stored.
        namespace: the notebook's variables.
        usage: the command that gives it another variable.
    """
    from nbtune.results.experiment import Experiment

    if not isinstance(name, str) or not name.isascii() or not name.isidentifier() or keyword.iskeyword(name):
        problem = f"its name {label(name)} cannot be a variable"
    elif name.startswith("_") or reserved(name):
        problem = f"its name {name} is reserved"
    elif name in namespace and not isinstance(namespace[name], Experiment):
        problem = f"the notebook has another variable {name}"
    else:
        namespace[name] = experiment
        return
    say(f"the experiment was not bound to a variable, since {problem}; name one: {usage}")
