"""Sweeps of 100 models that do nothing, one after another, on each kind of Ray that nbtune connects to."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.measure import ROOT, Options, Row, failures, median, probe, report_progress, write_result
from tests.bench.runs import CPUS, SETTLE, connect_nbtune, init_stock, models_nbtune, models_stock

__all__ = ["PLACES", "measure"]

PLACES = {
    "embedded": "nbtune's own Ray",
    "plain": "ray.init() in a notebook",
    "script": "ray.init() in a script",
    "start": "ray start, attached",
    "client": "ray start, ray://",
    "three": "three nodes",
}
"""Name of a place -> its description in the table. Stock Tune has no Ray of its own, so its `embedded` is `ray.init()`."""
SIDES = ("reuse", "nbtune")
SWEEPS = ("first", "second", "third", "fourth", "fifth", "after a pause")
SHOWN = ("first", "second", "fifth", "after a pause")
_TOKEN = "nbtune-bench"
_TIMEOUT = 600.0  # seconds for a connection and all sweeps
_RATIO = 1 / 4
_SECONDS = 1.0


def train_model(config: dict[str, Any]) -> dict[str, Any]:
    """A trial that does nothing."""
    return {"score": config["model_id"]}


def measure(options: Options) -> list[Row]:
    """Measure both sides in each place, each in a session of its own; a place that fails does not end the others."""
    places = options.places or tuple(PLACES)
    results: dict[str, dict[str, list[Any]]] = {place: {side: [] for side in SIDES} for place in places}
    for number in range(options.rounds):
        for place in places:
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                try:
                    results[place][side].append(_measured(side, place))
                except Exception as error:  # continue with the other places
                    failures[f"places, {place}, {side}"] = str(error)
                    report_progress(f"  FAILED: {place}, {side}: {error}")
    return [row for place, of_place in results.items() if all(of_place.values()) for row in _rows(place, of_place)]


def _measured(side: str, place: str) -> dict[str, Any]:
    """Run all sweeps of one side in a new session, and on a new cluster if the place is one; return their times."""
    with _cluster(place) as (arguments, variables):
        return probe("places", side, place, *arguments, timeout=_TIMEOUT, variables=variables)


@contextmanager
def _cluster(place: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Run `ray start` if the place needs it; yield the arguments and environment variables of the probe."""
    if place not in ("start", "client"):
        # Nodes that `ray.cluster_utils` adds have no token.
        yield [], {"RAY_AUTH_MODE": "disabled"} if place == "three" else {}
        return
    from tests.ray.clusters import foreign

    with foreign(sys.executable, _TOKEN, pythonpath=ROOT, lazy=False) as cluster:
        if place == "client":
            cluster.wait_for_client_server()
        address = cluster.client if place == "client" else cluster.address
        yield [address], {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN}


def _rows(place: str, results: dict[str, list[Any]]) -> list[Row]:
    def seconds(side: str, sweep: str, moment: str) -> float:
        return median(one[f"{sweep}: {moment}"] for one in results[side])

    rows: list[Row] = []
    for moment, what in (("first", "first report"), ("whole", "100 models")):
        for sweep in SHOWN:
            name = f"{what}, {PLACES[place]}, {sweep if sweep not in SWEEPS[:5] else f'{sweep} sweep'}"
            ours, stock = seconds("nbtune", sweep, moment), seconds("reuse", sweep, moment)
            note = f"{ours:.2f} s, {stock:.2f} s"
            data = {} if rows else results
            rows.append(Row("places", f"{name}, nbtune / stock", ours / stock, "x", _RATIO, note, data))
            if moment == "first" and sweep in ("second", "fifth"):
                rows.append(Row("places", f"{name}, nbtune", ours, limit=_SECONDS))
    return rows


def _connect(side: str, place: str, address: str | None) -> Callable[[], dict[str, float]]:
    """Connect as users do in a place; return a function that runs one sweep."""
    if place == "three":
        address = _start_three_nodes()
    if side == "nbtune":
        import nbtune

        if place == "plain":
            asyncio.run(_connect_in_notebook())
        elif place == "script":
            import ray

            ray.init(num_cpus=CPUS, include_dashboard=False)
        elif address is None:
            connect_nbtune(settle=0)
        else:
            nbtune.connect(address)
        return lambda: models_nbtune(train_model)
    if address is None:
        init_stock(settle=0)
    else:
        import ray
        from ray import tune  # noqa: F401

        ray.init(address)
    return lambda: models_stock(train_model, reuse=True)


async def _connect_in_notebook() -> None:
    """Do what a kernel does for a cell that loads nbtune and one that starts Ray, and what follows while it is idle."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_cell("%load_ext nbtune")
    shell.run_cell(f"import ray; ray.init(num_cpus={CPUS}, include_dashboard=False)")
    await asyncio.sleep(1)


def _start_three_nodes() -> str:
    """Start a head node without CPUs and two nodes that share those of the other places; return the address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=CPUS // 2)
    return str(cluster.address)


if __name__ == "__main__":
    run = _connect(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    time.sleep(SETTLE)
    times = {}
    for sweep in SWEEPS:
        if sweep == SWEEPS[-1]:
            time.sleep(SETTLE)
        times[sweep] = run()
    write_result(
        **{f"{sweep}: {moment}": of_sweep[moment] for sweep, of_sweep in times.items() for moment in ("first", "whole")}
    )
