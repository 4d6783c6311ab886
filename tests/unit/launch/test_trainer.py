"""A trainer of Ray Train becomes options, a space and a training function; what has no meaning here is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray.train
from ray import tune
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

import nbtune
from nbtune.engine._ray.trainable import framework_of_trainer
from nbtune.errors import SpecError
from nbtune.launch.given import has_settings, prepare_given


def train(config: dict[str, Any]) -> None:
    ray.train.report({"loss": config["x"]})


def train_without_parameters() -> None:
    ray.train.report({"loss": 1})


@pytest.fixture(autouse=True)
def default_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(tmp_path))


def prepare(trainer: Any, space: Any = None, **options: Any) -> Any:
    return prepare_given(trainer, space, options)


def test_every_setting_is_an_option(tmp_path: Path) -> None:
    scaling = ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}, placement_strategy="SPREAD")
    run = RunConfig(
        name="my run",
        storage_path=str(tmp_path / "kept"),
        failure_config=FailureConfig(max_failures=3),
        checkpoint_config=CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="loss", checkpoint_score_order="min"),
        worker_runtime_env={"env_vars": {"LEVEL": "3"}},
    )  # fmt: skip
    backend = TorchConfig(backend="gloo", timeout_s=7)
    trainer = TorchTrainer(
        train, train_loop_config={"x": 1, "y": 2}, torch_config=backend, scaling_config=scaling, run_config=run
    )
    prepared = prepare(trainer, {"x": nbtune.uniform(0, 1)}, samples=4)
    spec = prepared.spec
    assert spec.scaling is scaling
    assert (spec.framework, spec.backend, spec.samples, spec.max_failures) == ("torch", backend, 4, 3)
    assert (spec.name, spec.storage, spec.worker_env) == ("my_run", str(tmp_path / "kept"), {"LEVEL": "3"})
    assert (spec.keep_checkpoints, str(spec.keep_by)) == (2, "min loss")
    assert prepared.space == nbtune.Space.from_dict({"x": nbtune.uniform(0, 1), "y": 2})
    assert prepared.notes == ("the name 'my run' is my_run here, since it is that of a variable",)


def test_its_defaults_are_those_of_nbtune() -> None:
    trainer = TorchTrainer(train_without_parameters, scaling_config=ScalingConfig(num_workers=2))
    spec, plain = prepare(trainer).spec, prepare(train_without_parameters, {}, workers=2).spec
    assert (spec.name, spec.storage, spec.keep_checkpoints) == (plain.name, plain.storage, plain.keep_checkpoints)
    assert spec.backend is None
    on_gpus = ScalingConfig(num_workers=2, use_gpu=True)
    assert prepare(TorchTrainer(train_without_parameters, scaling_config=on_gpus)).spec.backend is None
    gloo = TorchTrainer(train_without_parameters, torch_config=TorchConfig(backend="gloo"), scaling_config=on_gpus)
    assert prepare(gloo).spec.backend.backend == "gloo", "not that of GPUs"
    assert prepare(trainer, max_failures=5, name="other").spec.max_failures == 5


def test_domains_in_its_own_configuration() -> None:
    given = {"x": tune.loguniform(1e-3, 1), "model": {"width": tune.choice([8, 16])}}
    trainer = TorchTrainer(train, train_loop_config=given, scaling_config=ScalingConfig(num_workers=1))
    space = prepare(trainer, samples=2).space
    assert [parameter.name for parameter in space.parameters] == ["x", "model/width"]
    other = {"model": {"width": 4}, "depth": tune.randint(1, 3)}
    for added in (other, nbtune.Space.from_dict(other)):
        merged = prepare(trainer, added, samples=2).space
        assert merged == nbtune.Space.from_dict({**given, "model": {"width": 4}, "depth": tune.randint(1, 3)})


def test_what_has_no_effect_is_said() -> None:
    class Told(ray.train.UserCallback):
        pass

    run = RunConfig(callbacks=[Told()], failure_config=FailureConfig(controller_failure_limit=2))
    trainer = TorchTrainer(train_without_parameters, scaling_config=ScalingConfig(num_workers=1), run_config=run)
    assert prepare(trainer).notes == (
        "callbacks of the RunConfig of Ray Train: no effect in a trial",
        "controller_failure_limit of the FailureConfig: no effect, a trial is tried again as a whole",
    )


def test_what_cannot_run_is_refused() -> None:
    local = TorchTrainer(train_without_parameters, scaling_config=ScalingConfig(num_workers=0))
    with pytest.raises(SpecError, match="num_workers=0 .* a trial needs 1 worker or more"):
        prepare(local)
    environment = RunConfig(worker_runtime_env={"pip": ["x"], "env_vars": {}})
    packages = TorchTrainer(train_without_parameters, run_config=environment)
    with pytest.raises(SpecError, match="worker_runtime_env .* env_vars only, got pip"):
        prepare(packages)


def test_a_trainer_for_any_framework_has_that_of_its_code() -> None:
    trainer = DataParallelTrainer(train_without_parameters, scaling_config=ScalingConfig(num_workers=2))
    assert has_settings(trainer)
    assert framework_of_trainer(trainer) is None
    assert prepare(trainer).spec.framework == "torch"
    assert not has_settings(train)
