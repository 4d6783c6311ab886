"""The way between a widget and its browser half, which must not wait for the notebook's cells.

A message to the browser passes at any time. One from the browser is handled by the kernel's main
thread, after the cell that runs, unless the frontend sends it to a subshell of the kernel (JupyterLab
4.4 with ipykernel 7). ipykernel undoes that choice: it sends a comm's messages where that comm last
published from, and what a cell or a thread publishes is published from the main shell. So a widget's
messages are published here with no request as their parent; then the frontend's choice holds, and a
click arrives while a long cell runs.
"""

from __future__ import annotations

import contextvars
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anywidget

from nbtune.errors import NbtuneError
from nbtune.views.base.assets import asset

__all__ = ["Live", "answer_to", "connected", "script", "styles"]

T = TypeVar("T")
_IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./([^"]+)";\n', re.MULTILINE)
_STYLE_IMPORT = re.compile(r'^@import\s*"\./([^"]+)";\n', re.MULTILINE)


def answer_to(question: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with the id of its question, by which the browser knows which of its questions it answers."""
    return {**answer, "id": question["id"]} if "id" in question else dict(answer)


def connected(
    message: Mapping[str, Any], connect: Callable[[], None], failed: Callable[[dict[str, str]], None]
) -> dict[str, Any]:
    """Connect to a cluster because the browser has asked for it; return the answer.

    Args:
        message: the browser's.
        connect: connects.
        failed: is told of an error that is not nbtune's own, with "where" and "message": nobody looks at this thread.
    """
    answer = {"type": "connected"}
    try:
        connect()
    except NbtuneError as error:
        answer = {"type": "refused", "message": str(error)}
    except Exception as error:
        answer = {"type": "refused", "message": f"{type(error).__name__}: {error}"}
        failed({"where": "connect", "message": answer["message"]})
    return answer_to(message, answer)


def script(name: str) -> str:
    """Return a widget's module with those that it imports written out before it.

    anywidget runs a module from its text, where "./page.js" leads nowhere.
    """
    return _joined(f"{name}.js", _IMPORT)


def styles(name: str) -> str:
    """Return a widget's CSS: the theme's variables, then its own with those that it imports before it."""
    return asset("theme.css").read_text("utf-8") + _joined(f"{name}.css", _STYLE_IMPORT)


def _joined(file: str, imports: re.Pattern[str]) -> str:
    """Return a file's text after the texts of those that it imports, each once."""
    written: dict[str, None] = {}

    def write(file: str) -> None:
        text = asset(file).read_text("utf-8")
        for found in imports.findall(text):
            write(found)
        written.setdefault(imports.sub("", text))

    write(file)
    return "".join(written)


def _apart(do: Callable[..., T], *arguments: Any) -> T:
    """Call something with no request as the parent of what it publishes."""
    ipykernel = sys.modules.get("ipykernel")
    if ipykernel is None or ipykernel.version_info[0] < 7:
        return do(*arguments)
    from ipykernel.kernelbase import Kernel

    kernel: Any = Kernel
    if not kernel.initialized():
        return do(*arguments)

    def without_parent() -> T:
        # The base class's: it touches only this context, not where the cell's output goes.
        kernel.set_parent(kernel.instance(), [], {})
        return do(*arguments)

    return contextvars.copy_context().run(without_parent)


class Live(anywidget.AnyWidget):
    """A widget that hears and answers at any time.

    Args:
        handlers: message type -> what handles it: called with the message, from whatever thread it comes on.
    """

    def __init__(self, handlers: dict[str, Callable[[dict[str, Any]], None]], **traits: Any) -> None:
        self._handlers = handlers
        super().__init__(**traits)
        self.on_msg(self._received)

    def open(self) -> None:
        """Tell the browser that there is this widget."""
        _apart(super().open)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        _apart(super()._send, msg, buffers)

    def _received(self, _: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") in self._handlers:
            self._handlers[content["type"]](content)
