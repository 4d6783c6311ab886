"""Why a trial can never be placed: what it requests, what the nodes have, and the nearest shape that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbtune.spec.plan.fit import count_fitting, nearest_fitting
from nbtune.spec.plan.shape import Bundle, Shape, format_amount, format_resources

__all__ = ["explain_refusal"]

Nodes = Sequence[Mapping[str, float]]


def explain_refusal(shape: Shape, nodes: Nodes) -> str:
    """Return why no trial of a shape fits on nodes, with the nearest shape that fits.

    Args:
        shape: a shape that does not fit.
        nodes: the resources of each node.
    """
    instead = nearest_fitting(shape, nodes)
    hint = f"Request less: the nearest shape that fits is {instead}" if instead is not None else "Request less"
    return f"a trial can never be placed: {_reason(shape, nodes)}. {hint}. Or connect to a larger cluster"


def _reason(shape: Shape, nodes: Nodes) -> str:
    trial = "it" if len(shape.bundles) == 1 else "one of its bundles"
    for subject, bundles in ((trial, shape.bundles), ("each of its workers", shape.workers)):
        for bundle in bundles:
            if not count_fitting(Shape((bundle,)), nodes):
                return f"{subject} requests {_too_large(bundle, nodes)}"
    for subject, part in (
        ("its bundles", Shape(shape.bundles, shape.strategy)),
        ("its workers", Shape(shape.workers, shape.workers_strategy)),
    ):
        if part.bundles and not count_fitting(part, nodes):
            return f"{subject} together request {_too_many(part, nodes)}"
    return f"together with its workers it requests {_too_many(shape, nodes)}"


def _too_large(bundle: Bundle, nodes: Nodes) -> str:
    """Return what a bundle requests and what the nodes have, where no node is large enough for it."""
    parts = []
    for name, amount in bundle.items():
        largest = max((node.get(name, 0) for node in nodes), default=0)
        if largest < amount:
            requested, available = format_resources({name: amount}), format_amount(name, largest)
            parts.append(f"{requested}, but the largest node has {available}")
    if parts:
        return "; and ".join(parts)
    return f"{format_resources(bundle)} on one node, but none of the {len(nodes)} nodes has all of that"


def _too_many(shape: Shape, nodes: Nodes) -> str:
    """Return what bundles request, where each of them fits on a node but all together do not."""
    have = f"the {len(nodes)} nodes have" if len(nodes) != 1 else "the node has"
    parts = []
    for name, amount in shape.total.items():
        total = sum(node.get(name, 0) for node in nodes)
        if total < amount:
            parts.append(f"{format_resources({name: amount})}, but {have} {format_amount(name, total)}")
    if parts:
        return "; and ".join(parts)
    requested = format_resources(shape.total)
    if shape.strategy == "STRICT_SPREAD" and len(shape.bundles) > len(nodes):
        return f"{len(shape.bundles)} nodes, one for each (STRICT_SPREAD), but there are {len(nodes)}"
    if shape.strategy == "STRICT_PACK":
        return f"{requested} on one node (STRICT_PACK), but none of the {len(nodes)} nodes has all of that"
    return f"{requested}; {have} that in total, but not where Ray would place it ({shape})"
