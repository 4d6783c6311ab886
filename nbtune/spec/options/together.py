"""The problems of options that are valid one by one, but not together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem, did_you_mean, option_ref
from nbtune.spec.options.checkpoints import checkpoint_problems
from nbtune.spec.options.named import WITHOUT_METRIC, Named
from nbtune.spec.plan.shape import is_factory
from nbtune.spec.plan.workers import TunedWorkers

if TYPE_CHECKING:
    from nbtune.spec.options.options import Spec

__all__ = ["problems_together"]


def problems_together(spec: Spec, given: Mapping[str, Any], workers_only: Iterable[str]) -> list[Problem]:
    """Return the problems of options that are valid one by one.

    Args:
        spec: the valid options.
        given: option -> value, as given; None stands for "not given".
        workers_only: the names of the options of trials with workers.
    """
    problems: list[Problem] = []
    named = {name for name, value in given.items() if value is not None}
    if "metric" not in named:
        names = [value.name for value in (spec.search, spec.scheduler) if isinstance(value, Named)]
        users = [name for name in names if name not in WITHOUT_METRIC]
        if users:
            need = "compares" if len(users) == 1 else "compare"
            text = f"required by {' and '.join(users)}, which {need} trials; give it with {option_ref('mode')}"
            problems.append(Problem(text, code="missing", option="metric"))
    if "warm_start" in named and "metric" not in named and not spec.objectives:
        text = f"given without {option_ref('metric')}, whose values it takes; give it with {option_ref('mode')}"
        problems.append(Problem(text, code="missing", option="warm_start"))
    if "try_best" in named and "warm_start" not in named:
        text = f"given without {option_ref('warm_start')}; give the trials that it is about"
        problems.append(Problem(text, code="missing", option="try_best"))
    if is_factory(spec.resources) and (doubled := sorted({"cpus", "gpus", "memory"} & named)):
        problems.append(
            Problem(
                "a PlacementGroupFactory holds all resources of a trial; leave out"
                f" {' and '.join(map(option_ref, doubled))}, or add them to its first bundle",
                code="conflict",
                option="resources",
            )
        )
    problems += _data_problems(spec, named)
    problems += [*_worker_problems(spec, named, workers_only), *checkpoint_problems(spec, named)]
    group = spec.worker_group
    if not (spec.shape.bundles if group is None else group.resources_per_worker):
        subject = "trial" if group is None else "worker"
        text = f"a {subject} that requests no CPU, GPU or other resource cannot be placed; give {option_ref('cpus')}"
        problems.append(Problem(text, code="unplaceable"))
    problems += [Problem(text, code="unplaceable") for text in spec.shape.problems()]
    if spec.storage_filesystem is not None and spec.storage is None:
        text = f"given without {option_ref('storage')}; give the path on it, BUCKET/FOLDER"
        problems.append(Problem(text, code="missing", option="storage_filesystem"))
    if spec.storage_filesystem is not None and "://" in (spec.storage or ""):
        path = (spec.storage or "").partition("://")[2].partition("?")[0] or "BUCKET/FOLDER"
        text = (
            f"expected a path on the {option_ref('storage_filesystem')}, without scheme: {path}; got {spec.storage!r}"
        )
        problems.append(Problem(text, code="conflict", option="storage"))
    if spec.points and not isinstance(spec.search, Named):
        text = "allowed with a search algorithm by name only; give the search object its own points_to_evaluate"
        problems.append(Problem(text, code="conflict", option="points"))
    if spec.try_best is not None and not isinstance(spec.search, Named):
        text = "allowed with a search algorithm by name only; give the search object its own points_to_evaluate"
        problems.append(Problem(text, code="conflict", option="try_best"))
    return problems


def _data_problems(spec: Spec, named: set[str]) -> list[Problem]:
    """Return the problems of the options of data sets that are valid one by one."""
    if spec.dataset_config is None or ("datasets" in named and not spec.datasets):
        return []
    if not spec.datasets:
        text = f"given without {option_ref('datasets')}, which it is about; give the data sets"
        return [Problem(text, code="missing", option="dataset_config")]
    if spec.workers is None and spec.scaling is None:
        text = f"only for a trial with workers, which share the data sets; give {option_ref('workers', 'N')}"
        return [Problem(text, code="conflict", option="dataset_config")]
    names = spec.dataset_config if isinstance(spec.dataset_config, tuple) else ()
    return [
        Problem(
            f"there is no data set {name!r}{did_you_mean(name, spec.datasets)}; there are {', '.join(spec.datasets)}",
            code="unknown",
            option="dataset_config",
        )
        for name in names
        if name not in spec.datasets
    ]


_IN_SCALING_CONFIG = (
    "cpus", "gpus", "memory", "resources", "placement_strategy", "accelerator_type", "label_selector", "topology",
)  # fmt: skip


def _worker_problems(spec: Spec, named: set[str], workers_only: Iterable[str]) -> list[Problem]:
    """Return the problems of the options of workers that are valid one by one."""
    if spec.workers is None and spec.scaling is None:
        if {"workers", "scaling"} & named:  # given, but invalid: that is a problem already
            return []
        text = f"only for a trial with workers; give {option_ref('workers', 'N')}"
        return [Problem(text, code="conflict", option=name) for name in workers_only if name in named]
    problems = []
    if is_factory(spec.resources):
        text = "a PlacementGroupFactory is not allowed with workers; give the resources of one worker, NAME=N,…"
        problems.append(Problem(text, code="conflict", option="resources"))
    if spec.scaling is None:
        return problems
    if spec.workers is not None and not isinstance(spec.workers, TunedWorkers):
        text = f"{option_ref('scaling')} gives the number of workers as well; leave one of them out"
        problems.append(Problem(text, code="conflict", option="workers"))
    text = f"{option_ref('scaling')} gives this as well; leave one of them out"
    problems += [Problem(text, code="conflict", option=name) for name in _IN_SCALING_CONFIG if name in named]
    return problems
