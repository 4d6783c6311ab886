"""The functions that training code calls: `report`, `get_checkpoint`, `get_context`, `require`.

They delegate to the current session. In a trial it reports to Tune; in a dry run the first report ends the run;
in a notebook or program without a trial it prints, so that the same cell runs without ``%%tune``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nbtune.engine.protocol.trust import NOTHING, ExperimentKey
from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint, stored_checkpoint

__all__ = [
    "Context",
    "DryRunSession",
    "FirstReport",
    "Session",
    "StepSession",
    "TrialSession",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "report",
    "require",
    "set_session",
]


@dataclass(frozen=True)
class Context:
    """The context of the running code. Its methods have the names of Ray's `TuneContext` and `TrainContext`.

    Attributes:
        trial_id: Tune's id of the trial; "local" outside a trial.
        trial_dir: the trial's working directory, for files that are not checkpoints.
        experiment_name: the name of the experiment's folder.
        resources: the resources reserved for the trial, by Ray's names.
        world_size: the number of workers of the trial.
        world_rank: the rank of this worker among all workers.
        local_rank: the rank of this worker among those on its node.
        local_world_size: the number of workers on this node.
        node_rank: the rank of this node among the nodes of the workers.
    """

    trial_id: str = "local"
    trial_dir: Path = Path()
    experiment_name: str = "local"
    resources: Mapping[str, float] | None = None
    world_size: int = 1
    world_rank: int = 0
    local_rank: int = 0
    local_world_size: int = 1
    node_rank: int = 0

    def get_trial_id(self) -> str:
        """Return Tune's id of the trial."""
        return self.trial_id

    def get_trial_dir(self) -> str:
        """Return the trial's working directory, also of a worker of it."""
        return str(self.trial_dir)

    def get_experiment_name(self) -> str:
        """Return the name of the experiment's folder."""
        return self.experiment_name

    def get_trial_resources(self) -> Mapping[str, float]:
        """Return the resources reserved for the trial, by Ray's names."""
        return dict(self.resources or {})

    def get_world_size(self) -> int:
        """Return the number of workers of the trial; 1 if it is not distributed."""
        return self.world_size

    def get_world_rank(self) -> int:
        """Return the rank of this worker among all workers, from 0."""
        return self.world_rank

    def get_local_rank(self) -> int:
        """Return the rank of this worker among those on its node, from 0."""
        return self.local_rank

    def get_local_world_size(self) -> int:
        """Return the number of workers on this node."""
        return self.local_world_size

    def get_node_rank(self) -> int:
        """Return the rank of this node among the nodes of the workers, from 0."""
        return self.node_rank


class Session(Protocol):
    """What `report`, `get_checkpoint` and `get_context` delegate to.

    Attributes:
        context: the context of the running code.
    """

    context: Context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        """Handle a report.

        Args:
            metrics: the metrics, as `nbtune.engine.protocol.metrics.reported` returns them.
            checkpoint: a dictionary, a folder, or None; it is not validated yet.
        """

    def get_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint to continue training from, or None."""

    def get_dataset_shard(self, name: str) -> Any:
        """Return a data set of the experiment.

        Args:
            name: its name.
        """


class _WholeDatasets:
    """The data sets where a trial has no workers."""

    def get_dataset_shard(self, name: str) -> Any:
        from nbtune.engine.trial.datasets import shard

        return shard(name)


class LocalSession(_WholeDatasets):
    """The session outside a trial: it prints reports."""

    context = Context()

    def __init__(self) -> None:
        self._count = 0

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        self._count += 1
        shown = ", ".join(f"{name}={_short(value)}" for name, value in metrics.items())
        print(f"report {self._count}: {shown}{' + checkpoint' if checkpoint is not None else ''}")

    def get_checkpoint(self) -> Checkpoint | None:
        return None


class FirstReport(BaseException):
    """Ends a dry run at its first report. Not an `Exception`, so that the user's code does not catch it.

    Args:
        metrics: metric -> value of the report.
    """

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        super().__init__("first report")
        self.metrics = dict(metrics)


class DryRunSession(LocalSession):
    """The session of a dry run: it raises `FirstReport` on the first report."""

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        from nbtune.engine.protocol.metrics import flat

        raise FirstReport(dict(flat(metrics)))


class TrialSession(_WholeDatasets):
    """The session in a trial: it uses Tune's function API (`ray.tune.report`, `ray.tune.get_checkpoint`).

    Args:
        context: the context of the trial.
        key: signs its checkpoints, and tells which ones it loads.
    """

    def __init__(self, context: Context, key: ExperimentKey | None = None) -> None:
        self.context, self._key, self._has_returned = context, key, False

    def note_returned(self) -> None:
        """Note that the next report is the last one: the program has returned it."""
        self._has_returned = True

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        from ray import tune

        from nbtune.engine.protocol.metrics import Report
        from nbtune.engine.protocol.result import REPORT
        from nbtune.engine.trial import output

        output.flush()  # `tune.report` may not return: the scheduler can end the trial
        with as_ray_checkpoint(checkpoint, key=self._key) as ray_checkpoint:
            try:
                tune.report({REPORT: Report(metrics, is_last=self._has_returned)}, checkpoint=ray_checkpoint)
            except OSError as error:
                if ray_checkpoint is None:
                    raise
                raise self._not_saved(error) from None

    def _not_saved(self, error: OSError) -> OSError:
        """Delete a checkpoint that could not be saved completely, and return the error to raise."""
        from ray import tune

        from nbtune.engine.protocol.failures import CheckpointNotSavedError

        storage = tune.get_context().get_storage()
        with suppress(OSError):  # a partial checkpoint is useless and takes up space
            storage.storage_filesystem.delete_dir(storage.checkpoint_fs_path)
        return CheckpointNotSavedError(storage.checkpoint_fs_path, error)

    def get_checkpoint(self) -> Checkpoint | None:
        from ray import tune

        ray_checkpoint = tune.get_checkpoint()
        if ray_checkpoint is None:
            return None
        return stored_checkpoint(ray_checkpoint.path, ray_checkpoint.filesystem, self._key or NOTHING)


class StepSession(_WholeDatasets):
    """The session of a class, which reports what `step` returns, and is given its checkpoint.

    Args:
        context: the context of the trial.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        raise RuntimeError("report: a class reports what its method step returns; return the metrics there")

    def get_checkpoint(self) -> Checkpoint | None:
        raise RuntimeError("get_checkpoint: a class gets its checkpoint in its method load_checkpoint")


_session: Session = LocalSession()


def set_session(session: Session | None) -> Session:
    """Replace the session of this process.

    Args:
        session: the new session, or None for a new local session.

    Returns:
        The previous session.
    """
    global _session
    previous, _session = _session, session or LocalSession()
    return previous


def report(metrics: Mapping[str, Any] | None = None, *, checkpoint: Any = None, **named: Any) -> None:
    """Report metrics of the running trial, optionally with a checkpoint.

    In a trial the call returns when the scheduler lets the trial continue, as `ray.tune.report` does. In a trial with
    workers, all workers have to call it equally often; it returns when each has called it, as `ray.train.report`
    does. Outside a trial it prints the report.

    Args:
        metrics: metric -> value, for names that are not Python identifiers. Any name is allowed, including those
            that Ray Tune uses in its results, such as "done".
        checkpoint: a dictionary that `torch.save` can write, or a folder. `get_checkpoint` returns it when the trial
            is retried, and `Trial.checkpoint` afterwards. In a trial with workers, each worker may report a part:
            the files of all folders are merged into one, and each worker gets its own dictionary back. If all
            workers would report the same, report it on rank 0 only.
        named: metrics as keyword arguments. Numbers, NumPy scalars and zero-dimensional tensors are stored as
            numbers, text as text, arrays as lists.

    Raises:
        TypeError: `metrics` is not a dictionary, or there are neither metrics nor a checkpoint.
        ValueError: two metrics have the same name, such as 1 and "1", or "a/b" and b in the dictionary a.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"report: expected metric=value or a dictionary, metric -> value, got {metrics!r}")
    from nbtune.engine.protocol.metrics import reported

    values = reported({**(metrics or {}), **named})
    if not values and checkpoint is None:
        raise TypeError("report: expected metrics or a checkpoint, got neither; write report(accuracy=…)")
    _session.report(values, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """Return the checkpoint to continue training from, or None to start from scratch.

    There is a checkpoint if the trial was interrupted and is retried or resumed (`ray.tune.get_checkpoint`).
    """
    return _session.get_checkpoint()


def get_context() -> Context:
    """Return the context of the running code: the trial's id, folder and resources, and the ranks of a worker."""
    return _session.context


def get_dataset_shard(name: str = "train") -> Any:
    """Return a data set of the experiment, which the option `datasets` has named, to iterate over it.

    In a trial with workers it is the worker's share, a `ray.data.DataIterator`, as `ray.train.get_dataset_shard`
    returns it: over all workers, a pass has each row once. All workers have to call this, and to read equally often. In
    a trial without workers it is the whole `ray.data.Dataset`.

    Args:
        name: its name.

    Raises:
        KeyError: the experiment has no such data set, or this is not a trial.
    """
    return _session.get_dataset_shard(name)


def require(condition: Any) -> None:
    """Declare a constraint on the parameters at the top level of a cell: ``require(batch * workers <= 1024)``.

    In a `%%tune` cell such a line becomes a constraint of the search space: only configurations that satisfy it are
    tried. In an ordinary cell, or below the top level, the call checks the condition.

    Args:
        condition: the condition; any value, tested for truth.

    Raises:
        ValueError: the condition is false.
    """
    if not condition:
        raise ValueError(
            f"require: expected a true condition, got {condition!r}; these parameters violate the constraint"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
