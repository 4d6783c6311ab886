"""The own loops of the libraries of search algorithms, which the figure `searches` compares with. Probes only.

Each is what its documentation shows, with one trial at a time, the same space, the same number of trials and the same seed
for each of the library's random generators.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

__all__ = ["LOOPS", "Problem"]

Problem = tuple[Mapping[str, tuple[str, float, float]], Callable[[Mapping[str, Any]], float]]
"""Name of a parameter -> its kind ("uniform", "loguniform" or "randint"), lower and upper bound; the function to minimise."""


def _optuna(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import optuna

    space, function = problem
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))

    def suggested(trial: Any) -> dict[str, Any]:
        return {
            name: trial.suggest_int(name, int(low), int(high) - 1)
            if kind == "randint"
            else trial.suggest_float(name, low, high, log=kind == "loguniform")
            for name, (kind, low, high) in space.items()
        }

    def step() -> float:
        trial = study.ask()
        value = function(suggested(trial))
        study.tell(trial, value)
        return value

    return step


def _hyperopt(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import hyperopt
    import numpy as np

    space, function = problem
    made = {
        name: hyperopt.hp.uniformint(name, int(low), int(high) - 1)
        if kind == "randint"
        else hyperopt.hp.loguniform(name, math.log(low), math.log(high))
        if kind == "loguniform"
        else hyperopt.hp.uniform(name, low, high)
        for name, (kind, low, high) in space.items()
    }
    # `fmin` takes a number from a generator for each trial, the seed of the proposal; Ray Tune takes it from another one.
    state: Any = SimpleNamespace(integers=np.random.RandomState(seed).randint)
    history = hyperopt.Trials()

    def step() -> float:
        hyperopt.fmin(
            function,
            made,
            hyperopt.tpe.suggest,
            len(history) + 1,
            trials=history,
            rstate=state,
            show_progressbar=False,
            verbose=False,
        )
        return float(history.losses()[-1])

    return step


def _bayesopt(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import bayes_opt

    space, function = problem
    # It knows floats only: what its users write for the other kinds.
    bounds = {
        name: (math.log(low), math.log(high)) if kind == "loguniform" else (low, high)
        for name, (kind, low, high) in space.items()
    }
    optimizer = bayes_opt.BayesianOptimization(f=None, pbounds=bounds, random_state=seed, verbose=0)
    utility = bayes_opt.UtilityFunction(kind="ucb", kappa=2.576, xi=0.0)
    seen: list[dict[str, float]] = []

    def step() -> float:
        # The first ten are random, as Ray Tune's are.
        point = (
            optimizer.suggest(utility)
            if len(seen) >= 10
            else optimizer.space.array_to_params(optimizer.space.random_sample())
        )
        seen.append(point)
        value = function({name: _from_float(space[name], x) for name, x in point.items()})
        with contextlib.suppress(Exception):  # a point that it has registered before
            optimizer.register(params=point, target=-value)
        return value

    return step


def _from_float(parameter: tuple[str, float, float], x: float) -> Any:
    kind, _, high = parameter
    if kind == "loguniform":
        return math.exp(x)
    return min(int(x), int(high) - 1) if kind == "randint" else x


def _nevergrad(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import nevergrad as ng
    import numpy as np

    space, function = problem
    made = ng.p.Dict(
        **{
            name: ng.p.Scalar(lower=low, upper=high - 1).set_integer_casting()
            if kind == "randint"
            else ng.p.Log(lower=low, upper=high)
            if kind == "loguniform"
            else ng.p.Scalar(lower=low, upper=high)
            for name, (kind, low, high) in space.items()
        }
    )
    made.random_state = np.random.RandomState(seed)
    optimizer = ng.optimizers.NGOpt(parametrization=made, budget=trials, num_workers=2)  # as nbtune's

    def step() -> float:
        candidate = optimizer.ask()
        value = function(candidate.value)
        optimizer.tell(candidate, value)
        return value

    return step


def _hebo(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import numpy as np
    import torch
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    space, function = problem
    np.random.seed(seed)
    torch.manual_seed(seed)
    parameters = [
        {"name": name, "type": "int", "lb": int(low), "ub": int(high) - 1}
        if kind == "randint"
        else {"name": name, "type": "pow" if kind == "loguniform" else "num", "lb": low, "ub": high}
        for name, (kind, low, high) in space.items()
    ]
    optimizer = HEBO(DesignSpace().parse(parameters), scramble_seed=seed)

    def step() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            point = optimizer.suggest(n_suggestions=1)
        value = function(point.iloc[0].to_dict())
        optimizer.observe(point, np.array([[value]]))
        return value

    return step


def _ax(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    from ax.service.ax_client import AxClient, ObjectiveProperties

    space, function = problem
    client = AxClient(random_seed=seed, verbose_logging=False)
    client.create_experiment(
        parameters=[
            {
                "name": name,
                "type": "range",
                "bounds": [int(low), int(high) - 1] if kind == "randint" else [low, high],
                "value_type": "int" if kind == "randint" else "float",
                "log_scale": kind == "loguniform",
            }
            for name, (kind, low, high) in space.items()
        ],
        objectives={"value": ObjectiveProperties(minimize=True)},
    )

    def step() -> float:
        point, number = client.get_next_trial()
        value = function(point)
        client.complete_trial(number, raw_data=value)
        return value

    return step


def _bohb(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import ConfigSpace
    import numpy as np
    from hpbandster.optimizers.config_generators.bohb import BOHB

    space, function = problem
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    made.add(
        ConfigSpace.UniformIntegerHyperparameter(name, int(low), int(high) - 1)
        if kind == "randint"
        else ConfigSpace.UniformFloatHyperparameter(name, low, high, log=kind == "loguniform")
        for name, (kind, low, high) in space.items()
    )
    np.random.seed(seed)
    generator = BOHB(made)

    def step() -> float:
        point, _ = generator.get_config(1.0)
        value = function(point)
        # All trials with the whole budget, as nbtune's here.
        generator.new_result(
            SimpleNamespace(result={"loss": value}, kwargs={"budget": 1.0, "config": point}, exception=None)
        )
        return value

    return step


def _zoopt(problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    import zoopt
    from zoopt.utils.zoo_global import gl

    space, function = problem
    dimension = zoopt.Dimension2(
        [
            (zoopt.ValueType.DISCRETE, [int(low), int(high) - 1], True)
            if kind == "randint"
            # It knows no logarithms: what its users write.
            else (zoopt.ValueType.CONTINUOUS, [math.log(low), math.log(high)], 1e-12)
            if kind == "loguniform"
            else (zoopt.ValueType.CONTINUOUS, [low, high], 1e-12)
            for kind, low, high in space.values()
        ]
    )
    values: list[float] = []

    def evaluated(solution: Any) -> float:
        point = {
            name: math.exp(x) if kind == "loguniform" else x
            for (name, (kind, _, _)), x in zip(space.items(), solution.get_x(), strict=True)
        }
        values.append(function(point))
        return values[-1]

    def all_values() -> Any:
        # Its loop calls the function itself, for all trials; it may end early.
        gl.set_seed(seed)  # its parameter for it ignores 0
        with contextlib.redirect_stdout(io.StringIO()):
            zoopt.Opt.min(zoopt.Objective(evaluated, dimension), zoopt.Parameter(budget=trials))
        yield from itertools.chain(values, itertools.repeat(min(values)))

    found = all_values()
    return lambda: float(next(found))


LOOPS: dict[str, Callable[[Problem, int, int], Callable[[], float]]] = {
    "optuna": _optuna,
    "hyperopt": _hyperopt,
    "nevergrad": _nevergrad,
    "bayesopt": _bayesopt,
    "bohb": _bohb,
    "zoopt": _zoopt,
    "hebo": _hebo,
    "ax": _ax,
}
"""Algorithm -> makes a function that runs one trial of a problem, for a number of trials and a seed; it returns its value.

That of ZOOpt runs all trials when it is first called."""
