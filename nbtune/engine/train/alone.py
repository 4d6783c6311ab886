"""Ray Train's functions where training code runs without workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbtune.engine._ray.train_worker import LocalTrainFnUtils, set_train_fn_utils
from nbtune.engine.trial import session

__all__ = ["without_workers"]


class _FunctionsWithoutWorkers(LocalTrainFnUtils):
    """The functions behind `ray.train.report` and others where training code runs without workers."""

    def report(self, metrics: dict[str, Any], checkpoint: Any = None, *given: Any, **named: Any) -> None:
        session.report(metrics, checkpoint=checkpoint)

    def get_dataset_shard(self, dataset_info: Any) -> Any:
        return session.get_dataset_shard(dataset_info.dataset_name)


@contextmanager
def without_workers(name: str) -> Iterator[None]:
    """Let `ray.train`'s functions work in this process, as in a run with one worker, and report to the session.

    Args:
        name: the name of the experiment.
    """
    set_train_fn_utils(_FunctionsWithoutWorkers(name))
    try:
        yield
    finally:
        set_train_fn_utils(None)
