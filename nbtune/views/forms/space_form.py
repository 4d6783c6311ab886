"""The Python half of the form on a space. widgets/README.md says what travels between the halves."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from nbtune.errors import NbtuneError
from nbtune.spec.forms.form import Form, FormCheck
from nbtune.spec.forms.form_line import FIELDS
from nbtune.spec.forms.form_row import Row
from nbtune.spec.forms.suggest import Suggestion
from nbtune.spec.options.options import SCHEDULERS, SEARCHES
from nbtune.views.base.assets import plotly_js, plotly_version
from nbtune.views.base.background import Background
from nbtune.views.base.channel import Live, answer_to, script, styles
from nbtune.views.forms.space_pictures import pictures

__all__ = ["SpaceEditor"]

Message = dict[str, Any]
_SAMPLES = 300  # that a picture is of
_ERRORS = 20  # of the browser's, that are kept


class SpaceEditor(Live):
    """The form on a space, as a widget.

    Args:
        form: what it begins with.
        suggestions: what may be changed at once.
        make: from a space of the cell language's to the one that `space` is; that one is sampled for the pictures.
        plan: from that and the fields of the magic line to what is planned: lines of text, and whether it can be run.

    Attributes:
        space: the space of the rows; the last that was right while some row is wrong, None before the first.
        text: the cell that would be written; the last that was right while anything is wrong.
        valid: whether everything is right, so that `text` is what is typed.
        errors: what went wrong in the browser's half, the latest last.
    """

    _esm = script("space-form")
    _css = styles("space-form")
    space = traitlets.Any(None, allow_none=True, read_only=True)
    text = traitlets.Unicode("", read_only=True)
    valid = traitlets.Bool(False, read_only=True)

    def __init__(
        self,
        form: Form,
        suggestions: Sequence[Suggestion],
        make: Callable[[Any], Any],
        plan: Callable[[Any, Mapping[str, str]], tuple[list[str], bool]],
    ) -> None:
        self.errors: list[str] = []
        self._form, self._suggestions, self._make, self._plan = form, tuple(suggestions), make, plan
        self._rows, self._line = tuple(form.layout.rows), dict(form.line)
        self._lock = threading.RLock()
        self._wanted: tuple[Any, Message, dict[str, str] | None] | None = None  # space, question, line if it is right
        self._background = Background("nbtune-samples")
        super().__init__(
            {"ready": self._ready, "edit": self._edit, "error": self._failed, "plotly": lambda _: self._send_plotly()}
        )
        self._checked = self._check()

    def __repr__(self) -> str:
        if not self.text:
            return "an empty form of a space"
        return f"the form of a space{'' if self.valid else ', as it was last right'}:\n{self.text}"

    def _check(self) -> FormCheck:
        """Check what is typed, and take it over where it is right."""
        checked = self._form.check(self._rows, self._line)
        with self.hold_trait_notifications():
            if checked.space is not None and len(checked.space):
                made = self._make(checked.space)
                if made != self.space:
                    self.set_trait("space", made)
                self.set_trait("text", checked.text or self.text)
            self.set_trait("valid", not checked.blocked_reason)
        return checked

    # -- what the browser sends ---------------------------------------------------------------------

    def _ready(self, message: Message) -> None:
        with self._lock:
            self.send(
                {
                    "type": "form",
                    **_question(message),
                    "rows": [dataclasses.asdict(row) for row in self._rows],
                    "line": self._line,
                    "choices": {"mode": ["min", "max"], "search": list(SEARCHES), "scheduler": list(SCHEDULERS)},
                    "suggestions": [dataclasses.asdict(suggestion) for suggestion in self._suggestions],
                }
            )
            self._tell(message)

    def _edit(self, message: Message) -> None:
        with self._lock:
            self._rows = tuple(map(Row.from_message, message["rows"]))
            self._line = {name: str(message["line"].get(name) or "").strip() for name in FIELDS}
            self._checked = self._check()
            self._tell(message)

    def _tell(self, message: Message) -> None:
        checked = self._checked
        self.send(
            {
                "type": "checked",
                **_question(message),
                "problems": checked.diagnostics.messages(),
                "notes": checked.diagnostics.notes,
                "wrong": checked.line_problems,
                "general": list(checked.general),
                "text": checked.text or self.text,
                "why": checked.blocked_reason,
                "grid": _counted(checked.space, self._line),
            }
        )
        if checked.space is not None and len(checked.space):
            self._wanted = (self.space, _question(message), None if checked.line_problems else dict(self._line))
            self._background.do(self._draw)

    def _draw(self) -> None:
        """Sample and plan, and send what comes of it, for what was typed last; nothing where that is done already."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        space, question, line = wanted
        found, fault = self._pictures(space)
        with self._lock:
            ids = {row.name: row.id for row in self._rows}
        sent = {ids[name]: picture for name, picture in found.items() if name in ids}
        self.send({"type": "pictures", **question, "pictures": sent, "fault": fault})
        lines, possible = ([], True) if line is None or fault else self._planned(space, line)
        self.send({"type": "plan", **question, "lines": lines, "possible": possible})

    def _pictures(self, space: Any) -> tuple[dict[str, Any], str]:
        """Return the pictures of a space, or none and why nothing can be sampled."""
        try:
            frame = space.sample(_SAMPLES, seed=0)
            return pictures(space, {name: list(frame[name]) for name in frame}), ""
        except NbtuneError as error:  # no sample fulfils the constraints, for instance
            return {}, str(error)
        except Exception as error:  # nobody looks at this thread
            return {}, f"no samples can be drawn: {type(error).__name__}: {error}"

    def _planned(self, space: Any, line: Mapping[str, str]) -> tuple[list[str], bool]:
        try:
            return self._plan(space, line)
        except NbtuneError as error:
            return error.render("line").splitlines(), False
        except Exception as error:  # nobody looks at this thread
            self._failed({"where": "plan", "message": f"{type(error).__name__}: {error}"})
            return [], True

    def _send_plotly(self) -> None:
        self.send({"type": "plotly", "version": plotly_version()}, [plotly_js()])

    def _failed(self, message: Message) -> None:
        self.errors = [*self.errors, f"{message.get('where')}: {message.get('message')}"][-_ERRORS:]


def _question(message: Mapping[str, Any]) -> Message:
    """Return what an answer says of its question."""
    return answer_to(message, {"token": message.get("token"), "seq": message.get("seq", 0)})


def _counted(space: Any, line: Mapping[str, str]) -> str:
    """Return how many trials it makes, as far as the line says it."""
    if space is None or not len(space):
        return ""
    samples, grid = line.get("samples") or "1", space.grid_size
    if not samples.isdigit():
        return ""
    total = int(samples) * grid
    return f"{total:,} trials: {samples} x a grid of {grid}" if grid > 1 else f"{total:,} trial{'s' * (total != 1)}"
