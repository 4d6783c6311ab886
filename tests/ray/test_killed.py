"""Drivers that are killed again and again at random moments, and folders that are moved between two runs."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from ray.tune.schedulers import ASHAScheduler

import nbtune
from tests.ray.test_control import has_all_reports_once
from tests.ray.test_resume import driver_of

KILLS = int(os.environ.get("NBTUNE_KILLS", "5"))
SEED = int(os.environ.get("NBTUNE_SEED", "0"))
STEPS = 30 + 10 * KILLS


@pytest.fixture
def saving() -> Any:
    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        first = checkpoint["step"] + 1 if checkpoint else 0
        for step in range(first, config["steps"]):
            nbtune.report(step=step, first=first, acc=config["a"] * step, checkpoint={"step": step})
            time.sleep(0.05)

    return train


def test_a_driver_that_is_killed_at_random_moments(run: Any, until: Any, saving: Any, tmp_path: Path) -> None:
    """Each report is there once, the kept checkpoints too, and the trials continue from them: also in a moved folder."""
    numbers = random.Random(SEED)
    experiment = run(
        saving,
        {"a": nbtune.uniform(0.5, 1), "steps": STEPS},
        samples=4,
        metric="acc",
        mode="max",
        seed=1,
        scheduler=ASHAScheduler(grace_period=STEPS - 10, max_t=10 * STEPS),
        keep_checkpoints=2,
    )
    for kill in range(KILLS):
        before = len(experiment.history)
        until(lambda before=before, now=experiment: len(now.history) > before or now.over, "it goes on", 90)
        time.sleep(numbers.uniform(0, 2))
        if experiment.over:
            break
        driver_of(experiment).kill()
        experiment.wait(60)
        assert experiment.status == "lost", experiment.error
        assert has_all_reports_once(experiment), f"after kill {kill} with seed {SEED}"
        path = Path(experiment.path)
        if kill % 2:
            other = path.parent / f"moved {kill} ü%20" / f"{path.name}-{kill}"
            other.parent.mkdir()
            path = path.rename(other)
        experiment = nbtune.load(str(path))
        experiment.resume()
    experiment.wait(180)
    assert experiment.status == "finished", experiment.error
    assert has_all_reports_once(experiment)
    frame = experiment.df
    assert set(frame["status"]) <= {"finished", "stopped"}, [state.traceback for state in experiment._store.states()]
    assert frame["iterations"].max() == STEPS
    # A trial that was killed goes on from its checkpoint, at most some steps before its last report.
    starts = experiment.history.groupby("trial")["first"].max()
    assert starts.max() > 0
    for trial in experiment.trials.values():
        existing = list(Path(experiment.path, trial._state.folder).glob("checkpoint_*"))
        # A checkpoint whose event was lost with its driver stays there, since its trial does not continue from it.
        assert 1 <= len(existing) <= 3 + KILLS, existing
        assert trial.checkpoint["step"] == trial.metrics["step"]
    assert [folder.name for folder in Path(experiment.path).parent.iterdir()] == [Path(experiment.path).name]
