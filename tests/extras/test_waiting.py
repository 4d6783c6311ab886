"""Search algorithms that wait for results before they propose more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.experiment import Experiment

import nbtune
from nbtune.engine.search.make import make_search
from nbtune.engine.tune.background import Background, have_proposals_ended
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec


def test_ax_is_not_asked_and_pickled_in_each_step_of_tunes_loop_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    space, pickled = nbtune.Space.from_cell("x: uniform(0, 1)\ny: uniform(0, 1)"), list[int]()
    made = make_search(Spec(samples=50, metric="s", mode="max", search=Named("ax"), seed=1), space)
    wrapped = SteerableSearch(made, None, None, failures := Failures())
    wrapped.set_search_properties("s", "max", made.param_space)
    wrapped.add_configurations(
        [Experiment("e", tune.Trainable, config=made.param_space, num_samples=50, storage_path=str(tmp_path))]
    )
    present_state = Background._present_state
    monkeypatch.setattr(Background, "_present_state", lambda self: (pickled.append(1), present_state(self))[1])

    def steps(number: int) -> list[Any]:
        """Ask as Tune's loop does; return the trials."""
        trials = []
        for _ in range(number):
            trials.append(wrapped.next_trial())
            threading.Event().wait(0.01)
        return list(filter(None, trials))

    trials = steps(300)
    assert 0 < len(trials) < 50, "it waits for results"
    assert len(pickled) <= len(trials) + 3
    for trial in trials:
        wrapped.on_trial_complete(trial.trial_id, {"s": 0.5, "training_iteration": 1})
    assert steps(300), "it is asked again"
    assert failures.first is None, failures.first
    assert have_proposals_ended(60), "a thread of PyTorch's would end this process with an error"


def test_an_experiment_is_stopped_while_its_first_proposal_is_made(run: Any, until: Callable[..., None]) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report(s=config["x"])

    space = {"x": nbtune.uniform(0, 1), "y": nbtune.uniform(0, 1)}
    earlier = run(train, space, samples=12, metric="s", mode="max").wait(60)
    experiment = run(train, space, samples=2, metric="s", mode="max", search="hebo", seed=1, warm_start=earlier)
    until(lambda: experiment.status == "running", "it runs")
    experiment.stop()
    experiment.wait(20)
    assert (experiment.status, len(experiment.trials)) == ("stopped", 0), experiment.error
    experiment.resume().wait(60)
    assert (experiment.status, len(experiment.trials)) == ("finished", 2), experiment.error
