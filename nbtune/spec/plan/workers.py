"""The workers of a trial that is a Ray Train run: how many, and what each of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.spec.plan.shape import Bundle, Shape
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Space

__all__ = [
    "AGGREGATES",
    "TunedWorkers",
    "Workers",
    "is_scaling_config",
    "worker_counts",
    "workers_from_options",
    "workers_from_scaling_config",
]

AGGREGATES = {
    "rank0": "the metrics of rank 0",
    "mean": "the mean over the workers",
    "min": "the minimum over the workers",
    "max": "the maximum over the workers",
}
"""How the metrics of a trial are computed from those of its workers."""


@dataclass(frozen=True)
class TunedWorkers:
    """A number of workers that is a parameter of the space.

    Attributes:
        name: the parameter's name.
        maximum: its largest value; 0 before the space is known.
    """

    name: str
    maximum: int = 0


@dataclass(frozen=True)
class Workers:
    """The workers of one trial.

    Attributes:
        num_workers: their number; (minimum, maximum) for an elastic run; or the parameter that is the number.
        resources_per_worker: resource -> amount, by Ray's names.
        strategy: how Ray places them, one of `nbtune.spec.plan.shape.STRATEGIES`.
        trainer_resources: the resources of the trial's own process, which starts the workers and waits for them.
        scaling_fields: the other fields of a `ray.train.ScalingConfig`, as they were given.
    """

    num_workers: int | tuple[int, int] | TunedWorkers
    resources_per_worker: Bundle
    strategy: str = "PACK"
    trainer_resources: Bundle = field(default_factory=dict)
    scaling_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elastic(self) -> tuple[int, int] | None:
        """The minimum and maximum number of workers of an elastic run, else None."""
        return self.num_workers if isinstance(self.num_workers, tuple) else None

    @property
    def max_workers(self) -> int:
        """The largest number of workers."""
        if isinstance(self.num_workers, TunedWorkers):
            return self.num_workers.maximum
        return self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers

    def __str__(self) -> str:
        if self.elastic is not None and self.elastic[0] < self.elastic[1]:
            return f"{self.elastic[0]} to {self.max_workers} workers"
        text = f"{self.max_workers} worker{'s' if self.max_workers != 1 else ''}"
        return f"up to {text}" if isinstance(self.num_workers, TunedWorkers) else text

    def count(self, config: Mapping[str, Any]) -> int:
        """Return the number of workers of a trial; of an elastic run, the maximum.

        Args:
            config: the trial's parameters, nested.
        """
        if not isinstance(self.num_workers, TunedWorkers):
            return self.max_workers
        return int(_lookup(self.num_workers.name, config))

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a configuration with more workers than the experiment has planned for, which would wait for ever.

        Args:
            config: the parameters, nested; the number of workers may be missing.

        Raises:
            ValueError: the number of workers is not one that was planned for.
        """
        if isinstance(self.num_workers, TunedWorkers):
            try:
                count = _lookup(self.num_workers.name, config)
            except KeyError:
                return
            is_integer = isinstance(count, Integral) and not isinstance(count, bool)
            if not is_integer or not 1 <= count <= self.max_workers:
                raise ValueError(
                    f"expected 1 to {self.max_workers} workers, as this experiment is planned for, got"
                    f" {self.num_workers.name}={count!r}; start another experiment for more"
                )

    def shape(self, count: int | None = None) -> Shape:
        """Return the resources of one trial.

        The placement group of a trial includes its workers, so that no trial holds resources that another one waits
        for. Ray Train itself requests the workers of an elastic run, anew each time that their number changes.

        Args:
            count: the number of workers; the maximum if None.
        """
        number = self.max_workers if count is None else count
        trial = (self.trainer_resources,) if self.trainer_resources else ()
        notes: list[str] = []
        if isinstance(self.num_workers, TunedWorkers):
            notes.append(f"{self.num_workers.name} is the number of workers of a trial; planned with {number}")
        if self.elastic is not None and self.elastic[0] < self.elastic[1]:
            notes.append(f"a trial has {self.elastic[0]} to {self.elastic[1]} workers; planned with {number}")
        if ignored := [name for name in ("label_selector", "topology") if self.scaling_fields.get(name)]:
            notes.append(f"the plan ignores {' and '.join(ignored)} of the workers: fewer trials may fit")
        workers = (self.resources_per_worker,) * number
        if self.elastic is not None:
            return Shape(trial, workers=workers, workers_strategy=self.strategy, notes=tuple(notes))
        return Shape((*trial, *workers), self.strategy, notes=tuple(notes))


def _lookup(name: str, config: Mapping[str, Any]) -> Any:
    value: Any = config
    for part in name.split("/"):
        value = value[part]
    return value


def worker_counts(space: Space, name: str) -> list[int]:
    """Return the numbers of workers that a parameter may take.

    Args:
        space: the space that has the parameter.
        name: the parameter's name.

    Raises:
        SpecError: the space does not have it, or it may take values that are no number of workers.
    """
    parameter = next((parameter for parameter in space.parameters if parameter.name == name), None)
    if parameter is None:
        names = ", ".join(space.names) or "no parameters"
        text = f"expected a number or a parameter, got {name!r}; the space has {names}"
        raise SpecError([Problem(text, code="unknown", option="workers")])
    values: list[Any] = []
    for part in alternatives(parameter.domain):
        values += (part.values or [part]) if isinstance(part, Domain) else [part]
    if not values or not all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values):
        text = (
            f"expected a parameter with finitely many integers >= 1, such as {name}: choice([1, 2]); got {name}:"
            f" {parameter.domain!r}"
        )
        raise SpecError([Problem(text, option="workers")])
    return values


def workers_from_options(
    num_workers: int | tuple[int, int] | TunedWorkers,
    resources: Mapping[str, float],
    trainer_resources: Mapping[str, float],
    strategy: str,
    scaling_fields: Mapping[str, Any],
) -> Workers:
    """Return the workers that options describe.

    Args:
        num_workers: as in `Workers`.
        resources: the resources of each worker, by Ray's names.
        trainer_resources: the resources of the trial's own process.
        strategy: how Ray places the workers.
        scaling_fields: other fields of a `ray.train.ScalingConfig`.
    """
    resources_per_worker = {name: amount for name, amount in resources.items() if amount}
    if kind := scaling_fields.get("accelerator_type"):
        resources_per_worker[f"accelerator_type:{kind}"] = 0.001  # as Ray requests an accelerator type
    fields = {name: value for name, value in scaling_fields.items() if value}
    return Workers(num_workers, resources_per_worker, strategy, dict(trainer_resources), fields)


def is_scaling_config(value: Any) -> bool:
    """Tell whether a value is a `ray.train.ScalingConfig`, without importing Ray.

    Args:
        value: any value.
    """
    return all(hasattr(value, name) for name in ("num_workers", "num_gpus_per_worker", "placement_strategy"))


def workers_from_scaling_config(
    config: Any, trainer_resources: Mapping[str, float], num_workers: TunedWorkers | None = None
) -> Workers:
    """Return the workers that a `ray.train.ScalingConfig` describes.

    Args:
        config: the configuration.
        trainer_resources: the resources of the trial's own process.
        num_workers: the parameter that is the number of workers, in place of the configuration's own number.
    """
    resources = {
        "CPU": config.num_cpus_per_worker,
        "GPU": config.num_gpus_per_worker,
        **config.additional_resources_per_worker,
    }
    names = ["accelerator_type", "label_selector", "use_tpu", "topology"]
    if isinstance(config.num_workers, tuple):
        names.append("elastic_resize_monitor_interval_s")
    return Workers(
        num_workers or config.num_workers,
        {name: int(value) if float(value).is_integer() else float(value) for name, value in resources.items() if value},
        str(config.placement_strategy),
        dict(trainer_resources),
        {name: value for name in names if (value := getattr(config, name, None))},
    )
