"""The trial of a class: makes the user's object in the trial's process, and calls it as Ray Tune does."""

from __future__ import annotations

import copy
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Trainable
from ray.tune.result import RESULT_DUPLICATE, TRAINING_ITERATION, TRIAL_INFO

from nbtune.engine._ray.trainable import in_folder
from nbtune.engine.protocol.failures import CheckpointNotSavedError, NotUnpackedError
from nbtune.engine.protocol.metrics import Report, reported
from nbtune.engine.protocol.result import REPORT, TUNE_ENTRIES, add_metric, tune_metrics, tune_name
from nbtune.engine.protocol.trust import NOTHING
from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.trial import output, session
from nbtune.engine.trial.checkpoint import STATE_FILE
from nbtune.engine.trial.datasets import resolved
from nbtune.engine.trial.payload import Surroundings, Unpacked, surroundings
from nbtune.engine.trial.program import loaded, seed, users_errors
from nbtune.engine.trial.signed_state import read_state, save_state
from nbtune.engine.tune.place import await_end, context_of, in_place, prepare_process, with_datasets

__all__ = ["ClassTrial", "first_step"]


class ClassTrial(Trainable):
    """Tune's actor of a trial whose program is a class.

    The object is made at the first call that needs it, so that an exception of its `setup` is one of the trial. It
    lives in the working directory of the trial, and its output is captured, from then until `stop` or `reset`.
    """

    def setup(  # type: ignore[override]  # by `with_parameters`
        self, config: dict[str, Any], payload: TrialPayload, metrics: Sequence[str]
    ) -> None:
        """Prepare the actor for its first trial.

        Args:
            config: the trial's parameters.
            payload: what the driver gives to each trial.
            metrics: those of the experiment's objectives.
        """
        self._payload, self._metrics = payload, metrics
        self._around: Surroundings = surroundings(payload.program.data)
        self._user: Any = None  # the user's object
        self._program = ExitStack()  # what the program needs as long as this process has it
        self._unpacked: Unpacked | None = None
        self._place = ExitStack()  # where the present trial runs
        self._last: dict[str, Any] = {}  # the last result of the trial, in any process
        self._ends_itself = False  # whether the last result said that the trial is done
        self._seen = _Seen()

    # -- what Tune calls --------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Return Tune's result of the next step, and the report itself."""
        user, self._seen.stepped = self._object(), None
        with users_errors(self._around.sources):
            result: dict[str, Any] = user.train()
            if RESULT_DUPLICATE in result:
                return result
            stepped = self._seen.stepped
            if stepped is None:  # the class has a `train` of its own
                stepped = {name: value for name, value in result.items() if name not in TUNE_ENTRIES}
            report = Report(reported(stepped))
        output.flush()
        metrics = tune_metrics(report.metrics)
        result = {name: value for name, value in result.items() if name in TUNE_ENTRIES or name not in stepped}
        # Tune has taken over some of its entries from the report, "done" for instance.
        taken = {tune_name(name) for name, value in report.metrics.items() if name in result and result[name] is value}
        result |= {name: value for name, value in metrics.items() if name not in TUNE_ENTRIES and name not in taken}
        result[TRAINING_ITERATION] = user.iteration
        for metric in self._metrics:
            add_metric(result, metric)
        self._last, self._ends_itself = result, bool(result.get("done"))
        return {**result, REPORT: report}

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Return the checkpoint of the present state, with the last result.

        Args:
            checkpoint_dir: the folder to write to; a temporary one if None.
        """
        user = self._object()
        with users_errors(self._around.sources):
            try:
                saved = user.save(checkpoint_dir)
            except OSError as error:
                if not self._seen.is_persisting:
                    raise
                raise CheckpointNotSavedError(self._stored.checkpoint_fs_path, error) from None
            finally:
                self._seen.is_persisting = False
        if self._last:
            saved.metrics = dict(self._last)
        return saved

    def restore(self, checkpoint: Any) -> None:
        """Let the object continue from a checkpoint.

        Args:
            checkpoint: what `save` has returned.
        """
        user = self._object()
        with users_errors(self._around.sources):
            user.restore(checkpoint)
        self._last = dict(checkpoint.metrics)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare for another trial, with the same object if the user wants it and its class can do that.

        Args:
            new_config: the parameters of that trial.
        """
        self._last, user = {}, self._user
        if user is not None and self._payload.resets and type(user).reset_config is not Trainable.reset_config:
            self._leave_place()
            self._enter_place()
            with users_errors(self._around.sources):
                if user.reset(self._config(), storage=self._storage):
                    return True
        self._end()
        return True

    def stop(self) -> None:
        """End the trial."""
        self._end()
        super().stop()

    # -- the user's object ------------------------------------------------------------------------

    def _object(self) -> Any:
        """Return the user's object for the present trial. It is made if there is none."""
        if self._user is None:
            self._enter_place()
            try:
                if self._unpacked is None:
                    self._unpacked = self._program.enter_context(
                        loaded(self.config, self._payload.program, self._session(), self._note_unpacked)
                    )
            except NotUnpackedError as error:
                await_end(self._payload, error)
                raise
            with users_errors(self._around.sources):
                self._user = self._class(self._unpacked)(config=self._config(), storage=self._storage)
        return self._user

    def _class(self, unpacked: Unpacked) -> Any:
        """Return the user's class, with what nbtune adds to its methods."""
        users: Any = unpacked.program.function
        arguments, seen, key = unpacked.program.arguments, self._seen, self._payload.key

        class Hosted(users):
            def setup(self, config: dict[str, Any]) -> None:
                super().setup(config, **arguments)

            def step(self) -> Any:
                stepped = super().step()
                if not isinstance(stepped, Mapping):
                    raise TypeError(f"step: expected metrics as a dictionary, metric -> value, got {stepped!r}")
                seen.stepped = dict(stepped)
                return dict(stepped)

            def save_checkpoint(self, checkpoint_dir: str) -> Any:
                saved = super().save_checkpoint(checkpoint_dir)
                if isinstance(saved, dict):  # Ray would write a pickle without a signature
                    save_state(saved, Path(checkpoint_dir, STATE_FILE), key)
                    saved = None
                seen.is_persisting = True
                return saved

            def load_checkpoint(self, checkpoint: Any) -> None:
                file = Path(checkpoint, STATE_FILE) if isinstance(checkpoint, (str, Path)) else None
                if file is not None and file.exists():
                    checkpoint = read_state(file, key or NOTHING, tolerant=False)
                super().load_checkpoint(checkpoint)

        return in_folder(Hosted, users, lambda: str(session.get_context().trial_dir))

    @property
    def _stored(self) -> Any:
        """The folder of the trial, as Tune's `StorageContext`; Tune gives it to each trainable."""
        return self._storage

    def _config(self) -> dict[str, Any]:
        """Return the parameters as Tune gives them to an object."""
        config = resolved(copy.deepcopy(self.config), session.get_dataset_shard)
        return {**config, TRIAL_INFO: self._trial_info}

    def _session(self) -> session.StepSession:
        resources, around = self.trial_resources, self._around
        return session.StepSession(context_of(self.trial_id, self._storage, resources, around))

    def _note_unpacked(self) -> None:
        self._payload.driver.call("unpacked")

    def _enter_place(self) -> None:
        prepare_process(self._payload)
        storage, present = self._stored, self._session()
        self._place.enter_context(output.capture(storage.storage_filesystem, storage.trial_fs_path))
        self._place.enter_context(in_place(present.context, storage, self._around))
        self._place.enter_context(with_datasets(self._payload, present.context))
        session.set_session(present)
        if self._unpacked is not None:
            program = self._payload.program
            seed(program.seed, self.config, self.trial_id, self._unpacked)

    def _leave_place(self) -> None:
        """Leave the working directory of the trial; its files stay there if the trial may continue."""
        place, self._place = self._place.pop_all(), ExitStack()
        finished, self._ends_itself = self._ends_itself, False
        with suppress(_Unfinished), place:
            if not finished:
                raise _Unfinished

    def _end(self) -> None:
        """End the object, and leave its place. The next trial has an object of its own."""
        user, self._user = self._user, None
        if user is not None:
            try:
                user.stop()
            except BaseException:  # also sys.exit(): nothing of the trial depends on it any more
                print("nbtune: the cleanup of the class has raised an exception", file=sys.stderr)
                traceback.print_exc()
        self._leave_place()
        self._program.close()
        self._unpacked = None


def first_step(unpacked: Unpacked, config: Mapping[str, Any]) -> Any:
    """Make an object of a class in this process, without Tune, and return what its first step returns.

    Args:
        unpacked: the program.
        config: the parameters.
    """
    users, arguments = unpacked.program.function, unpacked.program.arguments
    assert isinstance(users, type)

    class Once(users):  # type: ignore[misc,valid-type]
        def setup(self, config: dict[str, Any]) -> None:
            super().setup(config, **arguments)

    with tempfile.TemporaryDirectory() as folder:
        made = in_folder(Once, users, lambda: folder)(
            config=resolved(copy.deepcopy(dict(config)), session.get_dataset_shard)
        )
        try:
            return made.step()
        finally:
            made.stop()


@dataclass
class _Seen:
    """What the methods of the user's object have done last.

    Attributes:
        stepped: what `step` has returned; None if it was not called.
        is_persisting: whether a checkpoint is complete, and is being stored.
    """

    stepped: dict[Any, Any] | None = None
    is_persisting: bool = False


class _Unfinished(Exception):  # noqa: N818 - not an error
    """Leaves a trial that may continue."""
