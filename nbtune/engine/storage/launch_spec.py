"""What a driver is given: how to start an experiment, and how to go on with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine.storage.storage import Storage
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

__all__ = ["Launch", "Resume"]


@dataclass(frozen=True)
class Launch:
    """What a driver needs to run an experiment.

    Attributes:
        spec: the options.
        space: the space, as the search algorithm is to see it.
        data: `nbtune.engine.trial.payload.Packed.data`.
        large: how many big values there are, which `Driver.hold` gets.
        folder: the name of the experiment's folder in storage.
        storage: where this folder is.
        slots: how many trials can run at once on the cluster as it is, or None if it can grow.
        facts: what the first event tells: source, space and options for people, versions.
        environment: what the kernel's says of object stores, and is secret.
    """

    spec: Spec
    space: Space
    data: bytes
    large: int
    folder: str
    storage: Storage
    slots: int | None
    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Resume:
    """How to go on with an experiment.

    Attributes:
        folder: the name of its folder in storage.
        storage: where this folder is.
        slots: as in `Launch`.
        failed: whether trials that have failed go on, too.
        orders: what to do first: name and arguments, as for `Driver.order`.
        facts: what the next event tells.
        environment: as in `Launch`.
    """

    folder: str
    storage: Storage
    slots: int | None
    failed: bool = False
    orders: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
