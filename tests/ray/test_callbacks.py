"""Callbacks of the user run beside nbtune's own, as Ray Tune calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback, TBXLoggerCallback

import nbtune


def train(config: dict[str, Any]) -> None:
    for step in range(3):
        nbtune.report(loss=config["x"] / (step + 1), done=False, pid="mine")


def notes(file: Path) -> Any:
    """Return a callback that writes what it is called with; local, so that it is sent by value."""

    class Notes(tune.Callback):
        def __init__(self) -> None:
            self.count = 0

        def _note(self, *what: Any) -> None:
            with file.open("a") as out:
                out.write(" ".join(map(str, what)) + "\n")

        def setup(self, **info: Any) -> None:
            self._note("setup", self.count)

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            self.count += 1
            private = [name for name in result if name.startswith("nbtune")]
            self._note("result", trial, result["loss"], result["pid"], result["done"], private)
            result["seen"] = self.count

        def on_experiment_end(self, trials: Any, **info: Any) -> None:
            self._note("end", len(trials))

        def get_state(self) -> Any:
            return {"count": self.count}

        def set_state(self, state: Any) -> None:
            self.count = state["count"]

    return Notes()


def raising() -> Any:
    class Raises(tune.Callback):
        def on_trial_start(self, **info: Any) -> None:
            raise ValueError("no start today")

        def on_trial_result(self, **info: Any) -> None:
            raise SystemExit("no result today")

    return Raises()


def test_callbacks_are_called_and_one_that_raises_is_named(run: Any, tmp_path: Path) -> None:
    loggers = [TBXLoggerCallback(), CSVLoggerCallback(), JsonLoggerCallback()]  # type: ignore[no-untyped-call]
    experiment = run(
        train,
        {"x": nbtune.grid_search([1.0, 2.0])},
        callbacks=[raising(), notes(tmp_path / "seen"), *loggers],
        trial_name_creator=lambda trial: f"x={trial.config['x']}",
        trial_dirname_creator=lambda trial: "same/folder",
    )
    assert experiment.wait(120).status == "finished"
    seen = (tmp_path / "seen").read_text().splitlines()
    assert (seen[0], seen[-1]) == ("setup 0", "end 2")
    assert sorted(seen[1:-1]) == sorted(
        f"result x={x} {x / step} mine False []" for x in (1.0, 2.0) for step in (1, 2, 3)
    )
    assert sorted(experiment.history["seen"]) == [1, 2, 3, 4, 5, 6], "a callback may add to a report"
    text = repr(experiment)
    assert text.count("the callback Raises raised ValueError: no start today in on_trial_start") == 1, text
    assert "test_callbacks.py" in text
    assert "SystemExit" not in text
    folders = sorted(path.name for path in Path(experiment.path).glob("same_folder*"))
    assert len(folders) == 2, folders
    assert folders[0] == "same_folder"
    for folder in folders:
        files = [path.name for path in (Path(experiment.path) / folder).iterdir()]
        assert any(name.startswith("events.out.tfevents") for name in files), files
        assert len((Path(experiment.path) / folder / "progress.csv").read_text().splitlines()) == 4
        assert len((Path(experiment.path) / folder / "result.json").read_text().splitlines()) == 3


def test_the_state_of_a_callback_is_restored(run: Any, until: Any, tmp_path: Path) -> None:
    def waits(config: dict[str, Any]) -> None:
        import time

        for step in range(2):
            nbtune.report(loss=step, pid=0, done=False)
            while not config["go"].exists():
                time.sleep(0.05)

    experiment = run(waits, {"go": tmp_path / "go"}, callbacks=notes(tmp_path / "seen"))
    until(lambda: len(experiment.history) == 1, "a report")
    experiment.stop()
    experiment.wait(60)
    (tmp_path / "go").touch()
    assert experiment.resume().wait(120).status == "finished"
    setups = [line for line in (tmp_path / "seen").read_text().splitlines() if line.startswith("setup")]
    assert setups == ["setup 0", "setup 1"]
    assert not list(Path(experiment.path).glob("callback-states-*")), "Tune's own file is not signed"


@pytest.mark.parametrize("given", [tune.Callback, 3, [1]])
def test_what_is_no_callback(run: Any, given: Any) -> None:
    with pytest.raises(nbtune.SpecError, match="expected callbacks, objects of subclasses of"):
        run(train, {"x": 1}, callbacks=given)
