"""Repeats of configurations: what the search algorithm is told, compared with Ray Tune's. See also `test_resumption.py`."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from ray import tune
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import Repeater, Searcher
from ray.tune.search.search_generator import SearchGenerator

from nbtune.engine.search.make import make_search
from nbtune.engine.trial.payload import Unpacked
from nbtune.engine.trial.program import seed
from nbtune.engine.tune.repeats import Repeats
from nbtune.engine.tune.requested import RequestedTrial
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.cell.capture import Program
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

TIMES = 3


class Told(Searcher):
    """Proposes x = 1, 2, 3…, and remembers what it is told."""

    def __init__(self) -> None:
        super().__init__(metric="y", mode="max")
        self.proposed: dict[str, int] = {}
        self.told: list[tuple[int, float | None]] = []
        self.added: list[tuple[Any, float]] = []

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self.proposed[trial_id] = len(self.proposed) + 1
        return {"x": self.proposed[trial_id]}

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        raise AssertionError("of repeats, only the mean is told")

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.told.append((self.proposed[trial_id], None if error or not result else result["y"]))

    def add_evaluated_point(self, parameters: Any, value: Any, *more: Any) -> None:
        self.added.append((dict(parameters), value))


def search_of(algorithm: Any, folder: Path, *, samples: int = 4, times: int = TIMES, **options: Any) -> SteerableSearch:
    spec = Spec(samples=samples, repeat=times, metric="y", mode="max", search=algorithm, **options)
    made = make_search(spec, Space.from_dict({"x": tune.randint(0, 9)}))
    wrapped = SteerableSearch(made, None, None, Failures())
    space = made.param_space if isinstance(algorithm, Named) else {}
    experiment = Experiment("repeats", tune.Trainable, config=space, num_samples=made.samples, storage_path=str(folder))
    wrapped.set_search_properties("y", "max", space)
    wrapped.add_configurations([experiment])
    return wrapped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repeats")


def take(search: SteerableSearch) -> list[Trial]:
    """Return all trials that a search creates without further results."""
    trials = []
    while (trial := search.next_trial()) is not None:
        trials.append(trial)
    return trials


END = st.floats(-9, 9) | st.sampled_from(["failed", math.nan, None])
"""How a trial ends: with a number, by an exception, with NaN only, or without a report."""


def end(search: Any, trial_id: str, how: Any) -> None:
    result = None if how is None else {"y": 0.5 if how == "failed" else how, "training_iteration": 1}
    search.on_trial_complete(trial_id, result, error=how == "failed")


def mean_of(ends: list[Any]) -> Any:
    values = [how for how in ends if isinstance(how, float) and not math.isnan(how)]
    return pytest.approx(np.mean(values)) if values else None


@settings(max_examples=15)
@given(st.lists(END, min_size=12, max_size=12), st.permutations(range(12)))
def test_the_algorithm_is_told_once_of_each_configuration(folder: Path, ends: list[Any], order: list[int]) -> None:
    search = search_of(algorithm := Told(), folder)
    trials = take(search)
    assert [trial.config for trial in trials] == [{"x": 1 + number // TIMES} for number in range(12)]
    assert [search.place(trial.trial_id) for trial in trials] == [divmod(number, TIMES) for number in range(12)]
    assert len({trial.trial_id for trial in trials}) == 12
    assert search.is_finished()
    for position in order:
        search.on_trial_result(trials[position].trial_id, {"y": 3.0, "training_iteration": 1})
        search._results.forget(trials[position].trial_id)
        end(search, trials[position].trial_id, ends[position])
    assert search.failures.first is None
    expected = {1 + first // TIMES: mean_of(ends[first : first + TIMES]) for first in range(0, 12, TIMES)}
    assert len(algorithm.told) == 4
    assert dict(algorithm.told) == expected


@settings(max_examples=10)
@given(st.lists(st.floats(-9, 9), min_size=12, max_size=12), st.permutations(range(12)))
def test_the_algorithm_is_told_what_rays_repeater_tells(folder: Path, values: list[float], order: list[int]) -> None:
    class Quiet(Told):
        def on_trial_result(self, trial_id: str, result: Any) -> None:
            pass

    ours, stock = Told(), Quiet()
    search = search_of(ours, folder)
    generator: Any = SearchGenerator(Repeater(stock, repeat=TIMES))
    experiment = Experiment("stock", tune.Trainable, config={}, num_samples=12, storage_path=str(folder))
    generator.add_configurations([experiment])
    trials, theirs = take(search), [generator.next_trial() for _ in range(12)]
    assert [{"x": trial.config["x"]} for trial in theirs] == [trial.config for trial in trials]
    for position in order:
        end(search, trials[position].trial_id, values[position])
        end(generator, theirs[position].trial_id, values[position])
    assert [x for x, _ in ours.told] == [x for x, _ in stock.told]
    assert [value for _, value in ours.told] == pytest.approx([value for _, value in stock.told])


def test_points_of_the_user_are_repeated(folder: Path) -> None:
    search = search_of(algorithm := Told(), folder, samples=1)
    search.request(RequestedTrial({"x": 8}))
    trials = take(search)
    assert [trial.config["x"] for trial in trials] == [8] * 3 + [1] * 3
    assert [search.added_by(trial.trial_id) for trial in trials] == ["user"] * 3 + ["search"] * 3
    assert search.total_samples == 6
    for value, trial in enumerate(trials):
        end(search, trial.trial_id, float(value))
    assert (algorithm.added, algorithm.told) == ([({"x": 8}, 1.0)], [(1, 4.0)])


@pytest.mark.parametrize("name", ["random", "grid"])
def test_random_and_grid_search_are_repeated_and_extended(folder: Path, name: str) -> None:
    search = search_of(Named(name), folder, samples=1, times=2, seed=1)
    number = 1 if name == "random" else 9
    trials = take(search)
    assert [search.place(trial.trial_id) for trial in trials] == [divmod(k, 2) for k in range(2 * number)]
    assert all(trials[k].config == trials[k + 1].config for k in range(0, 2 * number, 2))
    search.extend(1)
    assert len(take(search)) == 2 * number


def test_each_repeat_has_a_seed_of_its_own_which_is_the_same_in_each_run(folder: Path) -> None:
    unpacked = Unpacked(Program(), {})

    def drawn(algorithm: Any) -> list[float]:
        numbers = []
        for trial in take(search_of(algorithm, folder, samples=2, seed=5)):
            seed(5, trial.config, trial.trial_id, unpacked)
            numbers.append(random.random())
        return numbers

    for make in (Told, lambda: Named("random")):
        first = drawn(make())
        assert len(set(first)) == 6
        assert first == drawn(make())


def test_a_failed_trial_that_is_tried_again_does_not_change_what_was_told() -> None:
    repeats = Repeats(2)
    repeats.begin("a", {"x": 1}, by="search")
    repeats.add(0, 1, "b")
    assert repeats.end("a", None) is None
    outcome = repeats.end("b", {"y": 4.0})
    assert outcome is not None
    assert (outcome.trial_id, outcome.result) == ("a", {"y": 4.0})
    assert repeats.end("a", {"y": 100.0}) is None


def test_the_mean_of_huge_numbers_is_a_number() -> None:
    repeats = Repeats(2)
    repeats.begin("a", {"x": 1}, by="search")
    repeats.add(0, 1, "b")
    repeats.end("a", {"y": 1.5e308})
    outcome = repeats.end("b", {"y": 1.5e308})
    assert outcome is not None
    assert outcome.result == {"y": 1.5e308}
