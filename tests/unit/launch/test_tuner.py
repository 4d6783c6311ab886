"""A `ray.tune.Tuner` becomes options, a space and a trainable; what has no meaning here is said."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Repeater
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import MaximumIterationStopper

from nbtune.errors import SpecError
from nbtune.launch.prepare import Prepared, prepare_function
from nbtune.launch.tuner import prepare_tuner


def train(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": config["x"]}


class Trained(tune.Trainable):
    def step(self) -> dict[str, float]:
        return {"loss": self.config["x"]}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class Unsaved(tune.Trainable):
    def step(self) -> dict[str, float]:
        return {"loss": 1.0}


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(tmp_path))

    def prepare(trainable: Any, *, tuned: Any = None, run: Any = None, space: Any = None, **options: Any) -> Prepared:
        config = tune.TuneConfig(**(tuned or {}))
        tuner = tune.Tuner(
            trainable, param_space=space or {"x": 1}, tune_config=config, run_config=tune.RunConfig(**(run or {}))
        )
        return prepare_tuner(tuner, options)

    return prepare


def test_every_setting_is_an_option(prepare: Any, tmp_path: Path) -> None:
    callback, scheduler = CSVLoggerCallback(), ASHAScheduler()  # type: ignore[no-untyped-call]
    stopper = MaximumIterationStopper(3)
    prepared = prepare(
        tune.with_resources(Trained, {"cpu": 2, "gpu": 0.5, "disk": 3}),
        tuned={
            "metric": "loss",
            "mode": "min",
            "scheduler": scheduler,
            "num_samples": 4,
            "max_concurrent_trials": 2,
            "time_budget_s": timedelta(minutes=2),
            "reuse_actors": True,
            "trial_name_creator": str,
            "trial_dirname_creator": str,
        },
        run={
            "name": "my_run",
            "storage_path": str(tmp_path / "other"),
            "stop": stopper,
            "callbacks": [callback],
            "failure_config": tune.FailureConfig(max_failures=3),
            "checkpoint_config": tune.CheckpointConfig(
                num_to_keep=2,
                checkpoint_score_attribute="loss",
                checkpoint_score_order="min",
                checkpoint_frequency=5,
                checkpoint_at_end=False,
            ),
        },
    )
    spec = prepared.spec
    assert (spec.metric, spec.mode, spec.samples, spec.max_concurrent, spec.time_budget) == ("loss", "min", 4, 2, 120)
    assert (spec.name, spec.storage, spec.max_failures) == ("my_run", str(tmp_path / "other"), 3)
    assert (spec.cpus, spec.gpus, spec.resources) == (2, 0.5, {"disk": 3})
    assert (spec.keep_checkpoints, spec.keep_by) == (2, "min loss")
    assert (spec.checkpoint_frequency, spec.checkpoint_at_end, spec.reuse_actors) == (5, False, True)
    assert spec.scheduler is scheduler
    assert spec.stop is stopper
    assert spec.callbacks == (callback,)
    assert spec.trial_name_creator is spec.trial_dirname_creator is str
    assert prepared.entry.is_class
    assert prepared.entry.saves
    assert not prepared.notes


def test_the_options_replace_settings(prepare: Any) -> None:
    prepared = prepare(
        tune.with_resources(train, {"cpu": 2}),
        tuned={"num_samples": 3, "metric": "loss", "mode": "min"},
        samples=5,
        cpus=1,
    )
    assert (prepared.spec.samples, prepared.spec.cpus, prepared.spec.metric) == (5, 1, "loss")


def test_defaults_of_ray_are_no_options(prepare: Any) -> None:
    prepared = prepare(train)
    spec = prepared.spec
    assert (spec.name, spec.storage, spec.reuse_actors, spec.stop) == ("experiment", None, None, None)
    assert (prepared.entry.name, prepared.entry.ends_at_done) == ("train", True)


def test_a_repeater_of_a_tuner_counts_trials(prepare: Any) -> None:
    search = Repeater(OptunaSearch(metric="loss", mode="min"), repeat=3)
    space = {"x": tune.uniform(0, 1)}
    prepared = prepare(
        train, space=space, tuned={"num_samples": 7, "search_alg": search, "metric": "loss", "mode": "min"}
    )
    assert (prepared.spec.samples, prepared.spec.repeat) == (2, 3)
    assert "num_samples=7 of the TuneConfig counts trials, of which the Repeater makes 3" in "\n".join(prepared.notes)


def test_what_has_no_meaning_is_said(prepare: Any) -> None:
    prepared = prepare(
        train,
        tuned={"num_samples": -1, "time_budget_s": 5},
        run={
            "name": "my run-1",
            "verbose": 2,
            "log_to_file": True,
            "failure_config": tune.FailureConfig(fail_fast="raise"),
        },
    )
    assert prepared.spec.name == "my_run_1"
    assert prepared.spec.fail_fast
    text = "\n".join(prepared.notes)
    for expected in ("the name 'my run-1' is my_run_1", "verbose, log_to_file", "num_samples=-1", "fail_fast='raise'"):
        assert expected in text, text


def test_a_dictionary_of_stop_conditions_means_what_it_means_in_ray(prepare: Any) -> None:
    prepared = prepare(train, tuned={"metric": "loss", "mode": "min"}, run={"stop": {"loss": 5, "a/b": 1}})
    stop = prepared.spec.stop
    assert not stop("t", {"loss": 4})
    assert stop("t", {"loss": 5}), "although it is minimized"
    assert stop("t", {"a": {"b": 1}})
    assert repr(stop) == "loss >= 5, a/b >= 1"
    both = prepare(train, run={"stop": [MaximumIterationStopper(2), MaximumIterationStopper(1)]}).spec.stop
    assert both("t", {})
    assert not both.stop_all()


def test_resources_that_depend_on_parameters(prepare: Any) -> None:
    def resources(config: dict[str, Any]) -> Any:
        return tune.PlacementGroupFactory([{"CPU": config["x"]}])

    prepared = prepare(tune.with_resources(partial(train), resources), space={"x": tune.grid_search([1, 2])})
    assert prepared.spec.shape.total == {"CPU": 2}
    assert "the plan is for trials with 2 CPU" in prepared.notes[0]
    with pytest.raises(SpecError, match="its function raises, for .*: KeyError: 'y'"):
        prepare(tune.with_resources(partial(train), lambda config: config["y"]))


def test_names_and_parameters_of_a_trainable(prepare: Any) -> None:
    def with_data(config: dict[str, Any], data: Any = None) -> dict[str, float]:
        return {"loss": len(data)}

    prepared = prepare(tune.with_parameters(with_data, data=[1, 2]))
    assert prepared.program.arguments == {"data": [1, 2]}
    assert prepared.entry.name == "with_data"
    tune.register_trainable("nbtune-unit", Trained)
    assert prepare("nbtune-unit").entry.is_class
    with pytest.raises(SpecError, match="no trainable is registered as 'unknown'"):
        prepare("unknown")


@pytest.mark.parametrize(
    ("trainable", "options", "message"),
    [
        (Unsaved, {"checkpoint_frequency": 2}, "Unsaved has no method save_checkpoint"),
        (Unsaved, {"checkpoint_at_end": True}, "Unsaved has no method save_checkpoint"),
        (train, {"checkpoint_frequency": 2}, "only for a class; a function reports its checkpoints"),
        (Trained, {"workers": 2}, "not for a class: Trained runs in one process"),
        (type("Empty", (tune.Trainable,), {}), {}, "Empty has no method step"),
        (dict, {}, "or a subclass of ray.tune.Trainable, got the class dict"),
        (train, {"keep_by": "min loss"}, "all checkpoints are kept; give how many to keep"),
        (train, {"keep_by": "best", "keep_checkpoints": 1}, 'expected "latest", "min NAME" or "max NAME"'),
    ],
)
def test_mistakes(trainable: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        prepare_function(trainable, {"x": 1}, options)


def test_a_metric_that_the_class_never_returns() -> None:
    with pytest.raises(SpecError, match="the class never reports 'accuracy'"):
        prepare_function(Trained, {"x": 1}, {"metric": "accuracy", "mode": "max"})


def test_the_source_of_a_class_is_found() -> None:
    assert prepare_function(Trained, {"x": 1}, {}).source.startswith("class Trained(tune.Trainable):")
    assert prepare_function(Trained, {"x": 1}, {}).metrics == ("loss",)


def test_a_restored_tuner_and_one_of_ray_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = tune.Tuner(train, param_space={"x": 1}, run_config=tune.RunConfig(name="a", storage_path=str(tmp_path)))
    tuner._is_ray_client = True
    with pytest.raises(SpecError, match="connected through Ray Client"):
        prepare_tuner(tuner, {})
    with pytest.raises(SpecError, match=f"continues the experiment of its folder, {tmp_path}/a"):
        prepare_tuner(tune.Tuner.restore(str(tmp_path / "a"), train), {})
