"""Commands to a running experiment. The kernel sends them, and the driver executes them.

A method of `nbtune.Experiment` or `nbtune.Trial`, a ``%tune`` line and a message of a widget become one of these in the
kernel; `Source.send` carries it to the driver, and `nbtune.engine.tune.control.Control` executes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "AddTrial",
    "Command",
    "ExtendSearch",
    "PauseTrial",
    "ResumeTrial",
    "SearchCommand",
    "SetMaxConcurrent",
    "StopExperiment",
    "StopTrial",
    "TrialCommand",
]


@dataclass(frozen=True)
class StopExperiment:
    """End the experiment, so that it can be resumed."""


@dataclass(frozen=True)
class StopTrial:
    """End a trial.

    Attributes:
        trial: its number.
    """

    trial: int


@dataclass(frozen=True)
class PauseTrial:
    """Pause a running trial with its next checkpoint.

    Attributes:
        trial: its number.
    """

    trial: int


@dataclass(frozen=True)
class ResumeTrial:
    """Let a trial run again that the user has paused, or is about to be.

    Attributes:
        trial: its number.
    """

    trial: int


@dataclass(frozen=True)
class AddTrial:
    """Try a point next.

    Attributes:
        config: parameter -> value, nested or flat. The other parameters are sampled.
        start_from: the number of the trial from whose latest checkpoint it starts, or None.
    """

    config: Mapping[str, Any]
    start_from: int | None = None


@dataclass(frozen=True)
class ExtendSearch:
    """Let the search algorithm propose more.

    Attributes:
        samples: the number of additional samples; with a grid, of additional repetitions of the grid.
    """

    samples: int


@dataclass(frozen=True)
class SetMaxConcurrent:
    """Change how many trials may run at once.

    Attributes:
        max_concurrent: the number, or None for as many as fit on the cluster.
    """

    max_concurrent: int | None


TrialCommand = StopTrial | PauseTrial | ResumeTrial
"""Commands about one trial of a running experiment."""
SearchCommand = AddTrial | ExtendSearch
"""Commands about what is tried next. After the experiment's end they resume it."""
Command = StopExperiment | SetMaxConcurrent | TrialCommand | SearchCommand
