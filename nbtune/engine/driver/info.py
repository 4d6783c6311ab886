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
        experiment: its id.
        owner: the id of this driver as the owner of the folder, see `nbtune.engine.storage.owner`.
        over: whether it is over.
    """

    name: str
    where: Storage
    experiment: str = ""
    owner: str = ""
    over: bool = False
