"""nbtune.results.lineage: how the trials of a population descend from one another, and what went on at the rungs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbtune
from nbtune.engine.protocol.events import (
    ExperimentUpdated,
    RungReached,
    TrialAdded,
    TrialReconfigured,
    TrialReported,
)
from nbtune.results.analysis import plot
from nbtune.results.lineage import Rung
from nbtune.results.store import Store
from nbtune.testing import replay
from tests.unit.feed import feed

SPACE = {"lr": {"kind": "loguniform", "lower": 0.01, "upper": 1.0}}
START = ExperimentUpdated(
    time=1.0, metadata={"status": "running", "name": "d", "metric": "y", "mode": "max", "space": SPACE}
)


def added(trial: int, lr: float) -> TrialAdded:
    return TrialAdded(trial, 2.0, ray_id=f"t{trial}", folder=f"trial_t{trial}", config={"lr": lr})


def reports(trial: int, *iterations: int) -> list[TrialReported]:
    return [TrialReported(trial, 3.0, at, at / 2, metrics={"y": at + trial / 10}) for at in iterations]


def copied(trial: int, source: int, at: int, lr: float, iteration: int = 0) -> TrialReconfigured:
    path = f"trial_t{source}/checkpoint_{at}"
    return TrialReconfigured(trial, 4.0, iteration, config={"lr": lr}, source=source, source_iteration=at, path=path)


def changed(trial: int, iteration: int, lr: float) -> TrialReconfigured:
    return TrialReconfigured(trial, 4.0, iteration, config={"lr": lr})


FAMILY = [
    *(START, added(0, 0.1), added(1, 0.2), added(2, 0.3)),
    *(*reports(0, 1, 2), *reports(1, 1, 2), *reports(2, 1, 2)),
    *(copied(0, 1, 2, 0.25, iteration=2), *reports(0, 3, 4), *reports(1, 3, 4)),
    *(copied(2, 0, 4, 0.35, iteration=2), *reports(2, 5)),
    copied(2, 0, 4, 0.35, iteration=5),  # it has failed, and starts from the same copy once more
    *(*reports(2, 5, 6), copied(0, 2, 6, 0.5, iteration=4)),  # and then it has not reported
]


def schedule_of(store: Store, trial: int) -> list[tuple[int, float]]:
    return [(phase.iteration, phase.configuration.nested["lr"]) for phase in store.lineage.phases(trial)]


@pytest.mark.parametrize("cuts", [(), range(1, len(FAMILY) + 1)])
def test_a_schedule_follows_the_copies_back_to_the_founder(cuts: Any) -> None:
    store = feed(Store(), *FAMILY, cuts=cuts)
    assert schedule_of(store, 1) == [(0, 0.2)]
    assert schedule_of(store, 0) == [(0, 0.2), (2, 0.25)], "what it would have gone on with at last was not trained"
    assert schedule_of(store, 2) == [(0, 0.2), (2, 0.25), (4, 0.35)]
    assert [phase.text for phase in store.lineage.phases(2)] == [
        "",
        "trial 0: from trial 1 at iteration 2",
        "trial 2: from trial 0 at iteration 4",
    ]
    assert [(c.trial, c.source, c.source_iteration, c.iteration) for c in store.lineage.copies()] == [
        (0, 1, 2, 3),
        (2, 0, 4, 5),
    ]
    assert store.lineage.founder(2, len(store.reports) - 1) == 1
    assert store.lineage.founder(2, 5) == 2


def test_a_copy_of_a_trial_that_has_changed_since_its_checkpoint() -> None:
    events = [START, added(0, 0.1), added(1, 0.2), *reports(0, 1), *reports(1, 1), copied(0, 1, 1, 0.3), *reports(0, 2)]
    store = feed(Store(), *events, copied(1, 0, 1, 0.4), *reports(1, 2))  # the checkpoint is older than the copy
    assert schedule_of(store, 1) == [(0, 0.1), (1, 0.4)]


def test_a_copy_that_keeps_the_parameters_is_no_change_of_the_schedule() -> None:
    events = [START, added(0, 0.1), added(1, 0.2), *reports(0, 1), *reports(1, 1), copied(0, 1, 1, 0.2), *reports(0, 2)]
    store = feed(Store(), *events)
    assert schedule_of(store, 0) == [(0, 0.2), (1, 0.2)]
    assert store.lineage.schedule(0) == [(0, {"lr": 0.2})]


def test_a_change_without_a_copy_is_a_phase_as_well() -> None:
    store = feed(Store(), START, added(0, 0.1), *reports(0, 1, 2), changed(0, 2, 0.2), *reports(0, 3))
    assert schedule_of(store, 0) == [(0, 0.1), (2, 0.2)]
    assert store.lineage.copies() == []


def test_a_trial_that_has_started_from_the_beginning_with_other_parameters() -> None:
    store = feed(Store(), START, added(0, 0.1), changed(0, 0, 0.2), *reports(0, 1))
    assert schedule_of(store, 0) == [(0, 0.2)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_the_schedule_is_what_the_weights_have_seen(seed: int, trials: int) -> None:
    """A model of population based training whose weights are the list of the parameters that they were trained with."""
    numbers = random.Random(seed)
    weights: list[list[float]] = [[] for _ in range(trials)]
    checkpoints: list[list[list[float]]] = [[] for _ in range(trials)]
    rates = [round(numbers.random(), 6) for _ in range(trials)]
    events: list[Any] = [START, *(added(trial, rates[trial]) for trial in range(trials))]
    for _ in range(60):
        trial = numbers.randrange(trials)
        if numbers.random() < 0.2 and (sources := [t for t in range(trials) if t != trial and checkpoints[t]]):
            source = numbers.choice(sources)
            before, weights[trial] = len(weights[trial]), list(checkpoints[source][-1])
            rates[trial] = round(numbers.random(), 6)
            checkpoints[trial] = []
            events.append(copied(trial, source, len(weights[trial]), rates[trial], before))
        weights[trial] = [*weights[trial], rates[trial]]
        events += reports(trial, len(weights[trial]))
        if numbers.random() < 0.5:
            checkpoints[trial].append(weights[trial])
    store = feed(Store(), *events)
    for trial in range(trials):
        schedule = schedule_of(store, trial)
        if not weights[trial]:
            continue
        ends = [*(at for at, _ in schedule[1:]), len(weights[trial])]
        seen = [lr for (at, lr), end in zip(schedule, ends, strict=True) for _ in range(end - at)]
        assert seen == weights[trial]


def test_rungs_are_counted_over_brackets() -> None:
    def at(trial: int, rung: float, goes_on: bool, bracket: int = 0) -> RungReached:
        return RungReached(trial, 3.0, 1, rung=rung, unit="training_iteration", bracket=bracket, goes_on=goes_on)

    store = feed(Store(), START, at(0, 4.0, True), at(0, 1.0, True), at(1, 1.0, False), at(2, 1.0, True, bracket=1))
    assert store.lineage.rungs() == [Rung(1.0, "training_iteration", 3, 2), Rung(4.0, "training_iteration", 1, 1)]
    assert store.lineage.rungs()[0].text == "rung 1: 2 of 3 went on"
    assert set(store.trials) == {0, 1, 2}


def test_the_schedule_of_an_experiment() -> None:
    experiment = replay(FAMILY)
    experiment.wait_for_events()
    assert experiment.schedule(2) == experiment.schedule(experiment.trials[2])
    assert experiment.schedule(2) == [(0, {"lr": 0.2}), (2, {"lr": 0.25}), (4, {"lr": 0.35})]
    assert experiment.best.id == 2
    assert experiment.schedule() == experiment.schedule(2)
    with pytest.raises(nbtune.ExperimentError, match="has no trial 9; it has 3"):
        experiment.schedule(9)


def test_figures_of_a_population() -> None:
    store = feed(Store(), *FAMILY)
    schedule = plot(store, "schedule", {})
    lines = {trace.name: trace for trace in schedule.data}
    assert list(lines) == ["trial 0", "trial 1", "trial 2 (best)", "copies"]
    assert list(lines["trial 2 (best)"].x) == [0, 2, 2, 4, 4, 6]
    assert list(lines["trial 2 (best)"].y) == [0.2, 0.2, 0.25, 0.25, 0.35, 0.35]
    assert list(lines["copies"].text) == [
        "trial 0: from trial 1 at iteration 2",
        "trial 2: from trial 0 at iteration 4",
    ]
    assert (list(lines["copies"].x), list(lines["copies"].y)) == ([2, 4], [0.25, 0.35])
    assert schedule.layout.yaxis.type == "log"
    family = plot(store, "family", {})
    founders = [(trace.name, trace.y[0]) for trace in family.data if trace.name and trace.name.startswith("from")]
    assert founders == [
        ("from trial 0", 0),
        ("from trial 1", 0),
        ("from trial 1", 1),
        ("from trial 2", 2),
        ("from trial 1", 2),
    ]
    curves = plot(store, "curves", {})
    (marks,) = [trace for trace in curves.data if trace.name == "copies"]
    assert (list(marks.x), list(marks.y)) == ([3, 5], [3.0, 5.2])
    for kind, text in (("schedule", "parameters were changed"), ("family", "copied another")):
        with pytest.raises(nbtune.ExperimentError, match=text):
            plot(feed(Store(), *FAMILY[:10]), kind, {})
        with pytest.raises(nbtune.ExperimentError, match="there is no trial 9; there are 3"):
            plot(store, kind, {"trials": [9]})
        with pytest.raises(nbtune.ExperimentError, match=f"plot '{kind}': .*'nope'"):
            plot(store, kind, {"nope": 1})
    with pytest.raises(nbtune.ExperimentError, match="there is no parameter 'l' .did you mean 'lr'"):
        plot(store, "schedule", {"params": ["l"]})


def test_rungs_are_lines_in_the_curves() -> None:
    rung = RungReached(0, 3.0, 1, rung=2.0, unit="training_iteration", bracket=0, goes_on=True)
    other = RungReached(0, 3.0, 1, rung=9.0, unit="epochs", bracket=0, goes_on=True)
    figure = plot(feed(Store(), *FAMILY, rung, other), "curves", {})
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 2.0
    assert [(one.text, one.hovertext) for one in figure.layout.annotations] == [("1/1", "rung 2: 1 of 1 went on")]
