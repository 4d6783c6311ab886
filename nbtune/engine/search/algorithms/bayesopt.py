"""bayesian-optimization: a Gaussian process over numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package

__all__ = ["BayesOpt"]

_PATIENCE = 5  # Ray Tune's default


class BayesOpt(Library):
    """Ray Tune's BayesOptSearch."""

    name = "bayesopt"
    summary = "a plain Gaussian process for a few numbers; takes no choices"
    packages = (
        Package(
            "bayesian-optimization",
            "bayes_opt",
            ">=1.4,<2",
            "bayesopt",
            "since version 2 it has no UtilityFunction, which Ray Tune uses",
        ),
    )
    arguments = {  # noqa: RUF012
        "utility_kwargs": 'the acquisition function ({"kind": "ucb", "kappa": 2.576, "xi": 0.0})',
        "random_search_steps": "the number of random trials before the first learned one (10)",
        "skip_duplicate": "whether a configuration is tried only once (True)",
        "patience": "ends the search after so many proposals of the same configuration (never)",
        "repeat_float_precision": "the decimals by which two configurations are the same (5)",
        "random_state": "the seed (that of the experiment)",
    }
    classes = ("BayesOptSearch",)
    learns = True
    searcher = ("nbtune.engine.search.libraries.bayesopt", "BayesOpt")
    native = frozenset()
    seed = "random_state"
    ours = Library.ours | {"analysis"}

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        # Its default ends a search in silence as soon as a trial waits for the result of another one.
        defaults = {"patience": 10**9, "random_state": None}
        return super().create(request, defaults | arguments, points)

    def may_finish(self, arguments: Mapping[str, Any]) -> bool:
        return "patience" in arguments
