"""The trials that the user has requested, and what Tune's snapshot keeps of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine.protocol.replay import PastTrial

__all__ = ["RequestState", "RequestedTrial"]


@dataclass(frozen=True)
class RequestedTrial:
    """A trial that is created whatever the search algorithm proposes.

    Attributes:
        config: all of its parameters.
        past: the trial in an earlier run, or None for a new trial.
        start: the checkpoint of another trial that it starts from, as a result of Tune, or None.
        by: who has added it: "user", or "search" for a trial that the algorithm had proposed in an earlier run.
    """

    config: dict[str, Any]
    past: PastTrial | None = None
    start: Any = None
    by: str = "user"


@dataclass
class RequestState:
    """What a search with requested trials keeps in Tune's snapshot."""

    experiment: Any = None
    requested: deque[RequestedTrial] = field(default_factory=deque)
    user_trials: set[str] = field(default_factory=set)  # ids of the trials that the user has added
    max_concurrent: int | None = None
    added: int = 0
    proposed: set[str] = field(default_factory=set)  # ids of the trials that the algorithm has proposed
    drawn: int = 0  # samples that have replaced rejected ones
    decoded: int = 0  # configurations of the algorithm, and samples that have replaced some of them
