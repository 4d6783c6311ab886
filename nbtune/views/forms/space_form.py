"""The widget of the form on a space: checks its rows, samples and plans. widgets/README.md describes its messages."""

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
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.views.base.background import BackgroundQueue
from nbtune.views.base.channel import BaseWidget, answer_to, script, styles
from nbtune.views.forms.space_pictures import pictures

__all__ = ["SpaceEditor"]

Message = dict[str, Any]
_SAMPLES = 300  # per picture


class SpaceEditor(BaseWidget):
    """The form on a search space.

    Args:
        form: the initial form.
        suggestions: changes that the form offers.
        make: makes the public space of a checked one; that one is sampled for the pictures.
        plan: takes that space and the fields of the magic line; returns the lines of the plan, and whether the trials
            fit on the cluster.

    Attributes:
        space: the space of the latest valid rows; None before the first.
        text: the cell of the latest valid form.
        valid: whether the current form is valid.
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
        self._form, self._suggestions, self._make, self._plan = form, tuple(suggestions), make, plan
        self._rows, self._line = tuple(form.layout.rows), dict(form.line)
        self._lock = threading.RLock()
        # The next pictures: the space, the ids of the request, and the fields of the line if they are valid.
        self._pending: tuple[Any, Message, dict[str, str] | None] | None = None
        self._background = BackgroundQueue("nbtune-samples")
        super().__init__({"ready": self._ready, "edit": self._edit})
        self._checked = self._check()

    def __repr__(self) -> str:
        if not self.text:
            return "SpaceForm (empty)"
        return f"SpaceForm{'' if self.valid else ' (the last valid cell)'}:\n{self.text}"

    def _check(self) -> FormCheck:
        """Check the form, and set the traits that are valid."""
        checked = self._form.check(self._rows, self._line)
        with self.hold_trait_notifications():
            if checked.space is not None and len(checked.space):
                made = self._make(checked.space)
                if made != self.space:
                    self.set_trait("space", made)
                self.set_trait("text", checked.text or self.text)
            self.set_trait("valid", not checked.blocked_reason)
        return checked

    # -- messages of the browser ---------------------------------------------------------------------

    def _ready(self, message: Message) -> None:
        with self._lock:
            self.send(
                {
                    "type": "form",
                    **_request_ids(message),
                    "rows": [dataclasses.asdict(row) for row in self._rows],
                    "line": self._line,
                    "choices": {"mode": ["min", "max"], "search": list(SEARCHES), "scheduler": list(SCHEDULERS)},
                    "suggestions": [dataclasses.asdict(suggestion) for suggestion in self._suggestions],
                }
            )
            self._send_check(message)

    def _edit(self, message: Message) -> None:
        with self._lock:
            self._rows = tuple(map(Row.from_message, message["rows"]))
            self._line = {name: str(message["line"].get(name) or "").strip() for name in FIELDS}
            self._checked = self._check()
            self._send_check(message)

    def _send_check(self, message: Message) -> None:
        checked = self._checked
        self.send(
            {
                "type": "checked",
                **_request_ids(message),
                "problems": checked.diagnostics.messages(),
                "notes": checked.diagnostics.notes,
                "line_problems": checked.line_problems,
                "general": list(checked.general),
                "text": checked.text or self.text,
                "blocked_reason": checked.blocked_reason,
                "grid": _trial_count(checked.space, self._line),
            }
        )
        if checked.space is not None and len(checked.space):
            self._pending = (self.space, _request_ids(message), None if checked.line_problems else dict(self._line))
            self._background.submit(self._draw)

    def _draw(self) -> None:
        """Sample and plan for the latest request, unless that is done already."""
        with self._lock:
            pending, self._pending = self._pending, None
        if pending is None:
            return
        space, request_ids, line = pending
        by_parameter, sampling_error = self._pictures(space)
        with self._lock:
            ids = {row.name: row.id for row in self._rows}
        by_row = {ids[name]: picture for name, picture in by_parameter.items() if name in ids}
        self.send({"type": "pictures", **request_ids, "pictures": by_row, "sampling_error": sampling_error})
        lines, possible = ([], True) if line is None or sampling_error else self._planned(space, line)
        self.send({"type": "plan", **request_ids, "lines": lines, "possible": possible})

    def _pictures(self, space: Any) -> tuple[dict[str, Any], str]:
        """Return parameter -> picture, and why nothing can be sampled."""
        try:
            frame = space.sample(_SAMPLES, seed=0)
            return pictures(space, {name: list(frame[name]) for name in frame}), ""
        except NbtuneError as error:  # for example no sample fulfils the constraints
            return {}, str(error)
        except Exception as error:  # on this thread nobody would see it
            return {}, f"cannot sample: {type(error).__name__}: {error}"

    def _planned(self, space: Any, line: Mapping[str, str]) -> tuple[list[str], bool]:
        try:
            return self._plan(space, line)
        except NbtuneError as error:
            return error.render("line").splitlines(), False
        except Exception as error:  # on this thread nobody would see it
            self._errors.add("plan", f"{type(error).__name__}: {error}")
            return [], True


def _request_ids(message: Mapping[str, Any]) -> Message:
    """Return the ids by which the browser matches an answer with its request."""
    return answer_to(message, {"token": message.get("token"), "seq": message.get("seq", 0)})


def _trial_count(space: Any, line: Mapping[str, str]) -> str:
    """Return the number of trials as text, if the line has a valid number of samples."""
    if space is None or not len(space):
        return ""
    samples, grid = line.get("samples") or "1", space.grid_size
    if not samples.isdigit():
        return ""
    total = int(samples) * grid
    return f"{total:,} trials: {samples} x a grid of {grid}" if grid > 1 else f"{total:,} trial{'s' * (total != 1)}"
