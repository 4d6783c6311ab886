"""Resuming after a stop, a crash and a failure, without missing or duplicate reports."""

from __future__ import annotations

import linecache
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Repeater, Searcher

import nbtune
from nbtune.engine.storage.segments import FOLDER
from tests.ray.pace import allow
from tests.ray.test_control import has_all_reports_once
from tests.ray.test_faults import placement_groups, reports_in_storage, trial_processes


@pytest.fixture
def counting() -> Any:
    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 20):
            nbtune.report(step=step, acc=config["a"] * step, checkpoint={"step": step})
            time.sleep(0.1)

    return train


def driver_of(experiment: Any) -> psutil.Process:
    """Return the process of the driver of an experiment."""
    return psutil.Process(ray.get(experiment._source.driver.actor.pid.remote()))


def test_an_experiment_goes_on_with_the_stored_code_or_with_new_code(
    run: Any, until: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "nbtune")
    monkeypatch.setenv("NBT_OF_THE_NOTEBOOK", "secret")
    cells: dict[str, Any] = {"__name__": "__main__", "nbtune": nbtune, "data": np.zeros(300_000), "folder": tmp_path}

    def cell(number: int, text: str) -> None:
        linecache.cache[f"<cell {number}>"] = (len(text), None, text.splitlines(keepends=True), f"<cell {number}>")
        exec(compile(text, f"<cell {number}>", "exec"), cells)

    cell(1, "def value():\n    return 1 + data[0]")
    train = """def train(config):
    import os, time
    assert os.environ["NBT_GIVEN"] == "1"
    checkpoint = nbtune.get_checkpoint()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 9):
        nbtune.report(value=value(), checkpoint={"step": step})
        while step >= END and not (folder / "go").exists():
            time.sleep(0.05)"""
    cell(2, train.replace("END", "2"))
    experiment = run(
        cells["train"], {"a": nbtune.uniform(0, 1)}, samples=1, metric="value", mode="max", env="NBT_GIVEN=1"
    )
    until(lambda: len(experiment.history) == 3, "reports")
    experiment.stop()
    experiment.wait(60)

    cell(3, "def value():\n    return 2 + data[1]")
    cell(4, train.replace("END", "4"))
    cells["data"] = np.ones(300_000)
    monkeypatch.delenv("NBT_OF_THE_NOTEBOOK")
    experiment.resume()
    assert any("do not have them: NBT_OF_THE_NOTEBOOK." in text for text in caplog.messages)
    until(lambda: len(experiment.history) >= 4, "reports after the resumption")
    (message,) = (text for text in caplog.messages if "goes on" in text)
    assert "goes on with its stored code; changed since: train, value" in message
    assert "+    return 2 + data[1]" in message
    assert "changed since in the notebook: train, value" in repr(experiment)
    experiment.stop()
    experiment.wait(60)
    assert set(experiment.history["value"]) == {1.0}

    experiment.resume(code="new")
    until(lambda: 3.0 in experiment.history["value"].tolist(), "reports of the new code, with the new variables")
    assert "step >= 4" in experiment.source
    assert "its code was replaced (train, value)" in repr(experiment)
    driver_of(experiment).kill()
    experiment.wait(60)
    files = [path.name for path in Path(experiment.path, FOLDER).glob("large-*")]
    assert files == ["large-1-0.bin"], "those of the earlier code are deleted"

    (tmp_path / "go").touch()
    again = nbtune.load(experiment.path)
    assert "step >= 4" in again.source
    again.resume().wait(60)
    assert again.status == "finished"
    values = again.history["value"].tolist()
    assert len(values) == 9
    assert values == sorted(values)
    assert values[-1] == 3.0, "the new code is the stored one"
    assert "its code was replaced (train, value)" in repr(again)


class Told(Searcher):
    """Proposes x = 1, 2, 3…, and writes down what it is told, in the driver's process."""

    def __init__(self, path: str) -> None:
        super().__init__(metric="y", mode="max")
        self.path, self.proposed = path, dict[str, int]()

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self.proposed[trial_id] = len(self.proposed) + 1
        return {"x": self.proposed[trial_id]}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.write(self.proposed[trial_id], "failed" if error else result["y"])

    def add_evaluated_point(self, parameters: Any, value: Any, *more: Any) -> None:
        self.write(parameters["x"], value)

    def write(self, x: Any, value: Any) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{x} {value}\n")


def test_repeats_of_configurations_survive_a_killed_driver(run: Any, until: Any, tmp_path: Path) -> None:
    go, told = tmp_path / "go", tmp_path / "told"

    def train(x: int) -> None:
        import random
        import time

        while x == 2 and not go.exists():
            time.sleep(0.05)
        if x == 3:
            raise ValueError("a configuration that fails")
        nbtune.report(y=x + random.random())

    experiment = run(
        train, {"x": nbtune.randint(0, 99)}, samples=3, metric="y", mode="max", seed=1,
        search=Repeater(Told(str(told)), repeat=2),
    )  # fmt: skip
    assert str(experiment.plan).startswith("3 configurations × 2 repeats = 6 trials")
    until(
        lambda: experiment._store.counts["finished"] == 2 and experiment._store.counts["running"] == 2, "in the midst"
    )
    assert repr(experiment).count("mean of 2 repeats of configuration 0: x=1") == 1
    driver_of(experiment).kill()
    experiment.wait(60)
    again = nbtune.load(experiment.path)
    again.resume()
    until(lambda: again._store.counts["running"] == 2, "it runs again")
    again.add(x=70)
    again.trials[0].clone()
    again.extend(1)
    go.touch()
    again.wait(120)
    assert again.status == "finished"
    frame, configurations = again.df, again.configurations
    assert again._store.progress() == (12, 12)
    assert frame.groupby("configuration")["repeat"].apply(sorted).tolist() == [[0, 1]] * 6
    assert frame.groupby("configuration")["x"].nunique().tolist() == [1] * 6
    assert sorted(configurations["x"]) == [1, 1, 2, 3, 4, 70]
    assert configurations["complete"].all()
    whole = frame[frame["status"] == "finished"]
    assert len(whole) == 10
    assert whole["y"].nunique() == 10, "each repeat has a random seed of its own"
    assert again.best.config == {"x": 70}
    assert again.best.mean == configurations["y_mean"].max() == whole.loc[whole["x"] == 70, "y"].mean()
    lines = {line for line in told.read_text().splitlines() if not line.endswith("failed")}
    found = sorted((int(x), float(mean)) for x, mean in map(str.split, lines))
    means = configurations[configurations["x"] != 3].sort_values(["x", "y_mean"])
    assert [x for x, _ in found] == means["x"].tolist()
    assert [mean for _, mean in found] == pytest.approx(means["y_mean"].tolist())


def test_a_queued_clone_starts_from_the_checkpoint_that_it_was_given(run: Any, until: Any, tmp_path: Path) -> None:
    """The other trial goes on meanwhile, and keeps one checkpoint; the driver is killed, and the folder moved."""
    limit = tmp_path / "limit"
    allow(limit, 4)

    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 12):
            while step >= int(limit.read_text()):
                time.sleep(0.05)
            nbtune.report(step=step, acc=config["a"] * step, checkpoint={"step": step})

    options = {"samples": 1, "repeat": 2, "max_concurrent": 1, "keep_checkpoints": 1, "metric": "acc", "mode": "max"}
    experiment = run(train, {"a": nbtune.uniform(0.1, 1)}, **options)
    until(lambda: len(experiment.history) == 4 and experiment.trials[0].checkpoint["step"] == 3, "the first steps")
    experiment.trials[0].clone(a=0.5, checkpoint=True)
    driver_of(experiment).kill()
    experiment.wait(60)
    moved = Path(experiment.path).rename(tmp_path / "moved")
    experiment = nbtune.load(str(moved)).resume()
    allow(limit, 12)
    assert experiment.wait(120).status == "finished", experiment.error
    assert experiment.df["status"].tolist() == ["finished"] * 4, [
        state.traceback for state in experiment._store.states()
    ]
    steps = [experiment.trials[number].history["step"].tolist() for number in range(4)]
    by_configuration = dict(
        zip(zip(experiment.df["configuration"], experiment.df["repeat"], strict=True), steps, strict=True)
    )
    assert by_configuration == {
        (0, 0): list(range(12)), (0, 1): list(range(12)), (1, 0): list(range(4, 12)), (1, 1): list(range(4, 12))
    }  # fmt: skip
    # What the clones have started from is deleted when nobody needs it any more.
    assert [len(list(moved.glob(f"{trial._state.folder}/checkpoint_*"))) for trial in experiment.trials.values()] == [
        1
    ] * 4


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_a_stopped_experiment_is_resumed(run: Any, until: Any, counting: Any, search: str) -> None:
    experiment = run(
        counting, {"a": nbtune.uniform(0.1, 1)}, samples=4, metric="acc", mode="max", search=search, seed=1
    )
    until(lambda: experiment._store.counts["finished"] and experiment._store.counts["running"] == 2, "some are over")
    experiment.stop()
    experiment.wait(30)
    before = experiment.df
    assert experiment.status == "stopped"
    assert set(before["status"]) == {"finished", "stopped"}
    until(lambda: not trial_processes(), "no trial process", 10)
    assert experiment.resume() is experiment
    until(lambda: experiment.status == "running", "it runs again")
    assert experiment.resume() is experiment, "it runs: there is nothing to resume"
    experiment.wait(120)
    assert experiment.status == "finished"
    assert experiment.df["status"].tolist() == ["finished"] * 4
    assert experiment.df["a"].tolist()[: len(before)] == before["a"].tolist()
    assert experiment.df["iterations"].tolist() == [20] * 4
    assert has_all_reports_once(experiment)
    assert len(experiment.results) == 4
    assert nbtune.load(experiment.path).history["step"].tolist() == experiment.history["step"].tolist()


def test_an_experiment_with_a_killed_driver_is_resumed_in_another_handle(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0.1, 1)}, samples=3, metric="acc", mode="max", search="optuna")
    until(lambda: len(experiment.history) > 10, "reports")
    driver_of(experiment).kill()
    experiment.wait(60)
    assert experiment.status == "lost"
    assert "the driver is gone" in experiment.error
    again = nbtune.attach(experiment.path)
    assert again.status == "lost"
    assert again.source == experiment.source
    again.resume()
    again.wait(120)
    assert again.status == "finished", again.error
    assert again.error is None
    assert again.df["iterations"].tolist() == [20] * 3
    assert has_all_reports_once(again)
    until(lambda: not placement_groups(), "no placement group", 20)
    until(lambda: ray.available_resources().get("CPU") == 2, "all CPUs back", 20)


def test_an_experiment_whose_log_is_destroyed_is_resumed_from_the_files_of_tune(
    run: Any, until: Any, counting: Any
) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0.1, 1)}, samples=4, metric="acc", mode="max", seed=1)
    until(lambda: experiment._store.counts["finished"] and experiment._store.counts["running"] == 2, "some are over")
    experiment.stop()
    experiment.wait(30)
    before = experiment.df
    (segment,) = Path(experiment.path, "nbtune").glob("events-*")
    segment.write_bytes(damaged := segment.read_bytes()[:200])
    again = nbtune.load(experiment.path)
    assert again.status == "lost"
    assert "are damaged or missing" in repr(again)
    again.resume()
    again.wait(120)
    assert again.status == "finished", again.error
    assert "are damaged or missing" in repr(again)
    after = again.df
    assert after["status"].tolist() == ["finished"] * 4
    assert sorted(after["a"])[0] < sorted(after["a"])[3]
    assert set(before["a"]) <= set(after["a"])
    assert after["iterations"].tolist() == [20] * 4
    assert again.best.metrics["acc"] == pytest.approx(19 * max(after["a"]))
    # Nothing that was trained before is trained again: the finished trials have no report but their last.
    over = before.index[before["status"] == "finished"]
    reports = again.history.groupby(again.history["trial"].map(after["a"]))["step"].agg(["min", "max"])
    assert (reports["max"] == 19).all()
    assert (reports.loc[before.loc[over, "a"], "min"] == 19).all()
    assert segment.read_bytes() == damaged


def test_a_driver_that_was_killed_before_tune_has_written_its_state(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": nbtune.uniform(0.1, 1)}, samples=2, seed=1)
    until(lambda: experiment.status != "pending" or len(experiment.df), "it has begun")
    driver_of(experiment).kill()
    experiment.wait(60)
    assert experiment.status == "lost"
    experiment.resume()
    experiment.wait(120)
    assert experiment.status == "finished", experiment.error
    assert experiment.df["iterations"].tolist() == [20, 20]
    assert has_all_reports_once(experiment)


def test_failed_trials_are_resumed_on_request(run: Any, until: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()

    def train(config: dict[str, Any]) -> None:
        import os

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 6):
            if step == 3 and config["a"] == 2 and os.path.exists(config["file"]):
                raise ValueError("broken")
            nbtune.report(step=step, checkpoint={"step": step})

    experiment = run(train, {"a": nbtune.grid_search([1, 2]), "file": str(broken)})
    experiment.wait(60)
    assert experiment.df["status"].tolist() == ["finished", "failed"]
    with pytest.raises(nbtune.ExperimentError, match=r"resume\(failed=True\) retries the 1 that failed"):
        experiment.resume()
    broken.unlink()
    experiment.resume(failed=True)
    experiment.wait(60)
    assert experiment.df["status"].tolist() == ["finished", "finished"]
    assert experiment.df["error"].isna().all()
    assert experiment.trials[1].history["step"].tolist() == list(range(6))


def test_the_scheduler_keeps_its_state(run: Any, until: Any, tmp_path: Path) -> None:
    """The first trials are good, so a trial that starts after the resumption is stopped by comparison with them."""
    gate = tmp_path / "gate"

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 1, 9):
            nbtune.report(acc=config["a"], checkpoint={"step": step})
        while config["a"] == 0.95 and not os.path.exists(config["gate"]):
            time.sleep(0.1)

    experiment = run(
        train,
        {"a": nbtune.grid_search([0.9, 0.95, 0.1]), "gate": str(gate)},
        metric="acc",
        mode="max",
        scheduler=ASHAScheduler(grace_period=1, max_t=100, reduction_factor=2),
        max_concurrent=1,
    )
    until(lambda: len(experiment.history) == 16, "the first is over, the next has reported")
    experiment.stop()
    experiment.wait(30)
    gate.touch()
    experiment.resume()
    experiment.wait(60)
    assert experiment.df["status"].tolist() == ["finished", "finished", "stopped"]
    assert experiment.df["iterations"].tolist() == [8, 8, 1]


def test_a_kernel_that_died_with_its_embedded_ray(ray_folder: Path, tmp_path: Path) -> None:
    """The captured variables of the notebook are stored, too, including large ones."""
    code = f"""
import os, time, numpy, nbtune
nbtune.connect(cpus=2)
big = numpy.arange(400_000.0)
def train(config):
    import time
    checkpoint = nbtune.get_checkpoint()
    for step in range(checkpoint["step"] + 1 if checkpoint else 0, 12):
        nbtune.report(step=step, total=float(big.sum()) + config["a"], checkpoint={{"step": step}})
        time.sleep(0.1)
experiment = nbtune.tune(train, {{"a": nbtune.grid_search([1, 2, 3])}}, storage={str(tmp_path)!r}, wait=False)
while len(experiment.history) < 6:
    time.sleep(0.05)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=180, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again = """
import nbtune
nbtune.connect(cpus=2)
experiment = nbtune.attach("experiment", storage=STORAGE)
print(experiment.status, len(experiment.history) >= 5)
experiment.resume().wait()
print(experiment.status, experiment.df["iterations"].tolist(), experiment.df["total"].tolist())
print([made == list(range(12)) for made in experiment.history.groupby("trial")["step"].apply(list)])
""".replace("STORAGE", repr(str(tmp_path)))
    shown = subprocess.run([sys.executable, "-c", again], timeout=240, capture_output=True, text=True)
    total = sum(range(400_000))
    assert shown.stdout.splitlines() == [
        "lost True",
        f"finished [12, 12, 12] [{total + 1.0}, {total + 2.0}, {total + 3.0}]",
        "[True, True, True]",
    ], shown.stderr


def test_errors_of_resuming(run: Any, tmp_path: Path) -> None:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        tune.report({"x": 1})

    tune.Tuner(train, run_config=tune.RunConfig(name="plain", storage_path=str(tmp_path), verbose=0)).fit()
    with pytest.raises(nbtune.ExperimentError, match="cannot be resumed: it does not contain the code"):
        nbtune.load(str(tmp_path / "plain")).resume()
    with pytest.raises(nbtune.ExperimentError, match="there is no experiment 'plian' .did you mean 'plain'"):
        nbtune.attach("plian", storage=str(tmp_path))


def test_the_driver_ends_with_its_experiment(run: Any, until: Any, counting: Any) -> None:
    experiment = run(counting, {"a": 1})
    until(lambda: len(experiment.history), "a report")
    driver, actor = driver_of(experiment), experiment._source.driver.actor
    assert (
        os.path.basename(experiment.path) in nbtune.experiments(os.path.dirname(experiment.path)).query("live").index[0]
    )
    experiment.wait(60)
    assert reports_in_storage(experiment.path) == 20
    until(lambda: ray.get(actor.info.remote()) is None, "the process runs nothing any more")
    assert driver.is_running(), "it stays for the next experiment"
    assert not nbtune.experiments(os.path.dirname(experiment.path))["live"].any()
