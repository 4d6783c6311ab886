"""nbtune.engine.search.registry: one entry for each name, and the same for objects."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ray.tune import schedulers
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler, pb2
from ray.tune.search import Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator

import nbtune
from nbtune.engine.search.algorithms.optuna import Optuna
from nbtune.engine.search.entry import Package
from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS, algorithm_of, scheduler_of
from nbtune.spec.options import named
from nbtune.spec.options.named import Named

ENTRIES = [*ALGORITHMS.values(), *SCHEDULERS.values()]


def test_each_name_has_an_entry():
    assert tuple(ALGORITHMS) == named.SEARCHES
    assert tuple(SCHEDULERS) == named.SCHEDULERS
    assert {entry.name for entry in ENTRIES if not entry.needs_metric} == set(named.WITHOUT_METRIC)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_reads_well(entry):
    assert entry.name.isidentifier()
    assert entry.summary
    assert entry.summary[-1] != "."
    assert all(name.isidentifier() and meaning and meaning[-1] != "." for name, meaning in entry.arguments.items())
    assert entry.partner is None or entry.partner in {*ALGORITHMS, *SCHEDULERS}
    assert not inspect.isabstract(type(entry))


def test_the_packages_are_those_of_the_extras():
    project = tomllib.loads(Path(nbtune.__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"]
    extras = {
        name: {re.sub(r"\[.*?\]", "", entry) for entry in entries}
        for name, entries in project["optional-dependencies"].items()
    }
    packages = [*Optuna().requires({"sampler": "cmaes"}), *(package for entry in ENTRIES for package in entry.packages)]
    for package in packages:
        declared = f"{package.name}{package.versions}"
        if package.command:
            assert package.name not in str(extras), "it cannot be installed with its dependencies"
        else:
            assert declared in (extras[package.extra] if package.extra else project["dependencies"]), declared


def test_what_is_missing_is_said_with_the_command_that_installs_it():
    package = Package("no-such-package", "none", ">=1", "hebo", "it needs a compiler")
    assert (
        package.problem()
        == 'the package no-such-package, which is not installed. Install it: pip install "nbtune[hebo]" (it needs a compiler)'
    )
    old = Package("numpy", "numpy", ">=99")
    assert re.fullmatch(
        r'numpy>=99, but [\d.]+ is installed, which Ray Tune cannot use. Install it: pip install "numpy>=99"',
        old.problem(),
    )
    assert Package("numpy", "numpy", ">=1").problem() is None


def test_importing_the_registry_imports_no_ray_and_no_library():
    code = "import sys, nbtune.engine.search.registry; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "nbtune.engine.search.registry" in loaded
    assert not {"ray", "optuna", "numpy", "torch", "scipy"} & set(loaded)


def test_objects_are_the_entry_of_their_class():
    assert algorithm_of(Named("grid")) is ALGORITHMS["grid"]
    assert algorithm_of(BasicVariantGenerator()) is ALGORITHMS["random"]
    assert scheduler_of(FIFOScheduler()) is SCHEDULERS["fifo"]
    assert scheduler_of(ASHAScheduler(metric="y", mode="max")) is SCHEDULERS["asha"]

    class Mine(ASHAScheduler):
        pass

    class Foreign(TrialScheduler):
        pass

    assert scheduler_of(Mine()) is SCHEDULERS["asha"]
    assert scheduler_of(Foreign()) is None
    assert algorithm_of(Searcher()) is None


def test_every_class_of_the_entries_is_one_of_ray_tune():
    modules = (schedulers, pb2)
    for entry in SCHEDULERS.values():
        assert all(any(hasattr(module, name) for module in modules) for name in entry.classes), entry.name
