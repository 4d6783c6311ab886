"""The trial: what runs in a trial's process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import tune
from ray.train.constants import CHECKPOINT_DIR_NAME
from ray.tune.result import RESULT_DUPLICATE, SHOULD_CHECKPOINT, TIMESTAMP, TRAINING_ITERATION
from ray.tune.trainable import FunctionTrainable

from nbtune.engine._ray.tune import report_result
from nbtune.engine.protocol.environment import set_variables
from nbtune.engine.protocol.failures import NotUnpackedError, TrialError
from nbtune.engine.protocol.metrics import Report, reported
from nbtune.engine.protocol.result import REPORT, add_metric, tune_metrics
from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.trial import output, session
from nbtune.engine.trial.directory import own_folder, working_directory
from nbtune.engine.trial.last_words import note_path, noting_the_end
from nbtune.engine.trial.payload import surroundings
from nbtune.engine.trial.program import run_program

__all__ = ["TrialProcess", "hosted_trial", "run_trial"]

_MAX_END_S = 60.0  # seconds in which an experiment ends its trials


class TrialProcess(FunctionTrainable):
    """Tune's actor of a trial, which separates the user's report from Tune's result.

    `step` takes each report from Ray's session, whichever function has made it, and converts it to a result of Tune.
    `train` adds the report itself, which Tune does not store with checkpoints.
    """

    def setup(  # type: ignore[override]  # by `with_parameters`
        self, config: dict[str, Any], payload: TrialPayload, metric: str | None
    ) -> None:
        """Prepare the actor for its first trial.

        Args:
            config: the trial's parameters.
            payload: what the driver gives to each trial.
            metric: the experiment's metric, or None.
        """
        self._payload, self._metric, self._report = payload, metric, Report({})
        self._is_unpacked = False  # whether this process has unpickled the program once
        super().setup(config)

    def _trainable_func(self, config: dict[str, Any]) -> None:
        try:
            run_trial(config, self._payload, self._note_unpacked)
        except NotUnpackedError as error:
            if ray.get(self._payload.driver.call("not_unpacked", error)):
                time.sleep(_MAX_END_S)  # the experiment ends with the error, and this trial is stopped
            raise
        except TrialError as error:
            if not error.pruned:
                raise
            ray.get(self._payload.driver.call("pruned", tune.get_context().get_trial_id()))
        # How Tune recognizes the end of a function. `report` would add other entries.
        report_result(None, {RESULT_DUPLICATE: True})

    def _note_unpacked(self) -> None:
        if not self._is_unpacked:
            self._is_unpacked = True
            self._payload.driver.call("unpacked")

    def step(self) -> dict[str, Any]:
        """Return Tune's result of the next report."""
        entries: dict[str, Any] = super().step()
        if _is_end(entries):
            return entries
        assert self._last_training_result is not None
        checkpoint = self._last_training_result.checkpoint
        # Entries that Ray has added. They have replaced metrics of these names, if `ray.tune.report` was called with
        # any.
        written = {TIMESTAMP, CHECKPOINT_DIR_NAME}
        if checkpoint is not None or RESULT_DUPLICATE in entries:
            written.add(SHOULD_CHECKPOINT)
        report = entries.get(REPORT)
        self._report = (
            report
            if isinstance(report, Report)
            else Report(reported({name: value for name, value in entries.items() if name not in written}))
        )
        result = {name: value for name, value in entries.items() if name in written}
        result.update(tune_metrics(self._report.metrics))
        if self._report.iteration is not None:
            result[TRAINING_ITERATION] = self._report.iteration
        # The same dictionary, since Tune stores the one from the session with the checkpoint.
        entries.clear()
        entries.update(result)
        return entries

    def train(self) -> dict[str, Any]:
        """Return Tune's result of the next report, and the report itself."""
        result: dict[str, Any] = super().train()
        if _is_end(result):
            return result
        add_metric(result, self._metric)
        return {**result, REPORT: self._report}


def hosted_trial(payload: TrialPayload, metric: str | None, arguments: Mapping[str, Any]) -> TrialProcess:
    """Return Tune's trainable of a trial, for a process that is not Tune's own actor.

    Args:
        payload: what the driver gives to each trial.
        metric: the experiment's metric, or None.
        arguments: what Tune gives to the constructor of its actor.
    """

    class Hosted(TrialProcess):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]  # as Tune calls it
            super().setup(config, payload, metric)

    return Hosted(**arguments)


def _is_end(result: Mapping[str, Any]) -> bool:
    return result.keys() == {RESULT_DUPLICATE, SHOULD_CHECKPOINT}


def run_trial(config: dict[str, Any], payload: TrialPayload, on_unpacked: Callable[[], None]) -> None:
    """Run one trial.

    Args:
        config: the trial's parameters.
        payload: what the driver gives to each trial.
        on_unpacked: called when the program and its variables are in this process.

    Raises:
        TrialError: the program has raised an exception.
    """
    set_variables(payload.environment)
    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        # Ray leaves all GPUs visible to a process that requests none, including those of other trials.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    context = tune.get_context()
    storage = context.get_storage()
    around = surroundings(payload.program.data)
    place = session.Context(
        context.get_trial_id(),
        own_folder(storage.trial_working_directory, around),
        context.get_experiment_name(),
        dict(context.get_trial_resources().required_resources),
    )
    with output.capture(storage.storage_filesystem, storage.trial_fs_path):
        if payload.training is None:
            with (
                working_directory(place.trial_dir, around, storage.storage_filesystem, storage.trial_fs_path),
                noting_the_end(note_path(storage.trial_working_directory), around.sources),
            ):
                run_program(config, payload.program, session.TrialSession(place, payload.key), on_unpacked)
        else:
            from nbtune.engine.train.distributed import run_workers

            run_workers(config, payload, place, storage)
