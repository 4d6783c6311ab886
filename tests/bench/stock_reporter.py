"""Ray Tune's reporter for notebooks, used without a sweep."""

from __future__ import annotations

import time
from typing import Any

from tests.bench.big import RUNNING, values

__all__ = ["reporter", "trials_of"]


def trials_of(trials: int, reports: int, *, over: bool = False) -> list[Any]:
    """Return Tune's trial objects with a number of reports; the last two are running unless `over` is true."""
    from ray.tune.experiment import Trial

    class StubTrial(Trial):
        local_path = None  # it has no folder with error files

    results = []
    for number in range(trials):
        config = {"lr": 10 ** -(1 + number % 300 / 100), "hidden": 32 * (1 + number % 4)}
        trial = StubTrial("train", stub=True, config=config, evaluated_params=config, trial_id=f"big_{number:05}")
        trial.set_status(Trial.RUNNING if number >= trials - RUNNING and not over else Trial.TERMINATED)
        result(trial, number, reports)
        results.append(trial)
    return results


def result(trial: Any, number: int, iteration: int) -> None:
    """Set the last result of a trial."""
    accuracy = float(values(number, iteration, iteration + 1)[0])
    trial.update_last_result(
        {
            "accuracy": accuracy,
            "loss": 1 - accuracy,
            "training_iteration": iteration,
            "time_total_s": 0.05 * iteration,
            "node_ip": "127.0.0.1",
            "pid": 4000 + number % 2,
            "config": trial.config,
        }
    )


def reporter(trials: int) -> Any:
    """Return the reporter as `Tuner.fit` sets it up."""
    from ray.tune import JupyterNotebookReporter

    made = JupyterNotebookReporter()
    made.set_search_properties("accuracy", "max")
    made.set_total_samples(trials)
    made.set_start_time(time.time())
    return made
