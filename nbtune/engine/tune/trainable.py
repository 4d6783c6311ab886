"""The trial of a function or cell: what runs in its process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray import tune
from ray.train.constants import CHECKPOINT_DIR_NAME
from ray.tune.result import DONE, RESULT_DUPLICATE, SHOULD_CHECKPOINT, TIMESTAMP, TRAINING_ITERATION
from ray.tune.trainable import FunctionTrainable

from nbtune.engine._ray.tune import report_result
from nbtune.engine.protocol.failures import NotUnpackedError, TrialError
from nbtune.engine.protocol.metrics import Report, reported
from nbtune.engine.protocol.result import REPORT, add_metric, tune_metrics
from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.trial import output, session
from nbtune.engine.trial.payload import surroundings
from nbtune.engine.trial.program import is_report, run_program
from nbtune.engine.tune.place import await_end, context_of, in_place, prepare_process, with_datasets

__all__ = ["TrialProcess", "run_trial"]


class TrialProcess(FunctionTrainable):
    """Tune's actor of a trial, which separates the user's report from Tune's result.

    `step` takes each report from Ray's session, whichever function has made it, and converts it to a result of Tune.
    `train` adds the report itself, which Tune does not store with checkpoints.

    Attributes:
        has_returned: whether the next call of `train` ends the trial, without delay.
    """

    has_returned = False

    def setup(  # type: ignore[override]  # by `with_parameters`
        self, config: dict[str, Any], payload: TrialPayload, metrics: Sequence[str]
    ) -> None:
        """Prepare the actor for its first trial.

        Args:
            config: the trial's parameters.
            payload: what the driver gives to each trial.
            metrics: those of the experiment's objectives.
        """
        self._payload, self._metrics, self._report = payload, metrics, Report({})
        self._is_unpacked = False  # whether this process has unpickled the program once
        self._has_reported = False
        super().setup(config)

    def _trainable_func(self, config: dict[str, Any]) -> None:
        self._has_reported = False
        try:
            run_trial(config, self._payload, self._note_unpacked, lambda: self._has_reported)
        except NotUnpackedError as error:
            await_end(self._payload, error)
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
        self.has_returned = False
        entries: dict[str, Any] = super().step()
        if _is_end(entries):
            return entries
        self._has_reported = True  # before the call of `report` is back
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
        self.has_returned = self._report.is_last and self._payload.ends_at_once
        result = {name: value for name, value in entries.items() if name in written}
        result.update(tune_metrics(self._report.metrics))
        if self._payload.entry.ends_at_done and self._report.metrics.get(DONE):
            result[DONE] = True
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
        for metric in self._metrics:
            add_metric(result, metric)
        return {**result, REPORT: self._report}


def _is_end(result: Mapping[str, Any]) -> bool:
    return result.keys() == {RESULT_DUPLICATE, SHOULD_CHECKPOINT}


def run_trial(
    config: dict[str, Any], payload: TrialPayload, on_unpacked: Callable[[], None], has_reported: Callable[[], bool]
) -> None:
    """Run one trial.

    Args:
        config: the trial's parameters.
        payload: what the driver gives to each trial.
        on_unpacked: called when the program and its variables are in this process.
        has_reported: whether the trial has reported in this process, without workers.

    Raises:
        TrialError: the program has raised an exception.
    """
    prepare_process(payload)
    context = tune.get_context()
    storage, around = context.get_storage(), surroundings(payload.program.data)
    place = context_of(context.get_trial_id(), storage, context.get_trial_resources(), around)
    with output.capture(storage.storage_filesystem, storage.trial_fs_path):
        if payload.training is None:
            own = session.TrialSession(place, payload.key)
            with in_place(place, storage, around), with_datasets(payload, place):
                run_program(
                    config,
                    payload.program,
                    own,
                    on_unpacked,
                    own.note_returned,
                    lambda result: has_reported() and not is_report(result),  # Ray Tune would raise
                )
        else:
            from nbtune.engine.train.distributed import run_workers

            run_workers(config, payload, place, storage)
