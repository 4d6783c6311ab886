"""A sweep of 100 models that do nothing, on a warm cluster, from the call to all results in the caller."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import Options, Row, alternate, median, probe, write_result
from tests.bench.runs import CPUS, NAMES, connect_nbtune, init_stock, models_nbtune, models_stock

__all__ = ["measure"]

NO_FIRST = {"tasks", "optuna"}
SIDES = ("reuse", "nbtune", "tasks", "optuna")


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing."""
    return {"score": config["model_id"]}


def measure(options: Options) -> list[Row]:
    """Measure every side; stock Tune with its defaults only once, since it takes minutes."""
    results = alternate(options.rounds, SIDES, lambda side: probe("sweep", side))
    if not options.quick:
        results["stock"] = [probe("sweep", "stock", timeout=1500)]
    whole = {side: median(one["whole"] for one in rounds) for side, rounds in results.items()}
    first = {side: median(one["first"] for one in results[side]) for side in results if side not in NO_FIRST}
    note = {side: f"first {first[side]:.2f} s" for side in first}
    rows = []
    if "stock" in whole:
        rows.append(Row("sweep", "100 models, stock Tuner.fit", whole["stock"], note=note["stock"]))
        ratio = whole["nbtune"] / whole["stock"]
        rows.append(Row("sweep", "100 models, nbtune / stock Tuner.fit", ratio, "x", 1 / 80))
    rows += [
        Row("sweep", "100 models, stock with reuse_actors", whole["reuse"], note=note["reuse"]),
        Row("sweep", "100 models, nbtune", whole["nbtune"], note=note["nbtune"], data=results),
        Row("sweep", "100 models, nbtune / reuse_actors", whole["nbtune"] / whole["reuse"], "x", 1 / 4),
        Row("sweep", "first result, nbtune / reuse_actors", first["nbtune"] / first["reuse"], "x", 1 / 4),
        Row("sweep", "100 models as plain Ray tasks", whole["tasks"], note="no recording, no search, no storage"),
        Row("sweep", "100 models in Optuna, n_jobs=2", whole["optuna"], note="in the caller's process, in memory"),
    ]
    return rows


def stock(reuse: bool) -> None:
    init_stock()
    write_result(**models_stock(train_model, reuse=reuse))


def nbtune_sweep() -> None:
    connect_nbtune()
    write_result(**models_nbtune(train_model))


def tasks() -> None:
    init_stock()
    import ray

    began = time.perf_counter()
    remote = ray.remote(train_model)
    results = ray.get([remote.remote({"model_id": name}) for name in NAMES])
    whole = time.perf_counter() - began
    assert [result["score"] for result in results] == NAMES
    write_result(whole=whole)


def optuna_sweep() -> None:
    import optuna

    def objective(trial: Any) -> float:
        result = train_model({"model_id": trial.suggest_categorical("model_id", NAMES)})
        trial.set_user_attr("score", result["score"])
        return float(NAMES.index(result["score"]))  # Optuna's values are numbers

    began = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"model_id": NAMES}))
    study.optimize(objective, n_trials=len(NAMES), n_jobs=CPUS)
    whole = time.perf_counter() - began
    write_result(whole=whole, known=len({trial.user_attrs["score"] for trial in study.trials}))


if __name__ == "__main__":
    {
        "stock": lambda: stock(False),
        "reuse": lambda: stock(True),
        "nbtune": nbtune_sweep,
        "tasks": tasks,
        "optuna": optuna_sweep,
    }[sys.argv[1]]()
