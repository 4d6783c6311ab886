"""Objects of the user that raise while an experiment runs: it ends with their error, and can be resumed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle, tune
from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

import nbtune
from tests.ray.test_resume import driver_of

TRIALS = 4


class Search(Searcher):
    """Proposes x = 0, 1, 2…, and raises an exception in one of its methods at the trial with a certain number."""

    def __init__(self, raises_in: str) -> None:
        super().__init__(metric="s", mode="max")
        self.raises_in, self.seen = raises_in, 0

    def _visit(self, method: str) -> None:
        if method == self.raises_in:
            self.seen += 1
            if self.seen == 3:
                raise RuntimeError(f"no {method} today")

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self._visit("suggest")
        return {"x": self.seen}

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        self._visit("on_trial_result")

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self._visit("on_trial_complete")
        if self.raises_in == "save":
            self.lock = threading.Lock()  # what cannot be saved


class Scheduler(FIFOScheduler):
    """Raises an exception in one of its methods at its third call."""

    def __init__(self, raises_in: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.raises_in, self.seen = raises_in, 0

    def _visit(self, method: str) -> None:
        self.seen += method == self.raises_in
        if self.seen == 3:
            raise KeyError(method)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._visit("on_trial_add")

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        self._visit("on_trial_result")
        return str(self.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self._visit("choose_trial_to_run")
        return super().choose_trial_to_run(tune_controller)


class StopAll(Stopper):
    """Raises an exception, which is no `Exception`, as soon as there is a result."""

    seen = 0

    def __call__(self, trial_id: str, result: Any) -> bool:
        self.seen += 1
        return False

    def stop_all(self) -> bool:
        if self.seen >= 3:
            raise SystemExit("no disk")
        return False


class Restored(Search):
    """Raises an exception when its state is restored, as long as a file exists."""

    def __init__(self, raises_in: str, broken: Path) -> None:
        super().__init__(raises_in)
        self.broken = broken

    def _fail(self, method: str) -> None:
        if method == self.raises_in and self.seen and self.broken.exists():
            raise RuntimeError(f"no {method} today")

    def suggest(self, trial_id: str) -> Any:
        self.seen += 1
        return {"x": self.seen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fail("__setstate__")


class SavesItself(Restored):
    """A search algorithm with the methods of Tune's own ones."""

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text(str(self.seen))

    def restore(self, checkpoint_path: str) -> None:
        self.seen = int(Path(checkpoint_path).read_text())
        self._fail("restore")


class Variants(BasicVariantGenerator):
    """A search algorithm that is no `Searcher`."""

    def __init__(self, broken: Path) -> None:
        super().__init__()
        self.broken = broken

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)  # type: ignore[no-untyped-call]
        if self.broken.exists():
            sys.exit("no set_state today")


class RestoredScheduler(FIFOScheduler):
    """Raises an exception when it is restored after it has seen a result, as long as a file exists."""

    def __init__(self, broken: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.broken, self.seen = broken, 0

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        self.seen += 1
        return str(self.CONTINUE)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.seen and self.broken.exists():
            raise KeyError("no scheduler today")


class Unreadable(StopAll):
    """Raises an exception when it is read, as long as a file exists."""

    def __init__(self, broken: Path) -> None:
        self.broken = broken

    def stop_all(self) -> bool:
        return False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.broken.exists():
            raise ValueError("no stopper today")


def define_by_run(trial: Any) -> dict[str, Any]:
    trial.suggest_float("x", 0, 1)
    return {}


def train(config: dict[str, Any]) -> None:
    for _ in range(2):
        nbtune.report(s=float(config["x"]))


def third_is_wrong(config: Any) -> float:
    import gc  # its variables are those of the process: the function itself is sent by value

    drawn = vars(gc)["drawn"] = vars(gc).get("drawn", 0) + 1
    return float(1 / (3 - drawn))


def stop(trial_id: str, result: Any) -> bool:
    return bool(result["s"] > 0.5 and [][0])


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "suggest": ({"search": Search("suggest")}, "RuntimeError: no suggest today (raised by the search algorithm Search"),
    "on_trial_result": ({"search": Search("on_trial_result")}, "RuntimeError: no on_trial_result today"),
    "on_trial_complete": ({"search": Search("on_trial_complete")}, "RuntimeError: no on_trial_complete today"),
    "save": ({"search": Search("save")}, "TypeError: cannot pickle '_thread.lock' object"),
    "on_trial_add": ({"scheduler": Scheduler("on_trial_add")}, "KeyError: 'on_trial_add' (raised by the scheduler"),
    "result": ({"scheduler": Scheduler("on_trial_result")}, "KeyError: 'on_trial_result' (raised by the scheduler"),
    "choose": ({"scheduler": Scheduler("choose_trial_to_run")}, "KeyError: 'choose_trial_to_run'"),
    "stopper": ({"stop": StopAll()}, "SystemExit: no disk (raised by the stop condition StopAll"),
    "stop": ({"stop": stop}, "IndexError: list index out of range (raised by the stop condition stop"),
    "sample_from": ({}, "ZeroDivisionError: division by zero (raised by the sample_from of the parameter x"),
}


@pytest.fixture(scope="module", autouse=True)
def by_value() -> Iterator[None]:
    """What this module defines is sent by value, as what a notebook defines."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def ended(by_value: None, cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the experiments of all cases, which have run at the same time."""
    started = {}
    for name, (options, _) in CASES.items():
        space = {"x": tune.uniform(0.6, 1), "y": 1} if "search" not in options else {"y": 1}
        if name == "sample_from":
            space = {"x": tune.sample_from(third_is_wrong)}
        given = {"samples": TRIALS, "metric": "s", "mode": "max", "max_concurrent": 1, **options}
        storage = str(tmp_path_factory.mktemp(name))
        started[name] = nbtune.tune(train, space, name=name, storage=storage, wait=False, cpus=0.2, **given)
    for experiment in started.values():
        experiment.wait(180)
    return started


@pytest.mark.parametrize("name", CASES)
def test_the_experiment_ends_with_the_error_of_the_object(ended: dict[str, Any], name: str) -> None:
    experiment = ended[name]
    assert experiment.status == "failed", experiment.df
    assert experiment.error.startswith(CASES[name][1]), (experiment.error, experiment.traceback)
    assert "test_user_parts.py" in experiment.traceback or name == "save", experiment.traceback
    assert "TuneError" not in experiment.traceback
    frame = experiment.df
    assert set(frame["status"]) <= {"finished", "stopped"}, frame
    assert frame["error"].isna().all(), "no trial has failed"
    assert len(experiment.history) == frame["iterations"].sum(), "what was reported is kept"


def test_a_define_by_run_function_of_the_notebook_is_saved_and_restored(run: Any) -> None:
    search = OptunaSearch(define_by_run, metric="s", mode="max", seed=1)
    experiment = run(train, {"y": 1}, search=search, samples=3, max_concurrent=1, cpus=0.2)
    experiment.wait(120)
    assert experiment.status == "finished", experiment.traceback
    experiment.extend(2)
    experiment.wait(120)
    assert experiment.status == "finished", experiment.traceback
    assert len(set(experiment.df["x"])) == 5, "the restored search goes on after its first proposals"


def waits(config: dict[str, Any]) -> None:
    import time

    nbtune.report(s=float(config["x"]))
    while config["x"] >= 2 and not config["go"].exists():
        time.sleep(0.05)


PARTS: dict[str, tuple[str, Any, str]] = {
    "restore": ("search", lambda broken: SavesItself("restore", broken), "RuntimeError: no restore today"),
    "setstate": ("search", lambda broken: Restored("__setstate__", broken), "RuntimeError: no __setstate__ today"),
    "set_state": ("search", Variants, "SystemExit: no set_state today (raised by the search algorithm Variants"),
    "scheduler": ("scheduler", RestoredScheduler, "KeyError: 'no scheduler today' (raised by the scheduler"),
}


@pytest.fixture(scope="module")
def broken(by_value: None, cluster: Any, until: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns stopped experiments that were resumed while a part of each could not be restored."""
    folder = tmp_path_factory.mktemp("broken")
    started = {}
    for name, (option, make, _) in PARTS.items():
        given = {option: make(folder / name)}
        space = {"x": tune.grid_search([1, 2, 3, 4]), "go": folder / "go"}
        if name in {"restore", "setstate"}:
            space = {"go": folder / "go"}
            given["samples"] = TRIALS
        started[name] = nbtune.tune(
            waits,
            space,
            name=name,
            storage=str(folder),
            wait=False,
            cpus=0.2,
            metric="s",
            mode="max",
            max_concurrent=1,
            **given,
        )
    for name, experiment in started.items():
        until(lambda experiment=experiment: len(experiment.history) == 2, f"two reports of {name}")
        experiment.stop()
    for name, experiment in started.items():
        experiment.wait(60)
        (folder / name).touch()
        experiment.resume()
    for experiment in started.values():
        experiment.wait(60)
    return {**started, "folder": folder}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_cannot_be_restored_ends_the_experiment_with_its_error(broken: dict[str, Any], name: str) -> None:
    experiment = broken[name]
    assert experiment.status == "failed", experiment.df
    assert experiment.error.startswith(PARTS[name][2]), (experiment.error, experiment.traceback)
    assert "test_user_parts.py" in experiment.traceback
    assert len(experiment.history) == 2, "what was reported is kept"
    assert experiment.df["error"].isna().all(), "no trial has failed"
    loaded = nbtune.load(experiment.path)
    assert (loaded.status, loaded.error) == ("failed", experiment.error)
    assert loaded.df.equals(experiment.df)


def test_the_experiments_go_on_when_their_parts_can_be_restored(broken: dict[str, Any]) -> None:
    folder = broken["folder"]
    for name in PARTS:
        broken[name].resume()  # the same part once more
    for name in PARTS:
        assert broken[name].wait(60).error.startswith(PARTS[name][2])
        (folder / name).unlink()
        (folder / "go").touch()
        broken[name].resume()
    for name in PARTS:
        experiment = broken[name].wait(120)
        assert experiment.status == "finished", (name, experiment.traceback)
        assert sorted(experiment.df["x"]) == [1, 2, 3, 4], "the search goes on after its first proposals"


def test_an_object_that_cannot_be_read_is_named_when_the_experiment_is_resumed(
    run: Any, until: Any, tmp_path: Path
) -> None:
    space = {"x": tune.grid_search([1, 2]), "go": tmp_path / "go"}
    experiment = run(waits, space, stop=Unreadable(tmp_path / "broken"), metric="s", mode="max", cpus=0.2)
    until(lambda: len(experiment.history) == 2, "reports")
    experiment.stop()
    experiment.wait(60)
    (tmp_path / "broken").touch()
    with pytest.raises(nbtune.ExperimentError, match="that it was started with raises ValueError: no stopper today"):
        experiment.resume()
    assert experiment.status == "stopped"
    (tmp_path / "broken").unlink()
    (tmp_path / "go").touch()
    assert experiment.resume().wait(60).status == "finished"


def test_an_experiment_that_has_ended_by_the_error_of_a_part_is_resumed(ended: dict[str, Any]) -> None:
    unfinished = {
        name: one for name, one in ended.items() if len(one.df) < TRIALS or "stopped" in set(one.df["status"])
    }
    assert len(unfinished) > 5
    for experiment in unfinished.values():
        experiment.resume()
    for name, experiment in unfinished.items():
        experiment.wait(180)
        again = experiment.error or ""  # some raise once, others with their restored state again
        assert experiment.status == "finished" or "raised by the" in again or name == "save", (name, again)
        assert len(experiment.history) == experiment.df["iterations"].sum()
        assert nbtune.load(experiment.path).status == experiment.status
    assert {"suggest", "on_trial_result", "choose"} <= {name for name, one in ended.items() if one.status == "finished"}


UNREADABLE = """
import sys
class Weird:
    def __reduce__(self):
        return getattr, (sys.modules["__main__"], "made_in_the_notebook")
model, lr = Weird(), 0.1
"""
LOCAL_MODULE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("beside_the_notebook", FOLDER / "beside_the_notebook.py")
module = sys.modules["beside_the_notebook"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
scaler = {"steps": [module.Scaler()]}
def scaled(x):
    return scaler["steps"][0](x)
"""
TRAIN = """
def train(config):
    nbtune.report(s=float({value}))
"""


@pytest.fixture(scope="module")
def unreadable(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Returns experiments whose variables can be pickled, but not unpickled in a trial."""
    folder = tmp_path_factory.mktemp("unreadable")
    (folder / "beside_the_notebook.py").write_text("class Scaler:\n    def __call__(self, x):\n        return x")
    main: Any = sys.modules["__main__"]
    main.made_in_the_notebook = 1
    cases = {
        "main": (UNREADABLE, "model", {}),
        "module": (LOCAL_MODULE, "scaled(config['x'])", {}),
        "workers": (UNREADABLE, "model", {"workers": 1, "cpus": 0.5}),
    }
    started: dict[str, Any] = {"folder": folder}
    for name, (cell, value, options) in cases.items():
        variables: dict[str, Any] = {"__name__": "__main__", "nbtune": nbtune, "FOLDER": folder}
        exec(cell + TRAIN.replace("{value}", value), variables)
        given = {"cpus": 0.2, **options}
        started[name] = nbtune.tune(
            variables["train"],
            {"x": tune.grid_search([1, 2, 3, 4])},
            name=name,
            storage=str(folder),
            wait=False,
            metric="s",
            mode="max",
            max_failures=3,
            **given,
        )
        started[f"{name} variables"] = variables
    yield started
    del main.made_in_the_notebook
    sys.modules.pop("beside_the_notebook", None)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "main",
            "model (Weird) cannot be read in the trials: AttributeError: module '__main__' has no attribute 'made_in",
        ),
        (
            "module",
            "scaler (dict), which scaled uses, cannot be read in the trials: ModuleNotFoundError: No module named 'beside_the_notebook'. The"
            " module beside_the_notebook is not there: install it",
        ),
        ("workers", "worker 0: model (Weird) cannot be read in the trials: AttributeError: module '__main__' has no"),
    ],
)
def test_a_variable_that_trials_cannot_read_ends_the_experiment_once(
    unreadable: dict[str, Any], name: str, error: str
) -> None:
    experiment = unreadable[name].wait(120)
    assert experiment.status == "failed"
    assert experiment.error.startswith(error), experiment.error
    assert "failed" not in set(experiment.df["status"]), "not an error of each trial"
    assert experiment.df["error"].isna().all()


def test_an_experiment_goes_on_when_its_variables_can_be_read(unreadable: dict[str, Any]) -> None:
    experiment, variables = unreadable["main"].wait(120), unreadable["main variables"]
    variables["model"] = 5
    assert experiment.resume(code="new").wait(120).status == "finished", experiment.traceback
    assert experiment.df["s"].tolist() == [5.0] * 4
    experiment = unreadable["module"].wait(120)
    sys.path.append(str(unreadable["folder"]))  # where the trials look, too
    try:
        assert experiment.resume(code="new").wait(120).status == "finished", experiment.traceback
    finally:
        sys.path.remove(str(unreadable["folder"]))


def test_an_object_of_the_options_that_the_driver_cannot_read(unreadable: dict[str, Any], run: Any) -> None:
    stop = StopAll()
    stop.model = unreadable["main variables"]["Weird"]()  # type: ignore[attr-defined]
    experiment = run(train, {"x": tune.uniform(0, 1)}, metric="s", mode="max", stop=stop).wait(60)
    assert experiment.status == "failed"
    assert experiment.error == (
        "the experiment could not start: an object among its options or in its space cannot be read in the driver's"
        " process: AttributeError: module '__main__' has no attribute 'made_in_the_notebook'"
    )


class Asking(Search):
    """Proposes one point, and others only once it was told of one that it has not proposed."""

    def suggest(self, trial_id: str) -> Any:
        self.seen += 1
        return {"x": 0.1 * self.seen} if self.seen == 1 or hasattr(self, "told") else None

    def add_evaluated_point(self, parameters: Any, value: Any, *rest: Any, **more: Any) -> None:
        self.told = value


def test_commands_while_there_is_neither_a_trial_nor_a_proposal(run: Any, until: Any) -> None:
    """Tune would ask for a proposal for ten minutes, once a second, and do nothing else."""
    experiment = run(train, {"x": tune.uniform(0, 1)}, search=Asking(""), samples=2, metric="s", mode="max", cpus=0.2)
    until(lambda: 0 in experiment.trials and experiment.trials[0].status == "finished", "the first trial")
    experiment.add(x=0.75)
    experiment.wait(60)
    assert experiment.status == "finished", experiment.error
    assert experiment.df["x"].tolist()[1] == 0.75
    assert len(experiment.df) == 3


class Hesitant(Search):
    """Proposes nothing until a file exists. Tune warns of an idle cluster at once."""

    def __init__(self, gate: str) -> None:
        super().__init__("")
        self.gate = gate

    def suggest(self, trial_id: str) -> Any:
        os.environ["TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S"] = "0"
        return super().suggest(trial_id) if os.path.exists(self.gate) else None


def test_commands_before_the_first_proposal(run: Any, until: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    space = {"x": tune.uniform(0, 1)}
    experiment = run(train, space, search=Hesitant(str(gate)), samples=2, metric="s", mode="max", cpus=0.2)
    until(lambda: experiment.status == "running", "it runs")
    experiment.max_concurrent = 1
    until(lambda: experiment.max_concurrent == 1, "it is told")
    experiment.extend(1)
    experiment.stop()
    experiment.wait(20)
    assert (experiment.status, len(experiment.trials)) == ("stopped", 0), experiment.error
    experiment.resume()
    until(lambda: experiment.status == "running", "it runs")
    experiment.add(x=0.75)
    driver_of(experiment).kill()
    experiment.wait(60)
    experiment = nbtune.load(experiment.path).resume()
    gate.touch()
    experiment.wait(60)
    assert experiment.status == "finished", experiment.error
    assert len(experiment.df) == 4, "with the sample and the point that were added"
    assert experiment.df["x"][0] == 0.75
