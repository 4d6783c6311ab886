"""The widget of the scaling form: checks its fields, and plans while it is visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import traitlets

from nbtune.errors import NbtuneError
from nbtune.spec.forms.scaling import Scaling
from nbtune.views.base.channel import BaseWidget, script, styles
from nbtune.views.base.polling import PollWhileVisible

__all__ = ["ScalingSource", "ScalingWidget"]

_INTERVAL = 2.0  # seconds between two plans


class ScalingSource(Protocol):
    """What checks the fields and plans."""

    @property
    def train_v2(self) -> bool:
        """Whether Ray Train V2 is in use."""
        ...

    def read(self, fields: Mapping[str, Any]) -> tuple[Scaling | None, dict[str, str]]:
        """Read the fields.

        Args:
            fields: the form's.

        Returns:
            Their value, or None where any is invalid; and field -> error, with "" for errors of no field.
        """
        ...

    def cell(self, value: Scaling, fields: Mapping[str, Any]) -> str:
        """Return the cell that requests a value.

        Args:
            value: what `read` returned.
            fields: the form's; the cell has sizes as they were typed.
        """
        ...

    def plan(self, value: Scaling) -> Mapping[str, Any]:
        """Return the plan on the connected cluster: see "Scaling" in widgets/README.md.

        Args:
            value: what `read` returned.

        Raises:
            NbtuneError: there is no plan; the message says why.
        """
        ...

    def connect(self) -> None:
        """Connect to a cluster.

        Raises:
            NbtuneError: connecting has failed; the message says why.
        """
        ...


class ScalingWidget(BaseWidget):
    """The form on the resources of a trial.

    Args:
        source: checks the fields and plans.
        fields: the initial fields.

    Attributes:
        fields: field -> its text, or whether it is checked; the browser sets them.
        checked: the errors of the fields, the cell, and the version of Ray Train.
        planned: the plan on the connected cluster.
        value: the value of the latest valid fields.
        valid: whether the current fields are valid.
    """

    _esm = script("scaling")
    _css = styles("scaling")
    fields = traitlets.Dict().tag(sync=True)
    checked = traitlets.Dict().tag(sync=True)
    planned = traitlets.Dict().tag(sync=True)
    value = traitlets.Any()
    valid = traitlets.Bool(True)

    def __init__(self, source: ScalingSource, fields: Mapping[str, Any]) -> None:
        self._source = source
        self._revision = 0  # counts the checks
        self._polling = PollWhileVisible(self._plan, _INTERVAL)
        super().__init__(
            {
                "visible": lambda _: self._polling.view_is_visible(),
                "connect": lambda message: self._polling.run(lambda: self._connect(message)),
            },
            fields=dict(fields),
        )
        self._check()
        self.observe(lambda _: self._check(), "fields")

    def _check(self) -> None:
        """Check the fields. The value stays the latest valid one."""
        value, problems = self._source.read(self.fields)
        self._revision += 1
        if value is not None:
            self.value = value
        self.valid = value is not None
        cell = self._source.cell(self.value, self.fields) if self.valid else self.checked.get("cell", "")
        self.checked = {
            "problems": problems,
            "cell": cell,
            "train_v2": self._source.train_v2,
            "revision": self._revision,
        }
        self._polling.poll_now()

    def _plan(self) -> None:
        """Plan the latest valid value on the connected cluster."""
        revision = self._revision
        try:
            planned = dict(self._source.plan(self.value))
        except NbtuneError as error:
            planned = {"state": "refused", "lines": str(error).splitlines()}
        except Exception as error:  # on this thread nobody would see it
            planned = {"state": "refused", "lines": [f"{type(error).__name__}: {error}"]}
            self._errors.add("plan", planned["lines"][0])
        self.planned = {**planned, "revision": revision}

    def _connect(self, message: Mapping[str, Any]) -> None:
        self.answer_connect(message, self._source.connect)
        self._plan()
