"""The plan of an experiment: how many of its trials run at once on a cluster, and what limits that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbtune.errors import Spelling, option_ref, spell
from nbtune.spec.plan.fit import bottleneck, count_fitting
from nbtune.spec.plan.ingest import Ingest, explain_starvation
from nbtune.spec.plan.refusal import explain_refusal
from nbtune.spec.plan.shape import Shape, format_resources

__all__ = ["NodeType", "Plan", "driver_problem", "make_plan"]

_MAX_COUNTED = 32  # nodes of one type, where an autoscaling cluster has no limit


@dataclass(frozen=True)
class NodeType:
    """A type of nodes that an autoscaling cluster may still start.

    Attributes:
        resources: the resources of one node, by Ray's names.
        max_additional: how many may still start; -1 for no limit.
    """

    resources: Mapping[str, float]
    max_additional: int


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment.

    Attributes:
        trials: the number of trials.
        concurrent: how many run at once.
        limited_by: what limits that: a resource's name, "max_concurrent" or "trials".
        waves: how many rounds of `concurrent` trials the experiment takes.
        idle: the resources that no trial uses while `concurrent` trials run, by name.
        problems: why the experiment cannot run; empty if it can.
        slots: how many trials fit at once on the present nodes, whatever the number of trials.
        notes: further notes, one sentence each.
        bottleneck: the resource that limits `slots`.
        max_concurrent: the limit on concurrent trials: the one requested, and for trials that start workers never more
            than fit with all their workers, so that none waits for what another one holds. None for no limit.
        shape: the resources of one trial.
        in_use: the resources that the trials need and others use now, by name.
        at_first: how many trials start before others release those.
        autoscaling: whether the cluster starts nodes when they are needed.
        autoscaled_slots: how many trials fit at once when it has started all of them; 0 where that is not known.
        repeat: how often each configuration is trained; 1 for the remaining trials of a resumed experiment.
        data_cpus: the CPUs that trials leave to Ray Data, which reads their data sets; 0 without any.
    """

    trials: int
    concurrent: int
    limited_by: str
    waves: int
    idle: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    slots: int = 0
    notes: tuple[str, ...] = ()
    bottleneck: str = ""
    max_concurrent: int | None = None
    shape: Shape = field(default_factory=lambda: Shape(()))
    in_use: Mapping[str, float] = field(default_factory=dict)
    at_first: int = 0
    autoscaling: bool = False
    autoscaled_slots: int = 0
    repeat: int = 1
    data_cpus: float = 0

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show the plan as text in a notebook."""
        printer.text(str(self))

    def __str__(self) -> str:
        return self.text("python")

    def text(self, spelling: Spelling) -> str:
        """Return the plan as text.

        Args:
            spelling: how it writes options.
        """
        if self.problems:
            return spell("\n".join(self.problems), spelling)
        at_once = f"{self.concurrent} at once (limited by {self.limited_by})" if self.concurrent else "none at once yet"
        parts = [f"{self._trials}, {at_once}"]
        if self.waves:
            parts.append(f"{self.waves} wave{_s(self.waves)}")
        lines = [", ".join(parts) + (f"; idle: {format_resources(self.idle)}" if self.idle else "")]
        if len(self.shape.bundles) > 1 or self.shape.workers:
            lines.append(f"a trial needs {self.shape}")
        if self.at_first < self.concurrent and self.in_use:
            lines.append(f"now in use: {format_resources(self.in_use)}; {_first(self.at_first)}")
        return spell("\n".join([*lines, *self.notes]), spelling)

    @property
    def _trials(self) -> str:
        number = f"{self.trials} trial{_s(self.trials)}"
        if self.repeat == 1:
            return number
        configurations = self.trials // self.repeat
        return f"{configurations} configuration{_s(configurations)} × {self.repeat} repeats = {number}"

    @property
    def fixed_slots(self) -> int | None:
        """`slots`, or None where their number is not fixed because the cluster may start nodes."""
        return None if self.autoscaling else self.slots

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the event log stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_json` has encoded.

        Args:
            data: the result of `to_json`, after a way through JSON.
        """
        values = _tuples(data)
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
    ingest: Ingest | None = None,
) -> Plan:
    """Return the plan of an experiment.

    Args:
        shape: the resources of one trial.
        nodes: the resources of each node.
        trials: the number of trials.
        max_concurrent: the requested limit on concurrent trials, or None.
        free: the free resources of each node, in the same order; all of them if None.
        growth: the nodes that an autoscaling cluster may still start; empty if they are not known; None for a cluster
            without autoscaling.
        ingest: what Ray Data needs beside the trials; None if they do not use it.
    """
    if problems := tuple(shape.problems()):
        return Plan(trials, 0, "nothing", 0, problems=problems, shape=shape)
    grown = [*nodes, *_started(growth)]
    beside = ingest.bundles(nodes) if ingest is not None else []
    slots = count_fitting(shape, nodes, beside)
    autoscaled_slots = count_fitting(shape, grown, ingest.bundles(grown) if ingest is not None else []) if growth else 0
    notes = [*shape.notes]
    is_known = growth is None or bool(growth)
    if (
        ingest is not None
        and beside
        and is_known
        and not slots
        and not autoscaled_slots
        and count_fitting(shape, grown)
    ):
        return Plan(trials, 0, "nothing", 0, problems=(explain_starvation(shape, grown, ingest),), shape=shape)
    if not slots and growth is None:
        return Plan(trials, 0, "nothing", 0, problems=(explain_refusal(shape, nodes),), shape=shape)
    if not slots and growth and not autoscaled_slots:
        return Plan(trials, 0, "nothing", 0, problems=(explain_refusal(shape, grown),), shape=shape)
    if growth is not None:
        notes.append(_growth_note(slots, autoscaled_slots, growth))
    total = slots or autoscaled_slots
    limit = max_concurrent
    if (shape.workers or beside) and total:
        limit = min(max_concurrent or max(slots, autoscaled_slots), max(slots, autoscaled_slots))
    concurrent = min(total, trials, limit or total)
    resource = bottleneck(shape, nodes if slots else grown)
    if beside and (slots or autoscaled_slots) < count_fitting(shape, nodes if slots else grown):
        resource = "CPU"
    limited_by = resource
    if concurrent < total:
        limited_by = "max_concurrent" if concurrent == max_concurrent else "trials"
    used = _in_use(shape, nodes, free)
    data_cpus = ingest.on(nodes if slots else grown) if ingest is not None else 0
    if data_cpus:
        left = format_resources({"CPU": data_cpus})
        notes.append(f"{left} left to Ray Data, whose tasks read the data sets ({option_ref('data_cpus')})")
    at_first = (
        min(concurrent, count_fitting(shape, free, beside)) if free is not None and used and slots else concurrent
    )
    return Plan(
        trials,
        concurrent,
        limited_by,
        math.ceil(trials / concurrent) if concurrent else 0,
        _idle(shape, nodes, concurrent, data_cpus) if slots else {},
        slots=slots,
        notes=tuple(notes),
        bottleneck=resource,
        max_concurrent=limit,
        shape=shape,
        in_use=used,
        at_first=at_first,
        autoscaling=growth is not None,
        autoscaled_slots=autoscaled_slots,
        data_cpus=data_cpus,
    )


def driver_problem(resources: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str | None:
    """Return why the driver cannot be placed, or None if it can.

    Args:
        resources: the custom resources that its node must have.
        nodes: the resources of each node.
    """
    if any(all(node.get(name, 0) >= amount for name, amount in resources.items()) for node in nodes):
        return None
    available = sorted({name for node in nodes for name in node if not name.startswith(("node:", "object_store"))})
    return (
        f"the driver can never be placed: no node has its {format_resources(resources)}; the nodes have"
        f" {', '.join(available)}. Without driver resources the driver runs on the head node"
    )


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _started(growth: Sequence[NodeType] | None) -> list[Mapping[str, float]]:
    """Return the resources of all nodes that may still start."""
    return [kind.resources for kind in growth or () for _ in range(_counted(kind))]


def _counted(kind: NodeType) -> int:
    return kind.max_additional if 0 <= kind.max_additional < _MAX_COUNTED else _MAX_COUNTED


def _growth_note(slots: int, autoscaled_slots: int, growth: Sequence[NodeType]) -> str:
    prefix = "" if slots else "no present node fits a trial; "
    if not autoscaled_slots:
        return f"{prefix}the cluster starts nodes when trials wait, but its node types are not known here"
    more = " or more" if any(_counted(kind) == _MAX_COUNTED for kind in growth) else ""
    return f"{prefix}the cluster starts nodes when trials wait: up to {autoscaled_slots}{more} at once then"


def _idle(shape: Shape, nodes: Sequence[Mapping[str, float]], concurrent: int, data_cpus: float) -> dict[str, float]:
    total, others = shape.total, {"CPU": data_cpus}
    unused = {
        name: round(sum(node.get(name, 0) for node in nodes) - concurrent * total.get(name, 0) - others.get(name, 0), 4)
        for name in ("CPU", "GPU")
    }
    return {name: amount for name, amount in unused.items() if amount > 0}


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
        return "no trial starts before some of that is released"
    return f"{number} start{'' if number != 1 else 's'} at first"


def _s(number: int) -> str:
    return "" if number == 1 else "s"
