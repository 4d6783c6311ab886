"""Private APIs of Ray Data: what is known of a data set, where its blocks are, what is read of it, and its messages.

Imported only where there is a data set: its modules are more than those that Ray Tune imports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Called where a data set is executed, which may be a process of Ray Data's own. Nothing public runs there.
from ray.data._internal.execution.execution_callback import ExecutionCallback

# The parts of a data set in the object store, as its plan has them.
from ray.data._internal.execution.interfaces import RefBundle
from ray.data.context import DataContext

__all__ = ["Read", "blocks_of", "count_reads", "present_context", "rebuild", "rows_and_size", "with_context"]


class _Quiet(ExecutionCallback):
    """Keeps Ray Data's progress and reports of success out of the output: there are several for each pass of a trial.

    Ray Data makes such an object for each execution, before its first message. The messages stay in its log file.
    """

    def __init__(self) -> None:
        _silence_console()


def _silence_console() -> None:
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.WARNING)


def _silence(context: DataContext) -> DataContext:
    context.print_on_execution_start = False
    context.use_ray_tqdm = False  # else bars are sent to the driver; without a terminal they are messages of its log
    if _Quiet not in context.custom_execution_callback_classes:
        context.custom_execution_callback_classes = [*context.custom_execution_callback_classes, _Quiet]
    return context


def present_context() -> DataContext:
    """Return a copy of this process's settings of Ray Data."""
    return DataContext.get_current().copy()


@contextmanager
def with_context(context: DataContext | None) -> Iterator[None]:
    """Let this process use settings of Ray Data, without its progress in the output.

    Args:
        context: the settings; None for those of the process.
    """
    _silence_console()
    before = DataContext.get_current()
    DataContext._set_current(_silence((context or before).copy()))  # in public it can be read, and its fields set
    try:
        yield
    finally:
        DataContext._set_current(before)


def rebuild(kind: type, state: dict[str, Any]) -> Any:
    """Return a data set that was pickled, without its progress in the output.

    Args:
        kind: its class.
        state: its state, as pickle has it.
    """
    dataset: Any = object.__new__(kind)
    dataset.__setstate__(state)
    _silence(dataset.context)
    return dataset


def blocks_of(dataset: Any) -> list[tuple[Any, int | None]]:
    """Return Ray's references to the blocks that a data set has in the object store, each with its size in bytes.

    Args:
        dataset: the data set. One that reads files has none.
    """
    blocks: dict[Any, int | None] = {}
    for operator in dataset._logical_plan.dag.post_order_iter():
        for bundle in getattr(operator, "input_data", ()):
            if isinstance(bundle, RefBundle):
                blocks.update((entry.ref, entry.metadata.size_bytes) for entry in bundle.blocks)
    return list(blocks.items())


def rows_and_size(dataset: Any) -> tuple[int | None, int | None]:
    """Return the number of rows of a data set and its bytes, as far as they are known without executing it.

    Args:
        dataset: the data set.
    """
    rows = size = None
    with suppress(Exception):  # an operator of the user's own, or files that are gone
        rows = dataset._meta_count()
        size = dataset._logical_plan.dag.infer_metadata().size_bytes
    return rows, size


class Read:
    """What a process has read of one data set.

    Attributes:
        rows: the number of rows.
        passes: how often it was begun from its start.
    """

    def __init__(self) -> None:
        self.rows = self.passes = 0
        self._stats: list[Any] = []

    @property
    def waited(self) -> float:
        """The seconds that the code has waited for data."""
        return float(sum(stats.iter_total_blocked_s.get() for stats in self._stats))

    def of(self, bundles: Iterator[Any], stats: Any) -> Iterator[Any]:
        """Yield the parts of a pass, and count their rows.

        Args:
            bundles: Ray Data's `RefBundle` objects.
            stats: what Ray Data measures of the pass, or None.
        """
        self.passes += 1
        if stats is not None and stats not in self._stats:
            self._stats.append(stats)
        for bundle in bundles:
            self.rows += bundle.num_rows() or 0
            yield bundle


def count_reads(source: Any, read: Read) -> Any:
    """Return an iterator of Ray Data, or a data set, of which each pass is counted.

    Args:
        source: a `ray.data.DataIterator` or `ray.data.Dataset`, which is changed.
        read: counts.
    """
    if hasattr(source, "iterator"):  # a data set: each of its iterations makes an iterator
        make = source.iterator
        source.iterator = lambda: count_reads(make(), read)
        return source
    begin = source._to_ref_bundle_iterator

    def counted() -> tuple[Any, Any, Any]:
        bundles, stats, executor = begin()
        return read.of(bundles, stats), stats, executor

    source._to_ref_bundle_iterator = counted
    return source
