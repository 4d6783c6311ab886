"""nbtune.spec.options.options: each option alone, and options together."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.fs as pafs
import pytest
from ray import tune
from ray.train import DataConfig, ScalingConfig
from ray.train.torch import TorchConfig
from ray.tune import PlacementGroupFactory
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.stopper import MaximumIterationStopper

from nbtune.spec.options.condition import Condition
from nbtune.spec.options.named import Named
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.options import OPTIONS, Spec, make_spec
from nbtune.spec.plan.shape import Shape
from nbtune.spec.plan.workers import TunedWorkers


def only(name, value):
    """Return the spec of one option, with whatever goes with it, and its problems."""
    together = {
        "metric": {"mode": "min"},
        "mode": {"metric": "loss"},
        "try_best": {"warm_start": "digits"},
        "keep_by": {"keep_checkpoints": 1},
    }
    with_it = together.get(name, {})
    needs_metric = {} if name in ("metric", "mode") else {"metric": "loss", "mode": "min"}
    if name == "dataset_config":
        with_it = {"workers": 2, "datasets": {"train": DATA, "valid": DATA}}
    if OPTIONS[name].group == OPTIONS["workers"].group and name not in ("workers", "scaling"):
        with_it = {"workers": 2}
    return make_spec({**needs_metric, **with_it, name: value})


DATA = print  # stands for a function that makes a data set in the trial
DATA_CONFIG = DataConfig()
SCHEDULER = ASHAScheduler()
SCALING = ScalingConfig(num_workers=2)
BACKEND = TorchConfig()
SEARCH = BasicVariantGenerator()
STOPPER = MaximumIterationStopper(3)

LOCAL = pafs.LocalFileSystem()
CALLBACK = tune.Callback()
VALID = [
    ("callbacks", CALLBACK, (CALLBACK,)),
    ("callbacks", [CALLBACK, CALLBACK], (CALLBACK, CALLBACK)),
    ("checkpoint_at_end", "no", False),
    ("checkpoint_frequency", "3", 3),
    ("fail_fast", "yes", True),
    ("keep_by", "latest", "latest"),
    ("keep_by", "min val/loss", "min val/loss"),
    ("trial_dirname_creator", str, str),
    ("trial_name_creator", str, str),
    ("datasets", {"train": DATA}, {"train": DATA}),
    ("dataset_config", "train", ("train",)),
    ("dataset_config", ["valid", "train"], ("valid", "train")),
    ("dataset_config", DATA_CONFIG, DATA_CONFIG),
    ("data_cpus", "0.5", 0.5),
    ("data_cpus", 0, 0),
    ("name", "digits", "digits"),
    ("name", "_2", "_2"),
    ("metric", "val/acc", "val/acc"),
    ("mode", "min", "min"),
    ("mode", "max", "max"),
    ("scope", "all", "all"),
    ("scope", "last-5-avg", "last-5-avg"),
    ("samples", 20, 20),
    ("repeat", "3", 3),
    ("repeat", 1, 1),
    ("samples", "20", 20),
    ("samples", np.int64(3), 3),
    ("search", "random", Named("random")),
    ("search", "grid", Named("grid")),
    ("search", "optuna", Named("optuna")),
    ("search", "optuna(sampler='gp', n=5)", Named("optuna", {"sampler": "gp", "n": 5})),
    ("search", ("optuna", {"sampler": SCHEDULER}), Named("optuna", {"sampler": SCHEDULER})),
    ("search", Named("grid"), Named("grid")),
    ("search", SEARCH, SEARCH),
    ("scheduler", "fifo", Named("fifo")),
    ("scheduler", "asha", Named("asha")),
    ("scheduler", SCHEDULER, SCHEDULER),
    ("mutate", "lr, model/hidden,lr", ("lr", "model/hidden")),
    ("mutate", ["lr"], ("lr",)),
    ("points", [{"lr": 0.1}, {"lr": 0.2}], ({"lr": 0.1}, {"lr": 0.2})),
    ("points", {"lr": 0.1}, ({"lr": 0.1},)),
    ("points", pd.DataFrame({"lr": [0.1, 0.2]}), ({"lr": 0.1}, {"lr": 0.2})),
    ("points", [], ()),
    ("warm_start", "digits", "digits"),
    ("warm_start", Path("/old/digits"), "/old/digits"),
    ("try_best", "3", 3),
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
    ("stop", "accuracy <= 1", Condition("accuracy <= 1")),
    ("stop", " plateau(loss, 5, std=0.1)", Condition("plateau(loss, 5, std=0.1)")),
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
    ("workers", "n", TunedWorkers("n")),
    ("workers", "model/n", TunedWorkers("model/n")),
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
    ("env", "A=1,B=x=y", {"A": "1", "B": "x=y"}),
]


@pytest.mark.parametrize(("name", "value", "expected"), VALID, ids=lambda v: str(v)[:30])
def test_valid_values_are_converted(name, value, expected):
    if name == "cpus" and value == 0:
        spec, problems = make_spec({"cpus": 0, "gpus": 1})
    else:
        spec, problems = only(name, value)
    assert problems == []
    assert getattr(spec, name) == expected
    assert type(getattr(spec, name)) is type(expected)


INVALID = [
    ("callbacks", tune.Callback, "expected callbacks, objects of subclasses of ray.tune.Callback"),
    ("callbacks", "wandb", "expected callbacks, objects of subclasses of ray.tune.Callback, got 'wandb'"),
    ("checkpoint_at_end", 1.5, "expected yes or no"),
    ("checkpoint_frequency", -1, "expected an integer >= 0"),
    ("fail_fast", "raise", "expected yes or no"),
    ("keep_by", "loss", 'expected "latest", "min NAME" or "max NAME" with the name of a metric'),
    ("trial_dirname_creator", "x", "expected a function that takes one of Ray Tune's trials"),
    ("trial_name_creator", 1, "expected a function that takes one of Ray Tune's trials"),
    ("storage", "", "expected a folder or URI, got ''"),
    ("storage_filesystem", "s3", "expected a pyarrow.fs.FileSystem"),
    ("workers", 0, "expected an integer >= 1, MIN-MAX for an elastic run"),
    ("workers", "4-2", "expected an integer >= 1, MIN-MAX for an elastic run"),
    ("scaling", 2, "expected a ray.train.ScalingConfig"),
    ("framework", "toch", "did you mean 'torch'?"),
    ("backend", 1, "expected gloo, nccl or a backend configuration"),
    ("aggregate", "avg", "expected rank0 or mean or min or max, got 'avg'"),
    ("placement_strategy", "pack", "expected PACK or"),
    ("accelerator_type", "", "expected a non-empty text"),
    ("label_selector", "zone", "expected KEY=VALUE"),
    ("label_selector", 3, "expected KEY=VALUE,…, a dictionary, or a list"),
    ("topology", 4, "expected a non-empty text"),
    ("trial_resources", "safe_node", "expected NAME=NUMBER,…"),
    ("worker_env", "A", "expected NAME=VALUE,…"),
    ("env", "=1", "expected NAME=VALUE,…"),
    ("worker_env", 3, "expected NAME=VALUE,… or a dictionary"),
    ("name", "my sweep", "expected a variable name"),
    ("name", "2nd", "expected a variable name"),
    ("name", "", "expected a variable name"),
    ("name", 5, "expected a variable name"),
    ("metric", "", "expected a metric, or several, NAME,NAME,…"),
    ("metric", 1, "expected a metric, or several"),
    ("metric", "a,,b", "expected a metric, or several"),
    ("metric", ["a", 1], "expected a metric, or several"),
    ("metric", "a,b,a", "'a' is given more than once"),
    ("mode", "maximum", "expected min or max, with several metrics one for each, max,min; got 'maximum'"),
    ("mode", [], "expected min or max"),
    ("mode", ["max", 1], "expected min or max"),
    ("mode", "mx", "did you mean 'max'?"),
    ("scope", "best", "expected all or last or avg or last-5-avg or last-10-avg, got 'best'"),
    ("scope", "last-5-av", "did you mean 'last-5-avg'?"),
    ("samples", 0, "expected an integer >= 1"),
    ("repeat", 0, "expected an integer >= 1"),
    ("repeat", "often", "expected an integer >= 1"),
    ("samples", "many", "expected an integer >= 1"),
    ("samples", 2.5, "expected an integer"),
    ("samples", "2.5", "expected an integer"),
    ("samples", True, "expected an integer"),
    ("search", "optona", "did you mean 'optuna'?"),
    ("search", 5, "zoopt or an object from ray.tune.search, got 5"),
    ("search", "asha", "asha is a scheduler, and this is a search algorithm"),
    ("scheduler", "optuna", "optuna is a search algorithm, and this is a scheduler"),
    ("search", SCHEDULER, "is a scheduler, and this is a search algorithm"),
    ("scheduler", SEARCH, "is a search algorithm, and this is a scheduler"),
    ("search", ("optuna",), "expected a pair of a name and a dictionary of arguments"),
    ("search", "optuna(sampler=gp)", "text is written in quotes, sampler='gp'"),
    ("search", "optuna(", "expected NAME or NAME(ARGUMENT=VALUE, …)"),
    ("scheduler", "ahsa", "did you mean 'asha'?"),
    (
        "scheduler",
        object,
        "expected fifo, asha, hyperband, median, pbt, pb2, pbt_replay, bohb, resources or an object from ray.tune.schedulers",
    ),
    ("mutate", "lr,,", "expected NAME,… or a list of names"),
    ("mutate", 5, "expected NAME,… or a list of names"),
    ("points", "lr=0.1", "expected a list of dictionaries"),
    ("points", [1, 2], "expected a list of dictionaries"),
    ("points", 5, "expected a list of dictionaries"),
    ("warm_start", 3, "expected an experiment, its name or path, an optuna.Study, or a DataFrame"),
    ("warm_start", "", "expected an experiment"),
    ("try_best", 0, "expected an integer >= 1"),
    ("seed", -1, "expected an integer >= 0"),
    ("cpus", "two", "expected a number >= 0"),
    ("cpus", -1, "expected a number >= 0"),
    ("cpus", float("nan"), "expected a number >= 0"),
    ("cpus", float("inf"), "expected a number >= 0"),
    ("cpus", True, "expected a number >= 0"),
    ("gpus", "-1", "expected a number >= 0"),
    ("memory", "much", "expected a size > 0"),
    ("resources", "special", "expected NAME=NUMBER,…"),
    ("driver_resources", "safe_node", "expected NAME=NUMBER,…"),
    ("max_concurrent", 0, "expected an integer >= 1"),
    ("max_failures", -2, "expected an integer >= -1"),
    ("reuse_actors", "maybe", "expected yes or no (in Python True or False), got 'maybe'"),
    ("reuse_actors", 1, "expected yes or no (in Python True or False), got 1"),
    ("time_budget", "soon", "expected a duration > 0"),
    ("stop", "accuracy", "expected a comparison such as accuracy >= 0.99, got accuracy"),
    ("stop", "accuracy=", "expected NAME=NUMBER,…"),
    ("stop", "accuracy = 0.99 or iterations = 50", "cannot be read: invalid syntax; compare with"),
    ("stop", {}, "expected at least one condition METRIC=NUMBER"),
    ("stop", 5, "expected a condition such as accuracy >= 0.99, METRIC=NUMBER, a dictionary, a ray"),
    ("keep_checkpoints", 0, "expected an integer >= 1"),
    ("wait", "yes", "expected True or False, got 'yes'"),
    ("datasets", 5, 'expected a dictionary, name -> ray.data.Dataset, such as {"train": ds}; got 5'),
    ("datasets", {}, "expected a dictionary, name -> ray.data.Dataset"),
    ("datasets", "train=ds", "expected a dictionary, name -> ray.data.Dataset"),
    ("datasets", {"train": [1]}, "train: expected a ray.data.Dataset, or a function that returns one, got [1]; make"),
    ("datasets", {"train": pd.DataFrame()}, "make one of it: ray.data.from_pandas(…)"),
    ("dataset_config", 5, "expected a ray.train.DataConfig, or the names of the data sets"),
    ("dataset_config", "", "expected a ray.train.DataConfig, or the names of the data sets"),
    ("data_cpus", -1, "expected a number >= 0"),
]


@pytest.mark.parametrize(("name", "value", "message"), INVALID, ids=lambda v: str(v)[:30])
def test_an_invalid_value_is_one_problem_of_its_option(name, value, message):
    spec, problems = only(name, value)
    (problem,) = [p for p in problems if p.option == name]
    assert problem.code == "invalid"
    assert message in problem.message
    assert getattr(spec, name) == getattr(Spec(), name)


def test_every_option_has_valid_and_invalid_examples():
    assert {name for name, *_ in VALID} == set(OPTIONS) - {"storage_filesystem"}  # goes with --storage, see below
    assert {name for name, *_ in INVALID} == set(OPTIONS)


def test_the_spec_has_a_field_for_every_option():
    assert {*OPTIONS, "several", "reads_data"} == {field.name for field in dataclasses.fields(Spec)}


def test_several_metrics_are_objectives():
    expected = (Objective("accuracy", "max"), Objective("val/loss", "min"))
    texts = {"metric": "accuracy, val/loss", "mode": "max,min"}
    for given in (texts, {"metric": ["accuracy", "val/loss"], "mode": ("max", "min")}):
        spec, problems = make_spec(given)
        assert problems == []
        assert (spec.metric, spec.mode, spec.objectives, spec.scope) == (None, None, expected, "last")
    assert make_spec({**texts, "scope": "avg"})[0].scope == "avg"
    one = make_spec({"metric": ["loss"], "mode": ["min"]})[0]
    assert (one.metric, one.mode, one.objectives, one.scope) == ("loss", "min", (Objective("loss", "min"),), "all")
    assert make_spec({})[0].objectives == ()
    for given, message in [
        ({"metric": "a,b"}, "--mode: required with --metric: give min or max for each, such as --mode max,min"),
        ({"metric": "a,b", "mode": "max"}, "--mode: expected a mode for each of the metrics a, b, got max"),
        ({"metric": "a", "mode": "max,min"}, "--mode: expected one for a, got max, min"),
        ({"mode": "max,min"}, "--mode: given without --metric"),
    ]:
        (problem,) = make_spec(given)[1]
        assert message in problem.render("line")


def test_flags_have_dashes():
    assert OPTIONS["max_concurrent"].flag == "--max-concurrent"


def test_none_means_not_given():
    assert make_spec(dict.fromkeys(OPTIONS)) == (Spec(), [])


def test_storage_is_made_absolute_and_the_home_directory_is_expanded():
    assert make_spec({"storage": "~/sweeps"})[0].storage == str(Path.home() / "sweeps")
    assert make_spec({"storage": "sweeps"})[0].storage == str(Path.cwd() / "sweeps")
    assert make_spec({"storage": Path("/data")})[0].storage == "/data"


def test_an_unknown_option_gets_a_suggestion():
    _, problems = make_spec({"smaples": 3})
    assert [(p.message, p.code) for p in problems] == [
        ("unknown option 'smaples' (did you mean 'samples'?)", "unknown")
    ]


def test_all_problems_are_reported_at_once():
    _, problems = make_spec({"samples": 0, "cpus": -1, "foo": 1, "mode": "up"})
    assert len(problems) >= 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "loss"}, "--mode: required with --metric: give --mode min or --mode max"),
        ({"mode": "min"}, "--mode: given without --metric"),
        ({"scope": "last"}, "--scope: given without --metric"),
        ({"search": "optuna"}, "--metric: required by optuna, which compares trials; give it with --mode"),
        ({"scheduler": "asha"}, "--metric: required by asha, which compares trials; give it with --mode"),
        ({"search": "optuna", "scheduler": "asha"}, "--metric: required by optuna and asha, which compare trials"),
        ({"cpus": 0}, "requests no CPU, GPU or other resource"),
        ({"points": [{"lr": 1}], "search": SEARCH}, "--points: allowed with a search algorithm by name only"),
    ],
)
def test_conflicting_or_missing_options_are_a_problem(given, message):
    _, problems = make_spec(given)
    assert len(problems) == 1
    assert message in problems[0].render("line")


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
def test_compatible_options_are_accepted(given):
    assert make_spec(given)[1] == []


def test_a_shape_uses_the_resource_names_of_ray_without_zeros():
    spec, _ = make_spec({"cpus": 2, "gpus": 0, "memory": 1000, "resources": "special=1,none=0"})
    assert spec.shape == Shape(({"CPU": 2, "memory": 1000, "special": 1},))


def test_a_placement_group_factory_defines_the_shape_of_a_trial():
    factory = PlacementGroupFactory([{"CPU": 1}, {"GPU": 0.5}], strategy="SPREAD")
    spec, problems = make_spec({"resources": factory})
    assert problems == []
    assert spec.resources is factory
    assert spec.shape == Shape(({"CPU": 1}, {"GPU": 0.5}), "SPREAD")
    (problem,) = make_spec({"resources": factory, "gpus": 1, "memory": "1GB"})[1]
    assert problem.render("line") == (
        "--resources: a PlacementGroupFactory holds all resources of a trial; leave out --gpus and --memory,"
        " or add them to its first bundle"
    )


def test_amounts_that_no_node_can_provide_are_refused():
    assert "1.5 GPU: Ray allocates a part of one GPU" in make_spec({"gpus": 1.5})[1][0].message
    assert "a ray.tune.PlacementGroupFactory is allowed as well" in make_spec({"resources": 3})[1][0].message


def test_a_filesystem_requires_a_path():
    import fsspec

    local = LOCAL
    spec, problems = make_spec({"storage": "bucket/folder", "storage_filesystem": local})
    assert not problems
    assert (spec.storage, spec.storage_filesystem) == ("bucket/folder", local)
    for given, message in [
        ({"storage_filesystem": local}, "--storage-filesystem: given without --storage"),
        (
            {"storage": "s3://b/f?region=x", "storage_filesystem": local},
            "--storage: expected a path on the --storage-filesystem, without scheme: b/f; got 's3://",
        ),
        (
            {"storage": "b", "storage_filesystem": fsspec.filesystem("memory")},
            "got an fsspec filesystem; wrap it: pyarrow.fs.PyFile",
        ),
        (
            {"storage": "b", "storage_filesystem": "s3"},
            "--storage-filesystem: expected a pyarrow.fs.FileSystem .*, got 's3'",
        ),
    ]:
        (problem,) = make_spec(given)[1]
        assert re.search(message, problem.render("line")), problem.render("line")
    wrapped = pafs.PyFileSystem(pafs.FSSpecHandler(fsspec.filesystem("memory")))
    assert not make_spec({"storage": "b", "storage_filesystem": wrapped})[1]
