"""Checkpoints, stored experiments, results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch

import nbtune


@pytest.fixture
def saving() -> Any:
    def train(config: dict[str, Any]) -> None:
        import torch

        for step in range(4):
            state = {"weights": torch.full((3,), float(step)), "step": step, "a": config["a"]}
            nbtune.report(acc=config["a"] * (step + 1), checkpoint=state)

    return train


def test_dictionary_checkpoints_are_restored(run: Any, saving: Any) -> None:
    experiment = run(saving, {"a": nbtune.grid_search([1.0, 3.0, 2.0])}, metric="acc", mode="max").wait()
    best = experiment.best
    assert best.config == {"a": 3.0}
    assert best.checkpoint["step"] == 3
    assert torch.equal(best.checkpoint.load()["weights"], torch.full((3,), 3.0))
    assert [checkpoint["step"] for checkpoint in best.checkpoints] == [0, 1, 2, 3]
    assert experiment.df.loc[best.id, "checkpoint"] == best.checkpoint.path
    assert best.logs() == ""  # without Ray's messages that a checkpoint was created


def test_folder_checkpoints_are_restored(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "weights.txt").write_text("heavy")
            nbtune.report(acc=1, checkpoint=folder)

    experiment = run(train, {"a": 1}).wait()
    checkpoint = experiment.trials[0].checkpoint
    assert (Path(checkpoint) / "weights.txt").read_text() == "heavy"
    with pytest.raises(TypeError, match="reported as a folder"):
        checkpoint.load()


def test_an_invalid_checkpoint_fails_the_trial_with_the_reason(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(acc=1, checkpoint=42)

    experiment = run(train, {"a": 1}).wait()
    assert "checkpoint: expected a dictionary" in experiment.df["error"][0]


def test_the_checkpoint_of_the_best_trial_is_that_of_its_best_value(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step, acc in enumerate([0.5, 0.9, 0.4, 0.3, 0.2]):
            nbtune.report(acc=acc * config["a"], checkpoint={"step": step} if step or config["a"] > 1 else None)

    space = {"a": nbtune.grid_search([1.0, 2.0])}
    experiment = run(train, space, metric="acc", mode="max", keep_checkpoints=1).wait()
    for seen in (experiment, nbtune.load(experiment.path)):
        best = seen.best
        assert (best.id, best.value, best.value_iteration, best.metrics) == (1, 1.8, 2, {"acc": 0.4})
        for trial in seen.trials.values():
            # Tune keeps the latest one, too, since a retry starts from it.
            kept = [(one["step"], one.iteration, one.metrics["acc"] / trial.config["a"]) for one in trial.checkpoints]
            assert kept == [(1, 2, 0.9), (4, 5, pytest.approx(0.2))]
            assert (trial.checkpoint["step"], trial.checkpoint.iteration) == (1, 2)
    where = Path(best.checkpoint.path)
    where.rename(where.with_name("elsewhere"))
    assert (best.checkpoint["step"], len(best.checkpoints)) == (4, 1), "the one of the best value is gone"


def test_only_the_best_checkpoints_are_kept(run: Any, saving: Any) -> None:
    experiment = run(saving, {"a": 1.0}, metric="acc", mode="max", keep_checkpoints=2).wait()
    folders = [path.name for path in Path(experiment.path).glob("trial_*/checkpoint_*")]
    assert sorted(folders) == ["checkpoint_000002", "checkpoint_000003"]


def test_a_loaded_experiment_equals_the_original(run: Any, saving: Any, tmp_path: Path) -> None:
    def failing(config: dict[str, Any]) -> None:
        nbtune.report(acc=1.5)
        raise RuntimeError("late")

    for function in (saving, failing):
        experiment = run(function, {"a": nbtune.grid_search([1.0, 2.0])}, metric="acc", mode="max").wait()
        loaded = nbtune.load(experiment.path)
        pd.testing.assert_frame_equal(loaded.df, experiment.df)
        pd.testing.assert_frame_equal(loaded.history, experiment.history)
        assert loaded.status == experiment.status
        assert (loaded._store.best() is None) == (experiment._store.best() is None)
    moved = Path(experiment.path).rename(tmp_path / "moved")
    assert nbtune.load(str(moved)).path == str(moved)


def test_experiments_of_a_storage_are_listed(run: Any, saving: Any, tmp_path: Path) -> None:
    run(saving, {"a": 1.0}, name="first", metric="acc", mode="max").wait()
    run(saving, {"a": 2.0}, name="second", metric="acc", mode="max").wait()
    (tmp_path / "something else").mkdir()
    listed = nbtune.experiments(str(tmp_path))
    assert listed["name"].tolist() == ["second", "first"]
    assert listed["best"].tolist() == [8.0, 4.0]
    assert listed["status"].tolist() == ["finished", "finished"]
    assert len(nbtune.experiments(str(tmp_path / "something else"))) == 0


def test_an_experiment_of_ray_tune_can_be_loaded(cluster: Any, tmp_path: Path) -> None:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        for step in range(3):
            tune.report({"acc": config["a"] * step})
        if config["a"] == 2:
            raise ValueError("stock trial failed")

    tune.Tuner(
        train,
        param_space={"a": tune.grid_search([1, 2]), "f": tune.choice([len])},
        tune_config=tune.TuneConfig(metric="acc", mode="min"),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="stock", verbose=0),
    ).fit()
    shown = nbtune.load(str(tmp_path / "stock"))
    assert repr(shown.trials[0].config["f"]) == "<built-in function len>"
    assert shown.df["acc"].tolist() == [2, 4]
    assert shown.df["error"][1] == "ValueError: stock trial failed"
    for use in (lambda: shown.best, lambda: shown.results):
        with pytest.raises(nbtune.ExperimentError, match="trust=True"):
            use()
    assert nbtune.load(str(tmp_path / "stock"), metric="acc", mode="min").best.id == 0
    experiment = nbtune.load(str(tmp_path / "stock"), trust=True)
    assert len(experiment.results) == 2
    assert experiment.best.id == 0
    assert experiment.to_optuna().best_value == 0, "the lowest value that it has reported"
    assert experiment.status == "finished"
    assert experiment.df["status"].tolist() == ["finished", "failed"]
    assert experiment.df["acc"].tolist() == [2, 4]
    assert experiment.history["acc"].tolist() == [0, 1, 2, 0, 2, 4]
    assert experiment.trials[0].config["f"] is len
    assert "stock trial failed" in experiment.trials[1].error
    with pytest.raises(nbtune.ExperimentError, match="contains no experiment"):
        nbtune.load(str(tmp_path))


def test_result_grid(run: Any, saving: Any) -> None:
    experiment = run(saving, {"a": nbtune.grid_search([1.0, 2.0])}, metric="acc", mode="max").wait()
    results = experiment.results
    assert len(results) == 2
    assert results.get_best_result().metrics["acc"] == experiment.best.metrics["acc"]
    assert len(results[0].metrics_dataframe) == 4


def test_the_optuna_study_has_all_trials(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        if config["b"] == "bad":
            raise ValueError("bad")
        for step in range(1, 9):
            nbtune.report(loss=config["lr"] / step)

    space = {"lr": nbtune.loguniform(1e-4, 1e-1), "b": nbtune.grid_search(["x", "bad", "y"])}
    experiment = run(train, space, samples=2, metric="loss", mode="min", seed=0).wait()
    study = experiment.to_optuna()
    states = [trial.state for trial in study.trials]
    assert states.count(optuna.trial.TrialState.COMPLETE) == 4
    assert states.count(optuna.trial.TrialState.FAIL) == 2
    assert study.best_trial.number == experiment.best.id
    assert study.best_params == experiment.best.config
    assert study.best_trial.intermediate_values[4] == pytest.approx(experiment.best.config["lr"] / 4)
    assert study.trials[0].distributions["lr"] == optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    for kind in ("curves", "history", "parallel", "importance", "slice", "contour"):
        assert experiment.plot(kind).data
    with pytest.raises(nbtune.ExperimentError, match="did you mean 'parallel'"):
        experiment.plot("paralel")
