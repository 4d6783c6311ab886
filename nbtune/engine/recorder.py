"""The recorder: a Tune callback that writes what happens into the event log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune import Callback
from ray.tune.result import AUTO_RESULT_KEYS
from ray.tune.utils.util import flatten_dict

from nbtune.engine.control import Control, Steered
from nbtune.engine.events import Event, plain
from nbtune.engine.failures import describe
from nbtune.engine.log import EventLog

__all__ = ["Recorder", "added_fields", "error_of", "is_json", "metrics_of", "trial_folder"]

_NOT_METRICS = frozenset(AUTO_RESULT_KEYS) | {
    "checkpoint_dir_name", "config", "date", "done", "experiment_tag", "hostname", "node_ip", "pid",
    "should_checkpoint", "trial_id", "time_since_restore", "timestamp", "iterations_since_restore", "__duplicate__",
}  # fmt: skip


class Recorder(Callback):
    """Writes every trial's life into the log.

    Args:
        log: where to write.

    Attributes:
        numbers: Tune's trial id -> the trial's number, in the order in which trials were added.
        staging: the folder that Tune writes to before it copies into storage; None before the first trial.
        on_failure: what to call with a trial's failure, and whether that is final.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._ended: dict[str, str] = {}  # trial id -> final status
        self._cut_short = False
        self.numbers: dict[str, int] = {}
        self.staging: str | None = None
        self.on_failure: Callable[[dict[str, str], bool], None] = lambda failure, final: None
        self.scheduler: Steered | None = None
        self.control: Control | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks into the experiment's folder; the log is this process's

    def write(self, kind: str, trial: Any = None, **fields: Any) -> None:
        """Append an event about a trial, or about the experiment."""
        number = self.numbers[trial.trial_id] if trial is not None else -1
        self._log.append(Event(kind, number, time.time(), **fields))

    def on_added(self, trial: Any) -> None:
        """Record a new trial; called for one that is tried again too, which is none."""
        if trial.trial_id in self.numbers:
            return
        self.numbers[trial.trial_id] = len(self.numbers)
        self.staging = trial.storage.experiment_driver_staging_path
        self.write("added", trial, **added_fields(trial, trial_folder(trial)))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.write("started", trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.write(
            "reported",
            trial,
            iteration=result["training_iteration"],
            time_s=result["time_total_s"],
            metrics=metrics_of(result),
        )

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        self.write("checkpointed", trial, iteration=_reports(trial), data={"path": checkpoint.path})

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._failed(trial, final=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id not in self._ended:
            self._failed(trial, final=True)
            self._end(trial, "failed", "error")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self.control and trial.trial_id in self.control.stopped:
            self._end(trial, "stopped", "user")
        elif self.scheduler and trial.trial_id in self.scheduler.stopped:
            self._end(trial, "stopped", "scheduler")
        else:
            self._end(trial, "finished", "done")

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        # Tune says nothing of trials that it ends together with the experiment.
        for trial in trials:
            if trial.trial_id not in self._ended:
                self._cut_short = True
                self._end(trial, "stopped", "experiment")

    def verdict(self) -> str:
        """Return the experiment's final status, judged by its trials."""
        ends = set(self._ended.values())
        if ends == {"failed"}:
            return "failed"
        return "stopped" if self._cut_short else "finished"

    def _failed(self, trial: Any, *, final: bool) -> None:
        failure = describe(error_of(trial))
        self.write("failed", trial, iteration=_reports(trial), data={**failure, "final": final})
        self.on_failure(failure, final)

    def _end(self, trial: Any, status: str, reason: str) -> None:
        if trial.trial_id not in self._ended:
            self._ended[trial.trial_id] = status
            self.write("ended", trial, iteration=_reports(trial), data={"status": status, "reason": reason})


def _reports(trial: Any) -> int:
    return int((trial.last_result or {}).get("training_iteration", 0))


def trial_folder(trial: Any) -> str:
    """Return the name of a trial's folder: never a parameter's text, which may be anything."""
    return f"trial_{trial.trial_id}"


def added_fields(trial: Any, folder: str) -> dict[str, Any]:
    """Return what an "added" event holds: the configuration as JSON, and pickled where that would lose something."""
    config = plain(trial.config)
    data = {"id": trial.trial_id, "config": config, "folder": folder}
    return {"data": data, "pickled": None if is_json(config) else cloudpickle.dumps(config)}


def metrics_of(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the user reported in a result of Tune's, nested names joined by "/"."""
    reported = flatten_dict({str(name): value for name, value in result.items() if name not in _NOT_METRICS})
    return {str(name): plain(value) for name, value in reported.items() if not str(name).startswith("config/")}


def is_json(value: Any) -> bool:
    """Tell whether JSON gives the value back just as it is."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_json, value))
    return value is None or type(value) in (bool, int, float, str)


def error_of(trial: Any) -> Any:
    """Return the exception that ended a trial's latest attempt, or its text, as Tune has kept it."""
    try:
        # Tune writes it to the driver's disk first, and to storage some time later.
        if trial.pickled_error_file and Path(trial.pickled_error_file).exists():
            return cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        if (error := trial.get_pickled_error()) is not None:
            return error
    except Exception:  # noqa: S110 - one of a class that is not here cannot be read back
        pass
    if trial.error_file and Path(trial.error_file).exists():
        return Path(trial.error_file).read_text("utf-8")
    return trial.get_error()
