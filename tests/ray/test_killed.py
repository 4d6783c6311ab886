"""Drivers that are killed again and again at random moments, and folders that are moved between two runs.

`NBTUNE_KILLS` is the number of kills in the first loop (the others have half as many), and `NBTUNE_SEED` decides when.
"""

from __future__ import annotations

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
from tests.ray.stores import bucket
from tests.ray.test_control import has_all_reports_once
from tests.ray.test_resume import driver_of

KILLS = int(os.environ.get("NBTUNE_KILLS", "4"))
SEED = int(os.environ.get("NBTUNE_SEED", "0"))


def steps_for(kills: int) -> int:
    """Return how many steps a trial needs to live through a number of kills."""
    return 30 + 10 * kills


@pytest.fixture
def saving() -> Any:
    def train(config: dict[str, Any]) -> None:
        import time
        import uuid

        attempt = uuid.uuid4().hex
        checkpoint = nbtune.get_checkpoint()
        first = checkpoint["step"] + 1 if checkpoint else 0
        for step in range(first, config["steps"]):
            saved = {"step": step, "fill": "x" * 100_000}
            nbtune.report(step=step, first=first, acc=config["a"] * step, attempt=attempt, checkpoint=saved)
            time.sleep(0.05)

    return train


def has_each_report_once(experiment: Any) -> bool:
    """Return whether each attempt of each trial has all of its reports once, in order, from its first step on."""
    attempts = experiment.history.groupby(["trial", "attempt"])
    return all(list(one["step"]) == list(range(one["first"].iloc[0], one["step"].iloc[-1] + 1)) for _, one in attempts)


@pytest.fixture
def killed(until: Callable[..., None]) -> Callable[[Any, int], Any]:
    """Returns a function that kills the driver of an experiment again and again, and waits for the end."""
    numbers = random.Random(SEED)

    def kill_and_resume(experiment: Any, kills: int) -> Any:
        for kill in range(kills):
            before = len(experiment.history)
            until(lambda before=before, now=experiment: len(now.history) > before or now.over, "it goes on", 90)
            time.sleep(numbers.uniform(0, 2))
            if experiment.over:
                assert kill >= kills / 2, "the trials are too short"
                break
            driver_of(experiment).kill()
            experiment.wait(60)
            assert experiment.status == "lost", experiment.error
            assert has_each_report_once(experiment), f"after kill {kill} with seed {SEED}"
            path = Path(experiment.path)
            if kill % 2:
                other = path.parent / f"moved {kill} ü%20" / f"{path.name}-{kill}"
                other.parent.mkdir()
                path = path.rename(other)
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


def test_population_based_training_that_is_killed(run: Any, killed: Any, saving: Any) -> None:
    """Trials copy each other's checkpoints, which neither the kills nor `keep_checkpoints` must lose.

    The numbers of their reports are those of the trial that they copy.
    """
    kills = (KILLS + 1) // 2
    steps = steps_for(kills)
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=5,
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
    run: Any, until: Any, saving: Any, store: str, keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded and resumed there, killed there, and resumed from a copy of that on a disk."""
    server = bucket(store, "copies")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store}")
    steps = 60
    options = {"metric": "acc", "mode": "max", "samples": 2, "keep_checkpoints": 2}
    experiment = run(saving, {"a": nbtune.uniform(0.5, 1), "steps": steps}, **options)
    known = 10
    for copy in ("s3://copies/some/where", str(tmp_path / "back")):
        until(lambda: len(experiment.history) >= known or experiment.over, f"{known} reports")  # noqa: B023
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
    experiment.wait(180)
    assert experiment.status == "finished", experiment.error
    assert has_all_reports_once(experiment)
    assert experiment.df["iterations"].tolist() == [steps, steps]
    for trial in experiment.trials.values():
        assert trial.checkpoint["step"] == steps - 1
        assert trial.history["first"].nunique() == 3, "the trials go on from their checkpoints"
