"""Where Ray places bundles: its own rules, on nodes of which only the resources are known.

Ray places one bundle after another and never moves one. So the remaining resources may suffice in sum and Ray still
places nothing: these rules, and not what would be possible, give the number of concurrent trials.

Ray's control service chooses the nodes. It knows the free part of each device only for what it has allocated itself
since the node's last report, and otherwise the sum over all devices of a node. So it may choose a node on which no
single device has enough, and that node refuses. Both views of a node are implemented (`by_sums`), since both occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nbtune.spec.plan.shape import DEVICES

__all__ = ["Node", "Request", "place", "to_nodes", "to_units"]

_UNIT = 10_000  # Ray counts resources in ten thousandths

Request = dict[str, int]
"""A bundle, in Ray's units."""


def to_units(bundle: Mapping[str, float]) -> Request:
    """Return a bundle in Ray's units, integers of ten thousandths.

    Args:
        bundle: resource -> amount; amounts that round to 0 are left out.
    """
    return {name: count for name, amount in bundle.items() if (count := round(amount * _UNIT))}


class Node:
    """The free resources of one node.

    Args:
        resources: resource -> amount, by Ray's names.
    """

    __slots__ = ("devices", "free")

    def __init__(self, resources: Mapping[str, float]) -> None:
        self.free = to_units(resources)
        self.devices: dict[str, list[int]] = {}
        for name in DEVICES & self.free.keys():
            # Of devices in partial use only the sum is known. Ray fills one device before it uses the next.
            full, part = divmod(self.free[name], _UNIT)
            self.devices[name] = [_UNIT] * full + ([part] if part else [])

    def copy(self) -> Node:
        """Return a copy that can be changed by itself."""
        other = object.__new__(Node)
        other.free = dict(self.free)
        other.devices = {name: list(free) for name, free in self.devices.items()}
        return other

    def fits(self, bundle: Request, *, by_sums: bool = False) -> bool:
        """Tell whether a bundle fits.

        Args:
            bundle: the bundle.
            by_sums: whether only the sum over the devices of one kind counts.
        """
        return all(
            self.free.get(name, 0) >= amount
            and (by_sums or name not in self.devices or bool(_devices_for(self.devices[name], amount)))
            for name, amount in bundle.items()
        )

    def capacity(self, bundle: Request) -> int:
        """Return how many times a bundle fits.

        Args:
            bundle: the bundle.
        """
        return min((self._capacity(name, amount) for name, amount in bundle.items()), default=0)

    def _capacity(self, name: str, amount: int) -> int:
        devices = self.devices.get(name)
        if devices is None:
            return self.free.get(name, 0) // amount
        if amount < _UNIT:
            return sum(free // amount for free in devices)
        return 0 if amount % _UNIT else devices.count(_UNIT) // (amount // _UNIT)

    def score(self, bundle: Request) -> float:
        """Return the share of the free resources that a bundle would leave; Ray prefers the highest score.

        Args:
            bundle: a bundle that fits.
        """
        return sum((self.free[name] - amount) / self.free[name] for name, amount in bundle.items())

    def take(self, bundle: Request, *, by_sums: bool = False) -> None:
        """Allocate a bundle, which has to fit.

        Args:
            bundle: the bundle.
            by_sums: as for `fits`.
        """
        for name, amount in bundle.items():
            self.free[name] -= amount
            if name in self.devices and not by_sums:
                for index in _devices_for(self.devices[name], amount):
                    self.devices[name][index] -= min(amount, _UNIT)


def to_nodes(nodes: Iterable[Mapping[str, float]]) -> list[Node]:
    """Return nodes with these free resources.

    Args:
        nodes: resource -> amount, for each node.
    """
    return [Node(resources) for resources in nodes]


def place(nodes: list[Node], bundles: Sequence[Request], strategy: str, *, by_sums: bool = False) -> bool:
    """Place all bundles of a placement group or none, and tell whether they are placed.

    Args:
        nodes: the nodes; those that bundles are placed on are replaced in the list. Of equally good nodes the first is
            taken; which one Ray takes is not known.
        bundles: the bundles, in the order of the request.
        strategy: one of `nbtune.spec.plan.shape.STRATEGIES`.
        by_sums: whether nodes are chosen by the sums over their devices.
    """
    chosen = _STRATEGIES[strategy](_Choice(list(nodes), bundles, by_sums)) if bundles else {}
    if chosen is None:
        return False
    after = {at: nodes[at].copy() for at in set(chosen.values())}
    for number, bundle in enumerate(bundles):
        node = after[chosen[number]]
        if not node.fits(bundle):
            return False
        node.take(bundle)
    for at, node in after.items():
        nodes[at] = node
    return True


@dataclass(frozen=True)
class _Choice:
    """The nodes as Ray sees them while it chooses one for each bundle."""

    nodes: list[Node]
    bundles: Sequence[Request]
    by_sums: bool
    taken: set[int] = field(default_factory=set)  # the nodes that have been copied

    def order(self) -> list[int]:
        """Return the indices of the bundles in the order in which Ray places them: GPUs first, CPUs last."""
        last = ("object_store_memory", "memory", "CPU")
        custom = sorted({name for bundle in self.bundles for name in bundle} - {"GPU", *last})
        names = ("GPU", *custom, *last)
        return sorted(range(len(self.bundles)), key=lambda at: [-self.bundles[at].get(name, 0) for name in names])

    def best(self, among: Iterable[int], bundle: Request) -> int | None:
        """Return the index of the fitting node with the highest score, the first of equals."""
        fitting = [at for at in among if self.nodes[at].fits(bundle, by_sums=self.by_sums)]
        return max(fitting, key=lambda at: self.nodes[at].score(bundle), default=None)

    def fits_all(self, at: int) -> bool:
        """Tell whether all bundles fit on one node, one after another."""
        node = self.nodes[at].copy()
        for bundle in self.bundles:
            if not node.fits(bundle, by_sums=self.by_sums):
                return False
            node.take(bundle, by_sums=self.by_sums)
        return True

    def fits(self, at: int, number: int) -> bool:
        return self.nodes[at].fits(self.bundles[number], by_sums=self.by_sums)

    def take(self, at: int, number: int) -> None:
        if at not in self.taken:
            self.nodes[at] = self.nodes[at].copy()
            self.taken.add(at)
        self.nodes[at].take(self.bundles[number], by_sums=self.by_sums)


def _devices_for(devices: Sequence[int], amount: int) -> list[int]:
    """Return the indices of the devices that an amount is taken from, or an empty list if it does not fit.

    A part comes from the device with the least that is still enough, more than one from unused devices.
    """
    if amount < _UNIT:
        best = min((at for at, free in enumerate(devices) if free >= amount), key=devices.__getitem__, default=None)
        return [] if best is None else [best]
    if amount % _UNIT:
        return []
    unused = [at for at, free in enumerate(devices) if free == _UNIT]
    return unused[: amount // _UNIT] if len(unused) >= amount // _UNIT else []


def _pack(choice: _Choice) -> dict[int, int] | None:
    unplaced, candidates = choice.order(), list(range(len(choice.nodes)))
    chosen: dict[int, int] = {}
    while unplaced:
        if (at := choice.best(candidates, choice.bundles[unplaced[0]])) is None:
            return None
        for number in list(unplaced):
            if choice.fits(at, number):
                choice.take(at, number)
                chosen[number] = at
                unplaced.remove(number)
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
    total: Request = {}
    for bundle in choice.bundles:
        for name, amount in bundle.items():
            total[name] = total.get(name, 0) + amount
    fitting = [at for at, node in enumerate(choice.nodes) if node.fits(total, by_sums=True) and choice.fits_all(at)]
    if not fitting:
        return None
    best = max(fitting, key=lambda at: choice.nodes[at].score(total))
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
