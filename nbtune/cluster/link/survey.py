"""What a cluster's processes have: their versions, nbtune, and the packages that the engine needs.

Asked by a task on each node, once for each connection to a cluster that nbtune has not started. The task
imports nothing of nbtune, which may not be there.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nbtune.cluster.link.imports import version
from nbtune.errors import ClusterError

__all__ = ["NEEDED", "USEFUL", "Report", "compare", "lacks_nbtune", "missing", "survey"]

NEEDED = ("numpy", "pandas", "pyarrow", "fsspec", "requests")
"""Packages without which Ray Tune, and so the driver, does not run."""
USEFUL = ("optuna", "torch")
"""Packages that only some experiments need: Optuna search, PyTorch code."""

_MOST = 16  # nodes that are asked; beyond, they are likely alike
_PATIENCE = 60.0  # seconds for the first process of a node to start


@dataclass(frozen=True)
class Report:
    """What one node has.

    Attributes:
        node: its address.
        python: its Python's version.
        ray: its Ray's version.
        nbtune: its nbtune's version, or None where it cannot be imported.
        missing: which of the packages it lacks.
    """

    node: str
    python: str
    ray: str
    nbtune: str | None
    missing: tuple[str, ...]


def survey(ray: Any) -> list[Report]:
    """Ask the nodes of the connected cluster.

    Raises:
        ClusterError: one does not answer.
    """
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]][:_MOST]
    this = importlib.import_module(__name__)
    cloudpickle.register_pickle_by_value(this)  # or the task would import this module there
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(_look)
        asked = [
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                NEEDED + USEFUL
            )
            for node in nodes
        ]
        try:
            answers = ray.get(asked, timeout=_PATIENCE)
        except Exception as error:
            text = str(error).strip().splitlines()
            raise ClusterError(
                f"the cluster's processes do not answer within {_PATIENCE:g} s, so nothing can run there:"
                f" {text[-1] if text else type(error).__name__}"
            ) from error
    finally:
        cloudpickle.unregister_pickle_by_value(this)
    return [Report(node["NodeManagerAddress"], *answer) for node, answer in zip(nodes, answers, strict=True)]


def compare(reports: Iterable[Report]) -> None:
    """Refuse a cluster that does not go together with this kernel.

    Raises:
        ClusterError: it names every difference, and where it is.
    """
    import ray

    reports = list(reports)
    here = {"Python": platform.python_version(), "Ray": ray.__version__, "nbtune": version()}
    problems = []
    for name, own in here.items():
        there: dict[str, list[str]] = {}
        for report in reports:
            other = getattr(report, name.lower())
            if other is not None and other != own:
                there.setdefault(other, []).append(report.node)
        problems += [f"{name} is {own} here and {other} on {_nodes(on)}" for other, on in there.items()]
    lacking: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        needed = tuple(name for name in report.missing if name in NEEDED)
        if needed:
            lacking.setdefault(needed, []).append(report.node)
    problems += [f"{', '.join(names)} not installed on {_nodes(on)}" for names, on in lacking.items()]
    if problems:
        raise ClusterError(
            f"the cluster and this kernel do not go together: {'; '.join(problems)}. Install there what is here, or use"
            " a kernel with the cluster's versions"
        )


def lacks_nbtune(reports: Iterable[Report]) -> list[str]:
    """Return the nodes without nbtune."""
    return [report.node for report in reports if report.nbtune is None]


def missing(reports: Iterable[Report]) -> tuple[str, ...]:
    """Return the packages that some node lacks and that some experiments need."""
    return tuple(name for name in USEFUL if any(name in report.missing for report in reports))


def _nodes(addresses: list[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses)} nodes, {addresses[0]} among them"


def _look(packages: tuple[str, ...]) -> tuple[str, str, str | None, tuple[str, ...]]:
    """Look around in a process of the cluster. What it uses, it imports itself: it travels without its module."""
    import importlib
    import importlib.util
    import platform

    import ray

    try:
        own = importlib.import_module("nbtune").__version__
    except Exception:  # not there, or not usable: the same
        own = None
    return (
        platform.python_version(),
        ray.__version__,
        own,
        tuple(name for name in packages if importlib.util.find_spec(name) is None),
    )
