"""Where Ray places bundles: its own rules, step by step, on nodes of which only the resources are known.

They are those of Ray's control service and of its nodes. The first chooses nodes by sums: of the GPUs that are left it
knows how many in all, not how much of each one. The node then finds the devices, or refuses, and is asked again.
So what is left can be enough and Ray places nothing; how many trials run at once is what these rules give, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nbtune.spec.shape import DEVICES

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

    def has(self, bundle: Request) -> bool:
        """Tell whether the sums are enough for a bundle."""
        return all(self.free.get(name, 0) >= amount for name, amount in bundle.items())

    def score(self, bundle: Request) -> float:
        """Return how much would be left, as a share of what is free: Ray prefers the most."""
        return sum((self.free[name] - amount) / self.free[name] for name, amount in bundle.items())

    def count(self, bundle: Request, sign: int) -> None:
        """Take a bundle from the sums, or give it back with `sign` +1."""
        for name, amount in bundle.items():
            self.free[name] += sign * amount

    def take(self, bundle: Request) -> bool:
        """Take a bundle from the devices, and tell whether they had it."""
        return all(_allocate(self.devices[name], bundle[name]) for name in self.devices.keys() & bundle.keys())


def nodes_of(nodes: Iterable[Mapping[str, float]]) -> list[Node]:
    """Return nodes with all of these resources free."""
    return [Node(resources) for resources in nodes]


def place(nodes: Sequence[Node], bundles: Sequence[Request], strategy: str) -> bool:
    """Place bundles, all or none, and tell whether they are.

    Args:
        nodes: what is free. Of nodes that are equally good, the first is taken; which one Ray takes is not known.
        bundles: in the order in which they are asked for.
        strategy: see `nbtune.spec.shape.STRATEGIES`.
    """
    if not bundles:
        return True
    chosen = _STRATEGIES[strategy](nodes, bundles)
    if chosen is None:
        return False
    before = {at: {name: list(left) for name, left in nodes[at].devices.items()} for at in set(chosen)}
    if not all(nodes[at].take(bundle) for at, bundle in zip(chosen, bundles, strict=True)):
        for at, devices in before.items():
            nodes[at].devices = devices
        return False
    for at, bundle in zip(chosen, bundles, strict=True):
        nodes[at].count(bundle, -1)
    return True


def _allocate(left: list[int], amount: int) -> bool:
    """Take an amount from devices: a part from the one that it fits best, or whole ones."""
    if amount < _UNIT:
        at = min((at for at, free in enumerate(left) if free >= amount), key=left.__getitem__, default=None)
        if at is None:
            return False
        left[at] -= amount
        return True
    whole = [at for at, free in enumerate(left) if free == _UNIT][: amount // _UNIT]
    if len(whole) * _UNIT < amount:
        return False
    for at in whole:
        left[at] = 0
    return True


def _scarce_first(bundles: Sequence[Request]) -> list[int]:
    """Return the bundles' places in the order in which Ray looks for nodes: GPUs first, CPUs last."""
    last = ("object_store_memory", "memory", "CPU")
    own = sorted({name for bundle in bundles for name in bundle} - {"GPU", *last})
    return sorted(range(len(bundles)), key=lambda at: [-bundles[at].get(name, 0) for name in ("GPU", *own, *last)])


def _best(nodes: Sequence[Node], among: Iterable[int], bundle: Request) -> int | None:
    fitting = [at for at in among if nodes[at].has(bundle)]
    return max(fitting, key=lambda at: nodes[at].score(bundle), default=None)  # the first of equals


def _pack(nodes: Sequence[Node], bundles: Sequence[Request]) -> list[int] | None:
    rest, candidates = _scarce_first(bundles), list(range(len(nodes)))
    chosen: dict[int, int] = {}
    while rest and (at := _best(nodes, candidates, bundles[rest[0]])) is not None:
        for number in list(rest):
            if nodes[at].has(bundles[number]):
                nodes[at].count(bundles[number], -1)
                chosen[number] = at
                rest.remove(number)
        candidates.remove(at)
    return _given_back(nodes, bundles, chosen)


def _spread(nodes: Sequence[Node], bundles: Sequence[Request]) -> list[int] | None:
    candidates, used = list(range(len(nodes))), list[int]()
    chosen: dict[int, int] = {}
    for number in _scarce_first(bundles):
        at = _best(nodes, candidates, bundles[number])
        if at is not None:
            candidates.remove(at)
            used.append(at)
        elif (at := _best(nodes, used, bundles[number])) is None:
            break
        nodes[at].count(bundles[number], -1)
        chosen[number] = at
    return _given_back(nodes, bundles, chosen)


def _strict_pack(nodes: Sequence[Node], bundles: Sequence[Request]) -> list[int] | None:
    whole: Request = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            whole[name] = whole.get(name, 0) + amount
    at = _best(nodes, range(len(nodes)), whole)
    return None if at is None else [at] * len(bundles)


def _strict_spread(nodes: Sequence[Node], bundles: Sequence[Request]) -> list[int] | None:
    candidates = list(range(len(nodes)))
    chosen: dict[int, int] = {}
    for number in _scarce_first(bundles):
        if (at := _best(nodes, candidates, bundles[number])) is None:
            return None
        candidates.remove(at)
        chosen[number] = at
    return [chosen[number] for number in range(len(bundles))]


def _given_back(nodes: Sequence[Node], bundles: Sequence[Request], chosen: Mapping[int, int]) -> list[int] | None:
    """Undo what was counted while nodes were chosen; return them, if there is one for each bundle."""
    for number, at in chosen.items():
        nodes[at].count(bundles[number], +1)
    return [chosen[number] for number in range(len(bundles))] if len(chosen) == len(bundles) else None


_STRATEGIES = {"PACK": _pack, "SPREAD": _spread, "STRICT_PACK": _strict_pack, "STRICT_SPREAD": _strict_spread}
