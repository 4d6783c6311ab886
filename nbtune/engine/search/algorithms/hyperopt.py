"""HyperOpt: tree-structured Parzen estimators."""

from __future__ import annotations

from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.codecs import NATIVE
from nbtune.engine.search.entry import Package

__all__ = ["HyperOpt"]


class HyperOpt(Library):
    """Ray Tune's HyperOptSearch."""

    name = "hyperopt"
    summary = "tree-structured Parzen estimators, the original ones; some milliseconds for a proposal"
    packages = (Package("hyperopt", "hyperopt", ">=0.3", "hyperopt"),)
    arguments = {  # noqa: RUF012
        "n_initial_points": "the number of random trials first (20)",
        "gamma": "the share of trials that count as good (0.25)",
        "random_state_seed": "the seed (that of the experiment)",
    }
    classes = ("HyperOptSearch",)
    searcher = ("ray.tune.search.hyperopt", "HyperOptSearch")
    native = NATIVE - {"logint"}  # Ray Tune's rounds, and so exceeds the bounds
    seed = "random_state_seed"
