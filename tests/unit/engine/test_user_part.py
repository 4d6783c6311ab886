"""nbtune.engine.tune.user_part: an exception of the user's search, scheduler or stop condition ends the experiment."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from ray.tune import Stopper
from ray.tune.experiment import Experiment
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from nbtune.engine.search.make import make_search
from nbtune.engine.tune.control import Control, InterruptedRun
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.stopping import Stopping
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space


class Counting(Searcher):
    """Proposes x = 1, 2, 3…, and has no method to save its state."""

    def __init__(self) -> None:
        super().__init__(metric="y", mode="max")
        self.proposed = 0

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self.proposed += 1
        return {"x": self.proposed}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        pass

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        pass


def proposals(search: Any, folder: Path, failures: Failures, space: dict[str, Any] | None = None) -> SteerableSearch:
    spec = Spec(samples=10, seed=1, metric="y", mode="max", search=search)
    made = make_search(spec, Space.from_dict(space or {}))
    wrapped = SteerableSearch(made, None, None, failures)
    experiment = Experiment("parts", tune.Trainable, config=made.param_space, num_samples=10, storage_path=str(folder))
    wrapped.set_search_properties("y", "max", made.param_space)
    wrapped.add_configurations([experiment])
    return wrapped


RESULT = {"y": 1.0, "training_iteration": 1}


@pytest.mark.parametrize("method", ["suggest", "on_trial_result", "on_trial_complete"])
def test_a_search_algorithm_that_raises(tmp_path: Path, method: str) -> None:
    class Raising(Counting):
        pass

    def raises(self: Any, *args: Any, **kwargs: Any) -> None:
        raise LookupError(f"in {method}")

    setattr(Raising, method, raises)
    wrapped = proposals(Raising(), tmp_path, failures := Failures({__file__: ("Cell In[3]", "")}))
    if (trial := wrapped.next_trial()) is not None:
        wrapped.on_trial_result(trial.trial_id, RESULT)
        wrapped.on_trial_complete(trial.trial_id, RESULT)
    assert failures.first is not None
    assert failures.first.summary.startswith(
        f"LookupError: in {method} (raised by the search algorithm Raising, Cell In[3], line "
    )
    assert "Cell In[3], line" in str(failures.first)
    assert wrapped.next_trial() is None, "nothing more is proposed"
    assert wrapped.is_finished()


def test_a_search_algorithm_without_a_method_to_save_is_saved_as_a_whole(tmp_path: Path) -> None:
    wrapped = proposals(Counting(), tmp_path, failures := Failures())
    assert [wrapped.next_trial().config for _ in range(3)] == [{"x": 1}, {"x": 2}, {"x": 3}]
    wrapped.save_to_dir(str(tmp_path), session_str="a")
    assert failures.first is None
    restored = proposals(Counting(), tmp_path, failures)
    restored.restore_from_dir(str(tmp_path))
    assert [restored.next_trial().config for _ in range(2)] == [{"x": 4}, {"x": 5}]
    assert failures.first is None


def test_a_search_algorithm_that_cannot_be_saved_at_all(tmp_path: Path) -> None:
    search = Counting()
    wrapped = proposals(search, tmp_path, failures := Failures())
    search.lock = threading.Lock()
    wrapped.save_to_dir(str(tmp_path), session_str="a")
    assert failures.first is not None
    assert "TypeError: cannot pickle" in failures.first.summary


def test_a_sample_from_that_raises_for_some_trial(tmp_path: Path) -> None:
    space = {"n": tune.grid_search([2, 1, 0]), "x": tune.sample_from(lambda config: 1 / config["n"])}
    wrapped = proposals(Named("random"), tmp_path, failures := Failures(), space)
    found = []
    while (trial := wrapped.next_trial()) is not None:
        found.append(trial.config["x"])
    assert found == [0.5, 1.0]
    assert failures.first is not None
    assert failures.first.summary == (
        "ZeroDivisionError: division by zero (raised by the sample_from of the parameter x)"
    )


CONTROLLER = SimpleNamespace(get_trials=list, _tune_controller=SimpleNamespace(_actor_manager=SimpleNamespace()))
TRIAL = SimpleNamespace(trial_id="ab", config={})


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("on_trial_result", (TRIAL, dict(RESULT))),
        ("on_trial_complete", (TRIAL, dict(RESULT))),
        ("on_trial_error", (TRIAL,)),
        ("on_trial_remove", (TRIAL,)),
        ("choose_trial_to_run", ()),
    ],
)
def test_a_scheduler_that_raises(method: str, arguments: tuple[Any, ...]) -> None:
    class Raising(FIFOScheduler):
        pass

    def raises(self: Any, *args: Any) -> None:
        raise SystemExit("enough")

    setattr(Raising, method, raises)
    wrapped = SteerableScheduler(Raising(), lambda trial: None, set(), failures := Failures())
    returned = getattr(wrapped, method)(CONTROLLER, *arguments)
    assert returned == (TrialScheduler.CONTINUE if method == "on_trial_result" else None)
    assert failures.first is not None
    assert failures.first.summary == "SystemExit: enough (raised by the scheduler Raising)"


def test_a_scheduler_with_the_metric_of_the_experiment_gets_it_once() -> None:
    for own in ({}, {"metric": "y"}, {"mode": "max"}, {"metric": "y", "mode": "max"}):
        wrapped = SteerableScheduler(ASHAScheduler(**own), lambda trial: None, set(), Failures())
        assert wrapped.set_search_properties("y", "max"), "Ray Tune refuses to start otherwise"
        assert (wrapped.metric, wrapped._inner._mode) == ("y", "max")


class StopsNever(Stopper):
    def __call__(self, trial_id: str, result: Any) -> bool:
        return False

    def stop_all(self) -> bool:
        raise OSError("no network")


@pytest.mark.parametrize("conditions", [StopsNever(), lambda trial_id, result: result["nothing"]])
def test_a_stop_condition_that_raises_ends_the_loop_with_the_next_step(conditions: Any) -> None:
    stopping = Stopping(conditions, (), None, failures := Failures())
    assert stopping("ab", dict(RESULT)) is False, "the trial goes on"
    search, recorder = SimpleNamespace(), SimpleNamespace()
    scheduler = SimpleNamespace(controller=None, pausing={})
    control = Control(scheduler, search, stopping, recorder, complete=dict)
    with pytest.raises(InterruptedRun):
        control.on_step_begin(1, [])
    assert failures.first is not None
    assert failures.first.summary.startswith(("OSError: no network (", "KeyError: 'nothing' ("))


def test_the_first_exception_counts() -> None:
    failures = Failures()
    failures.add(ValueError("first"), "the scheduler A")
    failures.add(ValueError("second"), "the scheduler A")
    assert str(failures.first) == "ValueError: first"
