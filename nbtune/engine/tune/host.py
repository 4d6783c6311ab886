"""A process of trials that stays for the next experiment.

Tune starts an actor in the placement group of a trial, so that a process cannot outlive the group. A host is an actor
outside of all groups, which reserves nothing. It runs trials while their groups hold the resources. This module is
imported by a new process before anything else, and so imports nothing that takes long.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtune.engine.protocol import environment
from nbtune.engine.protocol.importing import without_collection

if TYPE_CHECKING:
    from nbtune.engine.train.payload import TrialPayload
    from nbtune.engine.tune.class_trial import ClassTrial
    from nbtune.engine.tune.trainable import TrialProcess

__all__ = ["Place", "TrialHost"]


@dataclass(frozen=True)
class Place:
    """Where and how a trial runs.

    Attributes:
        group: its placement group.
        cpus: number of logical CPUs that it has reserved.
        variables: environment variables that Tune gives to the processes of trials.
    """

    group: Any
    cpus: float
    variables: Mapping[str, str]


class TrialHost:
    """Runs trials as Tune's actor of a trial does; between two experiments it is tidied.

    Its methods are those of `ray.tune.Trainable` that Tune calls.
    """

    def __init__(self) -> None:
        os.environ.update(environment.HOST_VARIABLES)
        with without_collection():
            from nbtune.engine.trial import tidy
            from nbtune.engine.tune import hosted  # noqa: F401 - takes long, and is needed by the first trial

        self._trial: ClassTrial | TrialProcess | None = None
        self._error: BaseException | None = None
        tidy.remember()

    def import_ahead(self, packages: Sequence[str], variables: Mapping[str, str]) -> None:
        """Import packages before the first trial, which probably needs them.

        Args:
            packages: their names.
            variables: environment variables that are set meanwhile.
        """
        from nbtune.engine.trial import tidy

        before = dict(os.environ)
        os.environ.update(variables)
        try:
            with without_collection():
                for name in packages:
                    with suppress(Exception, SystemExit):  # the trial that needs it will report what is wrong
                        importlib.import_module(name)
        finally:
            environment.restore_variables(before)
        tidy.remember()

    def ping(self) -> None:
        """Do nothing: this process lives."""

    def begin(self, payload: TrialPayload, metrics: Sequence[str], place: Place, arguments: Mapping[str, Any]) -> None:
        """Do what the constructor of Tune's actor does.

        Args:
            payload: what the driver gives to each trial.
            metrics: those of the experiment's objectives.
            place: where the trial runs.
            arguments: what Tune gives to the constructor.
        """
        from nbtune.engine.trial.reservation import reserve, set_threads
        from nbtune.engine.tune.hosted import hosted_trial

        os.environ.update(place.variables)
        set_threads(place.cpus)
        reserve(place.group)
        self._error = None
        try:
            self._trial = hosted_trial(payload, metrics, arguments)
        except BaseException as error:
            self._error = error  # the next call raises it: a constructor that fails ends Tune's actor
            raise

    def _begun(self) -> ClassTrial | TrialProcess:
        if self._error is not None:
            raise self._error
        assert self._trial is not None, "begin comes first"
        return self._trial

    def train(self) -> Any:
        """Return the next result; if it is the last one, also the end of the trial, as Tune takes several results.

        An error at the end of the trial does not keep its last result back: Tune asks again, and gets it then.
        """
        result = self._noting_errors("train")
        if isinstance(result, dict) and getattr(self._trial, "has_returned", False):
            with suppress(BaseException):
                return [result, self._noting_errors("train")]
        return result

    def train_buffered(self, *arguments: Any) -> Any:
        """Return the next results."""
        return self._noting_errors("train_buffered", *arguments)

    def export_model(self, *arguments: Any) -> Any:
        """Return the paths of exported models."""
        return self._noting_errors("export_model", *arguments)

    def save(self, *arguments: Any) -> Any:
        """Return the checkpoint of the last result."""
        return self._noting_errors("save", *arguments)

    def restore(self, *arguments: Any) -> Any:
        """Let the trial start from a checkpoint."""
        return self._noting_errors("restore", *arguments)

    def reset(self, *arguments: Any, **named: Any) -> Any:
        """Prepare for another trial of the experiment; return whether that is possible."""
        return self._noting_errors("reset", *arguments, **named)

    def _noting_errors(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._begun(), method)(*arguments, **named)
        except BaseException as error:
            self._error = error
            raise

    def stop(self) -> None:
        """End the trial."""
        if self._trial is not None:
            trial, self._trial = self._trial, None
            trial.stop()

    def tidy(self) -> str | None:
        """Prepare for another experiment; return why that is not possible, or None."""
        from nbtune.engine.trial import tidy
        from nbtune.engine.trial.reservation import reserve

        self.stop()
        reserve(None)
        if (kept := sys.modules.get("nbtune.engine.train.kept")) is not None:  # it has run trials with workers
            kept.tidy_workers()
        if self._error is not None:
            return "has run a trial that failed"
        return tidy.tidy()
