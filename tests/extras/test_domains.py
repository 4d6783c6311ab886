"""Every search algorithm with every domain: its proposals are exactly values of the domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune import Space
from nbtune.engine.search.codecs import NotInDomainError
from nbtune.engine.search.make import make_search
from nbtune.engine.search.registry import ALGORITHMS
from nbtune.engine.search.tokens import from_tokens
from nbtune.spec.options.options import make_spec
from nbtune.spec.space.domain import Domain, depends_on
from nbtune.spec.space.space import Parameter
from nbtune.spec.space.space import Space as Parameters
from tests.unit.engine.domains import DOMAINS, is_value

NAMES = [name for name in ALGORITHMS if name not in ("random", "grid")]
SLOW = {"hebo", "ax"}  # a second or more for a proposal of a model


def searcher(name: str, space: Any, samples: int, **options: Any) -> Any:
    spec, problems = make_spec({"search": name, "samples": samples, "metric": "y", "mode": "max", "seed": 1, **options})
    assert not problems
    return make_search(spec, space).algorithm


def proposals(algorithm: Any, number: int, *, fail: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield configurations as trials get them, and report a value for each before the next one."""
    for trial in range(number):
        name = f"trial_{trial}"
        suggested = algorithm.suggest(name)
        assert isinstance(suggested, dict), f"no proposal {trial}, though no trial is waited for: {suggested!r}"
        yield from_tokens(suggested)
        result = {"y": math.sin(trial), "training_iteration": 1, "hyperband_info": {"budget": 1}}
        algorithm.on_trial_result(name, result)
        if trial == fail:
            algorithm.on_trial_complete(name, None, error=True)
        else:
            algorithm.on_trial_complete(name, result)


@pytest.mark.parametrize("kind", DOMAINS)
@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_is_exactly_a_value_of_the_domain(name: str, kind: str) -> None:
    number = 2 if name in SLOW else 6

    @given(domain=DOMAINS[kind], data=st.data())
    @settings(max_examples=1 if name in SLOW else 4, derandomize=True)
    def check(domain: Domain, data: Any) -> None:
        parameter = Parameter("a/x", domain)
        if ALGORITHMS[name].problem(parameter) is not None:
            assert (name, kind) == ("bayesopt", "choice"), "the only pair that is refused"
            return
        algorithm = searcher(name, Parameters((parameter, Parameter("c", 5))), number)
        for config in proposals(algorithm, number):
            assert list(config) == ["a"]
            assert is_value(domain, config["a"]["x"]), (domain, config)

    check()


ALL = """\
p_uniform: uniform(-1.5, 2)
p_quniform: quniform(0, 1, 0.1)
p_loguniform: loguniform(1e-4, 1e-1)
p_qloguniform: qloguniform(2, 100, 2)
p_randn: randn(1, 2)
p_qrandn: qrandn(0, 1, 0.25)
p_randint: randint(-3, 7)
p_qrandint: qrandint(4, 20, 4)
p_lograndint: lograndint(1, 1000)
p_qlograndint: qlograndint(2, 256, 2)
"""
CHOICES = """\
text: choice(["a", "b", "c"])
mixed: choice([None, 1, 2.5, "x", (1, 2), [3], {"y": 1}])
"""
REST = """\
only: choice([7])
given: sample_from(lambda config: config["p_randint"] + 1)
momentum: uniform(0.8, 0.99) if p_randint > 0 else None
peak: uniform(p_loguniform, 1)
constant: "c"
"""


def space_for(name: str) -> Space:
    return Space.from_cell(ALL + ("" if name == "bayesopt" else CHOICES) + REST)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_space_with_the_model_of_the_library(name: str) -> None:
    """After the random trials, with a failed trial, and more trials than were requested at first."""
    space = space_for(name)
    domains = {parameter.name: parameter.domain for parameter in space.parameters}
    number = 20 if name in SLOW else 24
    found = list(proposals(searcher(name, space, 12), number, fail=3))
    for config in found:
        for parameter, domain in domains.items():
            if isinstance(domain, Domain) and domain.kind != "sample_from" and not depends_on(domain):
                assert is_value(domain, config[parameter]), (parameter, config)
        assert 0.8 <= config["momentum"] <= 0.99 if config["p_randint"] > 0 else config["momentum"] is None
        assert config["p_loguniform"] <= config["peak"] <= 1
    assert len({repr(config) for config in found}) >= number - 4, "some propose a configuration twice"
    again = list(proposals(searcher(name, space, 12), 4))
    assert again == found[:4] or name == "ax", "the seed"


@pytest.mark.parametrize("name", NAMES)
def test_the_points_of_the_user_are_tried_as_they_are(name: str) -> None:
    inside = {"p_uniform": 0.123456789012345, "p_loguniform": 0.05, "p_qrandint": 8, "p_randn": 0.1, "p_quniform": 0.3}
    outside = {"p_uniform": 99.5}
    points = [{**inside, **({} if name == "bayesopt" else {"mixed": [3]})}, outside, {"p_lograndint": 17}]
    algorithm = searcher(name, Space.from_cell(ALL + ("" if name == "bayesopt" else CHOICES)), 5, points=points)
    found = list(proposals(algorithm, 5))[:3]
    for point in points:
        assert any(all(config[key] == value for key, value in point.items()) for config in found), (point, found)
    assert found.index(next(c for c in found if c["p_uniform"] == inside["p_uniform"])) < found.index(
        next(c for c in found if c["p_lograndint"] == 17)
    ), "in order"


KNOWN: dict[str, Callable[[Any], int]] = {
    "optuna": lambda searcher: len(searcher._ot_study.trials),
    "bayesopt": lambda searcher: len(searcher.optimizer.space),
    "hebo": lambda searcher: len(searcher._opt.X),
    "nevergrad": lambda searcher: searcher._nevergrad_opt.num_tell,
    "ax": lambda searcher: len(searcher._ax.experiment.completed_trials),
}
"""Of how many points with values a library knows."""


@pytest.mark.parametrize("name", [name for name in NAMES if ALGORITHMS[name].learns])
def test_it_learns_from_points_that_it_has_not_proposed(name: str) -> None:
    algorithm = searcher(name, Space.from_cell("x: quniform(0, 1, 0.1)\nz: randn(0, 1)"), 10)
    for number in range(8):
        algorithm.add_evaluated_point({"x": number / 10, "z": 0.5}, -((number / 10 - 0.7) ** 2))
    assert KNOWN[name](algorithm.searcher) == 8
    with pytest.raises(NotInDomainError):
        algorithm.add_evaluated_point({"x": 5.0, "z": 0.5}, 1.0)
    assert len(list(proposals(algorithm, 2))) == 2
    assert KNOWN[name](algorithm.searcher) == (8 if name == "bayesopt" else 10), "it waits for its random trials"


@pytest.mark.parametrize("name", NAMES)
def test_a_small_space_is_searched_to_the_last_sample(name: str) -> None:
    """Libraries end or wait when they have proposed all configurations that there are."""
    number = 7 if name in SLOW else 12
    assert len(list(proposals(searcher(name, Space.from_cell("n: randint(0, 3)"), number), number))) == number


@pytest.mark.parametrize("number", [1, 2, 6])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_it_can_be_saved_after_each_trial(name: str, number: int, tmp_path: Path) -> None:
    """The experiment saves it while it runs. Which optimizer Nevergrad takes depends on the space and the samples."""
    space = Space.from_cell("\n".join(f"x{i}: uniform(0, 1)" for i in range(number)))
    for samples in (4, 20):
        algorithm = searcher(name, space, samples)
        for trial, _ in enumerate(proposals(algorithm, 4)):
            algorithm.save(str(tmp_path / f"{samples}-{trial}"))
        restored = searcher(name, space, samples)
        restored.restore(str(tmp_path / f"{samples}-3"))
        assert isinstance(restored.suggest("next"), dict)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_without_anything_to_search(name: str) -> None:
    (config, _) = proposals(searcher(name, Space.from_cell("n: randint(3, 4)\nc: 5"), 2), 2)
    assert config == {"n": 3}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "gp", "nsga2", "nsga3", "qmc", "random"])
def test_the_samplers_of_optuna(sampler: str) -> None:
    space = Space.from_cell(ALL + CHOICES + "constant: 5")
    found = list(proposals(searcher(f"optuna(sampler={sampler!r})", space, 12), 12))
    for config in found:
        for parameter in space.parameters:
            if isinstance(parameter.domain, Domain):
                assert is_value(parameter.domain, config[parameter.name]), (parameter, config)
    conditional = Space.from_cell("k: choice([1, 2])\nx: uniform(0, 1) if k == 1 else None\nz: randn(0, 1)")
    assert all(
        (config["x"] is None) == (config["k"] == 2)
        for config in proposals(searcher(f"optuna(sampler={sampler!r})", conditional, 12), 12)
    )


def test_a_sampler_object_of_optuna_with_constraints() -> None:
    """Its function gets the parameters as they are."""
    import optuna

    seen: list[dict[str, Any]] = []

    def constraints(trial: Any) -> tuple[float]:
        seen.append(trial.params)
        return (trial.params["x"] - 0.5,)

    sampler = optuna.samplers.TPESampler(seed=1, constraints_func=constraints)
    space = Space.from_cell("x: quniform(0, 1, 0.1)\nact: choice([abs, None, 'relu'])\nn: qlograndint(2, 64, 2)")
    list(proposals(searcher("optuna", space, 8, search=("optuna", {"sampler": sampler})), 8))
    assert len(seen) == 8
    assert all(params["act"] in ("abs", None, "relu") and 0 <= params["x"] <= 1 and params["n"] >= 1 for params in seen)


def objects() -> dict[str, Callable[[], Any]]:
    import nevergrad
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.ax import AxSearch
    from ray.tune.search.bayesopt import BayesOptSearch
    from ray.tune.search.bohb import TuneBOHB
    from ray.tune.search.hebo import HEBOSearch
    from ray.tune.search.hyperopt import HyperOptSearch
    from ray.tune.search.nevergrad import NevergradSearch
    from ray.tune.search.optuna import OptunaSearch
    from ray.tune.search.zoopt import ZOOptSearch

    point = {"x": 0.5, "c": {"n": 4}, "lr": 0.01}
    return {
        "AxSearch": lambda: ConcurrencyLimiter(AxSearch(points_to_evaluate=[point]), 1),
        "BayesOptSearch": lambda: BayesOptSearch(points_to_evaluate=[point], random_search_steps=2),
        "HEBOSearch": lambda: HEBOSearch(points_to_evaluate=[point], metric="y", mode="max"),
        "HyperOptSearch": lambda: HyperOptSearch(points_to_evaluate=[point]),
        "NevergradSearch": lambda: NevergradSearch(nevergrad.optimizers.OnePlusOne, points_to_evaluate=[point]),
        "OptunaSearch": lambda: OptunaSearch(points_to_evaluate=[point]),
        "TuneBOHB": lambda: TuneBOHB(points_to_evaluate=[point]),
        "ZOOptSearch": lambda: ZOOptSearch(budget=20),
    }


@pytest.mark.parametrize("name", objects() if find_spec("nevergrad") else ())
def test_an_object_of_ray_tune_searches_the_same_domains(name: str) -> None:
    space = Space.from_cell(
        "x: quniform(0, 1, 0.1)\nc: {'n': qrandint(2, 10, 2)}\nlr: loguniform(1e-4, 1e-1)\ng: randn(0, 1)"
    )
    if name not in ("ZOOptSearch",):
        space = Space(space.parameters[:3])
    found = list(proposals(searcher("", space, 6, search=objects()[name]()), 6))
    for config in found:
        assert is_value(space["x"].domain, config["x"])
        assert is_value(space["c/n"].domain, config["c"]["n"])
        assert is_value(space["lr"].domain, config["lr"])
        assert set(config) <= {"x", "c", "lr", "g"}
    if name != "ZOOptSearch":
        assert found[0] == {"x": 0.5, "c": {"n": 4}, "lr": 0.01}
