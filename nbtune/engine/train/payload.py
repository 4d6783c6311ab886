"""What a trial's process is given by the driver. Imports nothing of Ray Train, which takes long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.trust import ExperimentKey
from nbtune.engine.trial.payload import ProgramPayload
from nbtune.spec.cell.entry import Entry
from nbtune.spec.options.datasets import PackedDatasets
from nbtune.spec.plan.workers import Workers

__all__ = ["Training", "TrialPayload"]


@dataclass(frozen=True)
class Training:
    """How a trial trains with workers.

    Attributes:
        workers: the number of workers, and the resources of each.
        framework: one of `nbtune.spec.plan.frameworks.FRAMEWORKS`.
        backend: how the workers communicate; see `nbtune.frameworks`.
        aggregate: how their metrics become the trial's: one of `nbtune.spec.plan.workers.AGGREGATES`.
        variables: environment variables of the workers.
        data_cpus: the CPUs of the cluster that an elastic run leaves to Ray Data.
    """

    workers: Workers
    framework: str = "torch"
    backend: Any = None
    aggregate: str = "rank0"
    variables: Mapping[str, str] = field(default_factory=dict)
    data_cpus: float = 0


@dataclass(frozen=True)
class TrialPayload:
    """What each trial's process is given, the same for all trials of an experiment.

    Attributes:
        program: the user's program.
        driver: the driver of the experiment.
        environment: environment variables, None for those to delete; they may be secret.
        training: how the trial trains with workers; None for a trial in a single process.
        key: signs its checkpoints, and tells which ones it loads.
        entry: how Ray Tune runs the program.
        resets: whether the object of a class is prepared for the next trial by its own `reset_config`.
        ends_at_once: whether a function that has returned ends in the same message in which it reports its result:
            nothing pauses it in between, and its files are stored in no time.
        datasets: the data sets of the experiment, with Ray's references to their blocks; None without any.
    """

    program: ProgramPayload
    driver: DriverOf
    environment: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    training: Training | None = None
    key: ExperimentKey | None = None
    entry: Entry = field(default_factory=Entry)
    resets: bool = False
    ends_at_once: bool = False
    datasets: PackedDatasets | None = None
