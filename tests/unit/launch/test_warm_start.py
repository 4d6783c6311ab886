"""Warm start: earlier trials become points and values of the search algorithm, whatever they are given as."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pandas as pd
import pytest
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.typed_values import to_typed_json
from nbtune.engine.search.make import make_search
from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell
from nbtune.launch.start import recorded_options
from nbtune.spec.options.line import parse_line
from nbtune.testing import replay

optuna.logging.set_verbosity(optuna.logging.WARNING)
CELL = """x: uniform(0, 10)
kind: choice(["a", "b"])
report(loss=x, acc=1)
"""


def earlier(*trials, metric="loss", mode="min"):
    """Return an experiment with trials: their parameters and what each has reported, or an error."""
    start = {"status": "running", "name": "digits", "metric": metric, "mode": mode, "trials": len(trials)}
    events = [ExperimentUpdated(metadata=start)]
    for number, (config, reports) in enumerate(trials):
        events.append(TrialAdded(number, ray_id=f"id{number}", config=to_typed_json(config), folder=f"t{number}"))
        events.append(TrialStarted(number))
        events += [TrialReported(number, iteration=i, time_s=1.0 * i, metrics=m) for i, m in enumerate(reports, 1)]
        if not reports:
            events.append(AttemptFailed(number, error="ValueError", traceback="", final=True))
        events.append(TrialEnded(number, status="finished" if reports else "failed", reason="done"))
    return replay([*events, ExperimentUpdated(metadata={"status": "finished"})])


TRIALS = [
    ({"x": 1.0, "kind": "a"}, [{"loss": 5.0, "acc": 1}, {"loss": 7.0, "acc": 2}]),
    ({"x": 2.0, "kind": "b"}, [{"loss": 4.0, "acc": 3}]),
    ({"x": 11.0, "kind": "a"}, [{"loss": 1.0, "acc": 9}]),  # outside
    ({"x": 3.0, "kind": "c"}, [{"loss": 1.0, "acc": 9}]),  # outside
    ({"x": 3.0}, [{"loss": 1.0, "acc": 9}]),  # incomplete
    ({"x": 4.0, "kind": "a"}, [{"loss": math.nan, "acc": 1}]),
    ({"x": 5.0, "kind": "a"}, []),
    ({"x": 6.0, "kind": "a", "old": 1}, [{"loss": 3.0, "acc": 0}]),
]


def prepared(cell=CELL, **options):
    return prepare_cell(cell, {"metric": "loss", "mode": "min", "search": "optuna", **options}, {})


def known(spec):
    return [(dict(trial.point), trial.values) for trial in spec.warm_start.trials]


def study_of(made):
    """Return the Optuna study inside of the search algorithm."""
    algorithm = make_search(made.spec, made.space).algorithm
    while hasattr(algorithm, "searcher"):
        algorithm = algorithm.searcher
    return algorithm._ot_study


EXPECTED = [({"x": 1.0, "kind": "a"}, (5.0,)), ({"x": 2.0, "kind": "b"}, (4.0,)), ({"x": 6.0, "kind": "a"}, (3.0,))]


def test_the_trials_of_an_experiment():
    made = prepared(warm_start=earlier(*TRIALS))
    assert known(made.spec) == EXPECTED
    assert made.notes == (
        "optuna learns from 3 trials of digits",
        "1 of the trials of digits left out: no finite value of loss",
        "3 of the trials of digits left out: parameters that are not in the space",
        "parameters of digits that are not in the space are ignored: old",
    )
    assert recorded_options(made.spec)["warm_start"] == "3 trials of digits"
    study = study_of(made)
    assert [(trial.params, trial.values) for trial in study.trials] == [(point, list(v)) for point, v in EXPECTED]


def test_the_values_are_those_of_the_present_metric_mode_and_scope():
    last = prepared(warm_start=earlier(*TRIALS), scope="last")
    assert [values for _, values in known(last.spec)] == [(7.0,), (4.0,), (3.0,)]
    other = prepared(warm_start=earlier(*TRIALS), metric="acc", mode="max")
    assert [values for _, values in known(other.spec)] == [(2.0,), (3.0,), (1.0,), (0.0,)]
    both = prepared(warm_start=earlier(*TRIALS), metric="acc,loss", mode="max,min")
    assert [values for _, values in known(both.spec)] == [(2.0, 7.0), (3.0, 4.0), (0.0, 3.0)]
    study = study_of(both)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.values for trial in study.best_trials] == [[3.0, 4.0], [0.0, 3.0]]


def test_a_table_a_study_and_a_path(tmp_path: Path):
    experiment = earlier(*TRIALS)
    assert known(prepared(warm_start=experiment.df).spec) == EXPECTED
    frame = pd.DataFrame({"x": [1, 2.5], "kind": ["a", "b"], "loss": [1, None], "more": ["?", "?"]})
    assert known(prepared(warm_start=frame).spec) == [({"x": 1, "kind": "a"}, (1.0,))]
    collides = pd.DataFrame({"config/x": [1.0], "x": [7.0], "kind": ["a"], "loss": [1.0]})
    assert known(prepared(warm_start=collides).spec) == [({"x": 1.0, "kind": "a"}, (1.0,))]

    study = optuna.create_study(study_name="old")
    study.optimize(lambda t: t.suggest_float("x", 0, 20) + (t.suggest_categorical("kind", ["a", "b"]) == "a"), 20)
    made = prepared(warm_start=study)
    assert len(made.spec.warm_start.trials) == sum(trial.params["x"] <= 10 for trial in study.trials)
    assert made.notes[0].startswith("optuna learns from ")
    both = experiment.to_optuna()
    assert known(prepared(warm_start=both).spec) == EXPECTED, "metric names are known"
    with pytest.raises(SpecError, match="the study minimizes what is loss with mode max here"):
        prepared(warm_start=study, mode="max")
    with pytest.raises(SpecError, match=r"warm_start=…: the study has 1 objectives \(unnamed\), not acc, loss"):
        prepared(warm_start=study, metric="acc,loss", mode="max,min")


def test_conditions_constraints_grids_and_values_of_any_kind():
    cell = """use: choice(["sgd", None, (1, 2)])
lr: loguniform(1e-4, 1)
momentum: uniform(0, 1) if use == "sgd" else None
steps: quniform(0, 1, 0.25)
width: randn(0, 1)
batch: randint(1, 10)
fixed: 3
require(lr * batch < 1)
report(loss=lr, acc=1)
"""
    rows = [
        {"use": "sgd", "lr": 0.1, "momentum": 0.5, "steps": 0.25, "width": 1.5, "batch": 2},
        {"use": None, "lr": 0.1, "steps": 0.5, "width": -1.0, "batch": 3},
        {"use": (1, 2), "lr": 0.1, "steps": 1.0, "width": 0.0, "batch": 3},
        {"use": None, "lr": 0.1, "steps": 0.3, "width": 0.0, "batch": 3},  # no multiple
        {"use": None, "lr": 0.5, "steps": 0.5, "width": 0.0, "batch": 3},  # violates the constraint
        {"use": "sgd", "lr": 0.1, "momentum": 2.0, "steps": 0.5, "width": 0.0, "batch": 3},  # out of bounds
        {"use": "sgd", "lr": 0.1, "steps": 0.5, "width": 0.0, "batch": 3},  # its condition is met
        {"use": None, "lr": 0.1, "steps": 0.5, "width": 0.0, "batch": 10},  # exclusive
    ]
    for search in ("optuna", "random"):
        made = prepared(cell, warm_start=earlier(*((row, [{"loss": 1.0}]) for row in rows)), search=search)
        assert [dict(trial.point) for trial in made.spec.warm_start.trials] == rows[:3]
    made = prepared(cell, warm_start=earlier(*((row, [{"loss": 1.0}]) for row in rows)))
    first = study_of(made).trials[0]
    assert first.params["momentum"] == 0.5
    assert 0.9 < first.params["width"] < 0.95, "Optuna searches the quantile"
    assert "momentum" not in study_of(made).trials[1].params


def proposals(made, count):
    search = make_search(made.spec, made.space)
    return [search.algorithm.suggest(f"t{number}")["x"] for number in range(count)]


def test_tpe_proposes_near_the_best_of_the_earlier_trials():
    generator = [0.37 * number % 10 for number in range(60)]
    good = earlier(*(({"x": x, "kind": "a"}, [{"loss": (x - 7) ** 2}]) for x in generator))
    cold, warm = proposals(prepared(seed=1), 10), proposals(prepared(seed=1, warm_start=good), 10)
    assert proposals(prepared(seed=1, warm_start=good), 10) == warm, "it is reproducible"
    assert warm != cold
    assert sum(abs(x - 7) for x in warm) < sum(abs(x - 7) for x in cold) / 2


def test_the_best_are_tried_first():
    made = prepared(warm_start=earlier(*TRIALS), try_best="2", points=[{"x": 9.0, "kind": "b"}], samples=4)
    expected = [{"x": 9.0, "kind": "b"}, {"x": 6.0, "kind": "a"}, {"x": 2.0, "kind": "b"}]
    assert list(made.spec.points) == expected
    assert made.notes[0] == "optuna learns from 3 trials of digits; the best 2 are tried first"
    both = prepared(warm_start=earlier(*TRIALS), try_best=2, metric="acc,loss", mode="max,min", search="random")
    assert list(both.spec.points) == [{"x": 2.0, "kind": "b"}, {"x": 6.0, "kind": "a"}], "those on the front"
    assert both.notes[0].startswith("random does not learn from earlier results, as optuna")
    assert both.notes[0].endswith("; the best 2 of 3 trials of digits are tried first")
    without = prepared(warm_start=earlier(*TRIALS), search="random")
    assert without.notes[0].endswith("; with the option try_best its best are tried first")


def test_an_object_learns_as_well():
    made = prepared(warm_start=earlier(*TRIALS), search=ConcurrencyLimiter(OptunaSearch(), max_concurrent=2))
    assert len(study_of(made).trials) == 3
    assert made.notes[0] == "ConcurrencyLimiter learns from 3 trials of digits"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"warm_start": 5}, "warm_start=…: expected an experiment, its name or path, an optuna.Study, or a DataFrame"),
        ({"warm_start": pd.DataFrame({"x": [1]})}, "the DataFrame has no column 'loss'; it has x"),
        ({"warm_start": earlier(TRIALS[2])}, "digits has no trial whose parameters are in the space"),
        ({"warm_start": earlier(TRIALS[5])}, "digits has no trial with a finite value of loss"),
        ({"warm_start": earlier(({"x": 1.0}, [{"acc": 1}]))}, "no trial has reported loss; it reported acc"),
        ({"warm_start": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"try_best": 3}, "try_best=…: given without warm_start=…"),
        ({"warm_start": earlier(*TRIALS), "try_best": 0}, "expected an integer >= 1"),
        ({"warm_start": earlier(*TRIALS), "metric": None, "mode": None, "search": "random"}, "given without metric=…"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(SpecError) as caught:
        prepared(**given)
    assert message in str(caught.value)


def test_the_flag_is_from():
    digits = earlier(*TRIALS)
    line = parse_line("--from digits --try-best 2", {"digits": digits})
    assert line.problems == []
    assert line.options == {"warm_start": digits, "try_best": "2"}
    assert parse_line("--from other", {}).options == {"warm_start": "other"}
    (problem,) = parse_line("--from", {}).problems
    assert problem.render("line") == "--from: expected a value, got none"
