"""nbtune.engine.search.schedulers: what is refused before the start, and what Ray Tune's schedulers are created with."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
)
from ray.tune.schedulers.pb2 import PB2

import nbtune
from nbtune.engine.search.make import make_scheduler
from nbtune.engine.search.registry import SCHEDULERS, scheduler_of
from nbtune.engine.search.schedulers.base import ScheduleRequest
from nbtune.errors import spell
from nbtune.launch.check_algorithms import check_algorithms
from nbtune.spec.options.options import make_spec
from nbtune.spec.space.space import Space

SPACE = Space.from_dict(
    {"lr": nbtune.loguniform(1e-4, 1e-1), "model": {"size": nbtune.randint(1, 9)}, "kind": nbtune.choice(["a", None])}
)
SCHEDULE = [(0, {"lr": 0.1, "model": {"size": 2}, "kind": None}), (4, {"lr": 0.2, "model": {"size": 2}, "kind": "a"})]
REPLAYED = ("pbt_replay", {"policy": SCHEDULE})


def problems_of(scheduler: Any, space: Space = SPACE, code: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """Return the problems of a scheduler with other options, as a user of the magic line reads them."""
    spec, problems = make_spec({"metric": "y", "mode": "max", "samples": 4, "scheduler": scheduler, **options})
    assert not [problem for problem in problems if problem.option == "scheduler"]
    found: list[Any] = []
    check_algorithms(spec, space, found, **(code or {}))
    return [f"--{problem.option}: {spell(problem.message, 'line')}" for problem in found]


def notes_of(scheduler: Any, space: Space = SPACE, **options: Any) -> str:
    spec, _ = make_spec({"metric": "y", "mode": "max", "samples": 4, "scheduler": scheduler, **options})
    found: list[Any] = []
    notes = check_algorithms(spec, space, found)
    assert not found
    return spell("; ".join(notes), "line")


CLASSES = {
    "asha(max_t=9, grace_period=2)": AsyncHyperBandScheduler,
    "hyperband(max_t=9)": HyperBandScheduler,
    "bohb": HyperBandForBOHB,
    "median": MedianStoppingRule,
    "pbt(perturbation_interval=2, synch=True)": PopulationBasedTraining,
    "resources(base='asha(max_t=9)', increase_by={'CPU': 1})": ResourceChangingScheduler,
}


@pytest.mark.parametrize("text", CLASSES)
def test_a_name_becomes_the_scheduler_of_ray(text: str) -> None:
    spec, problems = make_spec({"metric": "y", "mode": "max", "scheduler": text})
    assert not problems
    made = make_scheduler(spec, SPACE)
    assert type(made) is CLASSES[text]
    assert scheduler_of(made) is scheduler_of(spec.scheduler) is SCHEDULERS[text.partition("(")[0]]
    inner = getattr(made, "_base_scheduler", made)
    assert inner._time_attr == "training_iteration", "Ray's own default is seconds for some"


def test_a_schedule_is_replayed_as_it_is() -> None:
    spec, _ = make_spec({"scheduler": REPLAYED})
    made = make_scheduler(spec, SPACE)
    assert isinstance(made, PopulationBasedTrainingReplay)
    assert (made.config, made._policy) == (SCHEDULE[0][1], SCHEDULE[1:])
    assert scheduler_of(made) is SCHEDULERS["pbt_replay"]


REFUSED = [
    ("asha(max_t=5, grace_period=9)", "--scheduler: asha: grace_period: expected at most max_t, which is 5, got 9"),
    ("asha(grace_period=0)", "--scheduler: asha: grace_period: expected a number above 0, got 0"),
    ("asha(reduction_factor=1)", "asha: reduction_factor: expected a number above 1, got 1"),
    ("asha(brackets=1.5)", "asha: brackets: expected a whole number of at least 1, got 1.5"),
    ("asha(max_t='9')", "asha: max_t: expected a number above 0, got '9'"),
    ("asha(stop_last_trials=1)", "asha: stop_last_trials: expected True or False, got 1"),
    ("asha(brackets=5, max_t=100)", "asha: brackets: expected at most 4, got 5: from grace_period to max_t there are"),
    ("asha(quantile=9)", "asha has no argument 'quantile'; it takes time_attr, max_t"),
    ("asha(grace_perod=9)", "asha has no argument 'grace_perod' (did you mean 'grace_period'?)"),
    ("asha(metric='z')", "asha uses the experiment's own metric: leave it out here, and give --metric"),
    ("asha(time_attr=5)", "asha: time_attr: expected the name of a metric, or training_iteration, got 5"),
    ("hyperband(max_t=0)", "hyperband: max_t: expected a number above 0, got 0"),
    ("median(min_samples_required=0)", "median: min_samples_required: expected a whole number of at least 1, got 0"),
    ("pbt(quantile_fraction=0.6)", "pbt: quantile_fraction: expected a number of at least 0 and at most 0.5, got 0.6"),
    ("pbt(resample_probability=2)", "pbt: resample_probability: expected a number of at least 0 and at most 1, got 2"),
    ("pbt(perturbation_interval=0)", "pbt: perturbation_interval: expected a number above 0, got 0"),
    ("pbt(perturbation_factors=(1.2, 0))", "pbt: perturbation_factors: expected positive numbers such as (1.2, 0.8)"),
    ("pbt(hyperparam_mutations={})", "pbt has no argument 'hyperparam_mutations'"),
    ("pbt_replay", "pbt_replay: policy: expected what exp.schedule(trial) returns"),
    ("pbt_replay(policy='nowhere.txt')", "pbt_replay: policy: there is no file 'nowhere.txt'"),
    (("pbt_replay", {"policy": SCHEDULE[1:]}), "pbt_replay: policy: expected what exp.schedule(trial) returns"),
    (
        ("pbt_replay", {"policy": [(0, {**SCHEDULE[0][1], "sise": 2})]}),
        "the schedule has 'sise', which is no parameter",
    ),
    (("pbt_replay", {"policy": [(0, {"lr": 1.0})]}), "pbt_replay: the schedule has no model, kind"),
    (REPLAYED, "--samples: pbt_replay trains a single trial; give --samples 1, and no grid"),
    ("resources(base='ashaa')", "resources: base: expected fifo, asha, hyperband, median, pbt, pb2, got 'ashaa' (did"),
    ("resources(base='asha(max_t=0)')", "resources: base: max_t: expected a number above 0, got 0"),
    ("resources(base='asha(max=0)')", "resources: base: asha has no argument 'max'"),
    ("resources(increase_by={'TPU': 1})", "resources: increase_by: expected amounts of CPU and GPU"),
    ("resources(increase_by_times=0)", "resources: increase_by_times: expected a whole number of at least 1, or -1"),
]


@pytest.mark.parametrize(("scheduler", "message"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_mistake_in_the_arguments_is_one_problem(scheduler: Any, message: str) -> None:
    samples = 4 if "--samples" in message or "pbt_replay" not in str(scheduler) else 1
    (problem,) = problems_of(scheduler, samples=samples)
    assert message in problem


@pytest.mark.parametrize(
    "scheduler",
    [
        "hyperband",
        HyperBandScheduler(max_t=9),
        "pbt",
        PopulationBasedTraining(hyperparam_mutations={"lr": [0.1, 0.2]}),
        "resources",
        ResourceChangingScheduler(),
        "median(hard_stop=False)",
        "median(min_time_slice=3)",
        MedianStoppingRule(hard_stop=False),
        MedianStoppingRule(),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_pauses_trials_needs_checkpoints(scheduler: Any) -> None:
    assert problems_of(scheduler) == []
    (problem,) = problems_of(scheduler, code={"checkpoints": False})
    assert "go on from their checkpoints, and the code saves none" in problem
    for harmless in ("asha", "median", MedianStoppingRule(min_time_slice=math.inf)):  # type: ignore[arg-type]
        assert problems_of(harmless, code={"checkpoints": False}) == []


@pytest.mark.parametrize(
    "scheduler", ["asha", "hyperband", "median", "pbt", "resources(base='asha(time_attr=\"{}\")')"]
)
def test_a_time_that_is_never_reported_is_refused(scheduler: str) -> None:
    for unit, known in (("epoch", False), ("step", True), ("val/step", True), ("time_total_s", True)):
        text = scheduler.format(unit) if "{}" in scheduler else f"{scheduler}(time_attr={unit!r})"
        found = problems_of(text, code={"reported": ("y", "steps", "step", "val")})
        assert (not found) == known, (text, found)
        assert problems_of(text) == [], "the source does not show all metrics"
        if not known:
            assert "measures the time by 'epoch', which is never reported; give time_attr" in found[0]
            assert "y, steps, step, val, training_iteration, time_total_s" in found[0]
    object_ = AsyncHyperBandScheduler(time_attr="stepp")
    assert (
        "'stepp', which is never reported (did you mean 'step'?)"
        in problems_of(object_, code={"reported": ("step",)})[0]
    )


@pytest.mark.parametrize("search", ["optuna", "object"])
def test_a_population_has_no_search_algorithm(search: str) -> None:
    from ray.tune.search.optuna import OptunaSearch

    given: Any = OptunaSearch() if search == "object" else search
    for scheduler in ("pbt", PopulationBasedTraining(hyperparam_mutations={"lr": [0.1, 0.2]})):
        found = problems_of(scheduler, search=given)
        assert any("cannot be used with a search algorithm that learns; leave --search out" in text for text in found)
    assert problems_of("pbt", search="grid", space=Space.from_dict({"a": nbtune.choice([1, 2, 3])})) == []


def test_what_a_population_cannot_do() -> None:
    mutating = PopulationBasedTraining(hyperparam_mutations={"lrr": [0.1, 0.2]})
    assert "changes 'lrr', which is no parameter (did you mean 'lr'?)" in problems_of(mutating)[0]
    assert (
        "was created with the parameters that it changes"
        in problems_of(PopulationBasedTraining(hyperparam_mutations={"lr": [0.1, 0.2]}), mutate="lr")[0]
    )
    assert problems_of("pbt", samples=1)[0].startswith("--samples: pbt compares the trials of a population")
    assert problems_of("pbt", mutate="lr,sise") == [
        "--mutate: 'sise' is no parameter; the parameters are lr, model/size, kind"
    ]
    assert problems_of("pb2", mutate="lr,kind") == [
        "--mutate: pb2 cannot change kind, which is no floating-point number between bounds"
    ]
    constants = Space.from_dict({"a": 3})
    assert problems_of("pbt", constants) == ["--scheduler: pbt finds no parameter that it can change: a is a constant"]
    assert problems_of("asha", mutate="lr")[0].startswith(
        "--mutate: only for a scheduler that changes the parameters of running trials; give --scheduler pbt"
    )
    assert problems_of("resources(base='pbt')", mutate="lr") == []


def test_what_is_said_before_the_start() -> None:
    assert notes_of("asha") == ""
    assert notes_of("pb2") == (
        "pb2 changes lr of a running trial, and not model/size, which is no floating-point number between bounds, kind,"
        " which is no floating-point number between bounds; pb2 models lr on a linear scale"
    )
    assert "of which --max_concurrent 2 allows 2 at a time".replace("_", "-") in notes_of("pbt", max_concurrent=2)
    assert "starts a new process for each trial" in notes_of("resources")
    assert "nothing is sampled" in notes_of(REPLAYED, samples=1)


def test_resources_need_a_metric_if_what_is_inside_does() -> None:
    def metric_problems(scheduler: Any) -> list[str]:
        return [text for text in problems_of(scheduler, metric=None, mode=None) if text.startswith("--metric")]

    assert metric_problems("resources") == []
    assert "required by asha, which compares trials" in metric_problems("resources(base='asha')")[0]
    assert "required by to_best" in metric_problems("resources(to_best=True)")[0]
    assert "a trial with workers changes its number of workers itself" in problems_of("resources", workers=2)[0]


def test_the_parameters_of_a_population_come_from_the_space() -> None:
    spec, _ = make_spec({"metric": "y", "mode": "max", "scheduler": "pbt", "mutate": "lr,model/size"})
    distributions = make_scheduler(spec, SPACE)._hyperparam_mutations
    assert set(distributions) == {"lr", "model"}
    assert (distributions["lr"].lower, distributions["lr"].upper) == (1e-4, 1e-1)
    assert distributions["model"] == {"size": [1, 2, 3, 4, 5, 6, 7, 8]}
    spec, _ = make_spec({"metric": "y", "mode": "max", "scheduler": "pb2"})
    made = make_scheduler(spec, SPACE)
    assert isinstance(made, PB2)
    assert made._hyperparam_bounds == {"lr": [1e-4, 1e-1]}


def test_the_median_pauses_no_trial_by_itself() -> None:
    spec, _ = make_spec({"metric": "y", "mode": "max", "scheduler": "median"})
    assert make_scheduler(spec, SPACE)._min_time_slice == math.inf
    assert SCHEDULERS["median"].pauses(ScheduleRequest(spec, SPACE)) is False
