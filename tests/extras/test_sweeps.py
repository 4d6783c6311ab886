"""Every search algorithm on Ray: stopped, resumed, killed, resumed, with a point of the user and more samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbtune
from nbtune.engine.search.registry import ALGORITHMS
from tests.ray.pace import allow
from tests.ray.test_resume import driver_of

NAMES = [name for name in ALGORITHMS if name not in ("random", "grid")]
GRID = [round(step / 10, 1) for step in range(11)]


def space_of(name: str) -> dict[str, Any]:
    space: dict[str, Any] = {
        "x": nbtune.quniform(0, 1, 0.1),
        "lr": nbtune.loguniform(1e-4, 1e-1),
        "n": nbtune.randint(1, 9),
        "g": nbtune.randn(0, 1),
    }
    return space if name == "bayesopt" else {**space, "c": nbtune.choice([None, (1, 2), "a"])}


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    """Returns the file that says how many steps the trials of `stepping` may make: three of five."""
    limit = tmp_path / "limit"
    allow(limit, 3)
    return limit


@pytest.fixture
def stepping(limit: Path) -> Any:
    file = str(limit)

    def train(config: dict[str, Any]) -> None:
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 5):
            while True:
                time.sleep(0.05)
                with open(file) as allowed:
                    if step < int(allowed.read()):
                        break
            loss = (config["x"] - 0.3) ** 2 + config["n"] * 0.01 + 1 / (1 + step)
            nbtune.report(step=step, loss=loss, seen=sorted(config), checkpoint={"step": step})

    return train


def has_values_of_the_space(experiment: Any) -> bool:
    configs = [trial.config for trial in experiment.trials.values()]
    return all(
        any(math.isclose(config["x"], value) for value in GRID)
        and type(config["x"]) is type(config["lr"]) is type(config["g"]) is float
        and type(config["n"]) is int
        and 1e-4 <= config["lr"] <= 1e-1
        and 1 <= config["n"] < 9
        and math.isfinite(config["g"])
        and ("c" not in config or config["c"] in (None, (1, 2), "a"))
        for config in configs
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_through_everything(
    run: Any, until: Callable[..., None], stepping: Any, limit: Path, name: str
) -> None:
    experiment = run(stepping, space_of(name), samples=6, metric="loss", mode="min", search=name, seed=1)
    until(lambda: len(experiment.history) > 3, "it reports")
    experiment.stop()
    experiment.wait(60)
    assert experiment.status == "stopped", experiment.error
    before = experiment.df["x"].tolist()
    reports = len(experiment.history)
    allow(limit, 4)
    experiment.resume()
    until(lambda: len(experiment.history) > reports, "it goes on")
    driver_of(experiment).kill()
    experiment.wait(60)
    assert experiment.status == "lost"
    allow(limit, 5)
    experiment.resume()
    experiment.add(x=0.5, n=3)
    experiment.wait(180)
    assert experiment.status == "finished", experiment.error
    assert len(experiment.trials) == 7
    experiment.extend(2)
    experiment.wait(180)
    assert experiment.status == "finished", experiment.error
    assert len(experiment.trials) == 9
    assert experiment.df["x"].tolist()[: len(before)] == before
    ended = {trial.status for trial in experiment.trials.values()}
    assert ended == {"finished"} or (name == "bohb" and ended <= {"finished", "stopped"}), ended
    assert has_values_of_the_space(experiment)
    assert all(list(seen) == sorted(space_of(name)) for seen in experiment.history["seen"])
