"""nbtune.engine.tune.resumption: a driver is killed again and again, with files of Tune's snapshot of any moments.

The search, the requests and the repeats are the real ones. What the search algorithm was told in the end is compared
with the event log.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from ray import tune
from ray.tune.experiment import Experiment
from ray.tune.search import Searcher

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import Event, TrialEnded, TrialQueued, TrialReported
from nbtune.engine.protocol.recorded_trial import added_event
from nbtune.engine.protocol.replay import PastTrial, past_of
from nbtune.engine.search.make import make_search
from nbtune.engine.tune.requested import RequestedTrial
from nbtune.engine.tune.resumption import Resumption
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

SAMPLES = 5
STEP = 10_000


class Strict(Searcher):
    """Proposes x = 1, 2, 3…, and refuses what it is told of a trial that is over or not its own.

    Args:
        learns: whether a proposal depends on the results before it, so that it is seldom made again.
    """

    def __init__(self, learns: bool) -> None:
        super().__init__(metric="y", mode="max")
        self.learns, self.live, self.count = learns, dict[str, int](), 0
        self.told: list[tuple[int, float | None]] = []
        self.added: list[tuple[int, float]] = []

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self.count += 1
        known = sum(value is not None for _, value in self.told) + len(self.added) if self.learns else 0
        self.live[trial_id] = self.count + STEP * known
        return {"x": self.live[trial_id]}

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        assert trial_id in self.live
        assert result["y"] == result["y"]

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.told.append((self.live.pop(trial_id), None if error or not result else result["y"]))

    def add_evaluated_point(self, parameters: Any, value: Any, *more: Any) -> None:
        self.added.append((parameters["x"], value))


class World:
    """An experiment whose driver is killed: the event log, the files of Tune's snapshot, and a driver.

    Args:
        folder: for the snapshots.
        times: how often each configuration is trained.
        learns: as in `Strict`.
    """

    def __init__(self, folder: Path, times: int, *, learns: bool) -> None:
        self.folder, self.times, self.learns = folder, times, learns
        self.log: list[Event] = []
        self.numbers: dict[str, int] = {}
        self.reports = Counter[str]()
        self.starts: dict[int, Any] = {}  # x -> what its trials start from
        self.stored_list: list[tuple[str, bool]] | None = None  # Tune's list of trials: (id, whether it is over)
        self.snapshots = 0
        self.trials: dict[str, Any] = {}  # of this driver: id -> trial
        self.search = self.new_search()

    def new_search(self) -> SteerableSearch:
        spec = Spec(samples=SAMPLES, repeat=self.times, metric="y", mode="max", search=Strict(self.learns))
        made = make_search(spec, Space.from_dict({"x": tune.randint(0, 9)}))
        search = SteerableSearch(made, None, None, Failures())
        experiment = Experiment("again", tune.Trainable, config={}, num_samples=made.samples, storage_path=self.folder)
        search.set_search_properties("y", "max", {})
        search.add_configurations([experiment])
        return search

    # -- a driver that runs -----------------------------------------------------------------------

    def create(self) -> bool:
        """Create a trial as Tune does; return whether there was one to create."""
        if (trial := self.search.next_trial()) is None:
            return False
        trial_id, place = trial.trial_id, self.search.place(trial.trial_id)
        assert trial_id not in self.trials, "a trial is created once"
        assert trial.latest_checkpoint_result == self.starts.get(trial.config["x"])
        self.trials[trial_id] = SimpleNamespace(trial_id=trial_id, over=False, last={})
        if trial_id not in self.numbers:
            self.numbers[trial_id] = len(self.numbers)
            by, folder = self.search.added_by(trial_id), f"trial_{trial_id}"
            self.log.append(added_event(trial, self.numbers[trial_id], 0.0, folder, None, by, place))
        return True

    def running(self) -> list[str]:
        return [trial_id for trial_id, trial in self.trials.items() if not trial.over]

    def report(self, trial_id: str, **metrics: Any) -> None:
        self.reports[trial_id] = iteration = self.reports[trial_id] + 1
        result = {**metrics, "training_iteration": iteration}
        self.trials[trial_id].last = result
        self.search.on_trial_result(trial_id, dict(result))
        self.log.append(TrialReported(self.numbers[trial_id], iteration=iteration, time_s=1.0, metrics=metrics))

    def end(self, trial_id: str, *, error: bool) -> None:
        self.trials[trial_id].over = True
        self.search.on_trial_complete(trial_id, None if error else dict(self.trials[trial_id].last), error)
        status, reason = ("failed", "error") if error else ("finished", "done")
        self.log.append(TrialEnded(self.numbers[trial_id], status=status, reason=reason))

    def add(self, x: int, start: str | None) -> None:
        if start is not None:
            self.starts[x] = start
        self.search.request(RequestedTrial({"x": x}, start=start))
        self.save_search()
        self.save_list()

    def save_list(self) -> None:
        self.stored_list = [(trial_id, trial.over) for trial_id, trial in self.trials.items()]

    def save_search(self) -> None:
        self.snapshots += 1
        self.search.save_to_dir(str(self.folder), session_str=f"{self.snapshots:03d}")

    # -- resumptions ------------------------------------------------------------------------------

    def past(self) -> dict[str, PastTrial]:
        return dict(past_of(decode(encode(0, self.log))).trials) if self.log else {}

    def resume(self, *, failed: bool = False) -> None:
        self.search = self.new_search()
        if self.search.has_checkpoint(str(self.folder)):
            self.search.restore_from_dir(str(self.folder))
        self.trials = {
            trial_id: SimpleNamespace(trial_id=trial_id, over=over, last={})
            for trial_id, over in self.stored_list or ()
        }
        for trial in self.trials.values():
            trial.is_finished = lambda trial=trial: trial.over

        def stop_trial(trial: Any) -> None:
            trial.over = True
            self.search.on_trial_complete(trial.trial_id)

        recorder: Any = SimpleNamespace(
            ended_by_scheduler={}, on_waiting=lambda past: self.log.append(TrialQueued(past.number, iteration=0))
        )
        scheduler: Any = SimpleNamespace(
            remember=lambda trials: None, go_on=lambda past: None, controller=SimpleNamespace(stop_trial=stop_trial)
        )
        restored = list(self.trials.values())
        past = past_of(decode(encode(0, self.log))) if self.log else past_of([])
        Resumption(scheduler, self.search, recorder, failed=failed).catch_up(past, restored)
        for (
            past_trial
        ) in past.trials.values():  # Tune retries none that is over in its list, but the search asks for it
            if (trial := self.trials.get(past_trial.ray_id)) and trial.over and past_trial.is_resumed(failed=failed):
                del self.trials[past_trial.ray_id]
        for past_trial in past.trials.values():
            if past_trial.is_resumed(failed=failed) and past_trial.ray_id in self.trials:
                self.log.append(TrialQueued(past_trial.number, iteration=0))
        self.check()

    def check(self) -> None:
        assert self.search.failures.first is None, self.search.failures.first

    def usable(self, trial_id: str) -> float | None:
        """Return the last number that a trial has reported, according to the log; None if it has failed or has none."""
        if self.past()[trial_id].status == "failed":
            return None
        number = self.numbers[trial_id]
        found = [
            event.metrics.get("y") for event in self.log if isinstance(event, TrialReported) and event.trial == number
        ]
        numbers = [value for value in found if isinstance(value, float) and not math.isnan(value)]
        return numbers[-1] if numbers else None

    def told(self) -> list[tuple[int, float]]:
        algorithm = self.search.searcher
        assert isinstance(algorithm, Strict)
        return [(x, value) for x, value in algorithm.told if value is not None] + algorithm.added


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Returns a function that creates an experiment."""

    def create(times: int = 1, *, learns: bool = False, trials: int = 0) -> World:
        made = World(tmp_path, times, learns=learns)
        made.save_search()
        for _ in range(trials):
            made.create()
        return made

    return create


def algorithm(world: World) -> Any:
    return world.search.searcher


def test_a_trial_that_was_queued_again_when_the_snapshot_was_written_is_created_once(world: Any) -> None:
    one = world(trials=2)
    one.resume()
    one.save_search()  # both are queued
    first, second = one.past()
    one.create()
    one.report(first, y=1.0)
    one.end(first, error=False)
    one.save_list()
    one.resume()
    assert [request.past.ray_id for request in one.search._state.requested] == [second]
    one.resume()
    assert [request.past.ray_id for request in one.search._state.requested] == [second]
    one.create()
    one.create()
    assert set(one.trials) > {first, second}
    assert algorithm(one).told == [(1, 1.0)]


def test_a_trial_whose_proposal_is_not_made_again_goes_on_with_what_tune_knows_of_it(world: Any) -> None:
    one = world(learns=True, trials=2)
    first, second = one.trials
    one.report(first, y=1.0)
    one.end(first, error=False)
    one.save_list()
    one.resume()
    one.report(second, y=2.0)
    one.end(second, error=False)
    one.check()
    assert one.told() == [(1, 1.0), (2, 2.0)]


@pytest.mark.parametrize("list_is_newer", [True, False])
def test_the_algorithm_is_told_once_of_the_end_whichever_file_is_newer(world: Any, list_is_newer: bool) -> None:
    one = world(trials=1)
    (trial,) = one.trials
    one.report(trial, y=1.0)
    (one.save_search if list_is_newer else one.save_list)()
    one.end(trial, error=False)
    (one.save_list if list_is_newer else one.save_search)()
    one.resume()
    assert algorithm(one).told == [(1, 1.0)]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("saved", [False, True])
def test_the_last_usable_result_counts_after_any_number_of_resumptions(world: Any, times: int, saved: bool) -> None:
    one = world(times, trials=times)
    *over, last = one.trials
    for trial in over:
        one.report(trial, y=2.0)
        one.report(trial, other=1.0)
        one.end(trial, error=False)
    one.report(last, y=2.0)
    one.report(last, y=math.nan)
    for _ in range(2):
        if saved:
            one.save_search()
            one.save_list()
        one.resume()
    while one.create():
        pass
    one.end(last, error=False)
    assert one.told() == [(1, 2.0)]


@pytest.mark.parametrize("times", [1, 3])
def test_a_clone_starts_from_its_checkpoint_after_a_kill(world: Any, times: int) -> None:
    one = world(times)
    one.add(-1, "checkpoint")
    one.create()
    for _ in range(2):
        one.resume()
        one.save_search()
    while one.create():  # it compares what each starts from
        pass
    assert [past.config["x"] for past in one.past().values()].count(-1) == times


def test_the_mean_is_that_of_the_proposal_if_it_is_made_again(world: Any) -> None:
    one = world(3, trials=4)
    for number, trial in enumerate(list(one.trials)[:3]):
        one.report(trial, y=float(number))
        one.end(trial, error=False)
    one.resume()
    assert algorithm(one).told == [(1, 1.0)]
    assert algorithm(one).added == []


def test_a_search_that_has_ended_makes_no_further_repeats_after_a_resumption(world: Any) -> None:
    one = world(3, trials=1)
    one.search.set_finished()
    one.save_search()
    one.save_list()
    one.resume()
    assert one.search.is_finished()
    assert not one.create()


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.parametrize("times", [1, 3])
def test_an_experiment_that_is_killed_again_and_again_goes_on_exactly(
    tmp_path_factory: pytest.TempPathFactory, times: int, data: st.DataObject
) -> None:
    draw = data.draw
    world = World(tmp_path_factory.mktemp("again"), times, learns=draw(st.booleans(), "learns"))
    retried, added = False, 0
    moves = ["create"] * 4 + ["report"] * 3 + ["end"] * 3 + ["fail", "add", "list", "search", "snapshot"]

    def go_on(steps: int) -> None:
        nonlocal added
        for _ in range(steps):
            running = world.running()
            match draw(st.sampled_from(moves)):
                case "create":
                    world.create()
                case "report" if running:
                    trial_id = draw(st.sampled_from(running))
                    value = draw(st.floats(0, 9) | st.sampled_from([math.nan, None]))
                    world.report(trial_id, **({} if value is None else {"y": value}), other=1.0)
                case "end" | "fail" as how if running:
                    world.end(draw(st.sampled_from(running)), error=how == "fail")
                case "add":
                    added += 1
                    world.add(-added, draw(st.sampled_from([None, f"checkpoint {added}"])))
                case "list":
                    world.save_list()
                case "search":
                    world.save_search()
                case "snapshot":
                    world.save_list()
                    world.save_search()
            world.check()

    go_on(draw(st.integers(0, 25)))
    for _ in range(draw(st.integers(1, 3), "kills")):
        failed = draw(st.booleans(), "failed trials are resumed")
        retried |= failed and any(past.status == "failed" for past in world.past().values())
        world.resume(failed=failed)
        go_on(draw(st.integers(0, 15)))
    # Then it runs to its end.
    while not world.search.is_finished() or world.running():
        before = len(world.trials)
        while world.create():
            pass
        assert len(world.trials) > before or world.running(), "it waits for nothing"
        for trial_id in world.running():
            world.report(trial_id, y=float(world.numbers[trial_id]))
            world.end(trial_id, error=False)
    world.check()

    past = world.past()
    assert all(one.status for one in past.values())
    groups: dict[int, list[PastTrial]] = {}
    for one in past.values():
        groups.setdefault(one.config["x"], []).append(one)
    assert sum(x > 0 for x in groups) >= SAMPLES
    assert sum(x < 0 for x in groups) == added
    told = Counter(x for x, _ in world.told())
    for x, members in groups.items():
        assert sorted(one.repeat for one in members) == list(range(times))
        assert told[x] <= 1
        values = [value for one in members if (value := world.usable(one.ray_id)) is not None]
        if times == 1 or not retried:
            found = [value for other, value in world.told() if other == x]
            assert found == ([pytest.approx(np.mean(values))] if values else []), (x, members)
