"""Compares what Ray places on simulated nodes with the plan. A program, since nodes can be added in a main thread only.

Placement groups are created as trials and Train runs create them. Whether one cannot be placed is decided by Ray's count
of scheduling attempts.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group, placement_group_table, remove_placement_group

from nbtune.cluster.resources.capacity import available_per_node
from nbtune.spec.plan.fit import count_fitting
from nbtune.spec.plan.placement import to_nodes, to_units
from nbtune.spec.plan.shape import Shape

# Attempts after which a group counts as not placed: if the plan says that it does not fit, or that it does.
FEW, MANY = 3, 25
SECONDS = 60.0


def placed(bundles: Sequence[Any], strategy: str, groups: list[Any], attempts: int) -> bool:
    """Create a group, and return whether Ray places it within a number of attempts; a busy node may reject some."""
    if not bundles:
        return True
    group = placement_group([dict(bundle) for bundle in bundles], strategy=strategy)
    groups.append(group)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state = placement_group_table(group)
        if state["state"] == "CREATED":
            return True
        if state["stats"]["scheduling_state"] == "INFEASIBLE" or state["stats"]["scheduling_attempt"] >= attempts:
            return False
        time.sleep(0.01)
    raise AssertionError(f"Ray neither places nor rejects {bundles}: {state}")


def remove(groups: list[Any]) -> None:
    for group in groups:
        remove_placement_group(group)
    groups.clear()
    totals = [node["Resources"] for node in ray.nodes()]
    end = time.monotonic() + SECONDS
    while not all(free == total for free, total in zip(available_per_node(ray) or [], totals, strict=True)):
        assert time.monotonic() < end, (available_per_node(ray), totals)
        time.sleep(0.01)


def in_turn(shape: Shape, planned: int) -> int:
    """Return how many trials are placed if each gets its workers before the next trial starts."""
    groups: list[Any] = []
    number = 0
    while placed(shape.bundles, shape.strategy, groups, MANY if number < planned else FEW) and placed(
        shape.workers, shape.workers_strategy, groups, MANY if number < planned else FEW
    ):
        number += 1
    remove(groups)
    return number


def trials_first(shape: Shape, number: int, attempts: int) -> bool:
    """Return whether a number of trials get their workers if they request them after all trials are placed."""
    groups: list[Any] = []
    all_placed = all(placed(shape.bundles, shape.strategy, groups, attempts) for _ in range(number)) and all(
        placed(shape.workers, shape.workers_strategy, groups, attempts) for _ in range(number)
    )
    remove(groups)
    return all_placed


def shapes(seed: int, number: int) -> Iterator[Shape]:
    """Yield shapes of all kinds: some fixed ones, then random ones."""
    strategies = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]
    yield Shape(({"CPU": 1},))
    yield Shape(({"CPU": 0.3},))
    yield Shape(({"GPU": 0.4},))
    yield Shape(({"CPU": 0.5, "GPU": 0.6},))
    yield Shape(({"CPU": 1, "memory": 1_500_000_000},))
    yield Shape(({"CPU": 1, "special": 0.5},))
    yield Shape(({"CPU": 1},), workers=({"GPU": 1},) * 2)
    yield Shape(({"CPU": 1},), workers=({"CPU": 1},) * 2)
    yield Shape(({"CPU": 0.5},), workers=({"CPU": 1, "GPU": 0.5},) * 3, workers_strategy="SPREAD")
    drawn = random.Random(seed)
    amounts = {"CPU": [0.25, 0.5, 1, 1.5, 2], "GPU": [0.3, 0.4, 0.5, 0.6, 1, 2], "special": [0.5, 1]}

    def bundle() -> dict[str, float]:
        names = drawn.sample(sorted(amounts), drawn.choice([1, 1, 2, 3]))
        return {name: drawn.choice(amounts[name]) for name in names}

    for _ in range(number):
        trial = tuple(bundle() for _ in range(drawn.choice([1, 1, 2, 3])))
        worker = bundle()
        workers = (worker,) * drawn.choice([0, 0, 1, 2, 3])
        yield Shape(trial, drawn.choice(strategies), workers, drawn.choice(strategies))


def possible(shape: Shape, nodes: list[dict[str, float]]) -> int:
    """Return how many trials of one bundle fit if Ray knows the usage of each GPU."""
    free = to_nodes(nodes)
    return sum(node.capacity(to_units(shape.bundles[0])) for node in free) if len(shape.bundles) == 1 else 0


def compare(shape: Shape, nodes: list[dict[str, float]]) -> dict[str, Any]:
    """Return how many trials the plan has, and how many get all of their workers in any order of requests."""
    planned = count_fitting(shape, nodes)
    real = in_turn(shape, planned)
    if planned < real <= possible(shape, nodes):
        real = planned  # Ray's result depends on whether it has already received the usage of each GPU
    while shape.workers and real > 0 and not trials_first(shape, real, MANY if real <= planned else FEW):
        real -= 1
    return {"shape": str(shape), "planned": planned, "real": real}


def main(kinds: list[dict[str, float]], seed: int, number: int) -> None:
    """Print a line of JSON for each shape: the plan, and what Ray did."""
    cluster = started(kinds[0])
    for kind in kinds[1:]:
        cluster.add_node(**arguments(kind))
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        nodes = [dict(node["Resources"]) for node in ray.nodes()]
        for shape in shapes(seed, number):
            print(">", json.dumps(compare(shape, nodes)), flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()


def started(kind: dict[str, float]) -> Cluster:
    for _ in range(2):
        with suppress(Exception):  # on a busy machine Ray gives up after 15 s
            return Cluster(initialize_head=True, head_node_args={**arguments(kind), "include_dashboard": False})
    return Cluster(initialize_head=True, head_node_args={**arguments(kind), "include_dashboard": False})


def arguments(kind: dict[str, float]) -> dict[str, Any]:
    own = {name: amount for name, amount in kind.items() if name not in ("CPU", "GPU", "memory")}
    return {
        "num_cpus": kind.get("CPU", 0),
        "num_gpus": kind.get("GPU", 0),
        "memory": int(kind.get("memory", 10**9)),
        "object_store_memory": 80 * 10**6,
        "resources": own,
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
