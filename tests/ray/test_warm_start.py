"""Warm start with a real Ray: by handle, by name and by path, also after a resume."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import nbtune
from nbtune.errors import ExperimentError, SpecError

SPACE = {"x": nbtune.uniform(0, 10), "kind": nbtune.choice(["a", "b"])}
LOSS = {"metric": "loss", "mode": "min"}


def test_a_sweep_learns_from_an_earlier_one(run: Any, tmp_path: Path, until: Any) -> None:
    going = tmp_path / "going"

    def train(config: dict[str, Any]) -> None:
        nbtune.report(loss=(config["x"] - 7) ** 2 + (config["kind"] == "b"), loss_2=1)

    def waits(config: dict[str, Any]) -> None:
        nbtune.report(loss=(config["x"] - 7) ** 2 + (config["kind"] == "b"))
        while not going.exists():
            time.sleep(0.02)

    first = run(train, SPACE, **LOSS, name="early", samples=40, seed=1).wait()
    assert first.status == "finished"
    best = first.best.config

    def error(experiment: Any) -> float:
        return float((experiment.df["x"] - 7).abs().mean())

    same = {**LOSS, "search": "optuna", "samples": 8, "seed": 2, "max_concurrent": 1}
    cold = run(train, SPACE, **same).wait()
    for source in (first, "early", first.path):
        warm = run(train, SPACE, **same, warm_start=source, try_best=1).wait()
        assert warm.status == "finished"
        assert len(warm.df) == 8
        assert warm.trials[0].config == best
        assert "optuna learns from 40 trials of early; the best 1 are tried first" in warm._store.metadata["notes"]
        assert error(warm) < error(cold) / 2
    stopped = run(waits, SPACE, **{**same, "max_concurrent": 2}, warm_start=first)
    until(lambda: len(stopped.df) >= 2 and stopped.df["iterations"].ge(1).sum() >= 2, "two trials have reported")
    stopped.stop()
    stopped.wait(60)
    going.touch()
    stopped.resume()
    stopped.wait(120)
    assert stopped.status == "finished"
    assert error(stopped) < error(cold) / 2, "it still knows the earlier trials"

    random = run(train, SPACE, **LOSS, samples=3, warm_start=first.df, try_best=2).wait()
    ranked = first.df.sort_values("loss")[["x", "kind"]].to_dict("records")
    assert random.df[["x", "kind"]].to_dict("records")[:2] == ranked[:2]
    assert any(note.startswith("random does not learn from earlier") for note in random._store.metadata["notes"])
    with pytest.raises((SpecError, ExperimentError), match="there is no experiment 'earlier'.*did you mean 'early'"):
        run(train, SPACE, **same, warm_start="earlier")
