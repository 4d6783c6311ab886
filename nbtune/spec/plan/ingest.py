"""The CPUs that trials leave to Ray Data, whose tasks read the data sets.

Ray Data runs tasks of its own, each of which requests a CPU. Where trials hold every CPU, these tasks wait, and the
trials wait for them, in silence and for ever. Ray's advice is to leave 20 % of the CPUs to Ray Data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nbtune.errors import option_ref
from nbtune.spec.plan.fit import count_fitting, nearest_fitting
from nbtune.spec.plan.shape import Bundle, Shape, format_resources

__all__ = ["DEFAULT_SHARE", "Ingest", "explain_starvation"]

DEFAULT_SHARE = 0.2
"""The share of the CPUs that Ray's documentation recommends."""

Nodes = Sequence[Mapping[str, float]]


class Ingest:
    """What Ray Data needs beside the trials.

    Args:
        cpus: the CPUs that the user leaves to it; None for the default.
    """

    def __init__(self, cpus: float | None = None) -> None:
        self._cpus = cpus

    def on(self, nodes: Nodes) -> float:
        """Return the CPUs on a cluster: whole ones by default, since each task of Ray Data requests one.

        Args:
            nodes: the resources of each node.
        """
        if self._cpus is not None:
            return self._cpus
        return max(1, math.ceil(round(DEFAULT_SHARE * sum(node.get("CPU", 0) for node in nodes), 6)))

    def bundles(self, nodes: Nodes) -> list[Bundle]:
        """Return them as bundles, which may be on different nodes.

        Args:
            nodes: the resources of each node.
        """
        cpus = self.on(nodes)
        whole, part = int(cpus), round(cpus % 1, 4)
        return [{"CPU": 1}] * whole + ([{"CPU": part}] if part else [])


def explain_starvation(shape: Shape, nodes: Nodes, ingest: Ingest) -> str:
    """Return why a trial would wait for Ray Data for ever, with the nearest shapes that do not.

    Args:
        shape: a shape of which one trial fits, but not together with what Ray Data needs.
        nodes: the resources of each node.
        ingest: what Ray Data needs.
    """
    cpus = ingest.on(nodes)
    total, have = shape.total.get("CPU", 0), sum(node.get("CPU", 0) for node in nodes)
    free = _without(nodes, ingest.bundles(nodes))
    shapes = [one for one in (_with_less(shape, free), nearest_fitting(shape, free)) if one is not None]
    nearest = " or ".join(dict.fromkeys(map(str, shapes)))
    hint = f"Request less: the nearest shape that fits is {nearest}" if nearest else "Request less"
    where = f"the {len(nodes)} nodes have" if len(nodes) != 1 else "the node has"
    return (
        f"a trial would wait for its data for ever: it requests {format_resources({'CPU': total})} and Ray Data, whose"
        f" tasks read the data sets, needs {format_resources({'CPU': cpus})} beside it, but {where}"
        f" {format_resources({'CPU': have})}. {hint}. Or leave Ray Data another number of CPUs with"
        f" {option_ref('data_cpus')}, or connect to a larger cluster"
    )


def _without(nodes: Nodes, bundles: Sequence[Bundle]) -> list[Mapping[str, float]]:
    """Return nodes without the CPUs of bundles, which are taken from those that have most."""
    left = [dict(node) for node in nodes]
    for bundle in bundles:
        most = max(left, key=lambda node: node.get("CPU", 0), default={})
        most["CPU"] = max(0, round(most.get("CPU", 0) - bundle["CPU"], 4))
    return list(left)


def _with_less(shape: Shape, nodes: Nodes) -> Shape | None:
    """Return the shape with fewer CPUs in each bundle, as many as fit; None if none fits."""
    most = max((bundle.get("CPU", 0) for bundle in (*shape.bundles, *shape.workers)), default=0)
    for cpus in [*range(math.ceil(most) - 1, 0, -1), 0.5, 0.25, 0.1]:
        less = replace(shape, bundles=_capped(shape.bundles, cpus), workers=_capped(shape.workers, cpus))
        if less != shape and count_fitting(less, nodes):
            return less
    return None


def _capped(bundles: Sequence[Bundle], cpus: float) -> tuple[Bundle, ...]:
    return tuple({**bundle, "CPU": min(bundle["CPU"], cpus)} if "CPU" in bundle else bundle for bundle in bundles)
