"""The data sets of an experiment: packed in the kernel, and handed to the code in its trials.

A data set is lazy, and its plan is what is sent. Blocks that it has in the object store, as one that was made of a
DataFrame does, belong to the kernel that has made it. They are packed by value if they are not large, so that the
experiment does not need the kernel, and can be resumed on another cluster.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from nbtune.engine.trial.payload import Unpickler
from nbtune.engine.trial.pickler import MAX_BLOCK_BYTES, Pickler
from nbtune.errors import Problem, did_you_mean
from nbtune.spec.options.datasets import DatasetInfo, NamedDataset, PackedDatasets, is_dataset

__all__ = [
    "Datasets",
    "Progress",
    "UnknownDatasetError",
    "check_name",
    "describe",
    "ingesting",
    "pack_datasets",
    "provided",
    "resolved",
    "shard",
]


_MIN_INTERVAL, _MAX_INTERVAL, _SLOWER = 1.0, 10.0, 1.5
"""Seconds between two messages about what was read: soon at first, then less often, by a factor."""


class UnknownDatasetError(KeyError):
    """The experiment has no data set of a name."""

    def __str__(self) -> str:
        return str(self.args[0])


def pack_datasets(datasets: Mapping[str, Any], config: Any, problems: list[Problem]) -> PackedDatasets | None:
    """Pack data sets.

    Args:
        datasets: name -> a `ray.data.Dataset`, or a function that returns one.
        config: the option `dataset_config`.
        problems: receives the problem of each that cannot be sent to the trials.

    Returns:
        The packed data sets; None if one cannot be packed.
    """
    from nbtune.engine._ray.data import present_context

    file = io.BytesIO()
    pickler = Pickler(file)
    try:
        pickler.dump((dict(datasets), config, present_context()))
    except Exception as error:  # what the reduction of an object raises
        culprits = {name: one for name, one in datasets.items() if _error(one) is not None} or {"": None}
        for name in culprits:
            reason = str(_error(datasets[name]) if name else error).strip().splitlines() or [type(error).__name__]
            text = f"{name or 'the data sets'} cannot be sent to the trials: {reason[0]}"
            problems.append(Problem(text, code="unpicklable", option="datasets"))
        return None
    return PackedDatasets(file.getvalue(), pickler.large, {name: describe(one) for name, one in datasets.items()})


def _error(value: Any) -> Exception | None:
    try:
        Pickler(io.BytesIO()).dump(value)
    except Exception as error:
        return error
    return None


def describe(dataset: Any) -> DatasetInfo:
    """Return what is known of a data set without executing it.

    Args:
        dataset: a data set, or a function that returns one.
    """
    if isinstance(dataset, DatasetInfo):
        return dataset
    if not is_dataset(dataset):
        return DatasetInfo(stored="function")
    from nbtune.engine._ray.data import blocks_of, rows_and_size

    schema: dict[str, str] = {}
    with suppress(Exception):  # its source may be gone
        known = dataset.schema(fetch_if_missing=False)
        if known is not None:
            schema = {str(name): str(kind) for name, kind in zip(known.names, known.types, strict=True)}
    rows, size = rows_and_size(dataset)
    blocks = blocks_of(dataset)
    total = sum(bytes_ or 0 for _, bytes_ in blocks)
    stored = "files" if not blocks else "experiment" if total <= MAX_BLOCK_BYTES else "cluster"
    return DatasetInfo(schema, rows, size, stored)


class Datasets:
    """The data sets in a process of a trial.

    Args:
        packed: the packed data sets; None if the experiment has none.
        fetch: returns the large value at a position; `refer` returns Ray's reference to it.

    Attributes:
        names: their names.
    """

    def __init__(self, packed: PackedDatasets | None, fetch: Callable[[int], Any], refer: Callable[[int], Any]) -> None:
        self.names = tuple(packed.about) if packed is not None else ()
        self._packed, self._fetch, self._refer = packed, fetch, refer
        self._loaded: tuple[dict[str, Any], Any, Any] | None = None
        self.reads: dict[str, Any] = {}  # name -> what was read

    @classmethod
    def in_trial(cls, packed: PackedDatasets | None) -> Datasets:
        """Return those of a trial.

        Args:
            packed: the packed data sets, with Ray's references to the large values.
        """
        import ray

        large = packed.large if packed is not None else ()
        return cls(packed, lambda position: ray.get(large[position]), lambda position: large[position])

    def load(self) -> tuple[dict[str, Any], Any, Any]:
        """Return the data sets, the option `dataset_config`, and the kernel's settings of Ray Data."""
        if self._loaded is None:
            assert self._packed is not None
            self._loaded = Unpickler(io.BytesIO(self._packed.data), self._fetch, self._refer).load()
        return self._loaded

    def get(self, name: str) -> Any:
        """Return a data set as a whole; what is read of it is counted.

        Args:
            name: its name.

        Raises:
            UnknownDatasetError: there is no such data set.
        """
        check_name(name, self.names)
        from nbtune.engine._ray.data import Read, count_reads

        datasets = self.load()[0]
        if name not in self.reads:
            given = datasets[name]
            dataset = given if is_dataset(given) else given()
            if dataset.name is None:
                dataset.set_name(name)  # as Ray Train does, for Ray Data's dashboard
            self.reads[name] = Read()
            datasets[name] = count_reads(dataset, self.reads[name])
        return datasets[name]


def check_name(name: Any, names: Sequence[str]) -> None:
    """Refuse the name of a data set that the experiment does not have.

    Args:
        name: the name.
        names: those that there are.

    Raises:
        UnknownDatasetError: there is no such data set.
    """
    if name in names:
        return
    if not names:
        text = f"there is no data set {name!r}: the experiment has none; name those that it reads: option datasets"
        raise UnknownDatasetError(text)
    hint = did_you_mean(name, names) if isinstance(name, str) else ""
    raise UnknownDatasetError(f"there is no data set {name!r}{hint}; the experiment has {', '.join(names)}")


class Progress:
    """Tells the driver what this process has read of the data sets, from time to time and at the end.

    Args:
        tell: is called with what was read, as in `nbtune.engine.protocol.events.DataRead`.
        reads: name -> a `nbtune.engine._ray.data.Read`; others are added meanwhile.
    """

    def __init__(self, tell: Callable[[dict[str, list[float]]], object], reads: Mapping[str, Any]) -> None:
        self._tell, self._reads = tell, reads
        self._told: dict[str, list[float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nbtune-data", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell_news()

    def _run(self) -> None:
        interval = _MIN_INTERVAL
        while not self._over.wait(interval):
            self._tell_news()
            interval = min(_MAX_INTERVAL, interval * _SLOWER)

    def _tell_news(self) -> None:
        now = {name: [read.rows, read.passes, round(read.waited, 3)] for name, read in list(self._reads.items())}
        if now != self._told:
            self._told = now
            with suppress(Exception):  # the driver has died, so that this trial is about to end
                self._tell(now)


_present: Datasets | None = None  # those of the trial that this process runs, which is no worker


@contextmanager
def provided(datasets: Datasets) -> Iterator[None]:
    """Let `shard` return these data sets in this process.

    Args:
        datasets: the data sets.
    """
    global _present
    before, _present = _present, datasets
    try:
        with ingesting(datasets):
            yield
    finally:
        _present = before


@contextmanager
def ingesting(datasets: Datasets) -> Iterator[None]:
    """Let this process use the kernel's settings of Ray Data, if the experiment has data sets.

    Args:
        datasets: the data sets.
    """
    if not datasets.names:
        yield
        return
    from nbtune.engine._ray.data import with_context

    with with_context(datasets.load()[2]):
        yield


def resolved(config: Any, get: Callable[[str], Any]) -> Any:
    """Return parameters with the data sets themselves in place of their names.

    Args:
        config: the parameters, or a part of them.
        get: returns a data set by its name.
    """
    if isinstance(config, NamedDataset):
        return get(config.name)
    if type(config) is dict:
        return {name: resolved(value, get) for name, value in config.items()}
    return [resolved(value, get) for value in config] if type(config) is list else config


def shard(name: str) -> Any:
    """Return the data set of a trial without workers, all of it.

    Args:
        name: its name.

    Raises:
        UnknownDatasetError: there is no such data set.
    """
    if _present is None:
        raise UnknownDatasetError(
            f"get_dataset_shard({name!r}): only trials have data sets by name; here, use the notebook's variable itself"
        )
    return _present.get(name)
