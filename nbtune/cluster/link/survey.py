"""The environment of a cluster's processes: their versions, nbtune, and the packages that the engine needs.

A task on each node reports it, once for each connection to a cluster that nbtune has not started. The task imports
nothing of nbtune, which the node may not have.
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

__all__ = [
    "OPTIONAL",
    "REQUIRED",
    "NodeReport",
    "check_compatible",
    "missing_packages",
    "nodes_without_nbtune",
    "survey",
]

REQUIRED = ("numpy", "pandas", "pyarrow", "fsspec", "requests")
"""Packages that Ray Tune needs, and so the driver."""
OPTIONAL = ("optuna", "torch")
"""Packages that only some experiments need: for Optuna search and PyTorch code."""

_MAX_NODES = 16  # more nodes are not asked: they are likely like the others
_TIMEOUT = 60.0  # seconds for the first process of a node to start


@dataclass(frozen=True)
class NodeReport:
    """The environment of one node's processes.

    Attributes:
        node: the node's address.
        python: the version of Python.
        ray: the version of Ray.
        nbtune: the version of nbtune, or None if it cannot be imported.
        missing: the packages of `REQUIRED` and `OPTIONAL` that are not installed.
    """

    node: str
    python: str
    ray: str
    nbtune: str | None
    missing: tuple[str, ...]


def survey(ray: Any) -> list[NodeReport]:
    """Return the reports of the connected cluster's nodes.

    Args:
        ray: the module.

    Raises:
        ClusterError: a node does not answer.
    """
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]][:_MAX_NODES]
    this = importlib.import_module(__name__)
    cloudpickle.register_pickle_by_value(this)  # otherwise the task would import this module on the node
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(_inspect)
        references = [
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                REQUIRED + OPTIONAL
            )
            for node in nodes
        ]
        try:
            answers = ray.get(references, timeout=_TIMEOUT)
        except Exception as error:
            text = str(error).strip().splitlines()
            raise ClusterError(
                f"the cluster's processes do not answer within {_TIMEOUT:g} s, so nothing can run there:"
                f" {text[-1] if text else type(error).__name__}"
            ) from error
    finally:
        cloudpickle.unregister_pickle_by_value(this)
    return [NodeReport(node["NodeManagerAddress"], *answer) for node, answer in zip(nodes, answers, strict=True)]


def check_compatible(reports: Iterable[NodeReport]) -> None:
    """Refuse a cluster with other versions than this kernel, or without required packages.

    Args:
        reports: those of the cluster's nodes.

    Raises:
        ClusterError: names every difference and its nodes.
    """
    import ray

    reports = list(reports)
    kernel = {"Python": platform.python_version(), "Ray": ray.__version__, "nbtune": version()}
    problems = []
    for name, expected in kernel.items():
        nodes_by_version: dict[str, list[str]] = {}
        for report in reports:
            actual = getattr(report, name.lower())
            if actual is not None and actual != expected:
                nodes_by_version.setdefault(actual, []).append(report.node)
        problems += [
            f"{name} {actual} instead of {expected} on {_nodes(nodes)}" for actual, nodes in nodes_by_version.items()
        ]
    nodes_by_missing: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        missing = tuple(name for name in report.missing if name in REQUIRED)
        if missing:
            nodes_by_missing.setdefault(missing, []).append(report.node)
    problems += [f"{', '.join(names)} not installed on {_nodes(nodes)}" for names, nodes in nodes_by_missing.items()]
    if problems:
        raise ClusterError(
            f"the cluster's environment differs from this kernel's: {'; '.join(problems)}. Install the kernel's"
            " versions on the cluster, or use a kernel with the cluster's versions"
        )


def nodes_without_nbtune(reports: Iterable[NodeReport]) -> list[str]:
    """Return the addresses of the nodes without nbtune.

    Args:
        reports: those of the cluster's nodes.
    """
    return [report.node for report in reports if report.nbtune is None]


def missing_packages(reports: Iterable[NodeReport]) -> tuple[str, ...]:
    """Return the optional packages that some nodes do not have.

    Args:
        reports: those of the cluster's nodes.
    """
    return tuple(name for name in OPTIONAL if any(name in report.missing for report in reports))


def _nodes(addresses: list[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses)} nodes, for example {addresses[0]}"


def _inspect(packages: tuple[str, ...]) -> tuple[str, str, str | None, tuple[str, ...]]:
    """Return the fields of `NodeReport` after `node`, in a process of the cluster; pickled without this module."""
    import importlib
    import importlib.util
    import platform

    import ray

    try:
        nbtune_version = importlib.import_module("nbtune").__version__
    except Exception:  # not installed, or not usable
        nbtune_version = None
    return (
        platform.python_version(),
        ray.__version__,
        nbtune_version,
        tuple(name for name in packages if importlib.util.find_spec(name) is None),
    )
