"""How many trials of a shape fit on nodes at once, which resource limits that, and which similar shape fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nbtune.spec.plan.placement import Node, Request, place, to_nodes, to_units
from nbtune.spec.plan.shape import DEVICES, Bundle, Shape

__all__ = ["bottleneck", "count_fitting", "nearest_fitting"]

Nodes = Sequence[Mapping[str, float]]


def count_fitting(shape: Shape, nodes: Nodes, beside: Sequence[Bundle] = ()) -> int:
    """Return how many trials fit at once, each with its workers, as Ray places them.

    A trial's own placement group of workers is created after the trial, and perhaps after other trials. The result is
    the largest number of trials that all get their workers in any order, so that none waits for resources that another
    one holds.

    Args:
        shape: what one trial needs. A trial that needs nothing does not count as fitting.
        nodes: the free resources of each node.
        beside: what has to fit beside the trials, each bundle on any node.
    """
    if not any(map(to_units, (*shape.bundles, *shape.workers))):
        return 0
    free = to_nodes(nodes)
    fragments = _leaves_fragments(shape)
    if len(shape.bundles) == 1 and not shape.workers:
        bundle = to_units(shape.bundles[0])
        if beside:
            pass  # what remains on which node matters
        elif not fragments or len({tuple(node.free.get(name, 0) for name in bundle) for node in free}) < 2:
            return sum(node.capacity(bundle) for node in free)  # the choice of nodes makes no difference
    # It is not known which of equally good nodes Ray takes, nor what it has heard of their devices. The result holds in
    # every case.
    views = (False, True) if fragments else (False,)
    rest = list(map(to_units, beside))
    return min(_count(shape, ordered, by_sums, rest) for ordered in (free, free[::-1]) for by_sums in views)


def _leaves_fragments(shape: Shape) -> bool:
    """Tell whether a part of a device may remain that is too small for any bundle."""
    amounts = {
        amount for bundle in (*shape.bundles, *shape.workers) for name, amount in bundle.items() if name in DEVICES
    }
    part = min(amounts, default=1)
    return part < 1 and (len(amounts) > 1 or not (1 / part).is_integer())


def _count(shape: Shape, nodes: Sequence[Node], by_sums: bool, beside: Sequence[Request]) -> int:
    trial, workers = list(map(to_units, shape.bundles)), list(map(to_units, shape.workers))

    def place_trial(free: list[Node]) -> bool:
        return place(free, trial, shape.strategy, by_sums=by_sums)

    def place_workers(free: list[Node]) -> bool:
        return place(free, workers, shape.workers_strategy, by_sums=by_sums)

    # The nodes with each number of trials on them, where each trial gets its workers before the next one is placed.
    in_turn, limit = {0: list(nodes)}, 0
    while place_trial(free := list(in_turn[limit])) and place_workers(free):
        limit += 1
        in_turn[limit] = free
        if not beside:  # only the last one is needed
            del in_turn[limit - 1]

    def trials_first(number: int) -> bool:
        """Tell whether so many fit if all trials are placed before any workers."""
        free = list(nodes)
        return all(place_trial(free) for _ in range(number)) and all(place_workers(free) for _ in range(number))

    def leaves_room(number: int) -> bool:
        """Tell whether what has to fit beside so many trials does."""
        free = list(in_turn[number])
        return all(place(free, [bundle], "PACK") for bundle in beside)

    if workers and not trials_first(limit):
        limit = _last(trials_first, limit)
    return limit if not beside or leaves_room(limit) else _last(leaves_room, limit)


def _last(holds: Callable[[int], bool], limit: int) -> int:
    """Return the largest number below a limit for which a condition holds, which then holds for all smaller ones."""
    fits = 0
    while limit - fits > 1:
        middle = (fits + limit) // 2
        fits, limit = (middle, limit) if holds(middle) else (fits, middle)
    return fits


def bottleneck(shape: Shape, nodes: Nodes) -> str:
    """Return the resource that limits how many trials fit.

    Args:
        shape: what one trial needs.
        nodes: the free resources of each node.
    """
    return min(shape.total, key=lambda name: count_fitting(shape.restricted_to(name), nodes), default="nothing")


def nearest_fitting(shape: Shape, nodes: Nodes) -> Shape | None:
    """Return a shape that fits and is similar: with another strategy, fewer workers or less resources; else None.

    Args:
        shape: a shape that does not fit.
        nodes: the resources of each node.
    """
    relaxed = {"STRICT_PACK": "PACK", "STRICT_SPREAD": "SPREAD"}
    looser = replace(
        shape,
        strategy=relaxed.get(shape.strategy, shape.strategy),
        workers_strategy=relaxed.get(shape.workers_strategy, shape.workers_strategy),
    )
    smaller = replace(looser, bundles=_clipped(looser.bundles, nodes), workers=_clipped(looser.workers, nodes))
    if bool(smaller.bundles) != bool(shape.bundles) or bool(smaller.workers) != bool(shape.workers):
        return None
    for candidate in (looser, _fewer(shape, nodes), _fewer(looser, nodes), smaller, _fewer(smaller, nodes)):
        if candidate is not None and candidate != shape and count_fitting(candidate, nodes):
            return candidate
    return None


def _fewer(shape: Shape, nodes: Nodes) -> Shape | None:
    """Return the shape with as many of its workers, or else of its bundles, as fit; None if not even one does."""

    def cut(number: int) -> Shape:
        if shape.workers:
            return replace(shape, workers=shape.workers[:number])
        return replace(shape, bundles=shape.bundles[:number])

    fits, too_many = 0, len(shape.workers or shape.bundles)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if count_fitting(cut(middle), nodes) else (fits, middle)
    return cut(fits) if fits else None


def _clipped(bundles: Sequence[Bundle], nodes: Nodes) -> tuple[Bundle, ...]:
    """Return bundles, each reduced to what the node that has most of it can provide."""
    return tuple(best for bundle in bundles if (best := _largest(bundle, nodes)))


def _largest(bundle: Bundle, nodes: Nodes) -> Bundle:
    def on(node: Mapping[str, float]) -> Bundle:
        available = {name: min(amount, node.get(name, 0)) for name, amount in bundle.items()}
        return {
            name: int(amount) if name in DEVICES and amount > 1 else amount
            for name, amount in available.items()
            if amount
        }

    def share(part: Bundle) -> tuple[int, float]:
        return len(part), sum(amount / bundle[name] for name, amount in part.items())

    return max(map(on, nodes), key=share, default={})
