"""What training code calls: `report`, `get_checkpoint`, `get_context`.

They do what the place allows: in a trial they speak to Tune, in a dry run they end it, and in an
ordinary notebook or program they print, so that the same cell runs without ``%%tune``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nbtune.engine.trial.checkpoint import Checkpoint, saved

__all__ = [
    "Context",
    "DryRun",
    "FirstReport",
    "InTrial",
    "Session",
    "enter",
    "get_checkpoint",
    "get_context",
    "report",
    "require",
]


@dataclass(frozen=True)
class Context:
    """Where code runs. The methods are called as Ray's own context calls them.

    Attributes:
        trial_id: Tune's id of the trial, "local" outside of one.
        trial_dir: a folder of the trial's own on this machine, for files that are not checkpoints.
        experiment_name: the name of the experiment's folder.
        resources: what was reserved for the trial, by Ray's names.
        world_size: how many workers train together.
        world_rank: this worker's rank among them.
        local_rank: its rank on its node.
        local_world_size: how many of them are on its node.
        node_rank: its node's rank among theirs.
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
        """Return a folder of the trial's own on this machine."""
        return str(self.trial_dir)

    def get_experiment_name(self) -> str:
        """Return the name of the experiment's folder."""
        return self.experiment_name

    def get_trial_resources(self) -> Mapping[str, float]:
        """Return what was reserved for the trial, by Ray's names."""
        return dict(self.resources or {})

    def get_world_size(self) -> int:
        """Return how many workers train together; 1 in a trial that has none."""
        return self.world_size

    def get_world_rank(self) -> int:
        """Return this worker's rank among them, from 0 on."""
        return self.world_rank

    def get_local_rank(self) -> int:
        """Return this worker's rank on its node, from 0 on."""
        return self.local_rank

    def get_local_world_size(self) -> int:
        """Return how many of the workers are on this node."""
        return self.local_world_size

    def get_node_rank(self) -> int:
        """Return this node's rank among those of the workers, from 0 on."""
        return self.node_rank


class Session(Protocol):
    """What `report` and its like are in one kind of place.

    Metrics come as `nbtune.engine.protocol.metrics.reported` returns them.
    """

    context: Context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None: ...

    def get_checkpoint(self) -> Checkpoint | None: ...


class Local:
    """Outside any trial: reports are printed."""

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
    """Ends a dry run at its first report. No `Exception`, so that the user's code does not catch it."""

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        super().__init__("first report")
        self.metrics = dict(metrics)


class DryRun(Local):
    """A dry run: the first report ends it."""

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        from nbtune.engine.protocol.metrics import flat

        raise FirstReport(dict(flat(metrics)))


class InTrial:
    """In a trial: Tune's function API (ray.tune.report, ray.tune.get_checkpoint)."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def report(self, metrics: Mapping[str, Any], checkpoint: Any) -> None:
        from ray import tune

        from nbtune.engine.protocol.metrics import Report
        from nbtune.engine.protocol.result import REPORT
        from nbtune.engine.trial import output

        output.flush()  # before the scheduler can end the trial here
        with saved(checkpoint) as ready:
            try:
                tune.report({REPORT: Report(metrics)}, checkpoint=ready)
            except OSError as error:
                if ready is None:
                    raise
                raise self._not_saved(error) from None

    def _not_saved(self, error: OSError) -> OSError:
        """Return what to raise where storage does not take a checkpoint; what it took of it is removed."""
        from ray import tune

        from nbtune.engine.protocol.failures import not_saved

        storage = tune.get_context().get_storage()
        with suppress(OSError):  # it would fill the disk, and nobody could read it
            storage.storage_filesystem.delete_dir(storage.checkpoint_fs_path)
        return not_saved(storage.checkpoint_fs_path, error)

    def get_checkpoint(self) -> Checkpoint | None:
        from ray import tune

        found = tune.get_checkpoint()
        return None if found is None else Checkpoint(found.path, found.filesystem)


_session: Session = Local()


def enter(session: Session | None) -> Session:
    """Make `session` the process's, or the local one for None. Return the one before."""
    global _session
    before, _session = _session, session or Local()
    return before


def report(metrics: Mapping[str, Any] | None = None, *, checkpoint: Any = None, **named: Any) -> None:
    """Report metrics of the running trial, and keep a checkpoint with them.

    Args:
        metrics: metric -> value, for names that are no Python identifiers. Every name is a metric's, those that Ray
            Tune's own entries of a result have among them.
        checkpoint: a dictionary of anything `torch.save` takes, or a folder; both come back from
            `get_checkpoint` when the trial is tried again, and from `Trial.checkpoint`. Of a trial with workers each
            may report its part: files of all folders lie side by side, and each gets its own dictionary back. Where
            all would report the same, let rank 0 alone do it.
        named: metric=value. Numbers, NumPy scalars and zero-dimensional tensors are kept as
            numbers, text as text, arrays as lists.

    Raises:
        TypeError: `metrics` is no dictionary, or nothing is reported at all.
        ValueError: two metrics have one name: 1 and "1", or "a/b" and b in the dictionary a.

    In a trial with workers all of them have to call it, equally often (ray.train.report): it returns when each has.
    Outside a trial it prints what it got. In one it returns once the scheduler has let the trial go
    on, which is how Ray Tune's function API works.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"report takes metric=value, or a dictionary of them; it got {metrics!r}")
    from nbtune.engine.protocol.metrics import reported

    values = reported({**(metrics or {}), **named})
    if not values and checkpoint is None:
        raise TypeError("report got nothing; write report(accuracy=…)")
    _session.report(values, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """Return the checkpoint that this trial should go on from, or None for a fresh start.

    There is one when the trial was interrupted and is tried again (ray.tune.get_checkpoint).
    """
    return _session.get_checkpoint()


def get_context() -> Context:
    """Return where this code runs: the trial's id, folder and resources."""
    return _session.context


def require(condition: Any) -> None:
    """Say at the top level of a cell what its parameters have to fulfil together: ``require(batch * workers <= 1024)``.

    A `%%tune` cell takes such a line out and tries only what fulfils it. Where the cell runs as an ordinary one, or
    deeper inside, it is checked here.

    Raises:
        ValueError: the condition is not met.
    """
    if not condition:
        raise ValueError(f"require: the condition is {condition!r}, so these parameters are not to be tried")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
