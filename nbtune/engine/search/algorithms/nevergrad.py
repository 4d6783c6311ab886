"""Nevergrad: many derivative-free optimizers."""

from __future__ import annotations

from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package

__all__ = ["Nevergrad"]


class Nevergrad(Library):
    """Ray Tune's NevergradSearch."""

    name = "nevergrad"
    summary = "derivative-free optimizers, evolutionary ones among them; good for many cheap trials"
    packages = (Package("nevergrad", "nevergrad", ">=1.0.12", "nevergrad"),)
    arguments = {  # noqa: RUF012
        "optimizer": 'the name of one of nevergrad.optimizers, such as "OnePlusOne", "CMA" or "TwoPointsDE" ("NGOpt")',
        "optimizer_kwargs": 'its arguments ({"budget": the number of trials, "num_workers": how many run at once})',
    }
    classes = ("NevergradSearch",)
    learns = True
    searcher = ("nbtune.engine.search.libraries.nevergrad", "Nevergrad")
    seed = "random_state_seed"

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        # For one worker NGOpt takes optimizers that wait for each result, and cannot be saved.
        workers = max(2, request.spec.max_concurrent or 2)
        given = dict(arguments.get("optimizer_kwargs") or {})
        own = {"budget": request.spec.samples, "num_workers": workers} | given
        # Ray Tune tells of the points in reverse order, since the last one is asked for first.
        return super().create(request, {**arguments, "optimizer_kwargs": own}, points)
