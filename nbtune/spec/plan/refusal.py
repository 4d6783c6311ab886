"""Why a trial can never be placed: the arithmetic, and the nearest shape that can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbtune.spec.plan.fit import fitting, nearest
from nbtune.spec.plan.shape import Bundle, Shape, amount_of, amounts

__all__ = ["why_not"]

Nodes = Sequence[Mapping[str, float]]


def why_not(shape: Shape, nodes: Nodes) -> str:
    """Return why no trial of a shape fits on nodes, with the shape nearest to it that does.

    Args:
        shape: what does not fit.
        nodes: what they have.
    """
    instead = nearest(shape, nodes)
    hint = f"Ask for less: the nearest that fits is {instead}" if instead is not None else "Ask for less"
    return f"a trial can never be placed: {_reason(shape, nodes)}. {hint}. Or attach to a larger cluster"


def _reason(shape: Shape, nodes: Nodes) -> str:
    trial = "it" if len(shape.bundles) == 1 else "one of its bundles"
    for who, bundles in ((trial, shape.bundles), ("each of its workers", shape.workers)):
        for bundle in bundles:
            if not fitting(Shape((bundle,)), nodes):
                return f"{who} asks for {_too_large(bundle, nodes)}"
    for what, part in (
        ("its bundles", Shape(shape.bundles, shape.strategy)),
        ("its workers", Shape(shape.workers, shape.workers_strategy)),
    ):
        if part.bundles and not fitting(part, nodes):
            return f"{what} together ask for {_too_many(part, nodes)}"
    return f"together with its workers it asks for {_too_many(shape, nodes)}"


def _too_large(bundle: Bundle, nodes: Nodes) -> str:
    """Return what a bundle asks for, and what the nodes have, of which none is large enough for it."""
    parts = []
    for name, amount in bundle.items():
        most = max((node.get(name, 0) for node in nodes), default=0)
        if most < amount:
            parts.append(f"{amounts({name: amount})}, but the largest node has {amount_of(name, most)}")
    return "; and ".join(parts) or (f"{amounts(bundle)} on one node, which none of the {len(nodes)} nodes has together")


def _too_many(shape: Shape, nodes: Nodes) -> str:
    """Return what bundles ask for, of which each has a node, but not all together."""
    there = f"the {len(nodes)} nodes have" if len(nodes) != 1 else "the node has"
    parts = []
    for name, amount in shape.total.items():
        has = sum(node.get(name, 0) for node in nodes)
        if has < amount:
            parts.append(f"{amounts({name: amount})}, but {there} {amount_of(name, has)}")
    if parts:
        return "; and ".join(parts)
    asked = amounts(shape.total)
    if shape.strategy == "STRICT_SPREAD" and len(shape.bundles) > len(nodes):
        return f"{len(shape.bundles)} nodes, one each (STRICT_SPREAD), but there are {len(nodes)}"
    if shape.strategy == "STRICT_PACK":
        return f"{asked} on one node (STRICT_PACK), which none of the {len(nodes)} nodes has"
    return f"{asked}; {there} that in all, but not where Ray would place it ({shape})"
