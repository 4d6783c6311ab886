"""Spaces before the start: read from what was given, and checked: points, constraints, the number of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtune.errors import Problem, SpecError, option_ref
from nbtune.spec.options.named import is_named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Parameter, Space, nested
from nbtune.spec.space.values import label

__all__ = ["GRID_WARNING", "as_space", "check_samples", "check_trial_count"]

GRID_WARNING = 10_000
"""From this many trials on, an experiment is refused unless it has a limit of time or of concurrent trials."""
_SAMPLES = 200  # that are drawn from a space before the start


def as_space(space: Any, problems: list[Problem]) -> Space:
    """Return the `Space` of a value that describes one; an empty one if it does not.

    Args:
        space: a dictionary as Ray Tune takes it, a `Space`, or an object with one as its `space`, such as a form.
        problems: receives the problem of any other value.
    """
    value = space if isinstance(space, (Space, Mapping)) else getattr(space, "space", space)
    if isinstance(value, Space):
        return value
    if isinstance(value, Mapping):
        return Space.from_dict(value)
    text = f"expected a search space: a dictionary, name -> loguniform(…), choice(…) or a value; got {label(value)}"
    problems.append(Problem(text))
    return Space()


def check_samples(spec: Spec, space: Space, problems: list[Problem]) -> tuple[str, ...]:
    """Check the points to evaluate first, and draw samples of a space with dependencies or constraints.

    Args:
        spec: the options.
        space: the parameters.
        problems: receives the problems.

    Returns:
        Notes on the space, one sentence each.
    """
    from nbtune.engine.search.sampling import SampleError, Sampler

    problems += _point_problems(spec, space)
    sampler, drawn = Sampler(_with_copied_functions(space), seed=0), 0
    if is_named(spec.search, "grid") or not (space.dependent or space.constraints):
        # The points of a grid are checked one by one when they are counted. What it samples is checked here.
        try:
            sampler.draw()
        except SampleError as error:
            problems.append(_sample_problem(error.parameter, error.reason, space))
        return ()
    for _ in range(_SAMPLES):
        try:
            drawn += sampler.draw_valid()[1]
        except SampleError as error:
            problems.append(_sample_problem(error.parameter, error.reason, space))
            return ()
        except ValueError as error:
            lines = [p.line for p in space.dependent] + [constraint.line for constraint in space.constraints]
            line = min((line for line in lines if line is not None), default=None)
            problems.append(Problem(f"the space cannot be sampled: {error}", line))
            return ()
    share = _SAMPLES / drawn
    if share == 1:
        return ()
    digits = 0 if share > 0.1 else 1
    return (f"about {share:.{digits}%} of all samples fulfil the constraints; only these are tried",)


def _sample_problem(name: str, reason: str, space: Space) -> Problem:
    return Problem(f"cannot be sampled: {reason}", space[name].line, parameter=name)


def _with_copied_functions(space: Space) -> Space:
    """Return a space with copies of the functions of `sample_from`, as the driver gets them.

    So a function that counts its calls, or uses up an iterator, is as before for the trials.
    """
    import ray.cloudpickle as cloudpickle

    def copied(parameter: Parameter) -> Parameter:
        if not any(isinstance(part, Domain) and part.kind == "sample_from" for part in alternatives(parameter.domain)):
            return parameter
        return replace(parameter, domain=cloudpickle.loads(cloudpickle.dumps(parameter.domain)))

    return Space(tuple(map(copied, space.parameters)), space.constraints)


def _point_problems(spec: Spec, space: Space) -> list[Problem]:
    problems = []
    for point in spec.points:
        try:
            if spec.worker_group is not None:
                spec.worker_group.check(nested(point))
            violated = space.violated(nested(point))
        except ValueError as error:
            problems.append(Problem(f"{label(point)}: {error}", option="points"))
            continue
        if violated is not None:
            problems.append(Problem(f"{label(point)} does not fulfil {violated}", option="points"))
    return problems


def check_trial_count(spec: Spec, space: Space, problems: list[Problem]) -> None:
    """Check that the space makes any trials, and not very many without a limit.

    Args:
        spec: the options.
        space: the parameters.
        problems: receives the problems.
    """
    from nbtune.engine.search.grids import trial_count

    try:
        count = trial_count(spec, space)
    except SpecError as error:
        problems += error.problems
        return
    except ValueError as error:
        problems.append(Problem(str(error)))
        return
    if count == 0:
        problems.append(Problem(f"no point of the grid fulfils {' and '.join(map(str, space.constraints))}"))
    if count >= GRID_WARNING and spec.max_concurrent is None and spec.time_budget is None:
        sizes = (f"{p.name} ({len(p.domain.values or [])})" for p in space.parameters if _is_grid(spec, p.domain))
        repeats = [f"{spec.repeat} repeats"] if spec.repeat > 1 else []
        factors = " x ".join([f"{spec.samples} samples", *sizes, *repeats])
        text = (
            f"the space makes {count:,} trials: {factors}. If that is intended, give {option_ref('time_budget')} or"
            f" {option_ref('max_concurrent')} as well"
        )
        problems.append(Problem(text))


def _is_grid(spec: Spec, domain: Any) -> bool:
    if not isinstance(domain, Domain):
        return False
    return domain.kind == "grid_search" or (is_named(spec.search, "grid") and domain.values is not None)
