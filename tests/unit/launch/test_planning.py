"""nbtune.launch.planning: plans without a cluster."""

import pytest

import nbtune
from nbtune.launch.planning import describe_progress
from nbtune.spec.plan.plan import make_plan
from nbtune.spec.plan.shape import Shape
from nbtune.testing import example, replay


def test_the_text_has_the_plan_and_the_progress():
    experiment = replay(example(trials=4, reports=5))
    assert (
        describe_progress(experiment)
        == "no plan: nbtune has not started this experiment\nfinished, 4 of 4 trials are over"
    )
    planned = make_plan(Shape(({"CPU": 1},)), [{"CPU": 2}], 4)
    experiment._store._metadata["plan"] = planned
    assert experiment.plan == planned
    assert experiment.time_left is None
    assert describe_progress(experiment) == f"{planned}\nfinished, 4 of 4 trials are over"


def test_the_text_of_a_running_experiment_has_the_remaining_time():
    experiment = replay(example(trials=4, reports=5))
    experiment._store._metadata.update(status="running", trials=8)
    assert experiment.time_left.low <= experiment.time_left.likely <= experiment.time_left.high
    assert "\nrunning, 4 of 8 trials are over, about " in describe_progress(experiment)


def test_every_mistake_is_reported_before_a_cluster_is_used():
    with pytest.raises(nbtune.SpecError) as caught:
        nbtune.plan({"a": nbtune.uniform(3, 1)}, scaling=3, gpus=1.5, sampels=3)
    text = str(caught.value)
    assert "unknown option 'sampels' (did you mean 'samples'?)" in text
    assert "1.5 GPU: Ray allocates a part of one GPU" in text
    assert "scaling=…: expected a ray.train.ScalingConfig" in text
    with pytest.raises(nbtune.SpecError, match="expected a search space: .*; got 3"):
        nbtune.plan(3)
