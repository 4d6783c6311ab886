"""Several owners and none: an experiment of another cluster, copies, killed launches, and actors that are no drivers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import ray

import nbtune
from nbtune.engine.client.drivers import driver_names
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.engine.storage.lease import _STALE
from tests.ray.test_resume import driver_of

ELSEWHERE = """
import sys, time, nbtune
path, copy, gate = sys.argv[1:]
def tried(function):
    try:
        return function()
    except nbtune.ExperimentError as error:
        return str(error)
def say(*words):
    print(*words, flush=True)
experiment = nbtune.load(path)
say(experiment.status)
say(tried(experiment.stop))
nbtune.connect(cpus=1)
say(tried(experiment.resume))
other = nbtune.attach(copy)
say(other.status)
known = len(other.history)
other.resume()
while len(other.history) <= known + 3:
    time.sleep(0.05)
ids = [one._store.metadata.get(name) for one in (experiment, other) for name in ("id", "parent")]
say(other.status, ids[0] == ids[3] != ids[2])
other.stop()
other._wait()
say(other.status)
sys.stdin.readline()
experiment.resume()
known = len(nbtune.load(path).history)
while len(experiment.history) <= known + 3:
    time.sleep(0.05)
say(experiment.status)
experiment._wait()
steps = nbtune.load(path).history["step"].tolist()
say(experiment.status, steps == list(range(len(steps))))
"""

TAKING_OVER = """
import sys, time, nbtune
from nbtune.engine.client import ownership
path, seconds = sys.argv[1:]
ownership.LEASE = float(seconds)
nbtune.connect(cpus=1)
experiment = nbtune.load(path)
known = len(experiment.history)
experiment.resume()
while len(experiment.history) <= known + 5:
    time.sleep(0.05)
print("taken", flush=True)
sys.stdin.readline()
experiment._wait()
print(experiment.status, flush=True)
"""

KILLED = """
import os, sys, numpy, nbtune, ray
address, step, storage = sys.argv[1:]
nbtune.connect(address)
from nbtune.engine.client import launch
big = numpy.arange(400_000.0)
def train(config):
    nbtune.report(a=float(big[0]))
def kill(*words, **named):
    os.kill(os.getpid(), 9)
real = launch.take
class Killing:
    def __init__(self, actor):
        self.actor, self.call = actor, self
    def remote(self, experiment, method, *rest):
        if method == "put_large":
            return None
        self.actor.call.remote(experiment, method, *rest)
        while not os.path.exists(os.path.join(storage, rest[0].folder, "nbtune", "launch.bin")):
            pass
        kill()
def take(*words):
    process = real(*words)
    if step == "created":
        kill()
    process.actor = Killing(process.actor)
    return process
launch.take = take
nbtune.tune(train, {"x": 1}, name="half", storage=storage, wait=False)
"""


def test_an_experiment_that_runs_on_another_cluster(run: Any, until: Any, tmp_path: Path) -> None:
    """It cannot be resumed there, a copy of it can, and the experiment itself once its driver is dead."""

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 5000):
            if os.path.exists(config["gate"]):
                return
            nbtune.report(step=step, checkpoint={"step": step})
            time.sleep(0.1)

    gate = tmp_path / "gate"
    experiment = run(train, {"gate": str(gate)}, storage=str(tmp_path / "original"))
    until(lambda: len(experiment.history) > 5, "reports")
    copy = tmp_path / "copies" / Path(experiment.path).name
    shutil.copytree(experiment.path, copy)
    gone = driver_of(experiment)
    command = [sys.executable, "-c", ELSEWHERE, experiment.path, str(copy), str(gate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        line = other.stdout.readline
        assert line() == "running elsewhere\n"
        assert "cannot be reached from here: it may be running elsewhere: on " in line()
        assert "cannot be resumed: it is running elsewhere: on " in line()
        assert line() == "lost\n", "a copy of a running experiment does not run"
        assert line() == "running True\n"
        assert line() == "stopped\n"
        assert experiment.status == "running", "the copy is another experiment"
        before = len(experiment.history)
        until(lambda: len(experiment.history) > before, "it goes on")
        gone.kill()
        experiment.wait(60)
        other.stdin.write("\n")
        other.stdin.flush()
        assert line() == "running\n"
        gate.touch()
        assert line() == "finished True\n"


def test_broken_neighbours_and_killed_launches(run: Any, until: Any, tmp_path: Path) -> None:
    """A kernel is killed after each step of a launch; and there are actors that are no drivers."""

    class Hanging:
        def info(self) -> None:
            threading.Event().wait()

    class Former:
        def info(self) -> dict[str, str]:
            return {"name": "former"}

    class Other:
        pass

    neighbours = [
        ray.remote(kind).options(name=kind.__name__, namespace=NAMESPACE, num_cpus=0).remote()
        for kind in (Hanging, Former, Other)
    ]
    good = run(lambda config: nbtune.report(a=1), {"x": 1}, name="good").wait()
    address, before = ray.get_runtime_context().gcs_address, driver_names(NAMESPACE)
    kernels = [
        subprocess.run(
            [sys.executable, "-c", KILLED, address, step, str(tmp_path)], capture_output=True, text=True, timeout=120
        )
        for step in ("created", "started")
    ]
    assert [kernel.returncode for kernel in kernels] == [-signal.SIGKILL] * 2, kernels
    began = time.monotonic()
    listed = nbtune.experiments(str(tmp_path))
    assert time.monotonic() - began < 30
    assert listed.loc[good.path, "status"] == "finished"
    for kind in ("Hanging", "Former", "Other"):
        assert listed.loc[kind, "status"].startswith("unreadable: it"), listed["status"]
    assert nbtune.attach("good", storage=str(tmp_path)).status == "finished"
    until(lambda: driver_names(NAMESPACE) == before, "the processes of the killed kernels end", 60)
    (half,) = [path for path in listed.index if "/half_" in path]
    assert nbtune.load(half).status == "failed"
    assert (
        nbtune.load(half).error
        == "its kernel has ended before it had sent all variables of the experiment: start it again"
    )
    for neighbour in neighbours:
        ray.kill(neighbour)


def test_a_driver_that_was_frozen_and_replaced_ends_itself(run: Any, until: Any, tmp_path: Path) -> None:
    """Its trial still saves a checkpoint, and the driver gets its report: neither counts, nor replaces anything."""

    def train(config: dict[str, Any]) -> None:
        import time
        import uuid
        from pathlib import Path

        folder, attempt = Path(config["folder"]), uuid.uuid4().hex
        checkpoint = nbtune.get_checkpoint()
        first = checkpoint["step"] + 1 if checkpoint else 0
        for step in range(first, 5000):
            if (folder / "end").exists():
                return
            if first == 0 and step == 5:
                (folder / "held").touch()
                while not (folder / "go on").exists():
                    time.sleep(0.05)
            nbtune.report(step=step, attempt=attempt, checkpoint={"step": step, "attempt": attempt})
            time.sleep(0.05)

    experiment = run(train, {"folder": str(tmp_path)}, storage=str(tmp_path / "storage"))
    until((tmp_path / "held").exists, "the trial is held before its next report")
    until(lambda: len(nbtune.load(experiment.path).history) == 5, "its reports are in storage")
    frozen, trial = driver_of(experiment), experiment.trials[0]
    folder = Path(experiment.path, trial._state.folder)
    frozen.suspend()
    try:
        command = [sys.executable, "-c", TAKING_OVER, experiment.path, str(_STALE + 1)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == "taken\n"
            before = {path.name for path in folder.glob("checkpoint_*")}
            (tmp_path / "go on").touch()  # the held trial saves a checkpoint
            until((folder / "checkpoint_000005").exists, "the late checkpoint")
            assert "checkpoint_000005" not in before
            frozen.resume()
            until(lambda: not frozen.is_running() or frozen.status() == "zombie", "the driver ends itself", 60)
            experiment.wait(60)
            assert experiment.status == "running elsewhere"
            assert "another driver has taken it over" in experiment.error
            (tmp_path / "end").touch()
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "finished\n"
    finally:
        with suppress(psutil.NoSuchProcess):
            frozen.resume()
    loaded = nbtune.load(experiment.path)
    history = loaded.history
    assert loaded.status == "finished"
    assert history["step"].tolist() == list(range(len(history)))
    assert history["attempt"].nunique() == 2
    assert (history["attempt"].iloc[:5] == history["attempt"].iloc[0]).all()
    assert (history["attempt"].iloc[5:] == history["attempt"].iloc[5]).all()
    checkpoints = loaded.trials[0].checkpoints
    assert "checkpoint_000005" not in [Path(checkpoint.path).name for checkpoint in checkpoints]
    saved = [(checkpoint["step"], checkpoint["attempt"]) for checkpoint in checkpoints]
    assert saved == list(zip(history["step"], history["attempt"], strict=True)), "none was replaced"
