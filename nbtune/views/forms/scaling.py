"""The scaling form's widget: its fields as they are typed, what is wrong with them, the cell, and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import traitlets

from nbtune.errors import NbtuneError
from nbtune.spec.forms.scaling import Scaling
from nbtune.views.base.channel import Live, connected, script, styles
from nbtune.views.base.polling import Looked

__all__ = ["Form", "Source"]

_EVERY = 2.0  # seconds between two looks at the cluster
_ERRORS = 20  # of the browser's, that are kept


class Source(Protocol):
    """What the form needs to know."""

    @property
    def train_v2(self) -> bool:
        """Whether Ray Train is its version 2."""
        ...

    def read(self, fields: Mapping[str, Any]) -> tuple[Scaling | None, dict[str, str]]:
        """Return what fields say, or None, and why which of them is wrong."""
        ...

    def cell(self, value: Scaling, fields: Mapping[str, Any]) -> str:
        """Return the cell that says the same."""
        ...

    def plan(self, value: Scaling) -> Mapping[str, Any]:
        """Return the plan on the connected cluster: see "Scaling" in widgets/README.md.

        Raises:
            NbtuneError: there is none; it says why.
        """
        ...

    def connect(self) -> None:
        """Connect to a cluster.

        Raises:
            NbtuneError: that does not work; it says why.
        """
        ...


class Form(Live):
    """What a trial asks for, as a form.

    Args:
        source: what checks the fields and plans.
        fields: what they hold at first.

    Attributes:
        fields: what they hold, as the browser has set it: text, or whether it is ticked.
        checked: why which field is wrong, the cell, and which version of Ray Train there is.
        planned: the plan on the connected cluster.
        value: the latest that was valid.
        valid: whether what is typed now is.
        errors: what went wrong in the browser's half, the latest last.
    """

    _esm = script("scaling")
    _css = styles("scaling")
    fields = traitlets.Dict().tag(sync=True)
    checked = traitlets.Dict().tag(sync=True)
    planned = traitlets.Dict().tag(sync=True)
    value = traitlets.Any()
    valid = traitlets.Bool(True)

    def __init__(self, source: Source, fields: Mapping[str, Any]) -> None:
        self.errors: list[str] = []
        self._source = source
        self._revision = 0  # how often the fields were read
        self._looked = Looked(self._plan, _EVERY)
        super().__init__(
            {
                "ready": lambda _: None,  # traits are there from the start
                "look": lambda _: self._looked.look(),
                "connect": lambda message: self._looked.order(lambda: self._connect(message)),
                "error": self._failed,
            },
            fields=dict(fields),
        )
        self._check()
        self.observe(lambda _: self._check(), "fields")

    def _check(self) -> None:
        """Read the fields. Where something is wrong, the last valid value stays."""
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
        self._looked.soon()

    def _plan(self) -> None:
        """Plan what is valid on the cluster that there is now."""
        revision = self._revision
        try:
            planned = dict(self._source.plan(self.value))
        except NbtuneError as error:
            planned = {"state": "refused", "lines": str(error).splitlines()}
        except Exception as error:  # nobody looks at this thread
            planned = {"state": "refused", "lines": [f"{type(error).__name__}: {error}"]}
            self._failed({"where": "plan", "message": planned["lines"][0]})
        self.planned = {**planned, "revision": revision}

    def _connect(self, message: Mapping[str, Any]) -> None:
        self.send(connected(message, self._source.connect, self._failed))
        self._plan()

    def _failed(self, message: Mapping[str, Any]) -> None:
        self.errors = [*self.errors, f"{message.get('where')}: {message.get('message')}"][-_ERRORS:]
