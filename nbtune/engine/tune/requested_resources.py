"""What a trial requests of Tune: the resources of its process and of its workers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ray import tune

from nbtune.spec.plan.shape import TrialResources, is_factory
from nbtune.spec.plan.workers import Workers

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch

__all__ = ["trial_resources"]

_MIN_RESOURCES: dict[str, float] = {"memory": 1_000_000}
"""What a trial requests if it reserves nothing for its workers. Tune does not place a trial without any resources."""


def trial_resources(launch: Launch) -> Any:
    """Return what `ray.tune.with_resources` takes: a placement group, one bundle's resources, or a function.

    Args:
        launch: what to run.
    """
    workers = launch.spec.worker_group
    if workers is not None:
        return partial(_with_workers, workers)
    if isinstance(launch.spec.resources, TrialResources):
        return launch.spec.resources.function
    if is_factory(launch.spec.resources):
        return launch.spec.resources
    names = {"CPU": "cpu", "GPU": "gpu"}
    return {names.get(name, name): amount for name, amount in launch.spec.shape.bundles[0].items()}


def _with_workers(workers: Workers, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the bundles of a trial with workers: for its own process, which may be empty, and for each worker."""
    trial: dict[str, float] = dict(workers.trainer_resources)
    if workers.elastic is not None:  # Ray Train reserves resources for its workers
        return tune.PlacementGroupFactory([trial or _MIN_RESOURCES])
    number, labels = workers.count(config), workers.scaling_fields.get("label_selector")
    bundles = [trial, *(dict(workers.resources_per_worker) for _ in range(number))]
    if not labels:
        return tune.PlacementGroupFactory(bundles, strategy=workers.strategy)
    each = [dict(one) for one in labels[:number]] if isinstance(labels, list) else [dict(labels)] * number
    # Tune drops an empty first bundle, but not its labels.
    selectors = [{}, *each] if trial else each
    return tune.PlacementGroupFactory(bundles, strategy=workers.strategy, bundle_label_selector=selectors)
