"""The runs that several figures compare: with nbtune and with stock Ray Tune. Called in probes only.

Stock runs do not use nbtune: only `import ray`, `ray.init` and `Tuner.fit`.
Imports are inside the functions, since some figures measure them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench.measure import STORAGE

__all__ = [
    "CPUS",
    "NAMES",
    "SETTLE",
    "connect_nbtune",
    "init_stock",
    "models_nbtune",
    "models_stock",
    "tune_nbtune",
    "tune_stock",
]

CPUS = 2
"""The logical CPUs of each run, regardless of the machine."""
NAMES = [f"model_{number}" for number in range(100)]
"""The values of `model_id` of 100 models."""
SETTLE = 6.0
"""Seconds between connecting and the first sweep, as for a person at a notebook."""


def connect_nbtune(settle: float = SETTLE, cpus: int = CPUS) -> None:
    """Connect nbtune, and wait while it prestarts processes."""
    import nbtune

    nbtune.connect(cpus=cpus)
    time.sleep(settle)


def init_stock(settle: float = SETTLE, cpus: int = CPUS) -> None:
    """Start Ray as users do, with Tune imported."""
    import ray
    from ray import tune  # noqa: F401

    ray.init(num_cpus=cpus, include_dashboard=False)
    time.sleep(settle)


def tune_nbtune(train: Callable[..., Any], space: Mapping[str, Any], **options: Any) -> tuple[Any, dict[str, float]]:
    """Run a sweep to its end; return the experiment, and times since the call in seconds.

    Args:
        train: the training function.
        space: name -> values of the grid, or a constant.
        options: for `nbtune.tune`.

    Returns:
        The experiment, and the times "returned" (the call has returned), "first" (`history` has a row) and "whole" (all
        events have arrived).
    """
    import nbtune

    times: dict[str, float] = {}
    began = time.perf_counter()
    grid = {name: nbtune.grid_search(value) if isinstance(value, list) else value for name, value in space.items()}
    experiment = nbtune.tune(train, grid, storage=STORAGE, wait=False, **options)
    times["returned"] = time.perf_counter() - began

    def check_first() -> None:
        if "first" not in times and len(experiment.history):
            times["first"] = time.perf_counter() - began

    experiment.listen(check_first)
    check_first()
    experiment.wait()
    check_first()
    times["whole"] = time.perf_counter() - began
    if experiment.status != "finished":
        raise RuntimeError(repr(experiment))
    return experiment, times


def tune_stock(train: Callable[..., Any], space: Mapping[str, Any], *, reuse: bool) -> tuple[Any, dict[str, float]]:
    """Run a sweep with stock `Tuner.fit`; return its results, and seconds as `tune_nbtune` does.

    Args:
        train: the training function.
        space: name -> values of the grid, or a constant.
        reuse: the value of `reuse_actors`; the default of Tune is False.
    """
    from ray import tune

    times: dict[str, float] = {}
    first = Path(STORAGE, f"first-{uuid.uuid4().hex}")
    first.parent.mkdir(parents=True, exist_ok=True)

    class First(tune.Callback):
        """Writes the time of the first result to a file: with Ray Client, Tune runs in another process."""

        seen = False

        def on_trial_result(self, *arguments: Any, **named: Any) -> None:
            if not self.seen:
                self.seen = True
                first.write_text(repr(time.time()))

    began, clock = time.perf_counter(), time.time()
    grid = {name: tune.grid_search(value) if isinstance(value, list) else value for name, value in space.items()}
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space=grid,
        tune_config=tune.TuneConfig(reuse_actors=True) if reuse else None,
        run_config=tune.RunConfig(storage_path=STORAGE, callbacks=[First()]),
    )
    results = tuner.fit()
    times["whole"] = time.perf_counter() - began
    if results.num_errors:
        raise RuntimeError(str(results.errors[0]))
    times["first"] = float(first.read_text()) - clock
    return results, times


def models_nbtune(train: Callable[..., Any]) -> dict[str, float]:
    """Run a sweep of 100 models and check all results; return the times of `tune_nbtune`.

    Args:
        train: returns the parameter `model_id` as `score`.
    """
    experiment, times = tune_nbtune(train, {"model_id": NAMES})
    began = time.perf_counter()
    frame = experiment.df
    times["whole"] += time.perf_counter() - began
    assert len(frame) == len(NAMES)
    assert sorted(frame["model_id"]) == sorted(NAMES)
    assert (frame["model_id"] == frame["score"]).all()
    return times


def models_stock(train: Callable[..., Any], *, reuse: bool) -> dict[str, float]:
    """Do the same as `models_nbtune` with stock `Tuner.fit`.

    Args:
        train: returns the parameter `model_id` as `score`.
        reuse: as for `tune_stock`.
    """
    results, times = tune_stock(train, {"model_id": NAMES}, reuse=reuse)
    assert sorted(result.metrics["score"] for result in results) == sorted(NAMES)
    return times
