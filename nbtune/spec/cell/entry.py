"""How Ray Tune runs a program: as a function or a class, and under which name."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """How Ray Tune runs a program.

    Attributes:
        name: what Ray Tune calls it; part of the names of trials that callbacks see.
        is_class: whether it is a subclass of `ray.tune.Trainable`, and not a function or cell.
        saves: whether such a class can be checkpointed at any time.
        ends_at_done: whether a trial ends when it reports a true value as "done", as in Ray Tune.
    """

    name: str = ""
    is_class: bool = False
    saves: bool = False
    ends_at_done: bool = False
