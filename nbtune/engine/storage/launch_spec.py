"""What a driver needs: `Launch` to start an experiment, `Resume` to resume it, `NewCode` to replace its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nbtune.engine.protocol.commands import Command
from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.trust import ExperimentKey
from nbtune.engine.storage.storage import Storage
from nbtune.spec.cell.entry import Entry
from nbtune.spec.cell.versions import CodeVersion
from nbtune.spec.options.datasets import PackedDatasets
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

__all__ = ["Launch", "NewCode", "Resume"]


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
        version: what the code consists of.
        variable: the variable of the notebook that had the training function; empty for a cell.
        entry: how Ray Tune runs the program.
        replaced: how often the code was replaced since the start.
        key: signs what the driver and the trials write. It is not stored.
        variables_set: the names of the environment variables that the notebook's code had set. Their values are not
            stored.
        datasets: the data sets that the options name; None without any.
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
    version: CodeVersion = field(default_factory=CodeVersion, repr=False)
    variable: str = ""
    entry: Entry = field(default_factory=Entry)
    replaced: int = 0
    variables_set: tuple[str, ...] = ()
    key: ExperimentKey | None = None
    datasets: PackedDatasets | None = field(default=None, repr=False)

    def resumed(self, resume: Resume) -> Launch:
        """Return what a driver needs that goes on with a stored launch, whose folder may have been moved and renamed.

        Args:
            resume: how it is resumed.
        """
        return replace(
            self,
            storage=resume.storage,
            folder=resume.folder,
            slots=resume.slots,
            environment=resume.environment,
            key=resume.key,
        )

    def with_code(self, code: NewCode) -> Launch:
        """Return the launch with other code.

        Args:
            code: the code.
        """
        return replace(
            self,
            data=code.data,
            large_count=code.large_count,
            metadata={**self.metadata, **code.metadata},
            sources={**self.sources, **code.sources},
            version=code.version,
            variable=code.variable,
            replaced=self.replaced + 1,
        )


@dataclass(frozen=True)
class NewCode:
    """Code that replaces that of an experiment.

    Attributes:
        data: as in `Launch`.
        large_count: as in `Launch`.
        sources: as in `Launch`, of the new code only.
        version: as in `Launch`.
        variable: as in `Launch`.
        metadata: what the log records of it.
    """

    data: bytes
    large_count: int
    sources: Mapping[str, tuple[str, str]] = field(repr=False)
    version: CodeVersion = field(repr=False)
    variable: str
    metadata: Metadata


@dataclass(frozen=True)
class Resume:
    """What a driver needs to resume an experiment.

    Attributes:
        folder: the name of the experiment's folder in storage.
        storage: the storage that contains this folder.
        slots: as in `Launch`.
        key: as in `Launch`; it also tells which pickles in the folder are loaded.
        epoch: the epoch of the driver that is replaced; see `nbtune.engine.storage.lease`.
        failed: whether failed trials are resumed, too.
        commands: what to execute first.
        metadata: what the next event records of the experiment.
        environment: as in `Launch`.
        code: the code that replaces the stored one; None if that is used.
    """

    folder: str
    storage: Storage
    slots: int | None
    key: ExperimentKey
    epoch: int = 0
    failed: bool = False
    commands: tuple[Command, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    environment: dict[str, str | None] = field(default_factory=dict, repr=False)
    code: NewCode | None = None
