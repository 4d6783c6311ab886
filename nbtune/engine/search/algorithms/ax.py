"""Ax: Bayesian optimization by BoTorch."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package

__all__ = ["Ax"]


class Ax(Library):
    """Ray Tune's AxSearch."""

    name = "ax"
    summary = "Bayesian optimization by BoTorch, after some quasi-random trials; about a second for a proposal"
    packages = (
        Package(
            "ax-platform",
            "ax",
            ">=1.0,<1.3",
            "ax",
            "Ray Tune fails with 1.3: 'Objective' object has no attribute 'objectives'",
        ),
    )
    arguments = {  # noqa: RUF012
        "parameter_constraints": 'linear constraints of the parameters, such as ["x3 >= x4"] (none)',
        "outcome_constraints": 'constraints of other metrics, such as ["latency <= 3"] (none)',
        "enforce_sequential_optimization": "whether it waits for the results of the quasi-random trials (True)",
        "random_seed": "the seed (that of the experiment)",
    }
    classes = ("AxSearch",)
    learns = True
    slow = True
    searcher = ("nbtune.engine.search.libraries.ax", "Ax")
    seed = "random_seed"
    ours = Library.ours | {"ax_client", "verbose_logging"}

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        return super().create(request, {"verbose_logging": False} | arguments, points)

    def accepts(self, arguments: Any) -> Any:
        import inspect

        from ax.service.ax_client import AxClient

        return [*super().accepts(arguments), *inspect.signature(AxClient).parameters]
