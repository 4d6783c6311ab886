"""What a driver tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from nbtune.engine.storage.storage import Storage

__all__ = ["DriverInfo"]


@dataclass(frozen=True)
class DriverInfo:
    """What a driver runs.

    Attributes:
        name: the name of the experiment.
        where: its folder.
        over: whether it is over.
    """

    name: str
    where: Storage
    over: bool = False
