"""nbtune.spec.options.options: each option alone, and options together."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.fs as pafs
import pytest
from ray.train import ScalingConfig
from ray.train.torch import TorchConfig
from ray.tune import PlacementGroupFactory
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.stopper import MaximumIterationStopper

from nbtune.spec.options.options import OPTIONS, Spec, make_spec
from nbtune.spec.plan.shape import Shape
from nbtune.spec.plan.workers import Tuned


def only(name, value):
    """Return the spec of one option, with whatever goes with it, and its problems."""
    with_it = {"metric": {"mode": "min"}, "mode": {"metric": "loss"}}.get(name, {})
    needs_metric = {} if name in ("metric", "mode") else {"metric": "loss", "mode": "min"}
    if OPTIONS[name].group == OPTIONS["workers"].group and name not in ("workers", "scaling"):
        with_it = {"workers": 2}
    return make_spec({**needs_metric, **with_it, name: value})


SCHEDULER = ASHAScheduler()
SCALING = ScalingConfig(num_workers=2)
BACKEND = TorchConfig()
SEARCH = BasicVariantGenerator()
STOPPER = MaximumIterationStopper(3)

LOCAL = pafs.LocalFileSystem()
GOOD = [
    ("name", "digits", "digits"),
    ("name", "_2", "_2"),
    ("metric", "val/acc", "val/acc"),
    ("mode", "min", "min"),
    ("mode", "max", "max"),
    ("samples", 20, 20),
    ("samples", "20", 20),
    ("samples", np.int64(3), 3),
    ("search", "random", "random"),
    ("search", "grid", "grid"),
    ("search", "optuna", "optuna"),
    ("search", SEARCH, SEARCH),
    ("scheduler", "fifo", "fifo"),
    ("scheduler", "asha", "asha"),
    ("scheduler", SCHEDULER, SCHEDULER),
    ("points", [{"lr": 0.1}, {"lr": 0.2}], ({"lr": 0.1}, {"lr": 0.2})),
    ("points", {"lr": 0.1}, ({"lr": 0.1},)),
    ("points", pd.DataFrame({"lr": [0.1, 0.2]}), ({"lr": 0.1}, {"lr": 0.2})),
    ("points", [], ()),
    ("seed", "0", 0),
    ("seed", 7, 7),
    ("cpus", "0.5", 0.5),
    ("cpus", 2.0, 2),
    ("cpus", 0, 0),
    ("gpus", "1", 1),
    ("memory", "2GiB", 2**31),
    ("memory", 1000, 1000),
    ("resources", "safe_node=1,special=0.5", {"safe_node": 1, "special": 0.5}),
    ("resources", {"special": 1}, {"special": 1}),
    ("driver_resources", "safe_node=0.01", {"safe_node": 0.01}),
    ("max_concurrent", "4", 4),
    ("max_failures", "-1", -1),
    ("reuse_actors", "no", False),
    ("reuse_actors", "yes", True),
    ("reuse_actors", False, False),
    ("max_failures", 2, 2),
    ("time_budget", "30m", 1800.0),
    ("stop", "accuracy=0.98", {"accuracy": 0.98}),
    ("stop", "iterations=50,loss=0", {"iterations": 50, "loss": 0}),
    ("stop", {"accuracy": 1}, {"accuracy": 1}),
    ("stop", STOPPER, STOPPER),
    ("stop", max, max),
    ("storage", "s3://bucket/sweeps", "s3://bucket/sweeps"),
    ("storage", "/data/sweeps", "/data/sweeps"),
    ("keep_checkpoints", "2", 2),
    ("wait", True, True),
    ("wait", False, False),
    ("workers", "4", 4),
    ("workers", "2-4", (2, 4)),
    ("workers", (1, 3), (1, 3)),
    ("workers", "n", Tuned("n")),
    ("workers", "model/n", Tuned("model/n")),
    ("scaling", SCALING, SCALING),
    ("framework", "torch", "torch"),
    ("backend", "gloo", "gloo"),
    ("backend", BACKEND, BACKEND),
    ("aggregate", "mean", "mean"),
    ("placement_strategy", "STRICT_SPREAD", "STRICT_SPREAD"),
    ("accelerator_type", "A100", "A100"),
    ("label_selector", "zone=a", {"zone": "a"}),
    ("label_selector", [{"zone": "a"}, {"zone": "b"}], [{"zone": "a"}, {"zone": "b"}]),
    ("topology", "4x4", "4x4"),
    ("trial_resources", "safe_node=0.01", {"safe_node": 0.01}),
    ("worker_env", "A=1,B=x", {"A": "1", "B": "x"}),
    ("worker_env", {"A": 1}, {"A": "1"}),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD, ids=lambda v: str(v)[:30])
def test_a_good_value(name, value, expected):
    if name == "cpus" and value == 0:
        spec, problems = make_spec({"cpus": 0, "gpus": 1})
    else:
        spec, problems = only(name, value)
    assert problems == []
    assert getattr(spec, name) == expected
    assert type(getattr(spec, name)) is type(expected)


BAD = [
    ("storage", "", "is no folder or URI"),
    ("storage_filesystem", "s3", "is no filesystem"),
    ("workers", 0, "is no number of workers"),
    ("workers", "4-2", "is no number of workers"),
    ("scaling", 2, "is no scaling"),
    ("framework", "toch", "did you mean 'torch'?"),
    ("backend", 1, "is no backend"),
    ("aggregate", "avg", "'avg' is not rank0 or mean or min or max"),
    ("placement_strategy", "pack", "is not PACK"),
    ("accelerator_type", "", "is no name"),
    ("label_selector", "zone", "is not KEY=VALUE"),
    ("label_selector", 3, "are no labels"),
    ("topology", 4, "is no name"),
    ("trial_resources", "safe_node", "is not NAME=NUMBER"),
    ("worker_env", "A", "is not NAME=VALUE"),
    ("worker_env", 3, "is no dictionary of environment variables"),
    ("name", "my sweep", "is no variable name"),
    ("name", "2nd", "is no variable name"),
    ("name", "", "is no name"),
    ("name", 5, "is no name"),
    ("metric", "", "is no name"),
    ("metric", 1, "is no name"),
    ("mode", "maximum", "'maximum' is not min or max"),
    ("mode", "mx", "did you mean 'max'?"),
    ("samples", 0, "is no whole number of 1 or more"),
    ("samples", "many", "is no whole number of 1 or more"),
    ("samples", 2.5, "is no whole number"),
    ("samples", "2.5", "is no whole number"),
    ("samples", True, "is no whole number"),
    ("search", "optona", "did you mean 'optuna'?"),
    ("search", 5, "is no search algorithm: give random, grid, optuna, or an object from ray.tune.search"),
    ("scheduler", "ahsa", "did you mean 'asha'?"),
    ("scheduler", object, "is no scheduler: give fifo, asha"),
    ("points", "lr=0.1", "points are a list of dictionaries"),
    ("points", [1, 2], "points are a list of dictionaries"),
    ("points", 5, "points are a list of dictionaries"),
    ("seed", -1, "is no whole number of 0 or more"),
    ("cpus", "two", "is no number of 0 or more"),
    ("cpus", -1, "is no number of 0 or more"),
    ("cpus", float("nan"), "is no number of 0 or more"),
    ("cpus", float("inf"), "is no number of 0 or more"),
    ("cpus", True, "is no number of 0 or more"),
    ("gpus", "-1", "is no number of 0 or more"),
    ("memory", "much", "is no size"),
    ("resources", "special", "is not NAME=NUMBER"),
    ("driver_resources", "safe_node", "is not NAME=NUMBER"),
    ("max_concurrent", 0, "is no whole number of 1 or more"),
    ("max_failures", -2, "is no whole number of -1 or more"),
    ("reuse_actors", "maybe", "'maybe' is not yes or no"),
    ("reuse_actors", 1, "1 is not yes or no"),
    ("time_budget", "soon", "is no duration"),
    ("stop", "accuracy", "is not NAME=NUMBER"),
    ("stop", {}, "no condition"),
    ("stop", 5, "is no condition"),
    ("keep_checkpoints", 0, "is no whole number of 1 or more"),
    ("wait", "yes", "is not True or False"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD, ids=lambda v: str(v)[:30])
def test_a_bad_value_is_one_problem_that_names_the_flag(name, value, message):
    spec, problems = only(name, value)
    (problem,) = [p for p in problems if p.message.startswith(OPTIONS[name].flag)]
    assert message in problem.message
    assert getattr(spec, name) == getattr(Spec(), name)


def test_every_option_has_a_good_and_where_it_can_fail_a_bad_example_here():
    assert {name for name, *_ in GOOD} == set(OPTIONS) - {"storage_filesystem"}  # goes with --storage, see below
    assert {name for name, *_ in BAD} == set(OPTIONS)


def test_options_and_fields_of_the_spec_are_the_same():
    assert set(OPTIONS) == {field.name for field in dataclasses.fields(Spec)}


def test_flags_have_dashes():
    assert OPTIONS["max_concurrent"].flag == "--max-concurrent"


def test_none_stands_for_not_given():
    assert make_spec(dict.fromkeys(OPTIONS)) == (Spec(), [])


def test_storage_becomes_absolute_and_knows_home():
    assert make_spec({"storage": "~/sweeps"})[0].storage == str(Path.home() / "sweeps")
    assert make_spec({"storage": "sweeps"})[0].storage == str(Path.cwd() / "sweeps")
    assert make_spec({"storage": Path("/data")})[0].storage == "/data"


def test_an_unknown_option_is_a_problem_with_a_hint():
    _, problems = make_spec({"smaples": 3})
    assert [p.message for p in problems] == ["there is no option 'smaples' (did you mean 'samples'?)"]


def test_every_mistake_is_found_at_once():
    _, problems = make_spec({"samples": 0, "cpus": -1, "foo": 1, "mode": "up"})
    assert len(problems) >= 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "loss"}, "--mode is missing"),
        ({"mode": "min"}, "--mode is given without --metric"),
        ({"search": "optuna"}, "optuna compares trials and needs --metric and --mode"),
        ({"scheduler": "asha"}, "asha compares trials and needs --metric and --mode"),
        ({"search": "optuna", "scheduler": "asha"}, "optuna and asha compares trials"),
        ({"cpus": 0}, "asks for no CPU, GPU or other resource"),
        ({"points": [{"lr": 1}], "search": SEARCH}, "--points goes with a search algorithm by name"),
    ],
)
def test_options_that_do_not_go_together(given, message):
    _, problems = make_spec(given)
    assert len(problems) == 1
    assert message in problems[0].message


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "loss", "mode": "min", "search": "optuna", "scheduler": "asha"},
        {"cpus": 0, "gpus": 1},
        {"cpus": 0, "memory": "1GB"},
        {"cpus": 0, "resources": "special=1"},
        {"points": [{"lr": 1}], "search": "random"},
    ],
)
def test_options_that_go_together(given):
    assert make_spec(given)[1] == []


def test_a_shape_is_by_rays_names_without_zeros():
    spec, _ = make_spec({"cpus": 2, "gpus": 0, "memory": 1000, "resources": "special=1,none=0"})
    assert spec.shape == Shape(({"CPU": 2, "memory": 1000, "special": 1},))


def test_a_placement_group_factory_says_all_that_a_trial_needs():
    factory = PlacementGroupFactory([{"CPU": 1}, {"GPU": 0.5}], strategy="SPREAD")
    spec, problems = make_spec({"resources": factory})
    assert problems == []
    assert spec.resources is factory
    assert spec.shape == Shape(({"CPU": 1}, {"GPU": 0.5}), "SPREAD")
    (problem,) = make_spec({"resources": factory, "gpus": 1, "memory": "1GB"})[1]
    assert problem.message == (
        "--resources: a PlacementGroupFactory says all that a trial needs; leave out --gpus and --memory,"
        " or add them to its first bundle"
    )


def test_what_no_node_of_rays_gives_is_refused():
    assert "1.5 GPU: Ray gives a process a part of one GPU" in make_spec({"gpus": 1.5})[1][0].message
    assert "nor a ray.tune.PlacementGroupFactory" in make_spec({"resources": 3})[1][0].message


def test_a_filesystem_goes_with_a_path_on_it():
    import fsspec

    local = LOCAL
    spec, problems = make_spec({"storage": "bucket/folder", "storage_filesystem": local})
    assert not problems
    assert (spec.storage, spec.storage_filesystem) == ("bucket/folder", local)
    for given, message in [
        ({"storage_filesystem": local}, "without --storage"),
        ({"storage": "s3://b/f?region=x", "storage_filesystem": local}, "without scheme: b/f$"),
        ({"storage": "b", "storage_filesystem": fsspec.filesystem("memory")}, "has to be wrapped: pyarrow.fs.PyFile"),
        ({"storage": "b", "storage_filesystem": "s3"}, "'s3' is no filesystem: give a pyarrow.fs.FileSystem"),
    ]:
        (problem,) = make_spec(given)[1]
        assert re.search(message, problem.message), problem.message
    wrapped = pafs.PyFileSystem(pafs.FSSpecHandler(fsspec.filesystem("memory")))
    assert not make_spec({"storage": "b", "storage_filesystem": wrapped})[1]
