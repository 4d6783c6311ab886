"""Search algorithms in nbtune compared with the own loop of each library: the best value after 30 trials, and the time of
a suggestion. Those that are not installed are left out."""

from __future__ import annotations

import functools
import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from tests.bench.loops import LOOPS, Problem
from tests.bench.measure import Options, Row, median, probe, report_progress, write_result

__all__ = ["measure"]

TRIALS = 30
SEEDS = range(5)
MANY = {
    "optuna": 1000,
    "hyperopt": 1000,
    "nevergrad": 1000,
    "bohb": 1000,
    "zoopt": 1000,
    "bayesopt": 100,
    "hebo": 60,
    "ax": 60,
}
"""Algorithm -> the number of trials before the suggestions that are timed. A Gaussian process needs minutes for 1,000."""
TIMED = 10
_TIMES = "seconds"
_WORSE = 0.6
_SECONDS = 1.1


def branin(point: Mapping[str, Any]) -> float:
    """The Branin function; its minimum is 0.398."""
    x, y = float(point["x"]), float(point["y"])
    inner = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(inner**2) + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann(point: Mapping[str, Any]) -> float:
    """The Hartmann function of six parameters; its minimum is -3.322."""
    alpha = (1.0, 1.2, 3.0, 3.2)
    a = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
    p = (
        (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
        (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
        (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
        (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
    )
    x = [point[f"x{number}"] for number in range(6)]
    return -sum(alpha[i] * math.exp(-sum(a[i][j] * (x[j] - p[i][j]) ** 2 for j in range(6))) for i in range(len(alpha)))


def ackley(point: Mapping[str, Any]) -> float:
    """The Ackley function of three parameters; its minimum is 0."""
    x = list(point.values())
    squares, waves = sum(v * v for v in x) / len(x), sum(math.cos(2 * math.pi * v) for v in x) / len(x)
    return -20 * math.exp(-0.2 * math.sqrt(squares)) - math.exp(waves) + 20 + math.e


@functools.cache
def _digits() -> Any:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16, labels, train_size=500, test_size=500, random_state=0)


def digits(point: Mapping[str, Any]) -> float:
    """The error of a small network on images of digits."""
    from sklearn.neural_network import MLPClassifier

    images, other_images, labels, other_labels = _digits()
    model = MLPClassifier(
        (int(point["hidden"]),), alpha=point["alpha"], learning_rate_init=point["lr"], max_iter=8, random_state=0
    )
    return 1 - float(model.fit(images, labels).score(other_images, other_labels))


PROBLEMS: dict[str, Problem] = {
    "Branin": ({"x": ("uniform", -5, 10), "y": ("uniform", 0, 15)}, branin),
    "Hartmann": ({f"x{number}": ("uniform", 0, 1) for number in range(6)}, hartmann),
    "Ackley": ({f"x{number}": ("uniform", -15, 25) for number in range(3)}, ackley),
    "digits": (
        {"lr": ("loguniform", 1e-4, 1e-1), "alpha": ("loguniform", 1e-6, 1e-1), "hidden": ("randint", 8, 65)},
        digits,
    ),
}


def measure(options: Options) -> list[Row]:
    """Measure each installed algorithm on all problems."""
    from nbtune.engine.search.registry import ALGORITHMS

    rows = []
    for name in LOOPS:
        if (missing := ALGORITHMS[name].package_problem()) is not None:
            report_progress(f"  left out: {missing}")
            continue
        result: dict[str, Any] = {}
        for part in (*PROBLEMS, _TIMES):
            result |= probe("searches", name, part, timeout=3000)
        worse = 0.0
        for problem in PROBLEMS:
            ours, own = result[f"{problem}, nbtune"], result[f"{problem}, own"]
            worse += sum(a > b + 1e-9 for a, b in zip(ours, own, strict=True))
            note = f"median of {len(ours)} seeds; {name}'s own loop {median(own):.4g}"
            rows.append(Row("searches", f"best of {TRIALS} trials, {problem}, {name}", median(ours), "", None, note))
        share = worse / (len(PROBLEMS) * len(SEEDS))
        what = f"share of these runs in which {name}'s own loop found a better value"
        rows.append(Row("searches", what, share, "x", _WORSE, data=result))
        ours, own = result[f"{_TIMES}, nbtune"], result[f"{_TIMES}, own"]
        what = f"one suggestion of {name} after {MANY[name]} trials, nbtune / its own loop"
        rows.append(Row("searches", what, ours / own, "x", _SECONDS, f"{ours * 1000:.4g} ms, {own * 1000:.4g} ms"))
    return rows


def in_nbtune(name: str, problem: Problem, trials: int, seed: int) -> Callable[[], float]:
    """Return a function that runs one trial as an experiment does, in this process.

    Args:
        name: the name of the search algorithm.
        problem: the space and the function.
        trials: the number of trials.
        seed: the seed.
    """
    from ray import tune

    from nbtune.engine.search.make import make_search
    from nbtune.engine.search.tokens import from_tokens
    from nbtune.spec.options.options import make_spec
    from nbtune.spec.space.space import Space

    space, function = problem
    given = Space.from_dict(
        {parameter: getattr(tune, kind)(low, high) for parameter, (kind, low, high) in space.items()}
    )
    spec, problems = make_spec({"search": name, "metric": "value", "mode": "min", "samples": trials, "seed": seed})
    assert not problems, problems
    search = make_search(spec, given)
    search.algorithm.set_search_properties("value", "min", search.param_space)
    number = 0

    def step() -> float:
        nonlocal number
        number += 1
        config = search.algorithm.suggest(str(number))
        value = function(from_tokens({**search.param_space, **config}))
        result = {"value": value, "training_iteration": 1}
        if name == "bohb":  # learns from results with the budget that its scheduler adds
            search.algorithm.on_trial_result(str(number), {**result, "hyperband_info": {"budget": 1.0}})
        search.algorithm.on_trial_complete(str(number), result)
        return value

    return step


def _best(name: str, problem: str) -> dict[str, Any]:
    """Return the best values of both sides, for each seed."""
    return {
        f"{problem}, {side}": [
            min(step() for step in [make(PROBLEMS[problem], TRIALS, seed)] * TRIALS) for seed in SEEDS
        ]
        for side, make in _sides(name).items()
    }


def _times(name: str) -> dict[str, Any]:
    """Return the times of a trial after many others, on both sides."""
    results = {}
    for side, make in _sides(name).items():
        began = time.perf_counter()
        step = make(PROBLEMS["Branin"], MANY[name] + TIMED, 0)
        for _ in range(MANY[name]):
            step()
        timed = TIMED
        if name == "zoopt":  # its own loop cannot be stepped, and the time of its proposals is always the same
            timed += MANY[name]
        else:
            began = time.perf_counter()
        for _ in range(TIMED):
            step()
        results[f"{_TIMES}, {side}"] = (time.perf_counter() - began) / timed
    return results


def _sides(name: str) -> dict[str, Callable[[Problem, int, int], Callable[[], float]]]:
    return {"nbtune": functools.partial(in_nbtune, name), "own": LOOPS[name]}


def _probe(name: str, part: str) -> None:
    warnings.simplefilter("ignore")  # those of the libraries
    write_result(**(_times(name) if part == _TIMES else _best(name, part)))


if __name__ == "__main__":
    _probe(*sys.argv[1:])
