"""Each scheduler by its name: steered, killed and resumed; populations, rungs and statuses as they are recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

import nbtune
from nbtune.engine.protocol.events import CheckpointSaved, RungReached, TrialReconfigured, TrialReported
from tests.ray.steering import (
    REPORTS,
    SAMPLES,
    Attached,
    attached_kernel,
    check,
    check_reports,
    events_of,
    has_true_schedules,
    pause_one,
    saving,
    steer,
)
from tests.ray.test_resume import driver_of

SPACE = {"a": nbtune.uniform(0.1, 1), "size": nbtune.randint(1, 5), "kind": nbtune.choice([("x", 1), None])}
SCHEDULERS = {
    "asha(max_t=10, grace_period=2, reduction_factor=1.5)": REPORTS,
    "hyperband(max_t=9)": 9,
    "median(grace_period=2)": REPORTS,
    "pbt(perturbation_interval=2, quantile_fraction=0.5)": None,
    "pbt(perturbation_interval=2, synch=True)": None,
    "pb2(perturbation_interval=2, quantile_fraction=0.5)": None,
    "resources": None,
}
"""A scheduler -> after how many reports it stops the best trial; None if it stops none."""


@pytest.fixture(name="saving")
def saving_fixture() -> Any:
    return saving()


@pytest.fixture(scope="module")
def other(cluster: Any) -> Iterator[Attached]:
    with attached_kernel(cluster.address) as kernel:
        yield kernel


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_everything_that_a_user_can_do(run: Any, until: Any, other: Attached, tmp_path: Path, scheduler: str) -> None:
    """With random search; `tests/extras/test_pairs.py` does it with every pair."""
    steered = steer(run, until, other, tmp_path / "gate", SPACE, scheduler=scheduler)
    check(steered, max_t=SCHEDULERS[scheduler])
    frame = steered.experiment.df
    assert len(frame) == SAMPLES + 3
    assert all(type(size) is int and 1 <= size <= 4 for size in frame["size"].tolist())
    assert all(0.1 <= a <= 1 for a in frame["a"])
    assert set(frame["kind"].map(type)) <= {tuple, type(None)}


def test_what_hyperband_drops_and_what_goes_on(run: Any, saving: Any) -> None:
    """Trials that wait for the others of their bracket are paused, and stopped when they are dropped."""
    space = {"a": nbtune.grid_search([0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.6, 0.7]), "steps": 9}
    options = {"metric": "acc", "mode": "max", "cpus": 0.25}
    experiment = run(saving, space, scheduler="hyperband(max_t=9)", **options).wait(90)
    assert experiment.status == "finished"
    assert set(experiment.df["status"]) == {"stopped", "finished"}
    decisions = events_of(experiment, RungReached)
    assert decisions
    assert all(one.unit == "training_iteration" and one.iteration >= one.rung for one in decisions)
    for number, iterations in experiment.df["iterations"].items():
        dropped = [one.rung for one in decisions if one.trial == number and not one.goes_on]
        assert iterations == (dropped[0] if dropped else 9)
        trial = experiment.trials[number]
        expected = (
            ("stopped", "stopped by the scheduler") if dropped else ("finished", "it has reached the scheduler's max_t")
        )
        assert (trial.status, trial.reason) == expected
    for rung in experiment._store.lineage.rungs():
        here = [one for one in decisions if one.rung == rung.at]
        assert (rung.reached, rung.went_on) == (len(here), sum(one.goes_on for one in here))
    assert len(experiment.plot("curves").layout.shapes) == len({one.rung for one in decisions})


def test_the_rungs_of_asha(run: Any, saving: Any) -> None:
    space = {"a": nbtune.grid_search([0.9, 0.1, 0.2, 0.8]), "steps": 6}
    scheduler = "asha(max_t=6, grace_period=1, reduction_factor=2)"
    options = {"metric": "acc", "mode": "max", "scheduler": scheduler, "max_concurrent": 1}
    experiment = run(saving, space, **options).wait(90)
    assert experiment.df["iterations"].tolist() == [6, 1, 1, 2]
    assert experiment.df["status"].tolist() == ["finished", "stopped", "stopped", "stopped"]
    assert experiment.to_optuna().trials[0].state.name == "COMPLETE"
    rungs = [(rung.at, rung.reached, rung.went_on) for rung in experiment._store.lineage.rungs()]
    assert rungs == [(1, 4, 2), (2, 2, 1), (4, 1, 1)]


def test_reports_have_the_parameters_that_population_based_training_has_set(run: Any, tmp_path: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 20):
            nbtune.report(used=config["a"], acc=config["a"] * step, checkpoint={"step": step})

    scheduler = PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=2, hyperparam_mutations={"a": tune.uniform(0.01, 1)}
    )
    space = {"a": nbtune.grid_search([0.01, 0.5, 0.6, 1.0])}
    experiment = run(train, space, metric="acc", mode="max", scheduler=scheduler, max_concurrent=4).wait(120)
    assert experiment.status == "finished"
    for seen in (experiment, nbtune.load(experiment.path)):
        history, frame = seen.history, seen.df
        assert history["used"].groupby(history["trial"]).nunique().max() > 1, "the scheduler has changed no parameter"
        assert history["a"].tolist() == history["used"].tolist()
        assert frame["a"].tolist() == frame["used"].tolist()
        assert seen.best.config["a"] == seen.best.metrics["used"]
        reached = history[(history["trial"] == seen.best.id) & (history["iteration"] == seen.best.value_iteration)]
        assert reached["acc"].tolist() == [seen.best.value] == [history["acc"].max()]
        assert reached["used"].tolist() == [seen.best.value_config["a"]]
    # Each report has brought a checkpoint, and also the last report before a copy. All of them are known, each once.
    saved = events_of(experiment, CheckpointSaved)
    in_storage = Path(experiment.path).glob("*/checkpoint_*")
    assert sorted(event.path for event in saved) == sorted(f"{path.parent.name}/{path.name}" for path in in_storage)
    made = [(event.trial, event.iteration) for event in events_of(experiment, TrialReported)]
    assert sorted((event.trial, event.iteration) for event in saved) == sorted(made)


def test_a_population_that_is_killed_goes_on_with_what_it_knows(run: Any, until: Any, tmp_path: Path) -> None:
    """Trials are copied before and after the resumption, also those that have reached the comparison before it."""
    # The best value is not at an end of the list, where Tune's step to a neighbor may leave a copy as it is.
    space = {"a": nbtune.grid_search([0.1, 0.9, 0.2]), "steps": 12}
    scheduler = "pbt(perturbation_interval=4, quantile_fraction=0.34, synch=True, resample_probability=0)"
    options = {"metric": "acc", "mode": "max", "scheduler": scheduler, "mutate": "a", "seed": 3, "max_concurrent": 3}
    gate = tmp_path / "gate"
    experiment = run(saving(gate), space, **options)
    until(lambda: len(experiment.history) and experiment.history["trial"].value_counts().max() >= 5, "a comparison")
    driver_of(experiment).kill()
    experiment.wait(60)
    experiment = nbtune.load(experiment.path)
    assert experiment.status == "lost"
    gate.touch()
    experiment.resume()
    assert experiment.wait(90).status == "finished", experiment.error
    assert experiment.df["iterations"].tolist() == [12, 12, 12]
    assert has_true_schedules(experiment)
    copies = events_of(experiment, TrialReconfigured)
    assert copies
    reports = Counter(event.trial for event in events_of(experiment, TrialReported))
    for copy in copies:
        assert copy.source != copy.trial
        assert 0 < copy.source_iteration <= reports[copy.source]
        assert (Path(experiment.path) / copy.path).is_dir()
    assert len(experiment.plot("family").data) > 3

    changed = next(found for found in map(experiment.schedule, experiment.trials) if len(found) > 1)
    for schedule in (changed, changed[:1]):
        scheduler = ("pbt_replay", {"policy": schedule})
        replayed = run(saving(), {"a": nbtune.uniform(0, 1), "steps": 12}, scheduler=scheduler)
        assert replayed.wait(60).status == "finished", replayed.error
        assert replayed.df["iterations"].tolist() == [12], "Ray's own replay ends before"
        assert replayed.schedule(0) == schedule
        assert has_true_schedules(replayed)


def test_a_replay_is_paused_and_killed_and_goes_on(run: Any, until: Any, tmp_path: Path) -> None:
    """It is killed where its parameters change, and the state of the scheduler in storage is older."""
    gate, schedule = tmp_path / "gate", [(0, {"a": 0.2}), (3, {"a": 0.9}), (6, {"a": 0.5}), (8, {"a": 0.7})]
    scheduler = ("pbt_replay", {"policy": schedule})
    experiment = run(saving(gate), {"a": nbtune.uniform(0, 1)}, scheduler=scheduler)
    number = pause_one(experiment, until)
    trial = experiment.trials[number]
    for more in (lambda: experiment.add(a=0.5), lambda: experiment.extend(1), trial.clone):
        with pytest.raises(nbtune.ExperimentError, match="replays the schedule of one trial"):
            more()
    snapshot = {path: path.read_bytes() for path in Path(experiment.path).iterdir() if path.is_file()}
    trial.resume()
    until(lambda: trial._state.iterations >= 5, "its next report comes with a change")
    trial.pause()
    until(lambda: trial.status == "paused", "it is paused with that report", 30)
    driver_of(experiment).kill()
    experiment.wait(60)
    for path in Path(experiment.path).iterdir():
        if path.is_file():
            path.unlink()
    for path, content in snapshot.items():
        path.write_bytes(content)
    experiment = nbtune.load(experiment.path).resume()
    gate.touch()
    assert experiment.wait(90).status == "finished", experiment.error
    assert experiment.schedule(0) == schedule
    assert has_true_schedules(experiment)
    check_reports(experiment)
    assert experiment.df["iterations"].tolist() == [REPORTS]


def test_resources_change_and_a_trial_is_paused_meanwhile(run: Any, until: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        step = checkpoint["step"] if checkpoint else 0
        while step < 60:
            step += 1
            cpus = nbtune.get_context().resources["CPU"]
            nbtune.report(step=step, cpus=cpus, checkpoint={"step": step})
            time.sleep(0.02 if os.path.exists(config["gate"]) else 0.2)
            step = 59 if os.path.exists(config["gate"]) and step < 59 and cpus == 2 else step

    experiment = run(train, {"gate": str(gate)}, scheduler="resources", samples=1)
    until(lambda: len(experiment.history) and experiment.history["cpus"].max() == 2, "it gets what is free")
    trial = experiment.trials[0]
    until(lambda: trial.status == "running", "it runs")
    trial.pause()
    until(lambda: trial.status == "paused", "it is paused")
    trial.resume()
    gate.touch()
    assert experiment.wait(60).status == "finished", experiment.error


def test_a_scheduler_that_has_compared_nothing_says_so(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        values = {"acc": config["a"]}
        for _ in range(3):
            nbtune.report(**values)

    scheduler = "asha(time_attr='epoch')"
    experiment = run(train, {"a": nbtune.uniform(0, 1)}, metric="acc", mode="max", scheduler=scheduler).wait(60)
    assert experiment.status == "finished"
    expected = "the scheduler AsyncHyperBandScheduler has compared no trial: no report has its time_attr, 'epoch'"
    assert expected in experiment._store.metadata["warning"]
    assert expected in repr(experiment)
