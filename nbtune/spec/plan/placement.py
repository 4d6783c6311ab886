"""Where Ray places bundles: its own rules, step by step, on nodes of which only the resources are known.

Ray decides bundle after bundle and takes none back to try another way. So what is left can be enough, and Ray places
nothing: how many trials run at once is what these rules give, not what would be possible.

Its control service chooses the nodes. Of the devices of each it knows what it has given away itself, until the node
tells: then only how much is left of all of them together. So it may go on choosing a node of which each device has too
little, which refuses. Both ways of looking at a node are there, for both happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nbtune.spec.plan.shape import DEVICES

__all__ = ["Node", "Request", "nodes_of", "place", "units"]

_UNIT = 10_000  # Ray counts in ten thousandths

Request = dict[str, int]
"""A bundle, in Ray's units."""


def units(bundle: Mapping[str, float]) -> Request:
    """Return a bundle's amounts as Ray counts them: whole numbers of ten thousandths."""
    return {name: count for name, amount in bundle.items() if (count := round(amount * _UNIT))}


class Node:
    """What is free on one node.

    Args:
        resources: by Ray's names.
    """

    __slots__ = ("devices", "free")

    def __init__(self, resources: Mapping[str, float]) -> None:
        self.free = units(resources)
        self.devices: dict[str, list[int]] = {}
        for name in DEVICES & self.free.keys():
            # Of devices that are in use in part only their sum is known. Ray fills one before it begins another.
            whole, part = divmod(self.free[name], _UNIT)
            self.devices[name] = [_UNIT] * whole + ([part] if part else [])

    def copy(self) -> Node:
        """Return one with the same free."""
        other = object.__new__(Node)
        other.free = dict(self.free)
        other.devices = {name: list(left) for name, left in self.devices.items()}
        return other

    def has(self, bundle: Request, *, by_sums: bool = False) -> bool:
        """Tell whether a bundle has room, or seems to have it by the sums."""
        return all(
            self.free.get(name, 0) >= amount
            and (by_sums or name not in self.devices or bool(_from(self.devices[name], amount)))
            for name, amount in bundle.items()
        )

    def room(self, bundle: Request) -> int:
        """Return how many of a bundle have room, and nothing else."""
        return min((self._room(name, amount) for name, amount in bundle.items()), default=0)

    def _room(self, name: str, amount: int) -> int:
        devices = self.devices.get(name)
        if devices is None:
            return self.free.get(name, 0) // amount
        if amount < _UNIT:
            return sum(left // amount for left in devices)
        return 0 if amount % _UNIT else devices.count(_UNIT) // (amount // _UNIT)

    def score(self, bundle: Request) -> float:
        """Return how much would be left, as a share of what is free: Ray prefers the most."""
        return sum((self.free[name] - amount) / self.free[name] for name, amount in bundle.items())

    def take(self, bundle: Request, *, by_sums: bool = False) -> None:
        """Take what a bundle needs, for which there has to be room."""
        for name, amount in bundle.items():
            self.free[name] -= amount
            if name in self.devices and not by_sums:
                for at in _from(self.devices[name], amount):
                    self.devices[name][at] -= min(amount, _UNIT)


def nodes_of(nodes: Iterable[Mapping[str, float]]) -> list[Node]:
    """Return nodes with all of these resources free."""
    return [Node(resources) for resources in nodes]


def place(nodes: list[Node], bundles: Sequence[Request], strategy: str, *, by_sums: bool = False) -> bool:
    """Place bundles, all or none, and tell whether they are.

    Args:
        nodes: what is free. Of nodes that are equally good, the first is taken; which one Ray takes is not known.
        bundles: in the order in which they are asked for.
        strategy: see `nbtune.spec.plan.shape.STRATEGIES`.
        by_sums: whether nodes are chosen by how much is left of all of a node's devices together.
    """
    chosen = _STRATEGIES[strategy](_Choice(list(nodes), bundles, by_sums)) if bundles else {}
    if chosen is None:
        return False
    after = {at: nodes[at].copy() for at in set(chosen.values())}
    for number, bundle in enumerate(bundles):
        node = after[chosen[number]]
        if not node.has(bundle):
            return False
        node.take(bundle)
    for at, node in after.items():
        nodes[at] = node
    return True


@dataclass(frozen=True)
class _Choice:
    """The nodes as they are seen while bundles are given to them."""

    nodes: list[Node]
    bundles: Sequence[Request]
    by_sums: bool
    taken: set[int] = field(default_factory=set)  # the nodes that are copies

    def order(self) -> list[int]:
        """Return the bundles' numbers in the order in which Ray looks for nodes: GPUs first, CPUs last."""
        last = ("object_store_memory", "memory", "CPU")
        own = sorted({name for bundle in self.bundles for name in bundle} - {"GPU", *last})
        names = ("GPU", *own, *last)
        return sorted(range(len(self.bundles)), key=lambda at: [-self.bundles[at].get(name, 0) for name in names])

    def best(self, among: Iterable[int], bundle: Request) -> int | None:
        """Return the node that has most left after a bundle, the first of equals."""
        fitting = [at for at in among if self.nodes[at].has(bundle, by_sums=self.by_sums)]
        return max(fitting, key=lambda at: self.nodes[at].score(bundle), default=None)

    def holds(self, at: int) -> bool:
        """Tell whether a node has room for all bundles one after another, as far as is seen."""
        node = self.nodes[at].copy()
        for bundle in self.bundles:
            if not node.has(bundle, by_sums=self.by_sums):
                return False
            node.take(bundle, by_sums=self.by_sums)
        return True

    def has(self, at: int, number: int) -> bool:
        return self.nodes[at].has(self.bundles[number], by_sums=self.by_sums)

    def take(self, at: int, number: int) -> None:
        if at not in self.taken:
            self.nodes[at] = self.nodes[at].copy()
            self.taken.add(at)
        self.nodes[at].take(self.bundles[number], by_sums=self.by_sums)


def _from(left: Sequence[int], amount: int) -> list[int]:
    """Return the devices that an amount comes from: the one that a part fits best, or whole ones; none if none do."""
    if amount < _UNIT:
        at = min((at for at, free in enumerate(left) if free >= amount), key=left.__getitem__, default=None)
        return [] if at is None else [at]
    if amount % _UNIT:
        return []
    whole = [at for at, free in enumerate(left) if free == _UNIT]
    return whole[: amount // _UNIT] if len(whole) >= amount // _UNIT else []


def _pack(choice: _Choice) -> dict[int, int] | None:
    rest, candidates = choice.order(), list(range(len(choice.nodes)))
    chosen: dict[int, int] = {}
    while rest:
        if (at := choice.best(candidates, choice.bundles[rest[0]])) is None:
            return None
        for number in list(rest):
            if choice.has(at, number):
                choice.take(at, number)
                chosen[number] = at
                rest.remove(number)
        candidates.remove(at)
    return chosen


def _spread(choice: _Choice) -> dict[int, int] | None:
    candidates, used = list(range(len(choice.nodes))), list[int]()
    chosen: dict[int, int] = {}
    for number in choice.order():
        if (at := choice.best(candidates, choice.bundles[number])) is not None:
            candidates.remove(at)
            used.append(at)
        elif (at := choice.best(used, choice.bundles[number])) is None:
            return None
        choice.take(at, number)
        chosen[number] = at
    return chosen


def _strict_pack(choice: _Choice) -> dict[int, int] | None:
    whole: Request = {}
    for bundle in choice.bundles:
        for name, amount in bundle.items():
            whole[name] = whole.get(name, 0) + amount
    fitting = [at for at, node in enumerate(choice.nodes) if node.has(whole, by_sums=True) and choice.holds(at)]
    if not fitting:
        return None
    best = max(fitting, key=lambda at: choice.nodes[at].score(whole))
    return dict.fromkeys(range(len(choice.bundles)), best)


def _strict_spread(choice: _Choice) -> dict[int, int] | None:
    candidates = list(range(len(choice.nodes)))
    chosen: dict[int, int] = {}
    for number in choice.order():
        if (at := choice.best(candidates, choice.bundles[number])) is None:
            return None
        candidates.remove(at)
        chosen[number] = at
    return chosen


_STRATEGIES = {"PACK": _pack, "SPREAD": _spread, "STRICT_PACK": _strict_pack, "STRICT_SPREAD": _strict_spread}
