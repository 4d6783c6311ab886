"""Trials of 2 workers in further frameworks compared with the same training without nbtune, and the first reports of two
trials in each. Frameworks that are not installed are left out."""

from __future__ import annotations

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.bench.framework_turns import TRAININGS, start_workers, trial_of
from tests.bench.measure import STORAGE, Options, Row, median, probe, report_progress, write_result
from tests.bench.runs import connect_nbtune, tune_nbtune
from tests.bench.workers import first_reports
from tests.extras.trained import CASES

__all__ = ["measure"]

PAIRS = 3  # trainings of each side per round
OTHER_SIDE = {"tensorflow": "own processes", "xgboost": "own processes", "transformers": "torchrun"}
LIMITS = {"tensorflow": 1.01}
FIRST = tuple(name for name in CASES if name != "transformers_guide")
_MISSING = (
    "not installed here: %s; make test-extras installs all: .venv-extras/bin/python -m tests.bench --only frameworks"
)


def measure(options: Options) -> list[Row]:
    """Measure the frameworks that are installed."""
    if missing := [name for name in FIRST if find_spec(name) is None]:
        report_progress("  " + _MISSING % ", ".join(missing))
    rows = [_compared(name, options) for name in TRAININGS if name not in missing]
    for name in FIRST:
        if name not in missing:
            rows += _first(name, min(options.rounds, 2))
    return rows


def _compared(name: str, options: Options) -> Row:
    results = probe("frameworks", "turns", name, str(PAIRS * options.rounds), timeout=900)
    seconds = {side: list(dict.fromkeys(results[side]["seconds"])) for side in ("nbtune", "other")}
    pairs = [ours / plain for ours, plain in zip(seconds["nbtune"], seconds["other"], strict=True)]
    losses = zip(results["nbtune"]["loss"], results["other"]["loss"], strict=True)
    same = "equal" if all(math.isclose(ours, plain, rel_tol=1e-4) for ours, plain in losses) else "DIFFER"
    middle = {side: median(of_side) for side, of_side in seconds.items()}
    note = (
        f"{middle['nbtune']:.2f} s, {middle['other']:.2f} s; {len(pairs)} pairs: {min(pairs):.3f} to {max(pairs):.3f};"
        f" losses {same}"
    )
    what = f"2 workers of {name}, nbtune / {OTHER_SIDE[name]}"
    return Row("frameworks", what, median(pairs), "x", LIMITS.get(name), note, results)


def _first(name: str, rounds: int) -> list[Row]:
    results = [probe("frameworks", "first", name) for _ in range(rounds)]
    first, following = (median(one[key] for one in results) for key in ("first", "next"))
    what = f"first report of a trial of 2 workers of {name}, the first of a session"
    return [
        Row("frameworks", what, first, data={"rounds": results}),
        Row("frameworks", f"… the next of the same experiment, {name}", following),
    ]


def _turns(name: str, number: int) -> None:
    """Let both sides train alternately, each in the same processes all the time."""
    folder = Path(STORAGE, "turns")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"times": number, "folder": str(folder)}
    file = folder / "other.json"
    processes = start_workers(name, settings, file)
    try:
        experiment, _ = tune_nbtune(trial_of(TRAININGS[name]), settings, workers=2)
        if any(process.wait(60) for process in processes):
            raise RuntimeError(f"the workers without nbtune failed: {[process.returncode for process in processes]}")
    finally:
        for process in processes:
            process.terminate()
    history = experiment.history.dropna(subset="seconds")
    ours: dict[str, Any] = {column: list(history[column]) for column in ("loss", "seconds")}
    write_result(nbtune=ours, other=json.loads(file.read_text()))


if __name__ == "__main__":
    connect_nbtune()
    if sys.argv[1] == "turns":
        _turns(sys.argv[2], int(sys.argv[3]))
    else:
        import nbtune

        train = CASES[sys.argv[2]].make(None)
        first, following = first_reports(train, {"rate": nbtune.grid_search([0.02, 0.05])})
        write_result(first=first, next=following)
