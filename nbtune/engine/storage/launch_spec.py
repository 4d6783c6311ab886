"""`Launch` and `Resume`: what a driver needs to start or to resume an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.storage.storage import Storage
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

__all__ = ["Launch", "Resume"]


@dataclass(frozen=True)
class Launch:
    """What a driver needs to start an experiment.

    Attributes:
        spec: the options.
        space: the search space.
        data: the pickled program, `nbtune.engine.trial.payload.Packed.data`.
        large_count: the number of large values, which the driver receives separately.
        folder: the name of the experiment's folder in storage.
        storage: the storage that contains this folder.
        slots: how many trials the cluster can run at once in its present size; None if it can grow.
        metadata: what the first event records of the experiment.
        environment: environment variables of the kernel for the driver and the trials, None for deleted ones: those
            that its code has changed, and secret ones that configure object stores. They are not stored.
        sources: the cells that define the user's objects, for tracebacks: file name -> (label, source).
    """

    spec: Spec
    space: Space
    data: bytes
    large_count: int
    folder: str
    storage: Storage
    slots: int | None
    metadata: Metadata = field(default_factory=Metadata)
    environment: dict[str, str | None] = field(default_factory=dict, repr=False)
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Resume:
    """What a driver needs to resume an experiment.

    Attributes:
        folder: the name of the experiment's folder in storage.
        storage: the storage that contains this folder.
        slots: as in `Launch`.
        epoch: the epoch of the driver that is replaced; see `nbtune.engine.storage.lease`.
        failed: whether failed trials are resumed, too.
        commands: what to execute first.
        metadata: what the next event records of the experiment.
        environment: as in `Launch`.
    """

    folder: str
    storage: Storage
    slots: int | None
    epoch: int = 0
    failed: bool = False
    commands: tuple[Command, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    environment: dict[str, str | None] = field(default_factory=dict, repr=False)
