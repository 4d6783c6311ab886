"""Class Trainables: their trials run, pause, continue, fail and report like those of functions."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ray import tune

import nbtune


def counter(folder: Path, *, resets: bool = False, slow: bool = False) -> type:
    """Return a class that counts its steps. It is local, so that it is sent by value, as that of a notebook."""

    class Counter(tune.Trainable):
        def setup(self, config: dict[str, Any], bonus: float = 0) -> None:
            self.n, self.bonus = 0, bonus
            with (folder / "setups").open("a") as file:
                file.write(f"{os.getpid()} {config['x']}\n")
            print(f"setup {config['x']}")

        def step(self) -> dict[str, Any]:
            import time

            while slow and self.n == 3 and not (folder / "go").exists():
                time.sleep(0.05)
            self.n += 1
            Path("written.txt").write_text(f"{self.n}")
            return {
                "loss": self.config["x"] / self.n + self.bonus,
                "n": self.n,
                "done": self.n >= 6,
                "pid": "of the user",
                "training_iteration": 10 * self.n,
                "process": os.getpid(),
                "cwd": os.getcwd(),
                "logdir": self.logdir,
            }

        def save_checkpoint(self, checkpoint_dir: str) -> Any:
            return {"n": self.n}

        def load_checkpoint(self, checkpoint: Any) -> None:
            self.n = checkpoint["n"]
            print(f"loaded {self.n}")

        def cleanup(self) -> None:
            print(f"cleanup {self.n}")

    if resets:

        def reset_config(self: Any, new_config: dict[str, Any]) -> bool:
            self.n, self.config = 0, new_config
            return True

        Counter.reset_config = reset_config  # type: ignore[method-assign]
    return Counter


def test_a_class_reports_what_its_step_returns(run: Any, tmp_path: Path) -> None:
    given = tune.with_parameters(counter(tmp_path), bonus=2)
    experiment = run(given, {"x": nbtune.grid_search([1, 2, 3])}, metric="loss", mode="min", checkpoint_frequency=4)
    assert experiment.wait(120).status == "finished", experiment.df["error"].tolist()
    frame, history = experiment.df, experiment.history
    assert frame["status"].tolist() == ["finished"] * 3
    assert frame["iterations"].tolist() == [6] * 3, '"done" ends a trial'
    assert frame["loss"].tolist() == [pytest.approx(x / 6 + 2) for x in (1, 2, 3)]
    rows = history[history["trial"] == 0]
    assert rows["iteration"].tolist() == [1, 2, 3, 4, 5, 6]
    assert rows["training_iteration"].tolist() == [10, 20, 30, 40, 50, 60]
    assert rows["done"].tolist() == [False] * 5 + [True]
    assert set(rows["pid"]) == {"of the user"}
    assert set(rows["cwd"]) == set(rows["logdir"])
    assert str(tmp_path) not in rows["cwd"].iloc[0]
    trial = experiment.trials[0]
    assert trial.logs().splitlines()[0] == "setup 1"
    assert "cleanup 6" in trial.logs()
    assert [Path(file).name for file in trial.files] == ["written.txt"]
    assert trial.checkpoint.load() == {"n": 6}, "at its end"
    assert len(list(Path(experiment.path).glob("*/checkpoint_*"))) == 6, "after 4 iterations, and at the end"
    setups = (tmp_path / "setups").read_text().splitlines()
    assert sorted(line.split()[1] for line in setups) == ["1", "2", "3"], "each trial has an object of its own"
    assert len({line.split()[0] for line in setups}) < 3, "a process runs several trials"
    best = experiment.results.get_best_result()
    assert (best.config, best.metrics["done"]) == ({"x": 1}, True)


def test_an_object_is_reset_if_the_user_wants_it(run: Any, tmp_path: Path) -> None:
    space = {"x": nbtune.grid_search([1, 2, 3, 4])}
    experiment = run(counter(tmp_path, resets=True), space, reuse_actors=True, max_concurrent=1)
    assert experiment.wait(120).status == "finished", experiment.df["error"].tolist()
    assert experiment.df["loss"].tolist() == [x / 6 for x in (1, 2, 3, 4)]
    assert len((tmp_path / "setups").read_text().splitlines()) == 1
    assert len(set(experiment.df["cwd"])) == 4, "each trial has its own folder"
    experiment = run(counter(tmp_path), space, reuse_actors=True, max_concurrent=1)
    assert experiment.wait(120).status == "finished", "a class that cannot be reset"
    assert len((tmp_path / "setups").read_text().splitlines()) == 5


def test_a_class_is_paused_at_any_iteration_cloned_and_retried(run: Any, until: Any, tmp_path: Path) -> None:
    space = {"x": nbtune.grid_search([1, 2])}
    experiment = run(counter(tmp_path, slow=True), space, cpus=0.5, max_failures=1, checkpoint_frequency=2)
    first = experiment.trials
    until(lambda: len(experiment.history) == 6, "three reports of each")
    experiment.trials[0].pause()
    os.kill(int(experiment.trials[1].metrics["process"]), signal.SIGKILL)
    until(lambda: experiment.trials[1].metrics.get("n") == 3 and "loaded 2" in experiment.trials[1].logs(), "a retry")
    (tmp_path / "go").touch()
    until(lambda: experiment.trials[0].status == "paused", "a pause")
    assert len(first) <= 2
    assert experiment.trials[0].metrics["n"] == 4
    until(lambda: experiment.trials[1].status == "finished", "the end of the other one")
    experiment.trials[1].clone(x=5, checkpoint=True)
    experiment.trials[0].resume()
    assert experiment.wait(120).status == "finished", experiment.df
    history = experiment.history
    for number in (0, 1):
        rows = history[history["trial"] == number]
        assert rows["n"].tolist() == rows["iteration"].tolist() == [1, 2, 3, 4, 5, 6], rows
    assert "loaded 4" in experiment.trials[0].logs()
    assert experiment.trials[2].logs().splitlines()[1] == "loaded 6"
    assert experiment.trials[2].metrics["n"] == 7


def test_a_class_goes_on_when_its_experiment_is_resumed(run: Any, until: Any, tmp_path: Path) -> None:
    experiment = run(counter(tmp_path, slow=True), {"x": nbtune.grid_search([1, 2])}, checkpoint_frequency=2)
    until(lambda: len(experiment.history) == 6, "three reports of each")
    experiment.stop()
    experiment.wait(60)
    (tmp_path / "go").touch()
    assert experiment.resume().wait(120).status == "finished"
    assert experiment.df["n"].tolist() == [6, 6]
    assert all("loaded 2" in trial.logs() for trial in experiment.trials.values())
    assert experiment.history.groupby("trial")["n"].apply(list).tolist() == [[1, 2, 3, 4, 5, 6]] * 2


def test_the_errors_of_a_class_are_those_of_its_code(run: Any) -> None:
    class Fails(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            if config["where"] == "setup":
                raise ValueError("no setup today")

        def step(self) -> Any:
            if self.config["where"] == "step":
                raise KeyError("no step today")
            if self.config["where"] == "result":
                return 3
            if self.config["where"] == "report":
                nbtune.report(loss=1)
            return {"loss": 1.0, "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            if self.config["where"] == "save":
                raise RuntimeError("no save today")

        def load_checkpoint(self, checkpoint: Any) -> None:
            pass

        def cleanup(self) -> None:
            if self.config["where"] == "cleanup":
                raise RuntimeError("no cleanup today")

    places = ["setup", "step", "result", "report", "save", "cleanup"]
    experiment = run(Fails, {"where": nbtune.grid_search(places)}).wait(120)
    errors = dict(zip(experiment.df["where"], experiment.df["error"], strict=True))
    assert errors["setup"] == "ValueError: no setup today"
    assert errors["step"] == "KeyError: 'no step today'"
    assert errors["result"].startswith("TypeError: step: expected metrics as a dictionary")
    assert errors["report"].startswith("RuntimeError: report: a class reports what its method step returns")
    assert errors["save"] == "RuntimeError: no save today"
    assert experiment.df["status"].tolist()[-1] == "finished"
    assert "no cleanup today" in experiment.trials[5].logs()
    traceback = experiment.trials[1].error
    assert "tune/trainable" not in traceback
    assert 'raise KeyError("no step today")' in traceback, traceback


def test_the_first_failure_ends_an_experiment_that_fails_fast(run: Any, until: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        nbtune.report(x=config["x"])
        if config["x"] == 1:
            raise ValueError("no")
        time.sleep(60)

    experiment = run(train, {"x": nbtune.grid_search([0, 1, 2, 3])}, fail_fast=True).wait(60)
    assert experiment.status == "stopped"
    assert sorted(experiment.df["status"]) in (["failed", "stopped"], ["failed", "stopped", "stopped"])
    assert "fail_fast" in repr(experiment)
