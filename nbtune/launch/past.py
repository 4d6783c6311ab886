"""What the folder of an experiment that is over has: its code, its state, and how many trials remain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from nbtune.errors import ExperimentError, UntrustedError

if TYPE_CHECKING:
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.protocol.replay import Past
    from nbtune.engine.protocol.trust import Trust
    from nbtune.engine.storage.launch_spec import Launch
    from nbtune.engine.storage.storage import Storage

__all__ = ["Stored", "read_stored", "remaining_trials", "stored_launch"]


class Stored(NamedTuple):
    """What the folder of an experiment that is over has.

    Attributes:
        launch: what it was started with.
        past: its state according to its event log.
        lost: the metadata that a damaged log does not have any more.
        ended: the time of its last event, in seconds since the epoch.
        epoch: the epoch of its last driver.
    """

    launch: Launch
    past: Past
    lost: Metadata
    ended: float
    epoch: int


def stored_launch(where: Storage, trust: Trust) -> Launch:
    """Return what an experiment was started with.

    Args:
        where: its folder.
        trust: whose code is loaded.

    Raises:
        ExperimentError: the folder does not contain the experiment's code.
        UntrustedError: that is not trusted.
    """
    from nbtune.engine.storage.snapshot import has_launch, read_launch

    filesystem, root = where.open()
    if not has_launch(filesystem, root):
        raise ExperimentError(
            f"{where.redacted} cannot be resumed: it does not contain the code of the experiment, which nbtune stores"
            " with the experiments that it starts"
        )
    return read_launch(filesystem, root, trust)


def read_stored(where: Storage, trust: Trust) -> Stored:
    """Read what an experiment's folder has, when no driver writes to it any more.

    Args:
        where: the folder.
        trust: whose code and objects are loaded.

    Raises:
        ElsewhereError: it runs elsewhere.
        ExperimentError: the folder does not contain the experiment's code.
        UntrustedError: it, or an object among the parameters, is not trusted.
    """
    from nbtune.engine.client.ownership import free_epoch
    from nbtune.engine.protocol.environment import NAMESPACE
    from nbtune.engine.protocol.replay import past_of
    from nbtune.engine.storage.log import read_log
    from nbtune.results.store import ENDED

    filesystem, root = where.open()
    chunks = read_log(filesystem, root)
    past = past_of(chunks, trust)
    is_over = past.metadata.get("status") in ENDED
    epoch = free_epoch(where, NAMESPACE, past.metadata.get("name", where.name), wait=not is_over)
    if not is_over:  # its driver may have added events until it died
        chunks = read_log(filesystem, root)
        past = past_of(chunks, trust)
    _check_parameters(where, past)
    launch = stored_launch(where, trust)
    lost: Metadata = {}
    if past.is_damaged:  # the events with some of them may be missing
        lost = {name: value for name, value in launch.metadata.items() if name not in past.metadata}  # type: ignore[assignment]  # the names are those of Metadata
        past.metadata.update(lost)
    ended = next((float(chunk.time[-1]) for chunk in reversed(chunks) if len(chunk)), time.time())
    return Stored(launch, past, lost, ended, epoch)


def _check_parameters(where: Storage, past: Past) -> None:
    """Raise an `UntrustedError` if a trial has a parameter with an object that is not trusted."""
    from nbtune.engine.protocol.not_loaded import refused_names

    for trial in past.trials.values():
        if names := refused_names(trial.config):
            raise UntrustedError(
                f"{where.redacted} cannot be resumed: trial {trial.number} has an object as the value of"
                f" {', '.join(names)} that is not signed with your key. If you trust the folder, nbtune.load(path,"
                " trust=True).resume() resumes it"
            )


def remaining_trials(past: Past, *, failed: bool, is_needed: bool) -> int:
    """Return how many trials remain to be run.

    Args:
        past: the state of the experiment.
        failed: whether failed trials are resumed.
        is_needed: whether there must be one.

    Raises:
        ExperimentError: one is needed, and there is none.
    """
    over = sum(not trial.is_resumed(failed=failed) for trial in past.trials.values())
    total = max(past.metadata.get("trials", 0), len(past.trials))
    if over >= total and is_needed:
        failures = sum(trial.status == "failed" for trial in past.trials.values())
        hint = f"; resume(failed=True) retries the {failures} that failed" if failures else ""
        raise ExperimentError(f"nothing to resume: all {total} trials are over{hint}; extend(samples=…) adds trials")
    return total - over
