"""The cluster panel and the scaling form on real clusters: their numbers are those of Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ray.test_local_cluster import Place

COMMON = """
import json, os, subprocess, sys, time
import nbtune

def say(**values):
    print(">", json.dumps(values), flush=True)

def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, panel._source.snapshot()
        time.sleep(0.1)
    return found

def hold(config):
    while not os.path.exists(STOP):
        time.sleep(0.05)
    nbtune.report(x=1)

def amounts(picture):
    return {name: used for name, used, total in picture["amounts"]}

def users(picture):
    return {one["name"]: (one["here"], one["trials"], one["resources"]) for one in picture["users"]}

panel = nbtune.ClusterPanel()
"""
NODES = """
import ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes = [
    cluster.add_node(num_cpus=2, num_gpus=1, memory=4 * 10**9, resources={"disk": 2}, node_name=name)
    for name in ("first", "second")
]
ray.init(address=cluster.address, namespace="nbtune", log_to_driver=False, logging_level="ERROR")

def rays():
    free = ray.available_resources()
    names = ("CPU", "GPU", "memory", "disk")
    return {name: round(total - free.get(name, 0), 4) for name, total in ray.cluster_resources().items() if name in names}

def same():
    # Between Ray's two answers a trial may have begun: asked until both are of one moment.
    found = amounts(panel._source.snapshot())
    return found if {name: found[name] for name in rays()} == rays() else None

idle = panel._source.snapshot()
say(kind=idle["kind"], address=idle["address"] == cluster.address, alive=idle["alive"], dead=idle["dead"],
    used=[amounts(idle)[name] for name in ("CPU", "GPU", "memory", "disk")], users=idle["users"], others=idle["others"],
    heads=[one["head"] for one in idle["nodes"]].count(True), names=sorted(one["name"] for one in idle["nodes"])[1:])

mine = nbtune.tune(hold, {"a": nbtune.grid_search([1, 2])}, name="mine", cpus=1, gpus=0.5, memory="1GB",
                   resources={"disk": 0.5}, storage=STORAGE, wait=False)
until(lambda: mine._store.counts["running"] == 2)
say(users=users(panel._source.snapshot()), same=until(same) is not None, others=panel._source.snapshot()["others"])

other = subprocess.Popen([sys.executable, "-c", OTHER.format(address=cluster.address)])
until(lambda: users(panel._source.snapshot()).get("theirs", (0, 0))[1] == 1)
own = ray.remote(num_cpus=0.5)(type("Own", (), {"ready": lambda self: 1})).remote()
ray.get(own.ready.remote())
until(lambda: panel._source.snapshot()["others"])
found = until(same)
say(users=users(panel._source.snapshot()), used=[found["CPU"], found["GPU"]], others=panel._source.snapshot()["others"])

begun = time.perf_counter()
for _ in range(50):
    panel._source.snapshot()
print("one question takes", round((time.perf_counter() - begun) / 50 * 1000, 2), "ms", file=sys.stderr)

form = nbtune.ScalingForm({"cpus": 1, "gpus": 0.5, "samples": 6})
until(lambda: form.planned.get("state") == "planned")
say(concurrent=form._source.plan(form.value)["lines"][0], state=form.planned["state"])

open(STOP, "w").close()
mine.wait(60)
other.wait(60)
until(lambda: not panel._source.snapshot()["users"])
say(others=panel._source.snapshot()["others"])

cluster.remove_node(nodes[1], allow_graceful=False)
lost = until(lambda: [one for one in panel._source.snapshot()["nodes"] if not one["alive"]])
after = panel._source.snapshot()
say(name=lost[0]["name"], why=bool(lost[0]["reason"]), alive=after["alive"], dead=after["dead"], total=dict((n, t) for n, u, t in after["amounts"])["GPU"])
print(lost[0]["reason"], file=sys.stderr)
ray.shutdown()
cluster.shutdown()
"""
OTHER = """
import os, time
import ray
ray.init(address="{{address}}", namespace="nbtune", log_to_driver=False, logging_level="ERROR")
import nbtune

def hold(config):
    while not os.path.exists({stop!r}):
        time.sleep(0.05)
    nbtune.report(x=1)

nbtune.tune(hold, {{{{"a": 1}}}}, name="theirs", cpus=1, storage={storage!r}, wait=False).wait(120)
"""


@pytest.fixture
def place(tmp_path: Path, ray_folder: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.python("import nbtune; nbtune.stop_cluster()")


def parse_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("> ")) for line in text.splitlines() if line.startswith("> ")]


def run(body: str, folder: Path, seconds: float = 300) -> list[dict[str, Any]]:
    """Run a program with a panel and return its output; nodes can be added in a main thread only."""
    stop, storage = str(folder / "stop"), str(folder)
    head = f"STOP, STORAGE = {stop!r}, {storage!r}\nOTHER = {OTHER.format(stop=stop, storage=storage)!r}\n"
    # The nodes that are added have no token of their own; a busy machine needs more than the 30 s that Ray waits.
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "120"}
    ended = subprocess.run(
        [sys.executable, "-c", head + COMMON + body], env=environment, timeout=seconds, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    print(ended.stderr)
    return parse_lines(ended.stdout)


@pytest.mark.timeout(340)
def test_three_nodes_two_kernels_and_another_user(ray_folder: Path, tmp_path: Path) -> None:
    idle, mine, all_of_it, plan, ended, lost = run(NODES, tmp_path)
    assert idle == {
        "kind": "attached",
        "address": True,
        "alive": 3,
        "dead": 0,
        "used": [0, 0, 0, 0],
        "users": [],
        "others": {},
        "heads": 1,
        "names": ["first", "second"],
    }
    holds = {"CPU": 2, "GPU": 1, "memory": 2e9, "disk": 1}
    assert mine == {"users": {"mine": [True, 2, holds]}, "same": True, "others": {}}
    assert all_of_it["users"] == {"mine": [True, 2, holds], "theirs": [False, 1, {"CPU": 1}]}
    assert all_of_it["used"] == [3.5, 1]
    assert all_of_it["others"] == {"CPU": 0.5}
    assert plan["state"] == "planned"
    assert "6 trials" in plan["concurrent"]
    assert ended == {"others": {"CPU": 0.5}}
    assert lost == {"name": "second", "why": True, "alive": 2, "dead": 1, "total": 1}


SCRIPT = """
from nbtune.errors import ClusterError
from nbtune.views.base.channel import BaseWidget

sent = []
BaseWidget.send = lambda self, content, buffers=None: sent.append(content)
STOP = "stop"
def states():
    return [one["cluster"] for one in sent if one["type"] == "cluster" and one["cluster"]]
def wait_for_kind(kind):
    def reached():
        panel._received(panel, {"type": "visible"}, [])
        return states() and states()[-1]["kind"] == kind
    until(reached)
def connect(address):
    sent.clear()
    panel._received(panel, {"type": "connect", "address": address}, [])
    return until(lambda: [one for one in sent if one["type"] in ("refused", "connected")])[0]

wait_for_kind("none")
say(connected=connect("127.0.0.1:1")["type"])
say(answer=connect("")["type"])
wait_for_kind("embedded")
kept = nbtune.tune(hold, {"a": 1}, name="kept", wait=False)
until(lambda: kept._store.counts["running"] == 1)
say(refused=connect("127.0.0.1:1")["message"])
open("stop", "w").close()
kept.wait(60)
say(again=connect("127.0.0.1:1")["message"])
import ray
own = ray.remote(num_cpus=1)(type("Own", (), {"ready": lambda self: 1})).remote()
ray.get(own.ready.remote())
say(own=connect("127.0.0.1:1")["message"], text=repr(panel).rpartition(",")[2])
ray.kill(own)
until(lambda: not panel._source.snapshot()["others"])
say(still=ray.is_initialized())
subprocess.run([sys.executable, "-c", "import nbtune; nbtune.start_cluster(cpus=1)"], check=True)
say(answer=connect("auto")["type"])
wait_for_kind("local")
print("> " + json.dumps({"ready": states()[-1]["address"]}), flush=True)
sys.stdin.readline()
wait_for_kind("gone")
say(why=states()[-1]["reason"])
say(answer=connect("local")["type"])
wait_for_kind("embedded")
until(lambda: not panel._polling.alive)
say(ended=True)
"""


@pytest.mark.timeout(400)
def test_a_displayed_cluster_dies_and_another_is_attached(place: Place, until: Callable[..., None]) -> None:
    kernel = place.popen(COMMON + SCRIPT)
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    lines = []
    while not lines or "ready" not in lines[-1]:
        line = kernel.stdout.readline()
        assert line, lines
        lines.append(line)
    place.kill()
    kernel.stdin.write("\n")
    kernel.stdin.flush()
    lines += kernel.communicate(timeout=200)[0].splitlines()
    found = parse_lines("\n".join(lines))
    assert kernel.returncode == 0, lines
    first, embedded, busy, refused, own, still, local, ready, why, back, ended = found
    assert first == {"connected": "refused"}
    assert embedded == {"answer": "connected"}
    assert "end this kernel's embedded Ray and its running experiment: kept" in busy["refused"]
    assert "127.0.0.1:1 cannot be reached" in refused["again"]
    assert "of which 1 CPUs or GPUs are in use" in own["own"]
    assert "CPU in use" in own["text"]
    assert still == {"still": True}
    assert local == {"answer": "connected"}
    assert why == {"why": f"the cluster at {ready['ready']} has ended: nothing answers at its address"}
    assert back == {"answer": "connected"}
    assert ended == {"ended": True}
