"""Metrics may have any name: they are stored with their values, and have no effect on Tune."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import ray.tune
import ray.tune.result
import torch
from ray.tune.schedulers import HyperBandScheduler, MedianStoppingRule, PopulationBasedTraining

import nbtune
from nbtune.results.columns import headings

_TUNES = [value for constant, value in vars(ray.tune.result).items() if constant.isupper()]
CONSTANTS = sorted(
    {text for text in _TUNES if isinstance(text, str)}
    | {text for texts in _TUNES if isinstance(texts, tuple) for text in texts}
)
DANGEROUS = sorted(
    set(CONSTANTS)
    | {"nbtune", "nbtune/done", "config/lr", "config/names", "@ranks", "@seconds", "@x", "seconds", "share", "took", ""}
    | {" ", ".", "/", "//", "a/", "/a", "a.b", "__class__", "__dict__", "self", "checkpoint", "metrics", "status", "iterations"}
    | {"trial", "iteration", "time_s", "rank", "time_this_iter_s", "should_checkpoint", "metric:x", "metrics/trial", "metrics/seconds", "é", "\u202e", "\0"}
)  # fmt: skip
TAKEN = {
    "history": ("trial", "iteration", "time_s"),
    "df": ("trial", "status", "iterations", "time_s", "checkpoint", "error"),
}
# Of a report of Ray's own: its session writes over two of them, and adds up the third, which is an error of text.
RAYS = ("timestamp", "checkpoint_dir_name", "time_this_iter_s")
OF_CLASSES = frozenset(
    {"done", "should_checkpoint", "__duplicate__", "time_this_iter_s", "timesteps_this_iter", "episodes_this_iter"}
)
"""What has an effect in the result of a class, as in Ray Tune."""


def random_names(count: int) -> list[str]:
    """Return pseudo-random names: combinations of reserved words, and arbitrary characters."""
    chance = random.Random(7)
    pieces = [
        *CONSTANTS,
        "/",
        ".",
        "@",
        "_",
        "__",
        " ",
        "é",
        "日本",
        "🙂",
        "0",
        "-1",
        "NaN",
        "None",
        "x",
        "\t",
        "\\",
        '"',
        "'",
        "%",
    ]
    names: set[str] = set()
    while len(names) < count:
        wild = "".join(
            chr(chance.choice([*range(0xD800), *range(0xE000, 0x11000)])) for _ in range(chance.randint(0, 3))
        )
        names.add("".join(chance.choices(pieces, k=chance.randint(1, 3))) + wild)
        names -= set(DANGEROUS)
    return sorted(names)


ALL = [*DANGEROUS, *random_names(200)]


def values(names: list[str], step: int) -> dict[str, Any]:
    """Return the metrics of a report: numbers and texts that Tune could not use."""
    return {name: 500 + step if len(name) % 2 else f"{name} {step}" for name in names}


def by_report(config: dict[str, Any]) -> None:
    for step in range(3):
        nbtune.report(values(config["names"], step))


def by_yield(config: dict[str, Any]) -> Any:
    for step in range(3):
        yield values(config["names"], step)


def by_return(config: dict[str, Any]) -> dict[str, Any]:
    for step in range(2):
        nbtune.report(values(config["names"], step))
    return values(config["names"], 2)


def by_ray(config: dict[str, Any]) -> None:
    import ray.tune

    for step in range(3):
        ray.tune.report(values(config["names"], step))


def by_worker(config: dict[str, Any]) -> None:
    import ray.train

    for step in range(3):
        (nbtune.report if step == 1 else ray.train.report)(values(config["names"], step))


def check(experiment: Any) -> None:
    """Check that all reports of all trials have all values."""
    assert experiment.wait().status == "finished", experiment.df["error"].tolist()
    history, frame = experiment.history, experiment.df
    names = [name for trial in experiment.trials.values() for name in trial.metrics]
    shown = {table: headings(names, "metrics", taken) for table, taken in TAKEN.items()}
    for number, trial in experiment.trials.items():
        names, rows = trial.config["names"], history[history["trial"] == number]
        assert rows["iteration"].tolist() == [1, 2, 3], names
        assert trial.metrics == values(names, 2)
        for name in names:
            column = shown["history"][name]
            assert rows[column].tolist() == [values(names, step)[name] for step in range(3)], name
            column = shown["df"][name]
            assert frame[column][number] == values(names, 2)[name], name


@pytest.mark.parametrize("train", [by_report, by_yield, by_return, by_ray])
def test_every_name_is_stored(run: Any, train: Any) -> None:
    lists = [ALL] if train in (by_yield, by_return) else [ALL, *([name] for name in DANGEROUS)]
    if train is by_ray:
        lists = [[name for name in names if name not in RAYS] for names in lists]
        lists[0].remove("__duplicate__")  # of a report that has it, Ray writes over "should_checkpoint"
    check(run(train, {"names": nbtune.grid_search([names for names in lists if names])}))


def test_every_name_is_stored_from_a_class(run: Any) -> None:
    class Steps(ray.tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.count = -1

        def step(self) -> dict[str, Any]:
            self.count += 1
            return values(self.config["names"], self.count)

    lists = [[name for name in names if name not in OF_CLASSES] for names in (ALL, *([name] for name in DANGEROUS))]
    check(run(Steps, {"names": nbtune.grid_search(list(filter(None, lists)))}, stop={"iterations": 3}))


def test_every_name_is_stored_from_workers(run: Any) -> None:
    lists = [ALL, *([name] for name in ("done", "training_iteration", "__duplicate__", "@ranks", "@seconds"))]
    experiment = run(by_worker, {"names": nbtune.grid_search(lists)}, workers=2)
    check(experiment)
    shown = headings(
        ALL, "metrics", ("trial", "worker_group", "rank", "iteration", "time_s", "seconds", "waited", "cpu")
    )
    for rank in (0, 1):
        rows = experiment.trials[0].worker_history.query(f"rank == {rank}")
        assert rows["seconds"].max() < 100, "its own, not the metric of that name"
        for name in ALL:
            assert rows[shown[name]].tolist() == [values(ALL, step)[name] for step in range(3)], name


def test_ambiguous_names_are_an_error(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        nbtune.report({"a/b": 1, "a": {"b": 2}})

    experiment = run(train, {"x": 1}).wait()
    assert "two metrics of this report have the name 'a/b'" in experiment.df["error"][0]


METRICS = ["done", "training_iteration", "time_total_s", "pid", "config/lr", "nbtune"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_metric_is_the_reported_value(run: Any, metric: str) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(3):
            nbtune.report({config["metric"]: 1000.0 * config["a"] - step}, checkpoint={"step": step})

    space = {"a": nbtune.grid_search([3, 1, 2]), "metric": metric}
    asha = metric in ("done", "training_iteration")
    experiment = run(
        train, space, metric=metric, mode="max", keep_checkpoints=1, scheduler="asha" if asha else "fifo"
    ).wait()
    assert experiment.status == "finished", experiment.df["error"].tolist()
    assert experiment.best.config["a"] == 3
    best = experiment.results.get_best_result()
    assert best.config["a"] == 3
    assert (experiment.df[metric] == 1000.0 * experiment.df["a"] + 1 - experiment.df["iterations"]).all()
    assert experiment.df["iterations"][0] == 3
    # Of three checkpoints the one that is kept has the greatest value: that of the first report.
    assert [report[f"nbtune/{metric}"] for _, report in best.best_checkpoints] == [3000.0]


def test_the_metric_is_tunes_own_if_none_of_that_name_is_reported(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        for _ in range(2):
            time.sleep(config["pause"])
            nbtune.report(**{config["name"]: 1}, checkpoint={"x": 1})

    space = {"pause": nbtune.grid_search([0.5, 0.01]), "name": "x"}
    experiment = run(train, space, metric="time_total_s", mode="min", scheduler="asha", keep_checkpoints=1).wait()
    assert experiment.status == "finished"
    assert experiment.results.get_best_result().config["pause"] == 0.01
    with pytest.raises(nbtune.ExperimentError, match="no trial has reported time_total_s; reported metrics: x"):
        experiment.best  # noqa: B018


def test_search_and_schedulers_use_the_reported_values(run: Any) -> None:
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 5):
            nbtune.report(epochs=10 * epoch, done=config["a"], time_total_s=-config["a"])

    search = OptunaSearch(metric=["done", "time_total_s"], mode=["max", "min"])
    several = run(train, {"a": nbtune.uniform(0, 1)}, search=search, samples=3).wait()
    assert several.status == "finished"
    assert several.df["iterations"].tolist() == [4, 4, 4]

    scheduler = ASHAScheduler(
        time_attr="epochs", metric="done", mode="max", max_t=30, grace_period=10, reduction_factor=3
    )
    stopped = run(train, {"a": nbtune.grid_search([1.0, 0.5, 0.2])}, scheduler=scheduler, max_concurrent=1).wait()
    assert stopped.status == "finished"
    assert stopped.df["iterations"].tolist() == [3, 1, 1], "the scheduler counts epochs, to 30, and compares `done`"

    optuna = run(
        train, {"a": nbtune.uniform(0, 1)}, search="optuna", metric="time_total_s", mode="min", samples=3
    ).wait()
    assert optuna.status == "finished"
    assert optuna.best.metrics["time_total_s"] == -optuna.df["a"].max()


def test_stop_conditions_use_the_reported_values(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(1, 6):
            nbtune.report({"training_iteration": 500 * step, "done": step, "acc": step / 10, "val": {"acc": step / 10}})

    def iterations(stop: Any) -> int:
        experiment = run(train, {"x": 1}, stop=stop).wait()
        assert experiment.status == "finished"
        return int(experiment.df["iterations"][0])

    assert iterations("iterations=2") == 2
    assert iterations("done=3") == 3
    assert iterations({"training_iteration": 2000}) == 4
    assert iterations({"val/acc": 0.2}) == 2
    assert iterations(lambda trial_id, result: result["acc"] > 0.25) == 3
    assert iterations(lambda trial_id, result: result["done"] == 2 and result["val"]["acc"] == 0.2) == 2


def test_a_trial_continues_from_its_checkpoint_with_any_names(run: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        found = nbtune.get_checkpoint()
        for step in range(0 if found is None else found["step"] + 1, 6):
            if step == 3 and found is None:
                raise RuntimeError("once")
            nbtune.report({"training_iteration": 7, "time_total_s": "x", "done": True}, checkpoint={"step": step})

    experiment = run(train, {"x": 1}, max_failures=1).wait()
    assert experiment.status == "finished"
    assert experiment.history["iteration"].tolist() == [1, 2, 3, 4, 5, 6]
    assert experiment.history["training_iteration"].tolist() == [7] * 6
    assert experiment.history["done"].tolist() == [True] * 6


ODD: dict[str, Callable[[int], Any]] = {
    "number": float,
    "tensor": lambda step: torch.tensor([step + 0.5]),
    "array": lambda step: np.array([[step + 0.5]]),
    "decimal": lambda step: Decimal(step),
    "first": lambda step: None if step else 0.5,
    "none": lambda step: None,
    "nan": lambda step: math.nan,
    "complex": lambda step: 1j * step,
    "text": lambda step: "0.5",
    "list": lambda step: [step, step],
}
"""Values of the metric: those that are numbers but for their type, and others."""
NUMBERS = {"number", "tensor", "array", "decimal"}
SCHEDULERS: dict[str, Callable[[], Any]] = {
    "fifo": lambda: "fifo",
    "asha": lambda: "asha",
    "hyperband": lambda: HyperBandScheduler(max_t=3),
    "median": lambda: MedianStoppingRule(grace_period=1, min_samples_required=1),
    "pbt": lambda: PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=1, hyperparam_mutations={"x": [1, 2]}
    ),
}


@pytest.mark.parametrize(("search", "scheduler"), [("optuna", "fifo"), *(("random", name) for name in SCHEDULERS)])
def test_a_metric_that_is_not_a_number_ends_no_other_trial(run: Any, search: str, scheduler: str) -> None:
    odd = ODD

    def train(config: dict[str, Any]) -> None:
        checkpoint = nbtune.get_checkpoint()  # a scheduler may pause a trial
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 3):
            nbtune.report(loss=odd[config["value"]](step), other=1j, checkpoint={"step": step})

    space = {"value": nbtune.choice(list(ODD)), "x": nbtune.choice([1, 2])}
    points = [{"value": name, "x": 1} for name in ODD]
    experiment = run(
        train,
        space,
        metric="loss",
        mode="min",
        samples=len(ODD),
        points=points,
        search=search,
        scheduler=SCHEDULERS[scheduler](),
    ).wait(150)
    assert experiment.status == "finished", experiment
    assert set(experiment.df["status"]) <= {"finished", "stopped"}, experiment.df
    history = experiment.history
    for number, trial in experiment.trials.items():
        values = history[history["trial"] == number]["loss"].tolist()
        assert values, trial
        if trial.config["value"] in NUMBERS:
            assert all(isinstance(value, (int, float)) for value in values), values
    assert experiment.best.config["value"] in NUMBERS
