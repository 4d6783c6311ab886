"""nbtune.Space: conversions from and to cells, dictionaries, JSON and Optuna; samples; display."""

import json
import math
import re

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbtune
from nbtune import Space, SpecError
from nbtune.engine.search.optuna_space import distribution, domain_of
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.json import space_from_json, space_to_json
from nbtune.spec.space.space import Parameter

# Optuna warns about defaults outside of the distribution.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
optuna.logging.set_verbosity(optuna.logging.WARNING)

# -- spaces of every kind, as cells ---------------------------------------------------------------

NAMES = ["lr", "momentum", "hidden", "layers", "dropout", "batch_size", "größe", "_x"]
FLOATS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))
POSITIVE = st.floats(1e-6, 1e6).map(lambda x: float(f"{x:.6g}"))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), FLOATS, st.text(max_size=8), st.tuples(st.integers(), st.text(max_size=3)),
    st.sampled_from([math.inf, -math.inf]), st.lists(st.integers(0, 3), max_size=2), st.just({"a": [1, None]}),
)  # fmt: skip


def ordered(numbers):
    return st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])


@st.composite
def domains(draw):
    kind = draw(
        st.sampled_from(["uniform", "loguniform", "randint", "lograndint", "quniform", "qrandint", "randn", "choice"])
    )
    if kind == "choice":
        return Domain.call("choice", draw(st.lists(VALUES, min_size=1, max_size=4)))
    if kind == "randn":
        return Domain.call("randn", draw(FLOATS), draw(POSITIVE))
    if kind in {"quniform", "qrandint"}:
        low, steps = draw(st.integers(-5, 5)), draw(st.integers(1, 9))
        q = draw(st.sampled_from([2, 3] if kind == "qrandint" else [0.25, 0.5, 2.0]))
        return Domain.call(kind, low * q, (low + steps) * q, q)
    numbers = {
        "uniform": FLOATS,
        "loguniform": POSITIVE,
        "randint": st.integers(-99, 99),
        "lograndint": st.integers(1, 99),
    }
    return Domain.call(kind, *draw(ordered(numbers[kind])))


@st.composite
def cells(draw, optuna_only=False):
    """The text of a cell's space: plain, conditional, derived and nested parameters, defaults, constraints."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    usable = domains().filter(lambda d: not optuna_only or (d.kind != "randn" and _scalars(d)))
    lines = ['optimizer: choice(["sgd", "adam"]) = "sgd"', "scale: uniform(0.5, 1.5)"]
    for name in names:
        domain = draw(usable)
        text = domain.text(repr)
        form = draw(st.sampled_from(["plain", "default", "conditional", "either", "derived", "nested"]))
        if form == "default":
            text += f" = {draw(st.integers(0, 9))}"
        elif form == "conditional":
            text += ' if optimizer == "sgd" else None'
        elif form == "either" and domain.kind != "choice":
            text = f"{text} if scale > 1 and optimizer != 'x' else ({text} if scale < 0.7 else 3)"
        elif form == "derived":
            text = "uniform(-scale, 2 * scale) = scale / 2"
        elif form == "nested":
            text = f'{{"a": {text}, "b": {{"c": {draw(usable).text(repr)}, "d": 4}}}}'
        lines.append(f"{name}: {text}")
    if draw(st.booleans()):
        lines.append("require(scale < 1.4 or optimizer == 'adam')")
    return "\n".join(lines)


def _scalars(domain):
    values = domain.arguments.get("categories", [])
    return all(value is None or type(value) in (bool, int, float, str) for value in values)


INF = {"inf": math.inf}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(cells())
def test_a_cell_round_trips_through_a_space(text):
    space = Space.from_cell(text, INF)
    again = Space.from_cell(space.to_cell(), INF)
    assert again == space
    assert again.to_cell() == space.to_cell()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(cells())
def test_a_space_round_trips_through_json(text):
    space = Space.from_cell(text, INF)
    again = Space.from_json(space.to_json())
    assert again == space
    assert [p.default for p in again.parameters] == [p.default for p in space.parameters]
    assert json.loads(again.to_json()) == json.loads(space.to_json())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cells(optuna_only=True))
def test_a_space_round_trips_through_optuna(text):
    space = Space.from_cell(text, INF)
    study = space.to_optuna(direction="maximize")
    assert Space.from_optuna(study) == space
    try:
        config = space.suggest(study.ask())
    except optuna.TrialPruned:
        return
    assert list(config) == list(dict.fromkeys(name.split("/")[0] for name in space.names))


@settings(max_examples=150)
@given(domains().filter(lambda d: d.kind != "randn" and _scalars(d)))
def test_a_domain_round_trips_through_an_optuna_distribution(domain):
    assert domain_of(distribution(domain)) == domain


@settings(max_examples=100)
@given(domains())
def test_a_space_round_trips_through_ray_tune(domain):
    space = Space((Parameter("x", domain),))
    assert Space.from_dict(space.to_dict()) == space


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(cells(), st.integers(0, 2**31))
def test_samples_satisfy_the_constraints_and_are_reproducible(text, seed):
    space = Space.from_cell(text, INF)
    frame = space.sample(5, seed=seed)
    assert list(frame.columns) == list(space.names)
    assert len(frame) == 5
    assert not space.constraints or ((frame.scale < 1.4) | (frame.optimizer == "adam")).all()
    pd.testing.assert_frame_equal(frame, space.sample(5, seed=seed))


# -- examples -----------------------------------------------------------------------------------

CELL = """%%tune --samples 4
optimizer: choice(["sgd", "adam"]) = "sgd"
momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9
warmup: uniform(0, scale) = scale / 2
scale: choice([1, 2])
require(warmup < 1.5)
report(x=momentum)
"""


def test_conditional_parameters_have_values_only_if_the_condition_holds():
    frame = Space.from_cell(CELL).sample(300, seed=1)
    sgd = frame.optimizer == "sgd"
    assert 100 < sgd.sum() < 200
    assert frame.momentum[sgd].between(0.8, 0.99).all()
    assert frame.momentum[~sgd].isna().all()
    assert (frame.warmup <= frame.scale).all()
    assert (frame.warmup < 1.5).all()
    assert (frame.warmup > 1).any()


def test_equality_of_spaces():
    one, other = Space.from_cell(CELL), Space.from_cell("\n\n" + CELL.partition("\n")[2])
    assert one == other, "lines and magic do not count"
    assert hash(one) == hash(other)
    assert one != Space.from_cell(CELL.replace("0.99", "0.98"))
    assert one != Space.from_cell(CELL.replace("= 0.9", "= 0.8"))
    assert one != Space.from_cell(CELL.replace("1.5", "1.6"))
    assert Space.from_dict({"a": Domain.call("choice", [1])}) != Space.from_dict({"a": Domain.call("choice", [True])})
    assert one != "optimizer"


def test_dependent_parameters_round_trip_through_ray_tune():
    space = Space.from_cell("a: choice([1, 2])\nb: uniform(0, a) if a > 1 else None")
    assert Space.from_dict(space.to_dict()) == space


def test_invalid_json_and_objects_are_refused():
    space = Space.from_cell("act: choice([relu, 'x'])", {"relu": np.tanh})
    with pytest.raises(SpecError, match=r"act: tanh \(ufunc\) cannot be stored as JSON"):
        space.to_json()
    with pytest.raises(SpecError, match="invalid JSON"):
        Space.from_json("{")
    with pytest.raises(SpecError, match="expected a search space as JSON"):
        Space.from_json('{"parameters": [{"name": "a", "domain": {"uniforn": {}}}]}')
    with pytest.raises(SpecError, match="not allowed in an expression from a file"):
        Space.from_json('{"parameters": [], "require": ["open(1)"]}')


def test_objects_and_unsafe_expressions_can_be_stored_for_display():
    text = "a: choice([1, 2])\nb: uniform(0, np.log(a)) if a > 1 else None\nact: choice([tanh])"
    space = Space.from_cell(text, {"np": np, "tanh": np.tanh})
    again = Space.from_spec(
        space_from_json(json.loads(json.dumps(space_to_json(space, keep_names=True))), display_only=True)
    )
    assert again.to_cell() == space.to_cell()
    assert repr(again) == repr(space)
    with pytest.raises(SpecError, match="comes from a stored experiment and uses functions of its notebook"):
        again.sample(20)


def test_an_invalid_variable_name_cannot_be_written_to_a_cell():
    with pytest.raises(SpecError, match="'my-lr' cannot be a parameter of a cell"):
        Space.from_dict({"my-lr": Domain.call("uniform", 0, 1)}).to_cell()


def test_constants_are_written_as_assignments():
    space = Space.from_dict({"batch": 32, "model": {"depth": 3}, "lr": Domain.call("uniform", 0, 1)})
    assert space.to_cell() == "batch = 32\nmodel = {'depth': 3}\nlr: uniform(0, 1)"


def test_the_space_of_a_study_that_nbtune_did_not_create():
    study = optuna.create_study()

    def objective(trial):
        x = trial.suggest_float("x", 1e-3, 1.0, log=True)
        n = trial.suggest_int("n", 2, 10, step=2) if x > 0 else 0
        return x + n + (trial.suggest_categorical("kind", ["a", None]) is None)

    study.optimize(objective, n_trials=3)
    space = Space.from_optuna(study)
    assert space.to_cell() == "x: loguniform(0.001, 1.0)\nn: qrandint(2, 10, 2)\nkind: choice(['a', None])"
    assert Space.from_optuna(space.distributions()) == space
    with pytest.raises(SpecError, match="no trial with parameters yet"):
        Space.from_optuna(optuna.create_study())


def test_optuna_optimizes_a_space():
    space = Space.from_cell(CELL)
    study = space.to_optuna()
    study.optimize(lambda trial: space.suggest(trial)["warmup"], n_trials=20)
    assert study.trials[0].params["momentum"] == 0.9, "the defaults are tried first"
    assert study.best_value < 0.5
    assert all("momentum" not in t.params for t in study.trials if t.params["optimizer"] == "adam")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: randn()", "a: Optuna does not support randn"),
        ("a: choice([1, 2])\nb: choice([a, 3])", "b: .*a choice that depends on other parameters"),
        (
            "a: choice([1, 2])\nb: uniform(0, 1) if a > 1 else randint(1, 3)",
            "b: .*domains of different kinds under different conditions",
        ),
    ],
)
def test_spaces_that_optuna_does_not_support_are_refused(text, words):
    with pytest.raises(SpecError, match=words):
        Space.from_cell(text).to_optuna()


def test_spaces_that_cannot_be_sampled_are_refused():
    with pytest.raises(SpecError, match=r"none of 1000 samples satisfies require\(a > 5\)"):
        Space.from_cell("a: choice([1, 2])\nrequire(a > 5)").sample()
    with pytest.raises(SpecError, match="b: uniform.*cannot be evaluated: ZeroDivisionError"):
        Space.from_cell("a: choice([0])\nb: uniform(0, 1 / a)").sample()


def test_the_repr_and_html_of_a_space():
    space = Space.from_cell(CELL)
    assert repr(space) == (
        "Space of 4 parameters\n"
        "  optimizer  choice(['sgd', 'adam']) = 'sgd'\n"
        "  momentum   uniform(0.8, 0.99) if optimizer == 'sgd' else None = 0.9\n"
        "  warmup     uniform(0, scale) = scale / 2\n"
        "  scale      choice([1, 2])\n"
        "  require(warmup < 1.5)"
    )
    shown = Space.from_cell("a: choice(['<b>', 2])")._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
    assert repr(Space()) == "Space of 0 parameters"


def test_grid_size():
    assert Space.from_cell("a: grid_search([1, 2, 3])\nb: grid_search([1, 2])\nc: uniform(0, 1)").grid_size == 6


def test_require_outside_of_a_trial():
    nbtune.require(1 < 2)
    with pytest.raises(ValueError, match="expected a true condition, got False"):
        nbtune.require(2 < 1)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"model/depth": 3}, "write {'model': {'depth': …}}"),
        ({"a": {"b/c": Domain.call("uniform", 0, 1)}}, 'expected a name without "/"'),
        ({3: 1}, "expected a name that is a str and not empty, got 3"),
        ({"weights": {0: Domain.call("uniform", 0, 1), 1: 2.0}}, "expected a name that is a str"),
        ({"": 1}, "not empty, got ''"),
    ],
)
def test_a_name_that_would_come_back_as_another_one_is_refused(space, words):
    with pytest.raises(SpecError, match=re.escape(words)):
        Space.from_dict(space)


def test_a_dictionary_with_other_keys_than_text_is_a_value():
    assert Space.from_dict({"weights": {0: 1.0, 1: 5.0}}).parameters[0].domain == {0: 1.0, 1: 5.0}
