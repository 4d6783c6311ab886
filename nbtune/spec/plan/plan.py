"""The plan: what an experiment will do on a cluster, worked out before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbtune.spec.plan.fit import fitting, scarcest
from nbtune.spec.plan.refusal import why_not
from nbtune.spec.plan.shape import Shape, amounts

__all__ = ["NodeType", "Plan", "driver_problem", "make_plan"]

_MOST = 32  # nodes of one type that are counted, where a cluster grows without a bound


@dataclass(frozen=True)
class NodeType:
    """Nodes that a cluster may still start.

    Attributes:
        resources: what each has, by Ray's names.
        more: how many may still start; -1 for as many as are needed.
    """

    resources: Mapping[str, float]
    more: int


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
        slots: how many trials fit at once on the nodes that are there, however many there are.
        notes: what else a person should know, one sentence each.
        scarcest: the resource that limits `slots`.
        max_concurrent: how many may run at once: what was asked for; for trials that start workers never more
            than fit with all their workers, so that none holds what another one waits for. None for no limit.
        shape: what one trial needs.
        in_use: what others use now of what the trials need, by name.
        at_first: how many start before others have given that back.
        grows: whether the cluster starts nodes when they are needed.
        grown: how many trials fit at once when it has; 0 where that is not known.
    """

    trials: int
    concurrent: int
    limited_by: str
    waves: int
    idle: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    slots: int = 0
    notes: tuple[str, ...] = ()
    scarcest: str = ""
    max_concurrent: int | None = None
    shape: Shape = field(default_factory=lambda: Shape(()))
    in_use: Mapping[str, float] = field(default_factory=dict)
    at_first: int = 0
    grows: bool = False
    grown: int = 0

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show itself in a notebook as a person reads it."""
        printer.text(str(self))

    def __str__(self) -> str:
        if self.problems:
            return "\n".join(self.problems)
        at_once = f"{self.concurrent} at once (limited by {self.limited_by})" if self.concurrent else "none at once yet"
        parts = [f"{self.trials} trial{_s(self.trials)}, {at_once}"]
        if self.waves:
            parts.append(f"{self.waves} wave{_s(self.waves)}")
        lines = [", ".join(parts) + (f"; idle: {amounts(self.idle)}" if self.idle else "")]
        if len(self.shape.bundles) > 1 or self.shape.workers:
            lines.append(f"a trial needs {self.shape}")
        if self.at_first < self.concurrent and self.in_use:
            lines.append(f"now in use: {amounts(self.in_use)}; {_first(self.at_first)}")
        return "\n".join([*lines, *self.notes])

    @property
    def places(self) -> int | None:
        """How many trials there are places for, or None where nobody knows: the cluster may grow."""
        return None if self.grows else self.slots

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON takes it: what the event log keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Plan:
        """Return a plan from what `to_json` has made, or an earlier version of it."""
        values = _tuples(found)
        if isinstance(shape := values.get("shape"), Mapping):
            values["shape"] = Shape(**_tuples(shape))
        return cls(**values)


def make_plan(
    shape: Shape,
    nodes: Sequence[Mapping[str, float]],
    trials: int,
    max_concurrent: int | None = None,
    *,
    free: Sequence[Mapping[str, float]] | None = None,
    growth: Sequence[NodeType] | None = None,
) -> Plan:
    """Work out how trials fit on nodes.

    Args:
        shape: what one trial needs.
        nodes: the resources of each node.
        trials: how many trials there will be.
        max_concurrent: how many may run at once, or None.
        free: what is free of them now, in the same order; all of it if None.
        growth: the nodes that may still start; empty where that is not known; None where none may.
    """
    if problems := tuple(shape.problems()):
        return Plan(trials, 0, "nothing", 0, problems=problems, shape=shape)
    slots = fitting(shape, nodes)
    grown = fitting(shape, [*nodes, *_started(growth)]) if growth else 0
    notes = [*shape.notes]
    if not slots and growth is None:
        return Plan(trials, 0, "nothing", 0, problems=(why_not(shape, nodes),), shape=shape)
    if not slots and growth and not grown:
        return Plan(trials, 0, "nothing", 0, problems=(why_not(shape, [*nodes, *_started(growth)]),), shape=shape)
    if growth is not None:
        notes.append(_growth_note(slots, grown, growth))
    total = slots or grown
    limit = max_concurrent
    if shape.workers and total:
        limit = min(max_concurrent or max(slots, grown), max(slots, grown))
    concurrent = min(total, trials, limit or total)
    limiting = scarcest(shape, nodes if slots else [*nodes, *_started(growth)])
    limited_by = limiting
    if concurrent < total:
        limited_by = "max_concurrent" if concurrent == max_concurrent else "trials"
    used = _in_use(shape, nodes, free)
    at_first = min(concurrent, fitting(shape, free)) if free is not None and used and slots else concurrent
    return Plan(
        trials,
        concurrent,
        limited_by,
        math.ceil(trials / concurrent) if concurrent else 0,
        _idle(shape, nodes, concurrent) if slots else {},
        slots=slots,
        notes=tuple(notes),
        scarcest=limiting,
        max_concurrent=limit,
        shape=shape,
        in_use=used,
        at_first=at_first,
        grows=growth is not None,
        grown=grown,
    )


def driver_problem(resources: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str | None:
    """Return why the driver can go to no node, or None if it can.

    Args:
        resources: custom resources that its node must have.
        nodes: the resources of each node.
    """
    if any(all(node.get(name, 0) >= amount for name, amount in resources.items()) for node in nodes):
        return None
    available = sorted({name for node in nodes for name in node if not name.startswith(("node:", "object_store"))})
    return (
        f"the driver can never be placed: no node has its {amounts(resources)}; the nodes have {', '.join(available)}."
        " Without driver resources the driver runs on the head node"
    )


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _started(growth: Sequence[NodeType] | None) -> list[Mapping[str, float]]:
    """Return the nodes of a cluster's growth, all of them started."""
    return [kind.resources for kind in growth or () for _ in range(kind.more if 0 <= kind.more < _MOST else _MOST)]


def _growth_note(slots: int, grown: int, growth: Sequence[NodeType]) -> str:
    now = "" if slots else "no node that is there fits a trial; "
    if not grown:
        return f"{now}the cluster starts nodes when trials wait, but which kinds it has is not known here"
    bound = " or more" if any(not 0 <= kind.more < _MOST for kind in growth) else ""
    return f"{now}the cluster starts nodes when trials wait: up to {grown}{bound} at once then"


def _idle(shape: Shape, nodes: Sequence[Mapping[str, float]], concurrent: int) -> dict[str, float]:
    total = shape.total
    rest = {
        name: round(sum(node.get(name, 0) for node in nodes) - concurrent * total.get(name, 0), 4)
        for name in ("CPU", "GPU")
    }
    return {name: amount for name, amount in rest.items() if amount > 0}


def _in_use(
    shape: Shape, nodes: Sequence[Mapping[str, float]], free: Sequence[Mapping[str, float]] | None
) -> dict[str, float]:
    if free is None:
        return {}
    used = {
        name: round(sum(node.get(name, 0) for node in nodes) - sum(node.get(name, 0) for node in free), 4)
        for name in shape.total
    }
    return {name: amount for name, amount in used.items() if amount > 0}


def _first(number: int) -> str:
    if not number:
        return "none starts before some of it is given back"
    return f"{number} start{'' if number != 1 else 's'} at first"


def _s(number: int) -> str:
    return "" if number == 1 else "s"
