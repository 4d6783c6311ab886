"""Every pair of a search algorithm and a scheduler that the registry has: steered, killed and resumed, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nbtune
from nbtune import Space
from nbtune.engine.protocol.events import TrialAdded, TrialReported
from nbtune.engine.search.make import make_search
from nbtune.engine.search.own_settings import unwrapped
from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import make_spec
from tests.ray.steering import (
    REPORTS,
    SAMPLES,
    Attached,
    Steered,
    attached_kernel,
    check,
    check_rungs_of_asha,
    check_rungs_of_hyperband,
    events_of,
    saving,
    steer,
)


@dataclass(frozen=True)
class How:
    """How a scheduler is tried.

    Attributes:
        text: the scheduler, with arguments that let it decide within a few reports.
        max_t: after how many reports it stops the best trial; None if it stops none.
        rungs: checks its decisions.
    """

    text: str
    max_t: int | None = None
    rungs: Callable[[Any], None] = lambda experiment: None


HOW = {
    "fifo": How("fifo"),
    "asha": How(
        "asha(max_t=9, grace_period=2, reduction_factor=1.5)",
        9,
        lambda experiment: check_rungs_of_asha(experiment, 1.5),
    ),
    "hyperband": How("hyperband(max_t=9)", 9, check_rungs_of_hyperband),
    "bohb": How("bohb(max_t=9)", 9, check_rungs_of_hyperband),
    "median": How("median(grace_period=2)", REPORTS),
    "pbt": How("pbt(perturbation_interval=2, quantile_fraction=0.5)"),
    "pb2": How("pb2(perturbation_interval=2, quantile_fraction=0.5)"),
    "resources": How("resources"),
}
"""How each scheduler of the registry is tried; `pbt_replay`, which trains a single trial, has a test of its own."""
EVERYWHERE = ("random", "grid", "optuna")
"""The search algorithms that are always tried with all schedulers; the others with one that stops trials, and one that
pauses them. `make test-all` tries every pair."""
POPULATIONS = ("pbt", "pb2", "pbt_replay")
PAIRS = [(search, scheduler) for search in ALGORITHMS for scheduler in SCHEDULERS]


def refusal(search: str, scheduler: str) -> str | None:
    """Return the message with which a pair is refused; None if it is not."""
    if (search == "bohb") != (scheduler == "bohb"):
        return f'which works with {"scheduler" if search == "bohb" else "search"}="bohb" only'
    if scheduler in POPULATIONS and search not in ("random", "grid"):
        return "so it cannot be used with a search algorithm that learns; leave search=… out"
    if (search, scheduler) == ("grid", "pb2"):
        return "pb2 finds no parameter that it can change"
    return None


ALLOWED = [(search, scheduler) for search, scheduler in PAIRS if refusal(search, scheduler) is None]
STEERED = [(search, scheduler) for search, scheduler in ALLOWED if scheduler in HOW]


def marked(search: str, scheduler: str) -> Any:
    """Return a pair as a parameter of a test, marked if only `make test-all` tries it."""
    is_rare = search not in EVERYWHERE and scheduler not in ("asha", "hyperband", "bohb")
    return pytest.param(search, scheduler, marks=[pytest.mark.every_pair] if is_rare else [])


def space_of(search: str) -> Space:
    if search == "grid":
        return Space.from_cell("a: choice([0.2, 0.4, 0.6, 0.8])")
    choice = "" if search == "bayesopt" else "kind: choice([('x', 1), None])\n"
    return Space.from_cell(f"a: uniform(0.1, 1)\nsize: randint(1, 5)\n{choice}")


def test_every_entry_of_the_registry_is_tried() -> None:
    assert {scheduler for _, scheduler in STEERED} | {"pbt_replay"} == set(SCHEDULERS)
    assert {search for search, _ in STEERED} == set(ALGORITHMS)


@pytest.fixture(scope="module")
def other(cluster: Any) -> Iterator[Attached]:
    with attached_kernel(cluster.address) as kernel:
        yield kernel


@pytest.mark.parametrize(("search", "scheduler"), [marked(*pair) for pair in STEERED])
def test_a_pair(run: Any, until: Any, other: Attached, tmp_path: Path, search: str, scheduler: str) -> None:
    how, space = HOW[scheduler], space_of(search)
    options = {"search": search, "scheduler": how.text, "samples": 1 if search == "grid" else SAMPLES}
    steered = steer(run, until, other, tmp_path / "gate", space, **options)
    check(steered, max_t=how.max_t)
    experiment = steered.experiment
    assert len(experiment.trials) == SAMPLES + 2 + steered.extensions * (SAMPLES if search == "grid" else 1)
    how.rungs(experiment)
    for config in (trial.config for trial in experiment.trials.values()):
        if search == "grid":
            assert config["a"] in (0.2, 0.4, 0.6, 0.8), config
        else:
            assert 0.1 <= config["a"] <= 1, config
            assert type(config["size"]) is int, config
            assert 1 <= config["size"] <= 4, config
            assert config.get("kind") in (("x", 1), None), config
    check_what_the_library_knows(steered, search, how, space)


KNOWN: dict[str, Callable[[Any], list[float]]] = {
    "optuna": lambda searcher: [one.value for one in searcher._ot_study.trials if one.state.name == "COMPLETE"],
    "bayesopt": lambda searcher: [
        *searcher.optimizer.space.target,
        *(result["acc"] for _, result in searcher._buffered_trial_results),
    ],  # it waits for its random trials
    "hebo": lambda searcher: [-value for value in searcher._opt.y.ravel().tolist()],
    "hyperopt": lambda searcher: [-one["result"]["loss"] for one in searcher._hpopt_trials.trials if one["state"] == 2],
    "nevergrad": lambda searcher: [searcher._nevergrad_opt.num_tell],
    "ax": lambda searcher: list(searcher._ax.experiment.fetch_data().df["mean"]),
}
"""The values that a library has been told. BOHB's are those of its rungs, and ZOOpt keeps only the best."""


def check_what_the_library_knows(steered: Steered, search: str, how: How, space: Space) -> None:
    """Check that the library was told of the end of each trial once."""
    if search not in KNOWN:
        return
    experiment = steered.experiment
    spec, problems = make_spec(
        {"search": search, "scheduler": how.text, "metric": "acc", "mode": "max", "samples": SAMPLES, "seed": 1}
    )
    assert not problems
    restored = SteerableSearch(make_search(spec, space), None, None, Failures())
    restored.restore_from_dir(experiment.path)
    last = {event.trial: event.metrics["acc"] for event in events_of(experiment, TrialReported)}
    by_user = {event.trial for event in events_of(experiment, TrialAdded) if event.by == "user"}
    expected = [value for trial, value in last.items() if ALGORITHMS[search].learns or trial not in by_user]
    known = KNOWN[search](unwrapped(restored._inner.searcher))
    if search == "nevergrad":  # which only counts them
        assert known == [len(expected)]
    else:
        assert sorted(known) == pytest.approx(sorted(expected), rel=1e-5)


@pytest.mark.parametrize(("search", "scheduler"), [pair for pair in PAIRS if pair not in ALLOWED])
def test_a_pair_that_is_refused(run: Any, search: str, scheduler: str) -> None:
    text = HOW[scheduler].text if scheduler in HOW else ("pbt_replay", {"policy": [(0, {"a": 0.2})]})
    space = Space.from_cell("a: uniform(0.2, 0.3)") if scheduler == "pbt_replay" else space_of(search)
    samples = 1 if scheduler == "pbt_replay" else SAMPLES
    with pytest.raises(nbtune.SpecError) as caught:
        run(saving(), space, search=search, scheduler=text, metric="acc", mode="max", samples=samples)
    assert len(caught.value.problems) == 1, caught.value.problems
    assert (refusal(search, scheduler) or "") in str(caught.value)
