"""The names of trials and of their folders, as functions of the user make them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from nbtune.engine.protocol.registry import Live
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment

__all__ = ["TrialFolders", "TrialNames", "trial_folder"]

_OWN = ("nbtune", "tuner.pkl")  # what the folder of the experiment has beside those of its trials
_NOT_ALLOWED = re.compile(r'[/()<>:"\\|?*\x00-\x1f]')  # Tune replaces most of them as well


def trial_folder(trial: Any) -> str:
    """Return the name of a trial's folder. Unlike Tune's it has no parameters, whose text may not be a valid name.

    Args:
        trial: Tune's trial.
    """
    return f"trial_{trial.trial_id}"


class TrialNames(Live, HasUserPart):
    """Names trials by a function of the user, for Ray Tune's ``trial_name_creator``.

    Args:
        function: takes one of Tune's trials.
        failures: receives what the function raises.
    """

    role = "trial names"

    def __init__(self, function: Callable[[Any], Any], failures: Failures) -> None:
        self._function, self.failures = function, failures
        self.part = f"trial_name_creator={getattr(function, '__name__', type(function).__name__)}"

    @ends_experiment("")
    def __call__(self, trial: Any) -> str:
        return str(self._function(trial))


class TrialFolders(Live, HasUserPart):
    """Names the folders of trials by a function of the user, for Ray Tune's ``trial_dirname_creator``.

    Args:
        function: takes one of Tune's trials.
        taken: the names of the folders that exist.
        failures: receives what the function raises.
    """

    role = "trial folders"

    def __init__(self, function: Callable[[Any], Any], taken: Iterable[str], failures: Failures) -> None:
        self._function, self._taken, self.failures = function, {*_OWN, *taken}, failures
        self.part = f"trial_dirname_creator={getattr(function, '__name__', type(function).__name__)}"

    def __call__(self, trial: Any) -> str:
        """Return a name that no other trial has: the function's, with the trial's id if that is taken."""
        name = _NOT_ALLOWED.sub("_", self._named(trial)).strip()
        if not name.strip(".") or name in self._taken:
            name = f"{name}_{trial.trial_id}" if name.strip(".") else trial_folder(trial)
        self._taken.add(name)
        return name

    @ends_experiment("")
    def _named(self, trial: Any) -> str:
        return str(self._function(trial))
