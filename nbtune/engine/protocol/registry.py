"""The live parts of a run: what Tune's pickled settings stand for when a driver reads them back.

Tune pickles an experiment's settings into its folder when it starts, and `Tuner.restore` reads them
from there. Scheduler, search, stopper and callbacks of ours belong to the driver that runs: pickled
they are only a reference by role, which the driver that restores resolves to its own.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Live", "live", "put_live"]

_parts: dict[str, Any] = {}


class Live:
    """The base of what is pickled as a reference to this process's own."""

    role: str

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return live, (self.role,)


def live(role: str) -> Any:
    """Return this process's part in a role, or None where no driver of nbtune's runs."""
    return _parts.get(role)


def put_live(*parts: Live) -> None:
    """Make these this process's parts."""
    _parts.update({part.role: part for part in parts})
