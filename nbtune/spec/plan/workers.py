"""The workers of a trial that is a distributed run of Ray Train: how many, and what each of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.spec.plan.shape import Bundle, Shape
from nbtune.spec.space.domain import Domain, alternatives
from nbtune.spec.space.space import Space

__all__ = ["AGGREGATES", "FRAMEWORKS", "Tuned", "Workers", "is_scaling", "of_flags", "of_scaling", "worker_counts"]

FRAMEWORKS = {
    "torch": "PyTorch, and what is built on it: Lightning, Transformers, Accelerate",
}
"""The frameworks whose workers nbtune starts: the modules of `nbtune.frameworks`."""
AGGREGATES = {
    "rank0": "what rank 0 has reported",
    "mean": "the mean over the workers",
    "min": "the least of any worker",
    "max": "the most of any worker",
}
"""How the metrics of a trial's workers become the trial's."""


@dataclass(frozen=True)
class Tuned:
    """A number of workers that is a parameter of the space.

    Attributes:
        name: the parameter.
        most: the most that it can be, 0 before the space is known.
    """

    name: str
    most: int = 0


@dataclass(frozen=True)
class Workers:
    """What the workers of one trial need.

    Attributes:
        number: how many; (least, most) for a run that takes what is there; or the parameter that says it.
        each: what one needs, by Ray's names.
        strategy: how Ray places them: one of `nbtune.spec.plan.shape.STRATEGIES`.
        trial: what the process of the trial itself needs, which starts them and waits; it computes nothing.
        more: the other fields of a `ray.train.ScalingConfig`, as they were given.
    """

    number: int | tuple[int, int] | Tuned
    each: Bundle
    strategy: str = "PACK"
    trial: Bundle = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elastic(self) -> tuple[int, int] | None:
        """How few and how many it takes, of a run that takes what is there; else None."""
        return self.number if isinstance(self.number, tuple) else None

    @property
    def most(self) -> int:
        """How many workers there are at most."""
        if isinstance(self.number, Tuned):
            return self.number.most
        return self.number[1] if isinstance(self.number, tuple) else self.number

    def __str__(self) -> str:
        if self.elastic is not None and self.elastic[0] < self.elastic[1]:
            return f"{self.elastic[0]} to {self.most} workers"
        text = f"{self.most} worker{'s' if self.most != 1 else ''}"
        return f"up to {text}" if isinstance(self.number, Tuned) else text

    def count(self, config: Mapping[str, Any]) -> int:
        """Return how many workers a trial with this configuration has, at most."""
        if not isinstance(self.number, Tuned):
            return self.most
        return int(self._said(self.number.name, config))

    @staticmethod
    def _said(name: str, config: Mapping[str, Any]) -> Any:
        value: Any = config
        for part in name.split("/"):
            value = value[part]
        return value

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a configuration with more workers than there are places for: it would wait for ever.

        Args:
            config: the parameters, nested; the number may be left open.

        Raises:
            ValueError: it says another number of workers than what was planned for.
        """
        if isinstance(self.number, Tuned):
            try:
                count = self._said(self.number.name, config)
            except KeyError:
                return
            whole = isinstance(count, Integral) and not isinstance(count, bool)
            if not whole or not 1 <= count <= self.most:
                raise ValueError(
                    f"{self.number.name}={count!r}: a trial of this experiment has 1 to {self.most} workers, which its"
                    " plan has places for; start another one for more"
                )

    def shape(self, count: int | None = None) -> Shape:
        """Return what one trial needs.

        Workers are reserved together with the trial, so that no trial holds what another one waits for. Those of an
        elastic run are not: Ray Train itself asks for them, anew each time that it takes more or fewer.

        Args:
            count: with so many workers; with the most that there are if None.
        """
        number = self.most if count is None else count
        trial = (self.trial,) if self.trial else ()
        notes: list[str] = []
        if isinstance(self.number, Tuned):
            notes.append(f"{self.number.name} says how many workers a trial has; planned with {number}")
        if self.elastic is not None and self.elastic[0] < self.elastic[1]:
            notes.append(f"a trial takes {self.elastic[0]} to {self.elastic[1]} workers; planned with {number}")
        if unseen := [name for name in ("label_selector", "topology") if self.more.get(name)]:
            notes.append(f"the plan does not see {' and '.join(unseen)} of the workers: fewer trials may fit")
        if self.elastic is not None:
            return Shape(trial, workers=(self.each,) * number, workers_strategy=self.strategy, notes=tuple(notes))
        return Shape((*trial, *(self.each,) * number), self.strategy, notes=tuple(notes))


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


def of_flags(
    number: int | tuple[int, int] | Tuned,
    amounts: Mapping[str, float],
    trial: Mapping[str, float],
    strategy: str,
    more: Mapping[str, Any],
) -> Workers:
    """Return the workers that options say.

    Args:
        number: as in `Workers`.
        amounts: what each needs, by Ray's names.
        trial: what the process of the trial itself needs.
        strategy: how Ray places them.
        more: other fields of a `ray.train.ScalingConfig`.
    """
    each = {name: amount for name, amount in amounts.items() if amount}
    if kind := more.get("accelerator_type"):
        each[f"accelerator_type:{kind}"] = 0.001  # as Ray asks for one
    return Workers(number, each, strategy, dict(trial), {name: value for name, value in more.items() if value})


def is_scaling(value: Any) -> bool:
    """Tell whether something is a `ray.train.ScalingConfig`, without importing Ray."""
    return all(hasattr(value, name) for name in ("num_workers", "num_gpus_per_worker", "placement_strategy"))


def of_scaling(config: Any, trial: Mapping[str, float], number: Tuned | None = None) -> Workers:
    """Return the workers that a `ray.train.ScalingConfig` says.

    Args:
        config: it.
        trial: what the process of the trial itself needs.
        number: the parameter that says how many, in place of its own number.
    """
    each = {
        "CPU": config.num_cpus_per_worker,
        "GPU": config.num_gpus_per_worker,
        **config.additional_resources_per_worker,
    }
    names = ["accelerator_type", "label_selector", "use_tpu", "topology"]
    if isinstance(config.num_workers, tuple):
        names.append("elastic_resize_monitor_interval_s")
    more = {name: value for name in names if (value := getattr(config, name, None))}
    return Workers(
        number or config.num_workers,
        {name: int(amount) if float(amount).is_integer() else float(amount) for name, amount in each.items() if amount},
        str(config.placement_strategy),
        dict(trial),
        more,
    )
