"""Values that Ray Tune does not handle travel through it as tokens."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import tune
from ray.tune.experiment import Experiment
from ray.tune.impl.placeholder import create_resolvers_map, inject_placeholders

from nbtune import Space
from nbtune.engine.protocol.recorded_space import recorded
from nbtune.engine.search.make import make_search
from nbtune.engine.search.sampling import Sampler
from nbtune.engine.search.tokens import Token, from_tokens, to_tokens
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.space.json import space_from_json, space_to_json
from nbtune.spec.space.to_cell import space_to_cell
from nbtune.spec.space.values import same


def relu(x: float) -> float:
    return max(x, 0.0)


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from([relu, abs, dict, np.float32(0.5), np.int64(3), np.arange(3), (1, 2), (), [1, [2]], {}, {0: 1.0}]),
    st.dictionaries(st.integers(), st.floats(allow_nan=False), max_size=2),
    st.builds(object),
)
CHOICES = st.lists(VALUES, min_size=1, max_size=5)


def configs(folder: Path, space: dict[str, Any], number: int, **options: Any) -> list[dict[str, Any]]:
    """Return the configurations of the trials that Tune creates, as its controller gets them."""
    spec, problems = make_spec({"samples": number, "seed": 1, "metric": "y", "mode": "max", **options})
    assert not problems
    search = make_search(spec, Space.from_dict(space))
    resolvers = create_resolvers_map()
    param_space = inject_placeholders(search.param_space, resolvers)
    assert not resolvers, "Tune fails to replace its placeholders where a choice has objects beside numbers"
    proposals = SteerableSearch(search, None, None, Failures())
    experiment = Experiment(
        "tokens", tune.Trainable, config=param_space, num_samples=search.samples, storage_path=str(folder)
    )
    proposals.set_search_properties("y", "max", param_space)
    proposals.add_configurations([experiment])
    found = []
    while (trial := proposals.next_trial()) is not None:
        found.append(trial.config)
        proposals.on_trial_complete(trial.trial_id, {"y": 1.0, "training_iteration": 1})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@given(CHOICES, VALUES)
@settings(max_examples=40)
def test_a_trial_has_the_values_of_a_grid_and_a_constant(folder: Path, values: list[Any], constant: Any) -> None:
    space = {"n": tune.grid_search(values), "c": {"d": constant}, "m": tune.choice(values)}
    found = configs(folder, space, 1)
    assert len(found) == len(values)
    for config, value in zip(found, values, strict=True):
        assert same(config["n"], value)
        assert any(same(config["m"], other) for other in values)
        assert same(config["c"]["d"], constant)


@given(CHOICES, st.data())
@settings(max_examples=25)
def test_a_point_of_the_user_is_the_first_trial(folder: Path, values: list[Any], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(values))
    for search in ("random", "optuna"):
        found = configs(folder, {"n": tune.choice(values)}, 1, search=search, points=({"n": value},))
        assert any(same(found[0]["n"], other) for other in values)
        assert same(found[0]["n"], value) or found[0]["n"] == value


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_every_search_draws_all_values(folder: Path, search: str) -> None:
    values = [relu, 3, "g", np.float32(0.5), {0: 1.0, 1: 5.0}, None, [1, 2]]
    found = [config["n"] for config in configs(folder, {"n": tune.choice(values)}, 80, search=search)]
    for value in values:
        assert any(same(value, drawn) for drawn in found), value
    assert all(any(same(value, drawn) for value in values) for drawn in found)


def test_equal_values_of_numpy_are_points_of_a_choice(folder: Path) -> None:
    space = {"n": tune.choice(list(np.arange(1, 5)))}
    for search in ("random", "optuna"):
        found = configs(folder, space, 2, search=search, points=({"n": 2},))
        assert same(found[0]["n"], np.int64(2))


def test_a_condition_has_the_value(folder: Path) -> None:
    text = "act: choice([relu, 3])\nx: uniform(0, 1) if act is relu else act"
    space = Space.from_cell(text, {"relu": relu})
    for search in ("random", "optuna"):
        spec = Spec(samples=20, seed=1, metric="y", mode="max", search=Named(search))
        made = make_search(spec, space)
        proposals = SteerableSearch(made, None, None, Failures())
        experiment = Experiment(
            "tokens", tune.Trainable, config=made.param_space, num_samples=20, storage_path=str(folder)
        )
        proposals.set_search_properties("y", "max", made.param_space)
        proposals.add_configurations([experiment])
        kinds = set()
        while (trial := proposals.next_trial()) is not None:
            assert isinstance(trial.config["x"], float) if trial.config["act"] is relu else trial.config["x"] == 3
            kinds.add(trial.config["act"])
            proposals.on_trial_complete(trial.trial_id, {"y": 1.0, "training_iteration": 1})
        assert kinds == {relu, 3}


def test_sample_from_sees_the_values_of_the_other_parameters(folder: Path) -> None:
    space = {"b": tune.sample_from(lambda config: config["act"]), "act": tune.choice([relu, 3])}
    for config in configs(folder, space, 6):
        assert config["b"] is config["act"] or config["b"] == config["act"]


def test_tokens_of_one_domain_differ() -> None:
    first, second, plain = to_tokens([{0: 1}, {0: 1}, 7])
    assert first != second
    assert plain == 7
    assert len(set(to_tokens(["2", np.int64(2), np.int64(2), np.int32(2)]))) == 4
    assert from_tokens({"a": first, "b": {"c": second}}) == {"a": {0: 1}, "b": {"c": {0: 1}}}


def test_a_token_survives_copies_and_pickling() -> None:
    value = object()
    (token,) = to_tokens([value])
    assert copy.deepcopy({"a": [token]})["a"][0].value is value
    (token,) = to_tokens([np.float32(2)])
    again = pickle.loads(pickle.dumps(token))
    assert isinstance(again, Token)
    assert again == token
    assert same(again.value, np.float32(2))


def test_the_search_draws_numbers_that_are_values_of_the_domains(folder: Path) -> None:
    space = {"a": {"n": tune.qrandint(1, 64, 8)}, "x": tune.quniform(0, 1, 0.1), "c": 7, "y": tune.qloguniform(2, 8, 2)}
    for search in ("random", "optuna"):
        for config in configs(folder, space, 30, search=search):
            assert config["a"]["n"] in range(8, 65, 8)
            assert config["x"] == round(config["x"] / 0.1) * 0.1
            assert config["y"] in (2.0, 4.0, 6.0, 8.0)
            assert config["c"] == 7


INNER = {
    "x": tune.choice([0.0, tune.uniform(0.05, 0.4)]),
    "opt": tune.choice([{"name": "sgd", "lr": tune.loguniform(1e-4, 1e-1)}, {"name": "adam", "lr": [1e-3]}]),
    "g": tune.grid_search([0, (tune.randint(3, 9),)]),
    "n": {"deep": tune.choice([tune.choice([tune.uniform(0, 1)])])},
    "s": tune.sample_from(lambda config: [tune.uniform(5, 6)]),
}


def test_space_functions_among_values_are_sampled_for_the_trials_that_choose_them(folder: Path) -> None:
    found = configs(folder, INNER, 20)
    assert found == configs(folder, INNER, 20), "with a seed"
    assert len(found) == 40
    drawn = {config["x"] for config in found}
    assert 0.0 in drawn
    assert len(drawn) > 10
    assert all(x == 0.0 or 0.05 <= x <= 0.4 for x in drawn)
    for config in found:
        name, lr = config["opt"]["name"], config["opt"]["lr"]
        assert lr == [1e-3] if name == "adam" else 1e-4 <= lr <= 1e-1
        assert config["g"] == 0 or (isinstance(config["g"], tuple) and 3 <= config["g"][0] < 9)
        assert 0 <= config["n"]["deep"] <= 1
        assert 5 <= config["s"][0] <= 6


def test_space_functions_among_values_in_a_grid_and_with_constraints(folder: Path) -> None:
    cell = "x: choice([0.0, uniform(0.05, 0.4)])\nn: choice([1, 2])\nrequire(x * n < 0.7)"
    space = Space.from_cell(cell, {})
    assert Space.from_cell(space_to_cell(space), {}) == space
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space
    assert recorded(space)["x"] == {"kind": "derived", "text": "choice([0.0, uniform(0.05, 0.4)])", "of": None}
    for config in [Sampler(space, 1).draw_valid()[0] for _ in range(20)]:
        assert config["x"] == 0.0 or 0.05 <= config["x"] <= 0.4
    grid = configs(
        folder, {"x": tune.choice([0.0, tune.uniform(0.05, 0.4)]), "n": tune.choice([1, 2])}, 1, search="grid"
    )
    assert sorted(config["n"] for config in grid if config["x"] == 0.0) == [1, 2]
    assert sorted(config["n"] for config in grid if 0.05 <= config["x"] <= 0.4) == [1, 2]
