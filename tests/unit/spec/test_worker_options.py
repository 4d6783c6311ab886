"""The workers of a trial: options, ScalingConfig, and the resources of all workers together."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import ray.train
import ray.tune

import nbtune
from nbtune.spec.options.options import make_spec
from nbtune.spec.plan.shape import Shape
from nbtune.spec.plan.workers import TunedWorkers, Workers, workers_from_scaling_config


def spec(**given):
    made, problems = make_spec(given)
    assert problems == []
    return made


def problems(**given):
    return [problem.render("line") for problem in make_spec(given)[1]]


def test_workers_are_reserved_together_with_their_trial():
    assert spec(workers=2).shape == Shape(({"CPU": 1}, {"CPU": 1}))
    made = spec(
        workers="4", cpus=0.5, gpus=1, resources="fast=2", placement_strategy="SPREAD", trial_resources="safe=1"
    )
    assert made.shape == Shape(({"safe": 1}, *({"CPU": 0.5, "GPU": 1, "fast": 2},) * 4), "SPREAD")
    assert made.worker_group.elastic is None


def test_an_accelerator_is_requested_as_ray_does():
    flags = spec(workers=2, gpus=1, cpus=0, accelerator_type="A100").worker_group
    config = ray.train.ScalingConfig(num_workers=2, use_gpu=True, accelerator_type="A100")
    assert (
        spec(scaling=config).worker_group.resources_per_worker
        == flags.resources_per_worker
        == {"GPU": 1, "accelerator_type:A100": 0.001}
    )


def test_a_scaling_config_is_equivalent_to_flags():
    config = ray.train.ScalingConfig(
        num_workers=3,
        use_gpu=True,
        resources_per_worker={"CPU": 2, "GPU": 0.5},
        placement_strategy="SPREAD",
        label_selector={"zone": "a"},
    )
    flags = spec(workers=3, cpus=2, gpus=0.5, placement_strategy="SPREAD", label_selector="zone=a")
    assert spec(scaling=config).worker_group.shape() == flags.worker_group.shape()
    assert flags.shape.notes == ("the plan ignores label_selector of the workers: fewer trials may fit",)

    class Form:
        scaling_config = config

    assert spec(scaling=Form()).scaling is config
    assert pickle.loads(pickle.dumps(spec(scaling=config))).shape == spec(scaling=config).shape


def test_an_elastic_run_reserves_its_own_workers():
    for made in (spec(workers=(2, 5)), spec(workers="2-5"), spec(scaling=ray.train.ScalingConfig(num_workers=(2, 5)))):
        group = made.worker_group
        assert group.elastic == (2, 5)
        assert group.shape(3) == Shape(
            (), workers=({"CPU": 1},) * 3, notes=("a trial has 2 to 5 workers; planned with 3",)
        )


def test_a_parameter_gives_the_number_of_workers():
    space = nbtune.Space.from_cell("n: choice([1, 3, 2])\nmodel: {'m': randint(1, 4)}\nlr: uniform(0, 1)")
    made = spec(workers="n").within(space)
    assert made.workers == TunedWorkers("n", 3)
    assert made.shape == Shape(({"CPU": 1},) * 3, notes=("n is the number of workers of a trial; planned with 3",))
    assert made.worker_group.count({"n": 2}) == 2
    assert spec(workers="model/m").within(space).workers == TunedWorkers("model/m", 3)
    assert spec(workers="model/m").worker_group.count({"model": {"m": 1}}) == 1
    config = ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 2})
    assert spec(workers="n", scaling=config).within(space).shape.bundles == ({"CPU": 2},) * 3
    with pytest.raises(nbtune.SpecError, match=r"workers=…: expected a parameter with .* got lr: uniform\(0, 1\)"):
        spec(workers="lr").within(space)
    with pytest.raises(nbtune.SpecError, match="got 'k'; the space has n, model/m, lr"):
        spec(workers="k").within(space)
    with pytest.raises(nbtune.SpecError, match="finitely many integers >= 1"):
        spec(workers="n").within(nbtune.Space.from_cell("n: choice([0, 1])"))


def test_conflicting_worker_options_are_a_problem():
    config = ray.train.ScalingConfig(num_workers=2)
    assert problems(workers=0) == [
        "--workers: expected an integer >= 1, MIN-MAX for an elastic run (in Python a tuple of two), or the name of a"
        " parameter, got 0"
    ]
    assert problems(workers="3-2")[0].endswith("got '3-2'")
    assert problems(aggregate="mean", backend="gloo") == [
        "--backend: only for a trial with workers; give --workers N",
        "--aggregate: only for a trial with workers; give --workers N",
    ]
    assert problems(workers=2, scaling=config) == [
        "--workers: --scaling gives the number of workers as well; leave one of them out"
    ]
    assert problems(scaling=config, cpus=2, placement_strategy="SPREAD") == [
        "--cpus: --scaling gives this as well; leave one of them out",
        "--placement-strategy: --scaling gives this as well; leave one of them out",
    ]
    assert "leave the option out for a trial in one process" in problems(scaling=replace(config, num_workers=0))[0]
    assert problems(scaling=3) == [
        "--scaling: expected a ray.train.ScalingConfig, or an object with one as its scaling_config, got 3"
    ]
    assert "did you mean 'mean'?" in problems(workers=2, aggregate="meen")[0]
    assert "did you mean 'SPREAD'?" in problems(workers=2, placement_strategy="SPRED")[0]
    assert problems(workers=2, backend=3)[0].startswith("--backend: expected gloo, nccl or a backend configuration")
    assert problems(workers=2, worker_env="A") == ["--worker-env: expected NAME=VALUE,…, got 'A'"]
    factory = ray.tune.PlacementGroupFactory([{"CPU": 1}])
    assert problems(workers=2, resources=factory)[0].startswith(
        "--resources: a PlacementGroupFactory is not allowed with workers"
    )
    assert problems(workers=2, cpus=0) == [
        "a worker that requests no CPU, GPU or other resource cannot be placed; give --cpus"
    ]


def test_environment_variables_are_parsed():
    assert spec(workers=1, worker_env="A=1,B=x=y").worker_env == {"A": "1", "B": "x=y"}
    assert spec(workers=1, worker_env={"A": 1}).worker_env == {"A": "1"}


def test_the_number_of_a_scaling_config_may_be_tuned():
    config = ray.train.ScalingConfig(num_workers=7)
    assert workers_from_scaling_config(config, {}, TunedWorkers("n", 2)) == Workers(TunedWorkers("n", 2), {"CPU": 1})


def test_a_plan_needs_the_space_for_a_parameter():
    with pytest.raises(
        nbtune.SpecError, match="workers=…: expected a number or a parameter, got 'n'; the space has no parameters"
    ):
        nbtune.plan(workers="n")


@pytest.mark.parametrize("count", [0, 3, -1, None, 1.5, True, "2"])
def test_a_number_of_workers_outside_the_plan_is_refused(count: object) -> None:
    group = Workers(TunedWorkers("net/n", 2), {"CPU": 1})
    group.check({"net": {"n": 2}})
    group.check({"net": {}})
    with pytest.raises(ValueError, match=f"expected 1 to 2 workers, .* got net/n={count!r}"):
        group.check({"net": {"n": count}})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1 worker"),
        (2, "2 workers"),
        ((1, 4), "1 to 4 workers"),
        ((3, 3), "3 workers"),
        (TunedWorkers("n", 2), "up to 2 workers"),
    ],
)
def test_the_description_of_the_workers_of_a_trial(number: object, text: str) -> None:
    assert str(Workers(number, {"CPU": 1})) == text
