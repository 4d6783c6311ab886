"""The stop condition of a `ray.tune.Tuner`, which means what it means in Ray Tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune import Stopper
from ray.tune.utils.util import flatten_dict

__all__ = ["RayStop"]


class RayStop(Stopper):
    """A dictionary or a list of stoppers as a stopper.

    Args:
        given: name of a metric -> bound: a trial ends when one of its values is at or above its bound, also one that is
            minimized; or a list of stoppers, of which one is enough.
    """

    def __init__(self, given: Mapping[str, Any] | Sequence[Stopper]) -> None:
        self._given = given

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if not isinstance(self._given, Mapping):
            decisions = [stopper(trial_id, result) for stopper in self._given]  # each sees every result
            return any(decisions)
        flat = flatten_dict(result)
        return any(name in flat and flat[name] >= bound for name, bound in self._given.items())

    def stop_all(self) -> bool:
        return not isinstance(self._given, Mapping) and any(stopper.stop_all() for stopper in self._given)

    def __repr__(self) -> str:
        if isinstance(self._given, Mapping):
            return ", ".join(f"{name} >= {bound!r}" for name, bound in self._given.items())
        return ", ".join(type(stopper).__name__ for stopper in self._given)
