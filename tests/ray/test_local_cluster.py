"""The local cluster: started and joined by separate Python processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbtune.cluster.local import processes
from tests.ray.clusters import listening, path, python

START = "import nbtune, os, sys\nprint(nbtune.start_cluster(cpus=2, idle={idle!r}), flush=True)\n"
MAGIC = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.extension_manager.load_extension("nbtune")
shell.run_line_magic("tune", "{line}")
"""


class Place:
    """A temporary home folder, and the local cluster in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {
            "HOME": str(folder),
            "NBTUNE_HOME": str(folder / "nbtune"),
        }

    def python(self, code: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        return python(code, self.folder, **{**self.variables, **variables})

    def popen(self, code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**os.environ, **self.variables, "PYTHONPATH": path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "nbtune" / "cluster.json").read_text())

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the cluster, its guardian first."""
        found = [psutil.Process(self.state["guardian"][0])]
        return found + processes.cluster_processes(self.state["folder"])

    def kill(self) -> None:
        """Kill all processes of the cluster at once."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # one may end by itself when another has been killed
                process.kill()


@pytest.fixture
def place(tmp_path: Path, ray_folder: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.python("import nbtune; nbtune.stop_cluster()")


def command(process: psutil.Process) -> list[str]:
    """Return the command line of a process; none if it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def have_ended(found: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in found)


def test_a_cluster_outlives_its_kernel_until_it_is_stopped(
    place: Place, tmp_path: Path, until: Callable[..., None]
) -> None:
    """Two kernels start it at the same time and are killed; a third finds it, runs an experiment and stops it."""
    kernels = [place.popen(START.format(idle="1h") + "sys.stdin.read()") for _ in range(2)]
    output = [kernel.stdout.readline() for kernel in kernels]
    assert output[0] == output[1] == f"local cluster at {place.state['address']}: 1 node, 2 CPUs, 0 GPUs\n"
    for kernel in kernels:
        kernel.kill()
        kernel.communicate()
    there, folder = place.state, Path(place.state["folder"])
    found = place.processes()
    names = {" ".join(command(process)) for process in found}
    assert sum("gcs_server" in name for name in names) == 1

    # Nobody else gets in: neither from outside, nor without the token, nor by what lies about.
    assert listening(found) == {"127.0.0.1"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "nbtune" / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    token = (tmp_path / ".ray" / "auth_token").read_text()
    texts = [json.dumps(there), *names, *(file.read_text("utf-8", "replace") for file in folder.rglob("*.log"))]
    assert len(texts) > 5
    assert not [text for text in texts if token in text]
    refused = place.python(
        "import nbtune, os\n"
        "for name in ('wrong', 'none'):\n"
        "    try:\n"
        "        nbtune.connect()\n"
        "    except nbtune.ClusterError as error:\n"
        "        print(error)\n"
        "    os.environ.pop('RAY_AUTH_TOKEN', None)\n"
        "    os.environ['HOME'] = '/nowhere'\n",
        RAY_AUTH_TOKEN="wrong",
    )
    wrong, none = refused.stdout.splitlines()
    assert "needs another token than the one from the environment variable RAY_AUTH_TOKEN" in wrong
    assert "needs a token, and none was found" in none

    third = place.python(
        "import nbtune, os\n"
        "print(nbtune.connect().local, nbtune.connect('auto') == nbtune.connect() == nbtune.start_cluster())\n"
        "try:\n"
        "    nbtune.start_cluster(cpus=3)\n"
        "except nbtune.ClusterError as error:\n"
        "    print(error)\n"
        f"x = nbtune.tune(lambda config: {{'y': config['x']}}, {{'x': nbtune.grid_search([1, 2])}}, metric='y',"
        f" mode='max', storage={str(tmp_path)!r}, wait=True)\n"
        "print(x.status, x.best.config)\n"
        "print(nbtune.stop_cluster(), nbtune.stop_cluster())\n"
    )
    assert third.returncode == 0, third.stdout + third.stderr
    joined, other, result, stopped = third.stdout.splitlines()
    assert joined == "True True"
    assert "with cpus=2 instead of cpus=3. End it with nbtune.stop_cluster()" in other
    assert result == "finished {'x': 2}"
    assert stopped == "True False"
    assert token not in third.stdout + third.stderr + refused.stdout + refused.stderr
    assert not folder.exists()
    assert not (tmp_path / "nbtune" / "cluster.json").exists()
    until(lambda: have_ended(found), "its processes have ended")


def test_an_unused_cluster_shuts_down(place: Place, tmp_path: Path, until: Callable[..., None]) -> None:
    """An attached kernel counts as use; the idle time starts when the last one has gone."""
    kernel = place.popen(START.format(idle=2) + "sys.stdin.read()")
    assert kernel.stdout.readline().startswith("local cluster")
    found, folder = place.processes(), Path(place.state["folder"])
    # Longer than it would take if the kernel did not count: the guardian asks every second.
    with pytest.raises(psutil.TimeoutExpired):
        found[0].wait(6)
    assert folder.exists()
    kernel.kill()
    kernel.communicate()
    until(lambda: have_ended(found), "its processes have ended")
    assert not folder.exists()
    assert not (tmp_path / "nbtune" / "cluster.json").exists()


def test_a_kernel_outlives_its_cluster(place: Place, tmp_path: Path, until: Callable[..., None]) -> None:
    """Its experiment is lost, which it says; it leaves the cluster, and the next one is there for the asking.

    A Ray of which a part has died is cleared away by its guardian, and why it has ended is kept.
    """
    kernel = place.popen(
        START.format(idle="1h") + "import time\n"
        "def train(config):\n"
        "    while True:\n"
        "        nbtune.report(y=1)\n"
        "        time.sleep(0.05)\n"
        f"x = nbtune.tune(train, {{'x': nbtune.choice([1])}}, metric='y', mode='max', storage={str(tmp_path)!r}, wait=False)\n"
        "while not len(x.history):\n"
        "    time.sleep(0.05)\n"
        "print('runs', flush=True)\n"
        "input()\n"
        "x.wait(60)\n"
        "print(x.status, flush=True)\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        print(nbtune.connect())\n"
        "    except nbtune.ClusterError as error:\n"
        "        print(error)\n"
    )
    where = kernel.stdout.readline().split()[3].removesuffix(":")
    assert kernel.stdout.readline() == "runs\n"
    found, folder = place.processes(), Path(place.state["folder"])
    next(process for process in found if "gcs_server" in process.name()).kill()
    until(lambda: have_ended(found), "its processes have ended")
    until(lambda: not folder.exists(), "its folder has been removed")
    why = (tmp_path / "nbtune" / "cluster.log").read_text()
    assert "the local cluster has ended by itself" in why
    assert "gcs_server" in why
    output, _ = kernel.communicate("\n", timeout=150)
    status, ended, other = output.strip().splitlines()[-3:]
    assert status == "lost"
    assert ended.startswith(f"the cluster at {where}, to which this kernel was connected, has ended")
    assert other.startswith("embedded Ray: 1 node, ")


def test_a_partly_dead_cluster_is_ended_and_replaced(place: Place, until: Callable[..., None]) -> None:
    """The guardian and the `ray start` are killed, so Ray's other processes are orphans. Another Ray is not affected."""
    kernel = place.popen(
        "import nbtune\n"
        "try:\n"
        "    nbtune.connect(cpus=1)\n"
        "    nbtune.start_cluster()\n"
        "except nbtune.ClusterError as error:\n"
        "    print(error, flush=True)\n"
        "input()\n"
        "print(nbtune.connect(), flush=True)\n"
    )
    assert "this kernel is connected to embedded Ray: 1 node, 1 CPUs, 0 GPUs. Call ray.shutdown()" in (
        kernel.stdout.readline()
    )
    assert place.python(START.format(idle="1h")).stdout.startswith("local cluster")
    found, folder = place.processes(), Path(place.state["folder"])
    raylet = next(process for process in found if "raylet" in process.name())
    gcs = next(process for process in found if "gcs_server" in process.name())
    for identity in (place.state["guardian"], place.state["ray"]):
        psutil.Process(identity[0]).kill()
    assert raylet.is_running()
    assert gcs.is_running()
    again = place.python(MAGIC.format(line="cluster start --cpus 1 --idle 2h"))
    assert again.stdout.endswith(": 1 node, 1 CPUs, 0 GPUs\n"), again.stdout + again.stderr
    assert place.state["idle"] == 7200
    assert have_ended(found)
    assert not folder.exists()
    ended = place.python(MAGIC.format(line="cluster stop") + MAGIC.format(line="cluster stop"))
    assert ended.stdout == "the local cluster has ended\nno local cluster is running\n", ended.stderr
    output, _ = kernel.communicate("\n", timeout=60)
    assert output == "embedded Ray: 1 node, 1 CPUs, 0 GPUs\n"


def test_an_error_of_the_start_is_reported(place: Place, tmp_path: Path) -> None:
    ended = place.python(
        "import nbtune\n"
        "try:\n"
        "    nbtune.start_cluster(gpus=4)\n"
        "except nbtune.ClusterError as error:\n"
        "    print(error)\n",
        CUDA_VISIBLE_DEVICES="0",
    )
    assert ended.stdout.startswith("the local cluster could not start. Ray's message:\n"), ended.stdout + ended.stderr
    assert "4 GPU" in ended.stdout
    assert not (tmp_path / "nbtune" / "cluster.json").exists()
