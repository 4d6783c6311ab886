"""Distributed trials that are paused and resumed, by schedulers and by the user."""

from __future__ import annotations

from typing import Any

import nbtune
from tests.ray.test_train import HALF, contiguous, train, wait_until_free


def learn(config: dict[str, Any]) -> None:
    """Increase a value by the learning rate; continue from a checkpoint if there is one."""
    import time

    import torch
    import torch.distributed as dist

    checkpoint = nbtune.get_checkpoint()
    value = checkpoint["value"] if checkpoint else 0.0
    for _ in range(8 - round(checkpoint["step"] if checkpoint else 0)):
        step = torch.tensor([config["lr"]])
        dist.all_reduce(step)  # over both
        value += step.item() / 2
        done = (checkpoint["step"] if checkpoint else 0) + 1
        checkpoint = {"value": value, "step": done}
        time.sleep(0.05)
        nbtune.report(value=value, step=done, checkpoint=checkpoint)


def test_a_paused_trial_is_resumed_with_new_workers(run: Any, until: Any) -> None:
    experiment = run(train, {"lr": 1.0, "steps": 60, "pause": 0.1}, **HALF)
    until(lambda: len(experiment.history) > 3, "reports", 200)
    trial = experiment.trials[0]
    trial.pause()
    until(lambda: trial.status == "paused", "it is paused")
    wait_until_free(until)
    reached = trial.metrics["step"]
    trial.resume()
    until(lambda: trial.metrics["step"] > reached + 2, "it goes on", 200)
    assert contiguous(trial)
    trial.stop()
    experiment.wait(60)
    wait_until_free(until)


def test_population_based_training_copies_the_better_trial(run: Any, until: Any) -> None:
    from ray.tune.schedulers import PopulationBasedTraining

    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=4,
        quantile_fraction=0.5,
        resample_probability=0.0,
        synch=True,  # else the one that is ahead may be over before the other one is known
        hyperparam_mutations={"lr": [0.001, 1.0]},
    )
    space = {"lr": nbtune.grid_search([0.001, 1.0])}
    experiment = run(learn, space, **{**HALF, "metric": "value", "mode": "max"}, scheduler=scheduler).wait(300)
    assert experiment.status == "finished", [trial.error for trial in experiment.trials.values()]
    worse = experiment.trials[0].history
    assert worse["value"].iloc[0] < 0.01
    assert worse["value"].max() > 1, "it has gone on from the other one's checkpoint"
    assert all(list(trial.history["step"])[-1] == 8 for trial in experiment.trials.values())
    wait_until_free(until)


def test_trials_that_hyperband_pauses_finish(run: Any, until: Any) -> None:
    from ray.tune.schedulers import HyperBandScheduler

    scheduler = HyperBandScheduler(time_attr="training_iteration", max_t=9, reduction_factor=3)
    space = {"lr": nbtune.grid_search([1.0, 2.0, 3.0, 4.0]), "steps": 9}
    experiment = run(train, space, **HALF, scheduler=scheduler).wait(300)
    assert experiment.status == "finished", [trial.error for trial in experiment.trials.values()]
    assert all(contiguous(trial) for trial in experiment.trials.values())
    assert max(len(trial.history) for trial in experiment.trials.values()) == 9
    wait_until_free(until)
