"""The base of all widgets: their messages and errors, which do not wait for the notebook's cells.

A message to the browser is sent at any time. One from the browser is handled by the kernel's main thread, after the
running cell, unless the frontend sends it to a subshell of the kernel (JupyterLab 4.4 with ipykernel 7). ipykernel
overrides that choice: it routes the messages of a comm to the shell that has last published from this comm, and what a
cell or a thread publishes comes from the main shell. So the messages of a widget are published here without a parent
request; then the frontend's choice applies, and a click is handled while a long cell runs.
"""

from __future__ import annotations

import contextvars
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anywidget

from nbtune.errors import NbtuneError
from nbtune.views.base.assets import asset, plotly_js, plotly_version

__all__ = ["BaseWidget", "ErrorLog", "answer_to", "script", "styles"]

T = TypeVar("T")
_MAX_ERRORS = 20
_IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./([^"]+)";\n', re.MULTILINE)
_STYLE_IMPORT = re.compile(r'^@import\s*"\./([^"]+)";\n', re.MULTILINE)


def answer_to(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with the id of its request, by which the browser matches them.

    Args:
        request: the browser's message.
        answer: the message to send.
    """
    return {**answer, "id": request["id"]} if "id" in request else dict(answer)


def script(name: str) -> str:
    """Return the JavaScript module of a widget, with its imports inlined.

    anywidget runs a module from its text, where a relative import such as "./page.js" cannot be resolved.

    Args:
        name: the name of the file in `widgets/src`, without ".js".
    """
    return _inline_imports(f"{name}.js", _IMPORT)


def styles(name: str) -> str:
    """Return the CSS of a widget, with its imports inlined, after the variables of the theme.

    Args:
        name: the name of the file in `widgets/src`, without ".css".
    """
    return asset("theme.css").read_text("utf-8") + _inline_imports(f"{name}.css", _STYLE_IMPORT)


def _inline_imports(file: str, imports: re.Pattern[str]) -> str:
    """Return the text of a file after the texts of the files that it imports, each of them once."""
    parts: dict[str, None] = {}  # in their order

    def add(file: str) -> None:
        text = asset(file).read_text("utf-8")
        for imported in imports.findall(text):
            add(imported)
        parts.setdefault(imports.sub("", text))

    add(file)
    return "".join(parts)


def _without_parent(call: Callable[..., T], *arguments: Any) -> T:
    """Call a function so that what it publishes has no parent request; see the module's docstring."""
    ipykernel = sys.modules.get("ipykernel")
    if ipykernel is None or ipykernel.version_info[0] < 7:
        return call(*arguments)
    from ipykernel.kernelbase import Kernel

    kernel: Any = Kernel
    if not kernel.initialized():
        return call(*arguments)

    def run() -> T:
        # The base class' method changes only this context, not where the output of the cell goes.
        kernel.set_parent(kernel.instance(), [], {})
        return call(*arguments)

    return contextvars.copy_context().run(run)


class ErrorLog:
    """The latest errors of widgets, which would otherwise be lost in the browser or on a thread.

    Attributes:
        messages: ``"WHERE: ERROR"`` of each, the latest last; at most 20.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, where: object, message: object) -> None:
        """Add an error.

        Args:
            where: the part of the widget that has failed.
            message: the error.
        """
        self.messages = [*self.messages, f"{where}: {message}"][-_MAX_ERRORS:]


class BaseWidget(anywidget.AnyWidget):
    """A widget that handles messages at any time, keeps the browser's errors and sends plotly.js on request.

    Attributes:
        plotly_sent: whether this kernel has sent plotly.js to any page.

    Args:
        handlers: message type -> its handler; called with the message, on any thread.
        errors: where to keep errors; a log of its own if None.
        traits: initial values of traits.
    """

    plotly_sent = False

    def __init__(
        self,
        handlers: Mapping[str, Callable[[dict[str, Any]], None]],
        errors: ErrorLog | None = None,
        **traits: Any,
    ) -> None:
        self._errors = ErrorLog() if errors is None else errors
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "error": lambda message: self._errors.add(message.get("where"), message.get("message")),
            "plotly": lambda _: self.send_plotly(),
            **handlers,
        }
        super().__init__(**traits)
        self.on_msg(self._received)

    @property
    def errors(self) -> list[str]:
        """The latest errors of the browser and of the widget's threads, the latest last."""
        return self._errors.messages

    def open(self) -> None:
        """Create the widget's model in the browser."""
        _without_parent(super().open)

    def send_plotly(self) -> None:
        """Send plotly.js to the browser."""
        BaseWidget.plotly_sent = True
        self.send({"type": "plotly", "version": plotly_version()}, [plotly_js()])

    def answer_connect(self, request: Mapping[str, Any], connect: Callable[[], None]) -> None:
        """Connect to a cluster on the browser's request, and answer "connected" or "refused".

        Args:
            request: the browser's message.
            connect: connects.
        """
        answer = {"type": "connected"}
        try:
            connect()
        except NbtuneError as error:
            answer = {"type": "refused", "message": str(error)}
        except Exception as error:
            answer = {"type": "refused", "message": f"{type(error).__name__}: {error}"}
            self._errors.add("connect", answer["message"])
        self.send(answer_to(request, answer))

    def _send(self, msg: Any, buffers: Any = None) -> None:
        _without_parent(super()._send, msg, buffers)

    def _received(self, _: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") in self._handlers:
            self._handlers[content["type"]](content)
