"""Drivers that are killed again and again at random moments, and folders that are moved between two runs.

`NBTUNE_KILLS` is the number of kills in the first loop (the others have half as many), and `NBTUNE_SEED` decides when.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining

import nbtune
from tests.ray.pace import allow
from tests.ray.stores import bucket
from tests.ray.test_control import has_all_reports_once
from tests.ray.test_resume import driver_of

KILLS = int(os.environ.get("NBTUNE_KILLS", "4"))
SEED = int(os.environ.get("NBTUNE_SEED", "0"))


STEPS = 15
"""How many steps a trial makes from one kill to the next, in 0.75 s. Then it waits, so that none ends before."""


def steps_for(kills: int) -> int:
    """Return how many steps a trial needs to live through a number of kills."""
    return STEPS * (kills + 1)


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    """Returns the file that says how many steps the trials of `saving` may make: the first ones."""
    limit = tmp_path / "limit"
    allow(limit, STEPS)
    return limit


@pytest.fixture
def saving(limit: Path) -> Any:
    file = str(limit)

    def train(config: dict[str, Any]) -> None:
        import time
        import uuid

        attempt = uuid.uuid4().hex
        checkpoint = nbtune.get_checkpoint()
        first = checkpoint["step"] + 1 if checkpoint else 0
        for step in range(first, config["steps"]):
            while True:
                with open(file) as allowed:
                    if step < int(allowed.read()):
                        break
                time.sleep(0.02)
            saved = {"step": step, "fill": "x" * 100_000}
            nbtune.report(step=step, first=first, acc=config["a"] * step, attempt=attempt, checkpoint=saved)
            time.sleep(0.05)

    return train


def has_each_report_once(experiment: Any) -> bool:
    """Return whether each attempt of each trial has all of its reports once, in order, from its first step on."""
    attempts = experiment.history.groupby(["trial", "attempt"])
    return all(list(one["step"]) == list(range(one["first"].iloc[0], one["step"].iloc[-1] + 1)) for _, one in attempts)


@pytest.fixture
def killed(until: Callable[..., None], limit: Path) -> Callable[[Any, int], Any]:
    """Returns a function that kills the driver of an experiment again and again, and waits for the end."""
    numbers = random.Random(SEED)

    def kill_and_resume(experiment: Any, kills: int) -> Any:
        for kill in range(kills):
            before = len(experiment.history)
            until(lambda before=before, now=experiment: len(now.history) > before or now.over, "it goes on", 90)
            time.sleep(numbers.uniform(0, 1))
            driver_of(experiment).kill()
            experiment.wait(60)
            assert experiment.status == "lost", experiment.error
            assert has_each_report_once(experiment), f"after kill {kill} with seed {SEED}"
            path = Path(experiment.path)
            if kill % 2:
                other = path.parent / f"moved {kill} ü%20" / f"{path.name}-{kill}"
                other.parent.mkdir()
                path = path.rename(other)
            allow(limit, STEPS * (kill + 2))
            experiment = nbtune.load(str(path))
            experiment.resume()
        experiment.wait(180)
        assert experiment.status == "finished", experiment.error
        assert has_each_report_once(experiment)
        return experiment

    return kill_and_resume


def checkpoints_in(experiment: Any, trial: Any) -> set[str]:
    """Return the names of a trial's folders with checkpoints in storage, also of those that nobody lists."""
    return {path.name for path in Path(experiment.path, trial._state.folder).glob("checkpoint_*")}


def test_a_driver_that_is_killed_at_random_moments(run: Any, killed: Any, saving: Any) -> None:
    """Each report is there once, the kept checkpoints too, and the trials continue from them: also in a moved folder."""
    steps = steps_for(KILLS)
    experiment = killed(
        run(
            saving,
            {"a": nbtune.uniform(0.5, 1), "steps": steps},
            samples=4,
            metric="acc",
            mode="max",
            seed=1,
            scheduler=ASHAScheduler(grace_period=steps - 10, max_t=10 * steps),
            keep_checkpoints=2,
        ),
        KILLS,
    )
    assert has_all_reports_once(experiment)
    frame = experiment.df
    assert set(frame["status"]) <= {"finished", "stopped"}, [state.traceback for state in experiment._store.states()]
    assert frame["iterations"].max() == steps
    # A trial that was killed goes on from its checkpoint, at most some steps before its last report.
    starts = experiment.history.groupby("trial")["first"].max()
    assert starts.max() > 0
    for trial in experiment.trials.values():
        # The two best, the latest, and one that the last killed process of the trial may have saved.
        assert 1 <= len(checkpoints_in(experiment, trial)) <= 4, checkpoints_in(experiment, trial)
        assert trial.checkpoint["step"] == trial.metrics["step"]
    assert [folder.name for folder in Path(experiment.path).parent.iterdir()] == [Path(experiment.path).name]


def trials_of_tune(experiment: Any) -> list[str]:
    """Return the ids of the trials in Tune's latest snapshot."""
    newest = max(Path(experiment.path).glob("experiment_state-*.json"))
    return [json.loads(one)["trial_id"] for one, _ in json.loads(newest.read_text())["trial_data"]]


def test_a_run_that_is_killed_and_stopped_as_soon_as_it_was_resumed(run: Any, until: Any, limit: Path) -> None:
    """Tune's snapshot then has a trial that goes on and was not created yet: it exists once, with all that it saved."""

    def train(config: dict[str, Any]) -> None:
        import time
        import uuid

        attempt, checkpoint = uuid.uuid4().hex, nbtune.get_checkpoint()
        first = checkpoint["step"] + 1 if checkpoint else 0
        for step in range(first, 9 if config["a"] else 1):
            while step >= int(limit.read_text()):
                time.sleep(0.05)
            nbtune.report(step=step, first=first, attempt=attempt, checkpoint={"step": step})

    def saved(experiment: Any) -> list[list[int]]:
        return [[saved["step"] for saved in trial.checkpoints] for trial in experiment.trials.values()]

    def killed_after(steps: int, experiment: Any) -> Any:
        """Return the experiment after a kill, when storage has a number of steps of two trials."""
        allow(limit, steps)
        until(lambda: len(experiment.history), "a report", 90)
        known = [[0], [*range(steps)], [*range(steps)]]
        until(lambda: saved(nbtune.load(experiment.path)) == known, f"{steps} steps", 90)
        driver_of(experiment).kill()
        experiment.wait(60)
        return nbtune.load(experiment.path)

    # The third trial begins when the first is over, which is after the first snapshot, and before the next one.
    experiment = run(train, {"a": nbtune.grid_search([0, 1, 2])}, max_concurrent=2)
    experiment = killed_after(3, experiment)
    assert len(trials_of_tune(experiment)) == 2
    experiment.add(a=3)  # so that a snapshot is written before the first step
    experiment = killed_after(6, experiment)
    assert len(trials_of_tune(experiment)) == 2, "the third one was queued"
    before = [checkpoints_in(experiment, trial) for trial in experiment.trials.values()]
    experiment.resume().stop()
    experiment.wait(60)
    experiment = nbtune.load(experiment.path)
    assert experiment.status == "stopped"
    experiment.resume()
    experiment = killed_after(8, experiment)
    allow(limit, 9)
    experiment.resume()
    experiment.wait(120)
    assert experiment.status == "finished", experiment.error
    assert experiment.df["status"].tolist() == ["finished"] * 4
    assert experiment.df["a"].tolist() == [0, 1, 2, 3]
    assert has_all_reports_once(experiment)
    assert has_each_report_once(experiment)
    assert saved(experiment) == [[0], *[list(range(9))] * 3]
    assert all(known <= checkpoints_in(experiment, experiment.trials[trial]) for trial, known in enumerate(before))
    starts = [sorted(trial.history["first"].unique()) for trial in experiment.trials.values()]
    assert starts == [[0], [0, 3, 6, 8], [0, 3, 6, 8], [0]], "each goes on from its latest checkpoint"
    assert len(trials_of_tune(experiment)) == len(set(trials_of_tune(experiment))) == 4


def test_population_based_training_that_is_killed(run: Any, killed: Any, saving: Any) -> None:
    """Trials copy each other's checkpoints, which neither the kills nor `keep_checkpoints` must lose.

    The numbers of their reports are those of the trial that they copy.
    """
    kills = (KILLS + 1) // 2
    steps = steps_for(kills)
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=5,  # also with the last report: a trial that copies another one has nothing left to train
        hyperparam_mutations={"a": [0.5, 0.7, 0.9]},
        quantile_fraction=0.5,
    )
    space = {"a": nbtune.choice([0.5, 0.7, 0.9]), "steps": steps}
    options = {"samples": 2, "metric": "acc", "mode": "max", "seed": 1, "keep_checkpoints": 2}
    experiment = killed(run(saving, space, scheduler=scheduler, **options), kills)
    assert set(experiment.df["status"]) == {"finished"}, "\n".join(
        str(one.traceback) for one in experiment._store.states()
    )
    for trial in experiment.trials.values():
        assert trial.history["step"].iloc[-1] == steps - 1
        # The parameters change, so that a later step need not have a better value.
        best = trial.history["acc"].idxmax()
        assert trial.checkpoint["step"] == trial.history.loc[best, "step"]


def test_distributed_trials_that_are_killed(run: Any, killed: Any, saving: Any) -> None:
    """The checkpoints of the workers, of which each saves a part, are complete or not there."""
    kills = (KILLS + 1) // 2
    steps = steps_for(kills)
    options = {"metric": "acc", "mode": "max", "keep_checkpoints": 2, "workers": 2, "cpus": 0.5}
    experiment = killed(run(saving, {"a": 1.0, "steps": steps}, **options), kills)
    assert has_all_reports_once(experiment)
    (trial,) = experiment.trials.values()
    assert trial.status == "finished", trial.error
    assert trial.history["step"].tolist() == list(range(steps))
    assert [trial.checkpoint.load(rank)["step"] for rank in (0, 1)] == [steps - 1] * 2
    assert 1 <= len(checkpoints_in(experiment, trial)) <= 3, checkpoints_in(experiment, trial)


def test_a_killed_experiment_that_is_copied_to_an_object_store_and_back(
    run: Any, until: Any, saving: Any, limit: Path, store: str, keys: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It is loaded and resumed there, killed there, and resumed from a copy of that on a disk."""
    server = bucket(store, "copies")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store}")
    steps = 60
    options = {"metric": "acc", "mode": "max", "samples": 2, "keep_checkpoints": 2}
    experiment = run(saving, {"a": nbtune.uniform(0.5, 1), "steps": steps}, **options)
    known = 10
    for copy in ("s3://copies/some/where", str(tmp_path / "back")):
        until(lambda: len(experiment.history) >= known, f"{known} reports")  # noqa: B023
        driver_of(experiment).kill()
        experiment.wait(60)
        experiment = nbtune.load(experiment.path)  # what is in storage: the last events may have been only in memory
        reports, name = len(experiment.history), Path(experiment.path).name
        source = (server, f"copies/some/where/{name}") if experiment.path.startswith("s3") else (None, experiment.path)
        target = (server, f"copies/some/where/{name}") if copy.startswith("s3") else (None, f"{copy}/{name}")
        if target[0] is None:
            Path(target[1]).mkdir(parents=True)
        local = pafs.LocalFileSystem()
        pafs.copy_files(
            source[1], target[1], source_filesystem=source[0] or local, destination_filesystem=target[0] or local
        )
        experiment = nbtune.load(f"{copy}/{name}")
        assert len(experiment.history) == reports
        assert has_all_reports_once(experiment)
        for trial in experiment.trials.values():
            if trial.checkpoint is not None:
                assert trial.checkpoint["step"] <= trial.metrics["step"]
        experiment.resume()
        known = reports + 20
        allow(limit, 45)
    allow(limit, steps)
    experiment.wait(180)
    assert experiment.status == "finished", experiment.error
    assert has_all_reports_once(experiment)
    assert experiment.df["iterations"].tolist() == [steps, steps]
    for trial in experiment.trials.values():
        assert trial.checkpoint["step"] == steps - 1
    # One of them may have waited for a process, and so not have run, between the two kills.
    starts = sorted(trial.history["first"].nunique() for trial in experiment.trials.values())
    assert starts in ([2, 3], [3, 3]), "the trials go on from their checkpoints"
