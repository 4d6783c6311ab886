"""The plan: what an experiment will do on a cluster, worked out before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbtune.spec.units import format_size

__all__ = ["Plan", "driver_problem", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What an experiment will do.

    Attributes:
        trials: how many trials there will be.
        concurrent: how many run at once.
        limited_by: what limits that: a resource's name, "max_concurrent" or "trials".
        waves: how many rounds of `concurrent` trials it takes.
        idle: resources that no trial will use while all slots are taken, by name.
        problems: why it cannot run, empty if it can.
        slots: how many trials fit at once, however many there are.
        notes: what else a person should know, one sentence each.
    """

    trials: int
    concurrent: int
    limited_by: str
    waves: int
    idle: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    slots: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.problems:
            return "\n".join(self.problems)
        idle = ", ".join(f"{_amount(name, amount)} {name}" for name, amount in self.idle.items())
        waves = f"{self.waves} wave{'s' if self.waves != 1 else ''}"
        text = f"{self.trials} trials, {self.concurrent} at once (limited by {self.limited_by}), {waves}"
        return "\n".join([f"{text}; idle: {idle}" if idle else text, *self.notes])


def make_plan(
    request: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
    trials: int,
    max_concurrent: int | None = None,
) -> Plan:
    """Work out how trials fit on nodes.

    Args:
        request: the resources of one trial, by Ray's names.
        nodes: the resources of each node.
        trials: how many trials there will be.
        max_concurrent: how many may run at once, or None.
    """
    slots = [min(_fits(node.get(name, 0), amount) for name, amount in request.items()) for node in nodes]
    total = sum(slots)
    if not total:
        return Plan(trials, 0, "nothing", 0, {}, (_why_not(request, nodes),))
    concurrent = min(total, trials, max_concurrent or total)
    limited_by = _scarcest(request, nodes)
    if concurrent < total:
        limited_by = "max_concurrent" if concurrent == max_concurrent else "trials"
    idle = {}
    for name in ("CPU", "GPU"):
        rest = sum(node.get(name, 0) for node in nodes) - concurrent * request.get(name, 0)
        if rest > 1e-9:
            idle[name] = rest
    waves = math.ceil(trials / concurrent) if trials else 0
    return Plan(trials, concurrent, limited_by, waves, idle, slots=total)


def driver_problem(resources: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str | None:
    """Return why the driver can go to no node, or None if it can.

    Args:
        resources: custom resources that its node must have.
        nodes: the resources of each node.
    """
    if any(all(node.get(name, 0) >= amount for name, amount in resources.items()) for node in nodes):
        return None
    asked = ", ".join(f"{_amount(name, amount)} {name}" for name, amount in resources.items())
    there = sorted({name for node in nodes for name in node if not name.startswith(("node:", "object_store"))})
    return (
        f"--driver-resources: no node has {asked}, so the experiment's driver can go nowhere; the nodes have"
        f" {', '.join(there)}. Leave it out, and the driver goes to the head node"
    )


def _fits(has: float, needs: float) -> int:
    return math.floor(has / needs + 1e-9)


def _scarcest(request: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    return min(request, key=lambda name: sum(_fits(node.get(name, 0), request[name]) for node in nodes))


def _why_not(request: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    parts = []
    for name, amount in request.items():
        most = max((node.get(name, 0) for node in nodes), default=0)
        if most < amount:
            parts.append(f"{_amount(name, amount)} {name}, but the largest node has {_amount(name, most)}")
    if not parts:
        asked = ", ".join(f"{_amount(name, amount)} {name}" for name, amount in request.items())
        parts.append(f"{asked} on one node, which none of the {len(nodes)} nodes has together")
    return (
        f"a trial can never be placed: it asks for {'; and '.join(parts)}. Ask for less, or attach to a larger cluster"
    )


def _amount(name: str, amount: float) -> str:
    return format_size(amount) if name.endswith("memory") else f"{amount:g}"
