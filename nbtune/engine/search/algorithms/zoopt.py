"""ZOOpt: sequential randomized coordinate shrinking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package
from nbtune.spec.space.values import label

__all__ = ["ZooOpt"]

_PARALLEL = 10**6
_LEAST = 3  # ZOOpt ends the process with a smaller budget


class ZooOpt(Library):
    """Ray Tune's ZOOptSearch."""

    name = "zoopt"
    summary = "classification-based optimization (SRacos), for many cheap trials"
    packages = (Package("zoopt", "zoopt", ">=0.4.2", "zoopt"),)
    arguments = {  # noqa: RUF012
        "budget": "the number of trials by which it sets its own parameters (that of the experiment)",
        "random_state_seed": "the seed (that of the experiment)",
    }
    classes = ("ZOOptSearch",)
    searcher = ("nbtune.engine.search.libraries.zoopt", "ZooOpt")
    native = frozenset({"int", "choice"})
    seed = "random_state_seed"
    takes_points = False  # it forgets those that are left when the first trial is over
    ours = Library.ours | {"dim_dict", "algo", "parallel_num"}

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        yield from super().argument_problems(arguments)
        budget = arguments.get("budget", _LEAST)
        if not isinstance(budget, int) or budget < _LEAST:
            yield f"{self.name}: budget: expected an integer >= {_LEAST}, got {label(budget)}"

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        # With one in parallel, its default, the other CPUs are idle. The cluster is the limit.
        defaults = {"budget": max(_LEAST, request.spec.samples), "parallel_num": _PARALLEL}
        return super().create(request, defaults | arguments, points)
