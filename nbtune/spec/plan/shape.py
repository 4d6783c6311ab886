"""The shape of a trial: the resources that it needs, as bundles that Ray places."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.spec.units import format_size

__all__ = [
    "DEVICES",
    "STRATEGIES",
    "Shape",
    "TrialResources",
    "format_amount",
    "format_factory",
    "format_resources",
    "is_factory",
    "to_shape",
]

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
"""Ray's placement strategies."""
DEVICES = frozenset({"GPU", "TPU", "NPU", "HPU", "neuron_cores", "RBLN", "FURIOSA", "TTNPU", "MBLT"})
"""Resources that Ray allocates by device: a fraction comes from one device, more than 1 is a number of devices."""
_MIN_AMOUNT = 0.0001  # the smallest amount that Ray counts

Bundle = Mapping[str, float]


@dataclass(frozen=True)
class Shape:
    """What one trial needs.

    Attributes:
        bundles: the bundles of the trial's placement group, each on one node: resource -> amount, by Ray's names.
        strategy: the placement strategy, one of `STRATEGIES`.
        workers: the bundles of a second placement group, which the trial creates itself once it runs, as an elastic
            Ray Train run does.
        workers_strategy: its placement strategy.
        notes: what the plan does not take into account, one sentence each.
    """

    bundles: tuple[Bundle, ...]
    strategy: str = "PACK"
    workers: tuple[Bundle, ...] = ()
    workers_strategy: str = "PACK"
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> dict[str, float]:
        """The sum of all bundles, by Ray's names."""
        total: dict[str, float] = {}
        for bundle in (*self.bundles, *self.workers):
            for name, amount in bundle.items():
                total[name] = total.get(name, 0) + amount
        return total

    def restricted_to(self, name: str) -> Shape:
        """Return the shape with one resource only.

        Args:
            name: the resource, by Ray's name.
        """

        def cut(bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
            return tuple({name: bundle[name]} for bundle in bundles if name in bundle)

        return Shape(cut(self.bundles), self.strategy, cut(self.workers), self.workers_strategy)

    def problems(self) -> Iterator[str]:
        """Yield why Ray refuses it on any cluster, one message for each reason."""
        for strategy in dict.fromkeys((self.strategy, self.workers_strategy)):
            if strategy not in STRATEGIES:
                yield f"expected a placement strategy {' or '.join(STRATEGIES)}, got {strategy!r}"
        requested = {(name, amount) for bundle in (*self.bundles, *self.workers) for name, amount in bundle.items()}
        for name, amount in sorted(requested):
            if amount < 0:
                yield f"{amount:g} {name}: the amount of a resource cannot be negative"
            elif amount < _MIN_AMOUNT:
                yield f"{amount:g} {name}: {_MIN_AMOUNT:g} is the smallest amount that Ray counts"
            if name in DEVICES and amount > 1 and amount != int(amount):
                yield (
                    f"{amount:g} {name}: Ray allocates a part of one {name}, or whole ones; request"
                    f" {math.floor(amount)}, {math.ceil(amount)} or less than 1"
                )

    def __str__(self) -> str:
        text = _bundles(self.bundles, self.strategy)
        if not self.workers:
            return text
        if len(self.workers) == 1:
            return f"{text}, and a worker with {format_resources(self.workers[0])}"
        if all(worker == self.workers[0] for worker in self.workers):
            each = format_resources(self.workers[0])
            return f"{text}, and {len(self.workers)} workers with {each} each, {self.workers_strategy}"
        return f"{text}, and workers with {_bundles(self.workers, self.workers_strategy)}"


@dataclass(frozen=True)
class TrialResources:
    """The resources of a trial, which depend on its parameters.

    Attributes:
        function: takes the parameters, and returns a `ray.tune.PlacementGroupFactory`, a dictionary or None.
        bundles: the bundles of the largest trial, as far as they are known.
        strategy: its placement strategy.
    """

    function: Callable[[dict[str, Any]], Any]
    bundles: Sequence[Bundle] = ({"CPU": 1},)
    strategy: str = "PACK"


def format_resources(resources: Mapping[str, float]) -> str:
    """Return resources as text: ``"1 CPU, 0.5 GPU"``.

    Args:
        resources: resource -> amount, by Ray's names.
    """
    shown = (f"{format_amount(name, amount)} {name}" for name, amount in resources.items())
    return ", ".join(shown) or "nothing"


def format_amount(name: str, amount: float) -> str:
    """Return the amount of a resource as text: ``"0.5"``, or ``"2.0 GB"`` for memory.

    Args:
        name: the resource, by Ray's name.
        amount: the amount; of memory, in bytes.
    """
    return format_size(amount) if name.endswith("memory") else f"{amount:g}"


def is_factory(value: Any) -> bool:
    """Tell whether a value is a `ray.tune.PlacementGroupFactory` or `TrialResources`, without importing Ray.

    Args:
        value: any value.
    """
    if isinstance(value, TrialResources):
        return True
    return any(base.__name__ == "PlacementGroupFactory" for base in type(value).__mro__) and hasattr(value, "bundles")


def format_factory(factory: Any) -> str:
    """Return a `ray.tune.PlacementGroupFactory` as the call that makes it, or the name of the function that does.

    Args:
        factory: the factory.
    """
    if isinstance(factory, TrialResources):
        return f"{getattr(factory.function, '__qualname__', 'function')}(config)"
    return f"PlacementGroupFactory({factory.bundles!r}, strategy={factory.strategy!r})"


def to_shape(resources: Any) -> Shape:
    """Return the shape of a trial.

    Args:
        resources: a `ray.tune.PlacementGroupFactory`, or one bundle: resource -> amount, by Ray's names.
    """
    if not is_factory(resources):
        bundle = {name: amount for name, amount in resources.items() if amount}
        return Shape((bundle,) if bundle else ())
    bound = resources.__dict__.get("_bound")
    given = dict(bound.arguments) if bound is not None else {}
    known = {"bundles", "strategy", "name", "lifetime"}
    ignored = sorted(name for name, value in given.items() if name not in known and value)
    note = f"the plan ignores {', '.join(ignored)} of the placement group: fewer trials may fit"
    notes = (note,) if ignored else ()
    return Shape(tuple(map(_plain, resources.bundles)), resources.strategy, notes=notes)


def _plain(bundle: Mapping[str, float]) -> dict[str, float]:
    return {str(name): _number(amount) for name, amount in bundle.items() if amount}


def _number(amount: float) -> float:
    return int(amount) if float(amount).is_integer() else float(amount)


def _bundles(bundles: Sequence[Bundle], strategy: str) -> str:
    groups: list[tuple[Bundle, int]] = []
    for bundle in bundles:
        if groups and groups[-1][0] == bundle:
            groups[-1] = bundle, groups[-1][1] + 1
        else:
            groups.append((bundle, 1))
    shown = " + ".join(
        f"{count} x ({format_resources(bundle)})" if count > 1 else format_resources(bundle) for bundle, count in groups
    )
    return f"{shown or 'nothing'}, {strategy}" if len(bundles) > 1 else shown or "nothing"
