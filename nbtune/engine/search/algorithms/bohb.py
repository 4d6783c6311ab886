"""BOHB: Bayesian optimization with HyperBand."""

from __future__ import annotations

from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.entry import Package

__all__ = ["TuneBohb"]


class TuneBohb(Library):
    """Ray Tune's TuneBOHB, which works with HyperBandForBOHB only."""

    name = "bohb"
    summary = "learns from partial runs, and stops the worse trials early: the search half of BOHB"
    packages = (
        Package("hpbandster", "hpbandster", ">=0.7.4", "bohb", "it needs a C compiler and Python's headers"),
        Package("ConfigSpace", "ConfigSpace", ">=1.2", "bohb"),
    )
    arguments = {  # noqa: RUF012
        "bohb_config": 'arguments of hpbandster\'s BOHB, such as {"min_points_in_model": 8} (none)',
        "seed": "the seed (that of the experiment)",
    }
    classes = ("TuneBOHB",)
    partner = "bohb"
    searcher = ("nbtune.engine.search.libraries.bohb", "Bohb")
    seed = "seed"
    ours = Library.ours | {"max_concurrent"}
