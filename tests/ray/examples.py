"""Runs an example that Ray ships twice: through nbtune and by itself, its file unchanged, and summarizes both."""

from __future__ import annotations

import json
import random
import runpy
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

import nbtune

__all__ = ["Run", "Summary", "fit_both", "run_example"]

_FOLDER = Path(tune.__file__).parent / "examples"
_SEED = 7
_fit = tune.Tuner.fit


@dataclass(frozen=True)
class Summary:
    """The results of a tuner.

    Attributes:
        configs: the parameters of each trial.
        iterations: the number of reports of each trial.
        errors: how many trials have failed.
        checkpoints: how many trials have a checkpoint.
        best: the parameters of the best trial; None without a metric.
        value: its last value of the metric; None without a metric.
        metrics: the names of the metrics of the first trial.
    """

    configs: list[Any]
    iterations: list[int]
    errors: int
    checkpoints: int
    best: Any
    value: Any
    metrics: list[str]


@dataclass
class Run:
    """One ``tuner.fit()`` of an example.

    Attributes:
        experiment: the experiment of nbtune.
        ours: its results.
        stock: those of Ray Tune.
        folders: the names of the trials' folders, ours and Ray Tune's.
    """

    experiment: Any
    ours: Summary
    stock: Summary
    folders: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))


def run_example(
    name: str, arguments: list[str], storage: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[Run]:
    """Run an example of Ray's on the connected cluster; return the run of each of its tuners.

    Args:
        name: the name of its file, without ".py"; or a path.
        arguments: its arguments.
        storage: a folder for all results.
        monkeypatch: undoes the changes of this process.
        options: options of `nbtune.tune`.
    """
    runs: list[Run] = []

    def fit(tuner: Any) -> Any:
        runs.append(fit_both(tuner, storage, **options))
        return runs[-1].experiment.results

    monkeypatch.setattr(tune.Tuner, "fit", fit)
    monkeypatch.setattr(ray, "init", lambda *args, **settings: None)
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(storage / "ray"))
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    random.seed(_SEED)
    np.random.seed(_SEED)
    runpy.run_path(name if "/" in name else str(_FOLDER / f"{name}.py"), run_name="__main__")
    return runs


def fit_both(tuner: Any, storage: Path, **options: Any) -> Run:
    """Run a tuner through nbtune, and by itself.

    Args:
        tuner: the tuner. Its random search gets the same seed for both.
        storage: a folder for the results of nbtune.
        options: options of `nbtune.tune`.
    """
    config = tuner._local_tuner._tune_config
    experiment = nbtune.tune(tuner, wait=True, storage=str(storage / "nbtune"), seed=_SEED, **options)
    if config.search_alg is None:
        concurrent = config.max_concurrent_trials or 0
        config.search_alg = BasicVariantGenerator(random_state=_SEED, max_concurrent=concurrent)
    stock, ours = _fit(tuner), experiment.results
    ours_folders, stock_folders = (sorted(Path(one.path).name for one in results) for results in (ours, stock))
    folders = ours_folders, stock_folders
    return Run(experiment, _summary(ours, config.metric), _summary(stock, config.metric), folders)


def _summary(results: Any, metric: str | None) -> Summary:
    best = results.get_best_result() if isinstance(metric, str) and results.num_terminated else None
    return Summary(
        [one.config for one in results],
        [(one.metrics or {}).get("training_iteration", 0) for one in results],
        results.num_errors,
        sum(one.checkpoint is not None for one in results),
        None if best is None else best.config,
        None if best is None else best.metrics[metric],
        sorted(name for name in results[0].metrics or {} if not name.startswith("nbtune")),
    )


def _main() -> None:
    """Run examples on a Ray of their own with eight logical CPUs: ``python -m tests.ray.examples FOLDER "NAME ARG…"…``.

    Prints a line of JSON for each.
    """
    nbtune.connect(cpus=8)
    for text in sys.argv[2:]:
        name, *arguments = text.split()
        with pytest.MonkeyPatch.context() as monkeypatch:
            runs = run_example(name, arguments, Path(sys.argv[1], name), monkeypatch)
        shown = [
            {"status": run.experiment.status, "ours": asdict(run.ours), "stock": asdict(run.stock)} for run in runs
        ]
        print(f"RESULT {json.dumps({'name': name, 'runs': shown}, default=repr)}", flush=True)
    ray.shutdown()


if __name__ == "__main__":
    _main()
