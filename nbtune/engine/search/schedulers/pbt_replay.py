"""The replay of a schedule that population based training has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from nbtune.engine.search.grids import trial_count
from nbtune.engine.search.schedulers.base import Scheduler, ScheduleRequest
from nbtune.engine.search.schedulers.populations import learner_problems
from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.options.named import Named
from nbtune.spec.space.space import top_level
from nbtune.spec.space.values import label

__all__ = ["PbtReplay"]


class PbtReplay(Scheduler):
    """The replay of one trial of population based training."""

    name = "pbt_replay"
    summary = "trains one trial with the parameters that population based training has found, as they changed"
    classes = ("PopulationBasedTrainingReplay",)
    needs_metric = False
    needs_checkpoints = True
    arguments = {  # noqa: RUF012 - a ClassVar of the base class
        "policy": "what exp.schedule(trial) returns, or the path of a file pbt_policy_….txt of Ray Tune's (required)",
    }

    def value_problems(self, request: ScheduleRequest) -> Iterator[str]:
        policy = request.arguments.get("policy")
        if isinstance(policy, (str, PathLike)):
            if not Path(policy).expanduser().is_file():
                yield f"policy: there is no file {label(str(policy))}"
        elif not _is_schedule(policy):
            yield (
                "policy: expected what exp.schedule(trial) returns, a list of (iteration, parameters) that begins with"
                f" iteration 0, or the path of a file of Ray Tune's; got {label(policy)}"
            )

    def problems(self, request: ScheduleRequest) -> Iterator[Problem]:
        yield from super().problems(request)
        yield from learner_problems(request.spec, f"{self._called(request)} trains with its schedule")
        spec, space = request.spec, request.space
        policy: Any = request.arguments.get("policy")
        if isinstance(spec.scheduler, Named) and _is_schedule(policy):
            known = list(dict.fromkeys(map(top_level, space.names)))
            for name in dict.fromkeys(name for _, config in policy for name in config):
                if name not in known:
                    text = f"{self.name}: the schedule has {name!r}, which is no parameter{did_you_mean(name, known)}"
                    yield Problem(text, code="unknown", option="scheduler")
            if missing := [name for name in known if any(name not in config for _, config in policy)]:
                yield Problem(
                    f"{self.name}: the schedule has no {', '.join(missing)}", code="missing", option="scheduler"
                )
        try:
            count = trial_count(replace(spec, repeat=1), space)
        except ValueError:  # of the space, and said there
            return
        if count > 1:
            text = f"{self._called(request)} trains a single trial; give {option_ref('samples', '1')}, and no grid"
            yield Problem(text, code="conflict", option="samples")

    def no_repeats(self, request: ScheduleRequest) -> str:
        return "trains a single trial, whose parameters change"

    def notes(self, request: ScheduleRequest) -> Iterator[str]:
        yield f"the parameters are those of the schedule of {self._called(request)}, and nothing is sampled"
        if not isinstance(request.spec.scheduler, Named):
            yield (
                f"{self._called(request)} of Ray Tune may end a training function after a change of its parameters;"
                ' with ("pbt_replay", {"policy": FILE}), it goes on'
            )

    def make(self, request: ScheduleRequest) -> Any:
        from nbtune.engine._ray.schedulers import ScheduleReplay

        policy = request.arguments["policy"]
        return ScheduleReplay(str(policy) if isinstance(policy, (str, PathLike)) else policy)


def _is_schedule(policy: Any) -> bool:
    """Return whether a value is a list of (iteration, parameters) in ascending order, the first for iteration 0."""
    if not isinstance(policy, (list, tuple)) or not policy:
        return False
    pairs = [step for step in policy if isinstance(step, (list, tuple)) and len(step) == 2]
    if len(pairs) < len(policy) or not all(type(at) is int and isinstance(config, Mapping) for at, config in pairs):
        return False
    ats = [at for at, _ in pairs]
    return ats[0] == 0 and ats == sorted(set(ats))
