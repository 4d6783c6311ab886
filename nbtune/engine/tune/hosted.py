"""Tune's trainable of a trial, for a process that is not Tune's own actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbtune.engine.train.payload import TrialPayload
from nbtune.engine.tune.class_trial import ClassTrial
from nbtune.engine.tune.trainable import TrialProcess

__all__ = ["hosted_trial", "trainable_class"]


def trainable_class(payload: TrialPayload) -> type[ClassTrial] | type[TrialProcess]:
    """Return the class of the trials of a program.

    Args:
        payload: what the driver gives to each trial.
    """
    return ClassTrial if payload.entry.is_class else TrialProcess


def hosted_trial(payload: TrialPayload, metrics: Sequence[str], arguments: Mapping[str, Any]) -> Any:
    """Return Tune's trainable of a trial.

    Args:
        payload: what the driver gives to each trial.
        metrics: those of the experiment's objectives.
        arguments: what Tune gives to the constructor of its actor.
    """
    kind: Any = trainable_class(payload)

    class Hosted(kind):
        def setup(self, config: dict[str, Any]) -> None:  # as Tune calls it
            super().setup(config, payload, metrics)

    return Hosted(**arguments)
