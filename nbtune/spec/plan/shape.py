"""The shape of a trial: the resources that one needs, as the bundles that Ray places."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.spec.units import format_size

__all__ = [
    "DEVICES",
    "STRATEGIES",
    "Shape",
    "amount_of",
    "amounts",
    "call_of",
    "is_factory",
    "shape_of",
]

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
"""Ray's placement strategies."""
DEVICES = frozenset({"GPU", "TPU", "NPU", "HPU", "neuron_cores", "RBLN", "FURIOSA", "TTNPU", "MBLT"})
"""What Ray hands out device by device: a fraction comes from one device, more than one are whole."""
_LEAST = 0.0001  # that Ray counts

Bundle = Mapping[str, float]


@dataclass(frozen=True)
class Shape:
    """What one trial needs.

    Attributes:
        bundles: what Ray reserves for the trial itself, each on one node, by Ray's names.
        strategy: how these are placed: one of `STRATEGIES`.
        workers: what the trial reserves on its own once it runs, in a placement group apart: an elastic Ray Train run
            does.
        workers_strategy: how those are placed.
        notes: what of it cannot be planned, one sentence each.
    """

    bundles: tuple[Bundle, ...]
    strategy: str = "PACK"
    workers: tuple[Bundle, ...] = ()
    workers_strategy: str = "PACK"
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> dict[str, float]:
        """All that it needs together, by Ray's names."""
        total: dict[str, float] = {}
        for bundle in (*self.bundles, *self.workers):
            for name, amount in bundle.items():
                total[name] = total.get(name, 0) + amount
        return total

    def only(self, name: str) -> Shape:
        """Return the shape as if there was no other resource than this one."""

        def cut(bundles: Sequence[Bundle]) -> tuple[Bundle, ...]:
            return tuple({name: bundle[name]} for bundle in bundles if name in bundle)

        return Shape(cut(self.bundles), self.strategy, cut(self.workers), self.workers_strategy)

    def problems(self) -> Iterator[str]:
        """Yield what Ray refuses of it on any cluster."""
        for strategy in dict.fromkeys((self.strategy, self.workers_strategy)):
            if strategy not in STRATEGIES:
                yield f"there is no placement strategy {strategy!r}; there are {', '.join(STRATEGIES)}"
        asked = {(name, amount) for bundle in (*self.bundles, *self.workers) for name, amount in bundle.items()}
        for name, amount in sorted(asked):
            if amount < 0:
                yield f"{amount:g} {name}: a trial cannot ask for less than nothing"
            elif amount < _LEAST:
                yield f"{amount:g} {name}: {_LEAST:g} is the least that Ray counts"
            if name in DEVICES and amount > 1 and amount != int(amount):
                yield (
                    f"{amount:g} {name}: Ray gives a process a part of one {name}, or whole ones; ask for"
                    f" {math.floor(amount)} or {math.ceil(amount)}, or for less than 1"
                )

    def __str__(self) -> str:
        text = _bundles(self.bundles, self.strategy)
        if not self.workers:
            return text
        if len(self.workers) == 1:
            return f"{text}, and a worker with {amounts(self.workers[0])}"
        if all(worker == self.workers[0] for worker in self.workers):
            return (
                f"{text}, and {len(self.workers)} workers with {amounts(self.workers[0])} each, {self.workers_strategy}"
            )
        return f"{text}, and workers with {_bundles(self.workers, self.workers_strategy)}"


def amounts(request: Mapping[str, float]) -> str:
    """Return resources as people read them: ``"1 CPU, 0.5 GPU"``."""
    shown = (f"{amount_of(name, amount)} {name}" for name, amount in request.items())
    return ", ".join(shown) or "nothing"


def amount_of(name: str, amount: float) -> str:
    """Return one amount as people read it: ``"0.5"``, or ``"2.0 GB"`` for memory."""
    return format_size(amount) if name.endswith("memory") else f"{amount:g}"


def is_factory(value: Any) -> bool:
    """Tell whether something is a `ray.tune.PlacementGroupFactory`, without importing Ray."""
    return any(base.__name__ == "PlacementGroupFactory" for base in type(value).__mro__) and hasattr(value, "bundles")


def call_of(factory: Any) -> str:
    """Return the call that makes a `ray.tune.PlacementGroupFactory`."""
    return f"PlacementGroupFactory({factory.bundles!r}, strategy={factory.strategy!r})"


def shape_of(resources: Any) -> Shape:
    """Return the shape of a `ray.tune.PlacementGroupFactory`, or of one bundle's resources by Ray's names."""
    if not is_factory(resources):
        bundle = {name: amount for name, amount in resources.items() if amount}
        return Shape((bundle,) if bundle else ())
    bound = resources.__dict__.get("_bound")
    given = dict(bound.arguments) if bound is not None else {}
    known = {"bundles", "strategy", "name", "lifetime"}
    more = sorted(name for name, value in given.items() if name not in known and value)
    notes = (f"the plan does not see {', '.join(more)} of the placement group: fewer trials may fit",) if more else ()
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
    shown = " + ".join(f"{count} x ({amounts(bundle)})" if count > 1 else amounts(bundle) for bundle, count in groups)
    return f"{shown or 'nothing'}, {strategy}" if len(bundles) > 1 else shown or "nothing"
