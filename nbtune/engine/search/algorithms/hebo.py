"""HEBO: Bayesian optimization with warped inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package

__all__ = ["Hebo"]


class Hebo(Library):
    """Ray Tune's HEBOSearch."""

    name = "hebo"
    summary = "Bayesian optimization that is strong with few trials, noise and choices; some seconds for a proposal"
    packages = (
        Package("pymoo", "pymoo", ">=0.6", "hebo"),
        Package("GPy", "GPy", ">=1.13", "hebo"),
        Package(
            "HEBO",
            "hebo",
            ">=0.3.6",
            note="its metadata asks for a NumPy that is too old for Ray",
            command='pip install "nbtune[hebo]" && pip install --no-deps HEBO',
        ),
    )
    arguments = {  # noqa: RUF012
        "model_name": 'the surrogate model: "gp", "gpy", "rf"… ("gp")',
        "rand_sample": "the number of quasi-random trials first (the number of parameters + 1)",
        "es": 'the evolution strategy that maximises the acquisition function ("nsga2")',
        "random_state_seed": "the seed (that of the experiment)",
    }
    classes = ("HEBOSearch",)
    learns = True
    slow = True
    searcher = ("nbtune.engine.search.libraries.hebo", "Hebo")
    seed = "random_state_seed"
    ours = Library.ours | {"max_concurrent"}

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        if (seed := arguments.get(self.seed)) is not None:
            arguments.setdefault("scramble_seed", seed)  # of the first, quasi-random trials
        return super().create(request, arguments, points)

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        yield from super().argument_problems(arguments)
        if not isinstance(arguments.get("rand_sample", 2), int) or arguments.get("rand_sample", 2) < 2:
            yield f"{self.name}: rand_sample: expected an integer >= 2, got {arguments['rand_sample']!r}"
