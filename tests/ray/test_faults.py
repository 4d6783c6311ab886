"""Stopped, killed and failing trials and drivers."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
import ray
from ray.util.placement_group import placement_group_table

import nbtune
from nbtune.engine.protocol.events import TrialReported
from nbtune.testing import recorded


def trial_processes() -> list[psutil.Process]:
    """Return the processes that run trials on the cluster of the tests."""
    found = []
    for process in psutil.process_iter(["cmdline", "username"]):
        line = " ".join(process.info["cmdline"] or [])
        if (
            line.startswith("ray::TrialHost.train")  # others wait for the next experiment
            and f"{os.environ['RAY_TMPDIR']}/" in _environment(process)
        ):
            found.append(process)
    return found


def _environment(process: psutil.Process) -> str:
    try:
        return process.environ().get("RAY_TMPDIR", "") + "/"
    except psutil.Error:
        return ""


def reports_in_storage(path: str) -> int:
    return sum(len(chunk.rows_of(TrialReported)) for chunk in recorded(path))


def placement_groups() -> list[Any]:
    return [group for group in placement_group_table().values() if group["state"] != "REMOVED"]


@pytest.fixture
def hanging() -> Any:
    def train(config: dict[str, Any]) -> None:
        import time

        nbtune.report(acc=config["a"])
        time.sleep(1000)

    return train


@pytest.fixture
def counting() -> Any:
    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 15):
            nbtune.report(step=step, process=os.getpid(), checkpoint={"step": step})
            time.sleep(0.1)

    return train


def test_stop_ends_everything(run: Any, until: Any, hanging: Any) -> None:
    experiment = run(hanging, {"a": nbtune.uniform(0, 1)}, samples=6, metric="acc", mode="max")
    until(lambda: len(experiment.history) == 2, "two trials reporting")
    assert len(trial_processes()) >= 2
    experiment.stop()
    experiment.wait(30)
    assert experiment.status == "stopped"
    assert set(experiment.df["status"]) == {"stopped"}
    assert experiment.best is not None
    until(lambda: not trial_processes(), "no trial process", 10)
    until(lambda: not placement_groups(), "no placement group", 10)
    until(lambda: ray.available_resources().get("CPU") == 2, "all CPUs back", 10)
    experiment.stop()  # it has no effect, and is no error
    assert experiment.status == "stopped"


def test_stopping_one_trial_frees_its_resources(run: Any, until: Any, hanging: Any) -> None:
    experiment = run(hanging, {"a": nbtune.uniform(0, 1)}, samples=3, metric="acc", mode="max")
    until(lambda: len(experiment.history) == 2, "two trials reporting")
    experiment.trials[0].stop()
    until(lambda: experiment.trials[0].status == "stopped", "trial 0 stopped", 5)
    until(lambda: len(experiment.history) == 3, "the third trial reporting")
    assert experiment.df["status"].tolist() == ["stopped", "running", "running"]
    assert experiment.df["error"].isna().all()
    experiment.stop()
    experiment.wait(30)


def test_a_time_budget_ends_hanging_trials(run: Any, hanging: Any) -> None:
    experiment = run(hanging, {"a": nbtune.uniform(0, 1)}, samples=4, metric="acc", mode="max", time_budget=8)
    experiment.wait(60)
    assert experiment.status == "stopped"
    assert set(experiment.df["status"]) == {"stopped"}


def test_a_killed_trial_continues_from_its_checkpoint(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0, 1)}, max_failures=1)
    until(lambda: len(experiment.history) >= 4, "four reports")
    killed = int(experiment.trials[0].metrics["process"])
    os.kill(killed, signal.SIGKILL)
    experiment.wait(90)
    history = experiment.trials[0].history
    assert experiment.df["status"].tolist() == ["finished"]
    assert experiment.trials[0].error is None
    assert history["step"].tolist() == list(range(15))
    assert history["iteration"].tolist() == list(range(1, 16))
    assert history["process"].nunique() == 2
    assert history["process"].iloc[0] == killed


def test_a_killed_trial_without_retries_has_failed(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.grid_search([1, 2])})
    until(lambda: len(experiment.history) >= 6, "six reports")
    number = int(experiment.history["trial"].iloc[0])
    os.kill(int(experiment.trials[number].metrics["process"]), signal.SIGKILL)
    experiment.wait(90)
    assert experiment.trials[number].status == "failed"
    assert (
        experiment.df.loc[number, "error"] == "the trial's process has ended without a message: it was probably killed"
    )
    assert sorted(experiment.df["status"]) == ["failed", "finished"]
    assert experiment.status == "finished"


def test_an_experiment_with_a_killed_driver_is_lost_with_its_results_stored(run: Any, until: Any, hanging: Any) -> None:
    experiment = run(hanging, {"a": nbtune.uniform(0, 1)}, samples=2, metric="acc", mode="max")
    until(lambda: len(experiment.history) == 2, "two reports")
    until(lambda: reports_in_storage(experiment.path) == 2, "both reports in storage", 10)
    ray.kill(experiment._source.driver.actor)
    experiment.wait(60)
    assert experiment.status == "lost"
    assert "driver is gone" in experiment.error
    assert len(experiment.df) == 2
    again = nbtune.load(experiment.path)
    assert again.status == "lost"
    assert again.history["acc"].tolist() == experiment.history["acc"].tolist()
    until(lambda: ray.available_resources().get("CPU") == 2, "all CPUs back", 30)


def test_trials_that_exit_fail_with_their_own_message(run: Any) -> None:
    """One sweep with a trial for each way in which code can end, and one that is not concerned."""

    def train(config: dict[str, Any]) -> None:
        import asyncio
        import sys

        import optuna

        class Own(BaseException):
            pass

        nbtune.report(acc=1.0, how=config["how"])
        if config["how"] == "exit":
            sys.exit("bad config")
        elif config["how"] == "exit 0":
            sys.exit(0)
        elif config["how"] == "interrupt":
            raise KeyboardInterrupt
        elif config["how"] == "own":
            raise Own("mine")
        elif config["how"] == "generator":
            raise GeneratorExit
        elif config["how"] == "cancelled":
            raise asyncio.CancelledError
        elif config["how"] == "stop iteration":
            next(iter([]))
        elif config["how"] == "pruned":
            raise optuna.TrialPruned
        elif config["how"] == "os exit":
            os._exit(7)
        elif config["how"] == "input":
            eval("input")("?")
        nbtune.report(acc=2.0)

    expected = {
        "exit": "SystemExit: bad config",
        "exit 0": "SystemExit: 0",
        "interrupt": "KeyboardInterrupt",
        "own": "Own: mine",
        "generator": "GeneratorExit",
        "cancelled": "asyncio.exceptions.CancelledError",
        "stop iteration": "StopIteration",
        "input": "RuntimeError: input() waits for an answer of a user, whom a trial cannot ask; remove the call",
    }
    ways = [*expected, "os exit", "pruned", "return"]
    experiment = run(train, {"how": nbtune.grid_search(ways)}, metric="acc", mode="max")
    experiment.wait(120)
    by_way = {trial.config["how"]: trial for trial in experiment.trials.values()}
    for way, error in expected.items():
        trial = by_way[way]
        assert (trial.status, trial.metrics["acc"]) == ("failed", 1.0), way
        assert trial.error is not None
        assert error in trial.error.replace(
            "test_trials_that_exit_fail_with_their_own_message.<locals>.train.<locals>.", ""
        )
        for wrong in ("\x1b", "RayTaskError", "Should not have reached"):
            assert wrong not in trial.error
    assert by_way["os exit"].status == "failed"
    assert by_way["pruned"].status == "stopped"
    assert by_way["pruned"].error is None
    assert by_way["return"].status == "finished"
    assert by_way["return"].metrics["acc"] == 2.0
    assert experiment.status == "finished"


def test_failures_are_grouped_by_the_line_of_the_users_code(run: Any) -> None:
    """Exceptions from several lines, chained ones, those of libraries, and processes that end, all in one sweep."""

    class Own(Exception):
        pass

    def halved(x: int) -> int:
        if x == 3:
            raise ValueError(f"{x} is odd")
        return x // 2

    def train(config: dict[str, Any]) -> None:
        import json
        import os
        import signal

        how, x = config["how"], config["x"]
        if how == "raise":
            raise ValueError(f"x is {x}")
        if how == "called":
            halved(3)
        if how == "chained":
            try:
                halved(3)
            except ValueError as error:
                raise Own(x) from error
        if how == "library":
            json.loads("{" + str(x))
        if how == "memory":
            bytearray(2**62)
        if how == "slow":
            raise TimeoutError(f"{x} s")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            os._exit(7)
        nbtune.report(acc=x)

    ways = ["raise", "called", "chained", "library", "memory", "slow", "kill", "exit", "none"]
    space = {"how": nbtune.grid_search(ways), "x": nbtune.grid_search([1, 2])}
    experiment = run(train, space, metric="acc", mode="max")
    experiment.wait(200)
    failures = experiment.failures
    ways_of = [{experiment.trials[number].config["how"] for number in row} for row in failures["trials"]]
    assert all(len(ways) == 1 for ways in ways_of), ways_of
    rows = {next(iter(ways)): row for ways, (_, row) in zip(ways_of, failures.iterrows(), strict=True)}
    assert set(rows) == set(ways) - {"none"}
    assert {row["count"] for row in rows.values()} == {2}
    assert {way: row["cause"] for way, row in rows.items() if row["cause"] != "exception"} == {
        "memory": "out of memory",
        "slow": "time-out",
        "kill": "process died",
        "exit": "process died",
    }
    assert {way: row["text"] for way, row in rows.items() if way != "kill"} == {
        "raise": 'raise ValueError(f"x is {x}")',
        "called": 'raise ValueError(f"{x} is odd")',
        "chained": "raise Own(x) from error",
        "library": 'json.loads("{" + str(x))',
        "memory": "bytearray(2**62)",
        "slow": 'raise TimeoutError(f"{x} s")',
        "exit": "os._exit(7)",
    }
    assert {row["file"] for way, row in rows.items() if way != "kill"} == {__file__}
    assert len({row["line"] for row in rows.values()}) == len(rows), "each is at another line"
    assert "16 trials failed: 2 × ValueError at test_faults.py, line " in repr(experiment)
