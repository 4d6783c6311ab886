"""How many trials of a shape fit on nodes at once, which resource limits them, and which shape would fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nbtune.spec.plan.placement import Node, nodes_of, place, units
from nbtune.spec.plan.shape import DEVICES, Bundle, Shape

__all__ = ["fitting", "nearest", "scarcest"]

Nodes = Sequence[Mapping[str, float]]


def fitting(shape: Shape, nodes: Nodes) -> int:
    """Return how many trials fit at once, each with its workers, as Ray places them.

    Workers that a trial reserves on its own come after it, and maybe after other trials: it is the most of which
    all get their workers, in whatever order. Then none waits for what another one holds.

    Args:
        shape: what one trial needs. Where that is nothing, as many as you like would fit; it is taken for none.
        nodes: what is free on each.
    """
    if not any(map(units, (*shape.bundles, *shape.workers))):
        return 0
    free = nodes_of(nodes)
    parts = _leaves_parts(shape)
    if len(shape.bundles) == 1 and not shape.workers:
        bundle = units(shape.bundles[0])
        if not parts or len({tuple(node.free.get(name, 0) for name in bundle) for node in free}) < 2:
            return sum(node.room(bundle) for node in free)  # whichever node one goes to, others keep their room
    # Which of equally good nodes Ray takes is not known, nor what it has heard of their devices: what holds in each
    # case is promised.
    views = (False, True) if parts else (False,)
    return min(_fitting(shape, ordered, by_sums) for ordered in (free, free[::-1]) for by_sums in views)


def _leaves_parts(shape: Shape) -> bool:
    """Tell whether something of a device may be left over that is too little for anything."""
    amounts = {
        amount for bundle in (*shape.bundles, *shape.workers) for name, amount in bundle.items() if name in DEVICES
    }
    part = min(amounts, default=1)
    return part < 1 and (len(amounts) > 1 or not (1 / part).is_integer())


def _fitting(shape: Shape, nodes: Sequence[Node], by_sums: bool) -> int:
    trial, workers = list(map(units, shape.bundles)), list(map(units, shape.workers))

    def trial_fits(free: list[Node]) -> bool:
        return place(free, trial, shape.strategy, by_sums=by_sums)

    def workers_fit(free: list[Node]) -> bool:
        return place(free, workers, shape.workers_strategy, by_sums=by_sums)

    def in_turn() -> int:
        free, number = list(nodes), 0
        while trial_fits(free) and workers_fit(free):
            number += 1
        return number

    def trials_first(number: int) -> bool:
        free = list(nodes)
        return all(trial_fits(free) for _ in range(number)) and all(workers_fit(free) for _ in range(number))

    least, most = 0, in_turn()
    if not workers or trials_first(most):
        return most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if trials_first(middle) else (least, middle)
    return least


def scarcest(shape: Shape, nodes: Nodes) -> str:
    """Return the resource that limits how many trials fit: of it alone, the fewest would."""
    return min(shape.total, key=lambda name: fitting(shape.only(name), nodes), default="nothing")


def nearest(shape: Shape, nodes: Nodes) -> Shape | None:
    """Return the shape closest to one that does not fit: spread otherwise, of fewer workers, or smaller; None if none.

    Args:
        shape: what does not fit.
        nodes: what they have.
    """
    loose = {"STRICT_PACK": "PACK", "STRICT_SPREAD": "SPREAD"}
    looser = replace(
        shape,
        strategy=loose.get(shape.strategy, shape.strategy),
        workers_strategy=loose.get(shape.workers_strategy, shape.workers_strategy),
    )
    smaller = replace(looser, bundles=_clipped(looser.bundles, nodes), workers=_clipped(looser.workers, nodes))
    if bool(smaller.bundles) != bool(shape.bundles) or bool(smaller.workers) != bool(shape.workers):
        return None
    for candidate in (looser, _fewer(shape, nodes), _fewer(looser, nodes), smaller, _fewer(smaller, nodes)):
        if candidate is not None and candidate != shape and fitting(candidate, nodes):
            return candidate
    return None


def _fewer(shape: Shape, nodes: Nodes) -> Shape | None:
    """Return the shape with as many of its workers as fit, or else of its bundles; None if not one does."""

    def cut(number: int) -> Shape:
        if shape.workers:
            return replace(shape, workers=shape.workers[:number])
        return replace(shape, bundles=shape.bundles[:number])

    least, most = 0, len(shape.workers or shape.bundles)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fitting(cut(middle), nodes) else (least, middle)
    return cut(least) if least else None


def _clipped(bundles: Sequence[Bundle], nodes: Nodes) -> tuple[Bundle, ...]:
    """Return bundles, each as much of it as the node has that has most of it."""
    return tuple(best for bundle in bundles if (best := _largest(bundle, nodes)))


def _largest(bundle: Bundle, nodes: Nodes) -> Bundle:
    def on(node: Mapping[str, float]) -> Bundle:
        has = {name: min(amount, node.get(name, 0)) for name, amount in bundle.items()}
        return {
            name: int(amount) if name in DEVICES and amount > 1 else amount for name, amount in has.items() if amount
        }

    def share(found: Bundle) -> tuple[int, float]:
        return len(found), sum(amount / bundle[name] for name, amount in found.items())

    return max(map(on, nodes), key=share, default={})
