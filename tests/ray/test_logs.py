"""The output of trials, in processes that several trials share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import nbtune


@pytest.fixture
def chatty() -> Any:
    def train(config: dict[str, Any]) -> None:
        import logging
        import sys
        import warnings

        from tqdm import tqdm

        logging.basicConfig(level="INFO", format="%(message)s")  # effective in the first trial of the process only
        print("print", config["a"])
        logging.info("logging %s", config["a"])
        warnings.warn(f"warning {config['a']}", stacklevel=1)
        print("stderr", config["a"], file=sys.stderr)
        for _ in tqdm(range(3), desc=f"bar {config['a']}", mininterval=0):
            pass
        nbtune.report(process=os.getpid())
        print("after the report", config["a"])
        if config["a"] == 2:
            raise ValueError("boom")

    return train


@pytest.fixture
def waiting(tmp_path: Path) -> Any:
    """A function that prints and reports, and continues when a file exists."""
    gate = str(tmp_path / "go on")

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        print("before", config["a"])
        nbtune.report(process=os.getpid())
        print("printed and not reported", config["a"])
        while not os.path.exists(gate):
            time.sleep(0.01)
        print("after", config["a"])

    return train


def test_each_trial_has_its_own_output(run: Any, chatty: Any, capfd: Any) -> None:
    experiment = run(chatty, {"a": nbtune.grid_search([0, 1, 2, 3])}, max_concurrent=1).wait()
    assert experiment.history["process"].nunique() < 4, "no process ran two trials"
    for number, trial in experiment.trials.items():
        lines = trial.logs().splitlines()
        assert lines[:2] == [f"print {number}", f"logging {number}"]
        assert f"UserWarning: warning {number}" in lines[2]
        assert f"stderr {number}" in lines
        (bar,) = [line for line in lines if line.startswith("bar ")]
        assert bar.startswith(f"bar {number}: 100%")
        assert lines[-1] == f"after the report {number}"
        assert trial.logs(tail=1) == f"after the report {number}\n"
    assert experiment.trials[2].status == "failed"
    loaded = nbtune.load(experiment.path)
    assert [trial.logs() for trial in loaded.trials.values()] == [t.logs() for t in experiment.trials.values()]
    assert capfd.readouterr() == ("", ""), "the notebook shows output of trials"


def test_a_trial_without_output_has_no_file(run: Any) -> None:
    experiment = run(lambda a: {"x": a}, {"a": nbtune.grid_search([1, 2])}).wait()
    assert experiment.trials[1].logs() == ""
    assert not list(Path(experiment.path).glob("trial_*/output"))


def test_output_is_available_while_the_trial_runs(run: Any, until: Any, waiting: Any, tmp_path: Path) -> None:
    experiment = run(waiting, {"a": 7})
    until(lambda: len(experiment.history) == 1, "a report")
    assert experiment.trials[0].logs().startswith("before 7\n"), "output before a report must be stored with it"
    until(lambda: "printed and not reported 7\n" in experiment.trials[0].logs(), "output after the report", 10)
    assert experiment.trials[0].status == "running"
    (tmp_path / "go on").touch()
    experiment.wait()
    assert experiment.trials[0].logs() == "before 7\nprinted and not reported 7\nafter 7\n"


@pytest.mark.parametrize("max_failures", [0, 1])
def test_output_of_a_killed_process_is_stored(
    run: Any, until: Any, waiting: Any, tmp_path: Path, max_failures: int
) -> None:
    experiment = run(waiting, {"a": 7}, max_failures=max_failures)
    until(lambda: len(experiment.history) == 1, "a report")
    until(lambda: "not reported" in experiment.trials[0].logs(), "all output in storage", 10)
    os.kill(int(experiment.trials[0].metrics["process"]), signal.SIGKILL)
    (tmp_path / "go on").touch()
    experiment.wait(90)
    first = "before 7\nprinted and not reported 7\n"
    if max_failures:
        assert experiment.trials[0].status == "finished"
        assert experiment.trials[0].logs() == f"{first}--- started again ---\n{first}after 7\n"
    else:
        assert experiment.trials[0].status == "failed"
        assert experiment.trials[0].logs() == first


def test_output_of_a_trial_that_asha_stops_is_complete(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1, 9):
            print("step", step)
            nbtune.report(acc=config["a"])

    experiment = run(
        train, {"a": nbtune.grid_search([4, 3, 2, 1])}, metric="acc", mode="max", scheduler="asha", max_concurrent=1
    ).wait()
    assert "stopped" in set(experiment.df["status"])
    for trial in experiment.trials.values():
        steps = int(experiment.df.loc[trial.id, "iterations"])
        assert trial.logs() == "".join(f"step {step}\n" for step in range(1, steps + 1))
