"""Control of running sweeps. `test_schedulers.py` does it with each scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.tune.schedulers import HyperBandScheduler

import nbtune

REPORTS = 12


@pytest.fixture
def counting() -> Any:
    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 12):
            nbtune.report(step=step, acc=config["a"] * step, checkpoint={"step": step})
            time.sleep(0.1)

    return train


@pytest.fixture
def waiting(tmp_path: Any) -> Any:
    """A training function that reports once a second until the test creates a file."""
    gate = str(tmp_path / "gate")

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        while not os.path.exists(gate):
            nbtune.report(acc=config["a"])
            time.sleep(0.2)

    train.open = lambda: open(gate, "w").close()  # type: ignore[attr-defined]
    return train


def has_all_reports_once(experiment: Any) -> bool:
    """Return whether every trial has each of its reports exactly once, in order."""
    history = experiment.history.groupby("trial")["iteration"].apply(list)
    return all(made == list(range(1, len(made) + 1)) for made in history)


def test_pause_resume_stop_and_add(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0.1, 1)}, samples=3, metric="acc", mode="max")
    until(
        lambda: any(len(t.checkpoints) > 1 for t in experiment.trials.values() if t.status == "running"), "checkpoints"
    )
    trial = next(t for t in experiment.trials.values() if t.status == "running" and len(t.checkpoints) > 1)
    trial.pause()
    until(lambda: trial.status == "paused", "it gives up its place", 20)
    experiment.add(a=0.75)
    until(lambda: 0.75 in experiment.df["a"].tolist(), "the point that was added")
    added = experiment.trials[int(experiment.df.index[experiment.df["a"] == 0.75][0])]
    until(lambda: added.status not in {"pending"}, "it has a place")
    assert trial.status == "paused"
    trial.resume()
    experiment.wait(120)
    assert experiment.status == "finished"
    assert len(experiment.df) == 4
    assert set(experiment.df["status"]) == {"finished"}
    assert experiment.df["iterations"].tolist() == [REPORTS] * 4
    assert has_all_reports_once(experiment)


def test_a_trial_without_checkpoints_is_not_paused(run: Any, until: Any, waiting: Any) -> None:
    experiment = run(waiting, {"a": nbtune.uniform(0, 1)}, samples=1)
    until(lambda: len(experiment.history), "a report")
    with pytest.raises(nbtune.ExperimentError, match="no trial has saved a checkpoint so far"):
        experiment.trials[0].pause()
    with pytest.raises(nbtune.ExperimentError, match="trial 0 cannot be resumed: it is not paused"):
        experiment.trials[0].resume()
    waiting.open()
    experiment.wait(60)
    experiment.trials[0].pause()  # nothing to do
    with pytest.raises(nbtune.ExperimentError, match="is finished: it does not run"):
        experiment.trials[0].resume()


def test_the_number_of_concurrent_trials_can_be_changed(run: Any, until: Any, waiting: Any) -> None:
    experiment = run(waiting, {"a": nbtune.uniform(0, 1)}, samples=4, max_concurrent=1)
    until(lambda: len(experiment.history) > 2, "reports")
    assert experiment.df["status"].tolist() == ["running"]
    assert experiment.max_concurrent == 1
    experiment.max_concurrent = 2
    until(lambda: experiment.df["status"].tolist().count("running") == 2, "two at once")
    until(lambda: experiment.max_concurrent == 2, "it is told")
    experiment.max_concurrent = 1
    experiment.trials[0].stop()
    until(lambda: experiment.trials[0].status == "stopped", "trial 0 is stopped")
    reports = len(experiment.history)
    until(lambda: len(experiment.history) > reports + 5, "the other one goes on")
    assert experiment.df["status"].tolist() == ["stopped", "running"]
    waiting.open()
    experiment.wait(60)
    assert experiment.df["status"].tolist() == ["stopped", "finished", "finished", "finished"]


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_samples_are_added_during_the_run_and_after_its_end(run: Any, until: Any, counting: Any, search: str) -> None:
    experiment = run(
        counting, {"a": nbtune.uniform(0.1, 1)}, samples=2, metric="acc", mode="max", search=search, seed=3
    )
    until(lambda: len(experiment.history), "a report")
    experiment.extend(1)
    assert experiment.wait(90).status == "finished"
    assert experiment.df["status"].tolist() == ["finished"] * 3
    before = experiment.df["a"].tolist()
    experiment.extend(2)
    assert experiment.wait(90).status == "finished"
    assert experiment.df["a"].tolist()[:3] == before
    assert experiment.df["status"].tolist() == ["finished"] * 5
    assert len(set(experiment.df["a"])) == 5
    assert has_all_reports_once(experiment)
    assert len(experiment.results) == 5
    with pytest.raises(nbtune.ExperimentError, match="nothing to resume: all 5 trials are over"):
        experiment.resume()


def test_a_clone_starts_from_the_checkpoint(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0.1, 1), "b": nbtune.choice(["x", "y"])}, samples=1)
    until(lambda: experiment.trials and len(experiment.trials[0].checkpoints) > 2, "checkpoints")
    experiment.trials[0].clone(a=0.5, checkpoint=True)
    with pytest.raises(nbtune.ExperimentError, match="no parameter 'aa' .did you mean 'a'..; it has a, b"):
        experiment.trials[0].clone(aa=0.5)
    experiment.wait(60)
    first, clone = experiment.trials[0], experiment.trials[1]
    assert clone.config == {**first.config, "a": 0.5}
    assert clone.history["step"].iloc[0] > 0
    assert clone.history["step"].iloc[-1] == REPORTS - 1
    assert experiment.df["status"].tolist() == ["finished", "finished"]
    assert len(first.checkpoints) == REPORTS
    assert first.checkpoint["step"] == REPORTS - 1


def test_hyperband_does_not_wait_for_trials_that_end_by_themselves(run: Any, tmp_path: Path) -> None:
    flag = str(tmp_path / "waits")

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 1, 10):
            if config["i"] == 7 and step == 9:  # after it, this trial is paused until the others are as far
                open(flag, "w").close()
            if config["i"] == 6 and step == 5:
                while not os.path.exists(flag):
                    time.sleep(0.05)
                time.sleep(1)
                return
            nbtune.report(acc=config["i"], checkpoint={"step": step})

    scheduler = HyperBandScheduler(max_t=9, reduction_factor=3)
    space = {"i": nbtune.grid_search(list(range(8)))}
    experiment = run(train, space, metric="acc", mode="max", scheduler=scheduler, cpus=0.25).wait(120)
    assert experiment.status == "finished"
    assert experiment.df["iterations"].tolist() == [9, 9, 9, 3, 3, 3, 4, 9]
