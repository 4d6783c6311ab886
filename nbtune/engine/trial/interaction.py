"""In a trial, code that asks a user fails with a message, instead of waiting for ever."""

from __future__ import annotations

import bdb
import builtins
import getpass
import os
import sys
from typing import Any

__all__ = ["refuse_interaction"]


def refuse_interaction() -> None:
    """Let debuggers, `input` and `getpass` raise in this process, also where libraries call them."""
    processwide: Any = builtins, getpass, sys, bdb.Bdb  # as Any: the replacements take any arguments
    for owner, name in zip(processwide, ("input", "getpass", "breakpointhook", "set_trace"), strict=True):
        setattr(owner, name, _refusal("breakpoint()" if name == "breakpointhook" else f"{name}()"))


def _refusal(call: str) -> Any:
    def refuse(*given: Any, **named: Any) -> None:
        if call == "breakpoint()" and os.environ.get("PYTHONBREAKPOINT") == "0":
            return  # Python's own switch
        raise RuntimeError(f"{call} waits for an answer of a user, whom a trial cannot ask; remove the call")

    return refuse
