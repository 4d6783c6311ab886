"""The driver of one experiment, in a process that may run others before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DriverOf"]


@dataclass(frozen=True)
class DriverOf:
    """The driver of an experiment.

    Attributes:
        actor: the handle of its process, a `nbtune.engine.driver.process.DriverProcess`.
        experiment: the experiment's id.
        name: the name of the actor, where it is known.
    """

    actor: Any
    experiment: str
    name: str = ""

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method; return Ray's reference to its result.

        Args:
            method: the name of a method of `nbtune.engine.driver.driver.Driver`.
            arguments: its arguments.
        """
        return self.actor.call.remote(self.experiment, method, *arguments)
