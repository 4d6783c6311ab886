"""Connecting and disconnecting, each in a separate process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import nbtune
from nbtune.errors import ClusterError
from tests.ray.clusters import ForeignCluster, foreign, interpreter, python

TOKEN = "5e1f" * 16
SAY = """
import os
import nbtune
from nbtune.cluster.connect import import_ray
ray = import_ray()
def go(*args, **kwargs):
    try:
        print(nbtune.connect(*args, **kwargs))
    except nbtune.ClusterError as error:
        print("refused:", error)
"""


@pytest.fixture(scope="module")
def without_nbtune(tmp_path_factory: pytest.TempPathFactory) -> str:
    return interpreter(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def guarded(without_nbtune: str) -> Iterator[ForeignCluster]:
    """A cluster with a token, a Ray Client server, and no nbtune."""
    with foreign(without_nbtune, TOKEN) as cluster:
        cluster.wait_for_client_server()
        yield cluster


@pytest.fixture(scope="module")
def open_one(without_nbtune: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignCluster]:
    """A cluster without authentication, and with another nbtune."""
    other = tmp_path_factory.mktemp("other")
    (other / "nbtune").mkdir()
    (other / "nbtune" / "__init__.py").write_text('__version__ = "0.0.9"\n')
    with foreign(without_nbtune, None, pythonpath=other) as there:
        yield there


@pytest.mark.parametrize("leave", ["import ray; ray.shutdown()", "import time; time.sleep(0.3)", ""])
def test_disconnecting_while_processes_are_prestarted(leave: str, ray_folder: Path, tmp_path: Path) -> None:
    ended = python(f"import nbtune; print(nbtune.connect(cpus=1)); {leave}", tmp_path)
    assert ended.stdout == "embedded Ray: 1 node, 1 CPUs, 0 GPUs\n", ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_an_embedded_ray_listens_on_loopback_only(ray_folder: Path, tmp_path: Path) -> None:
    """Also if a killed cluster has left its address; and connecting again."""
    (ray_folder / "ray").mkdir(exist_ok=True)
    stale = ray_folder / "ray" / "ray_current_cluster"
    stale.write_text("127.0.0.1:1")
    code = (
        f"{SAY}\n"
        "import json, psutil\n"
        "from tests.ray.clusters import listening\n"
        "first = nbtune.connect()\n"
        "print(first.embedded, nbtune.connect() == first, nbtune.connect(first.address) == nbtune.connect('local') == first)\n"
        "go(cpus=2)\n"
        "go('127.0.0.1:1')\n"
        "me = psutil.Process()\n"
        "print(*listening([me, *me.children(recursive=True)]))\n"
    )
    try:
        ended = python(code, tmp_path)
    finally:
        stale.unlink()
    same, cpus, other, hosts = ended.stdout.splitlines()
    assert same == "True True True"
    assert cpus.startswith("refused: connect(cpus=2): this kernel is already connected to embedded Ray")
    assert other.startswith("refused: connect(address='127.0.0.1:1'): this kernel is already connected to embedded Ray")
    assert hosts == "127.0.0.1"


def test_missing_and_wrong_tokens_are_reported(guarded: ForeignCluster, ray_folder: Path, tmp_path: Path) -> None:
    code = (
        f"{SAY}\n"
        f"address, client = {guarded.address!r}, {guarded.client!r}\n"
        "go(address)\n"
        "os.environ['RAY_AUTH_TOKEN'] = 'of-somewhere-else'\n"
        "go(address)\n"
        "go(client)\n"
        "os.environ['RAY_AUTH_MODE'] = 'disabled'\n"
        f"os.environ['RAY_AUTH_TOKEN'] = {TOKEN!r}\n"
        "go(address)\n"
    )
    ended = python(code, tmp_path, HOME=str(tmp_path))
    missing, wrong, client, disabled = ended.stdout.splitlines()
    assert "needs a token, and none was found" in missing
    assert "needs another token than the one from the environment variable RAY_AUTH_TOKEN" in wrong
    assert client.startswith(f"refused: {guarded.client} needs another token")
    assert "RAY_AUTH_MODE=disabled disables the token from" in disabled
    assert TOKEN not in ended.stdout + ended.stderr
    assert "of-somewhere-else" not in ended.stdout + ended.stderr


def test_an_unreachable_address_is_reported(guarded: ForeignCluster, ray_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code = (
            f"{SAY}\n"
            "go('127.0.0.1:1')\n"
            "go('nowhere')\n"
            f"go('127.0.0.1:{port}')\n"
            f"go('127.0.0.1:{guarded.client_port}')\n"
            f"go('ray://{guarded.address}')\n"
            f"go('{guarded.address}', cpus=2)\n"
        )
        ended = python(code, tmp_path, HOME=str(guarded.home))
    nobody, nothing, other, client, no_client, cpus = ended.stdout.splitlines()
    assert "127.0.0.1:1 cannot be reached: " in nobody
    assert "Check the address, and that the cluster is running" in nobody
    assert "expected HOST:PORT, auto, local, or ray://HOST:PORT, got 'nowhere'" in nothing
    assert f"127.0.0.1:{port} cannot be reached: the port accepts connections, but no Ray cluster answers" in other
    assert "write ray:// before the address" in client
    assert "no Ray Client server answers" in no_client
    assert "cpus= and gpus= are for an embedded Ray" in cpus


def test_nbtune_is_uploaded_to_a_cluster_without_it(guarded: ForeignCluster, ray_folder: Path, tmp_path: Path) -> None:
    """The cluster is found by the address file of `ray start`."""
    code = (
        f"{SAY}\n"
        "go()\n"
        "x = nbtune.tune(lambda config: {'y': config['x']}, {'x': nbtune.grid_search([1, 2])},"
        f" metric='y', mode='max', storage={str(tmp_path)!r}, wait=True)\n"
        "print(x.status, x.best.config)\n"
        "print(ray.get(ray.remote(lambda: __import__('nbtune').__file__).remote()))\n"
    )
    (tmp_path / "tmp" / "ray").mkdir(parents=True)
    (tmp_path / "tmp" / "ray" / "ray_current_cluster").write_text(guarded.address)
    ended = python(code, tmp_path, HOME=str(guarded.home), RAY_TMPDIR=str(tmp_path / "tmp"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    cluster, result, where = ended.stdout.splitlines()
    assert cluster == f"Ray at {guarded.address}: 1 node, 2 CPUs, 0 GPUs"
    assert result == "finished {'x': 2}"
    assert str(guarded.temp) in where


@contextmanager
def first_server_killed(cluster: ForeignCluster) -> Iterator[list[int]]:
    """Kill the first process that the Ray Client server of a cluster starts for a client; yield its pid in a list."""
    killed: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02) and not killed:
            for process in psutil.process_iter(["cmdline"]):
                line = process.info["cmdline"] or []
                if "--mode=specific-server" in line and f"--address={cluster.address}" in line:
                    with suppress(psutil.Error):
                        process.kill()
                        killed.append(process.pid)
                    break

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def test_ray_client_runs_an_experiment(guarded: ForeignCluster, ray_folder: Path, tmp_path: Path) -> None:
    """Also if the process that the server starts for this client dies at its start, and with a data set."""
    pytest.importorskip("grpc")
    code = (
        f"{SAY}\n"
        f"go({guarded.client!r})\n"
        "import numpy, pandas, ray.data, time\n"
        "big = numpy.ones(300_000)\n"
        "data = ray.data.from_pandas(pandas.DataFrame({'a': [1.0, 2.0]}))\n"
        "def train(config):\n"
        "    read = sum(row['a'] for row in nbtune.get_dataset_shard('train').iter_rows())\n"
        "    for i in range(1000):\n"
        "        nbtune.report(y=config['x'] * big.sum() + read)\n"
        "        time.sleep(0.02)\n"
        "x = nbtune.tune(train, {'x': nbtune.grid_search([1, 2, 3])}, metric='y', mode='max',"
        f" cpus=0.5, datasets={{'train': data}}, storage={str(tmp_path)!r}, wait=False)\n"
        "end = time.monotonic() + 90\n"
        "while x.history['trial'].nunique() < 2 and time.monotonic() < end:\n"
        "    time.sleep(0.02)\n"
        "x.stop()\n"
        "x.wait(60)\n"
        "print(x.status, x.best.metrics['y'], len(x.df) >= 2)\n"
    )
    with first_server_killed(guarded) as killed:
        ended = python(code, tmp_path, HOME=str(guarded.home))
    assert len(killed) == 1, ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines() == [
        f"Ray at {guarded.address}: 1 node, 2 CPUs, 0 GPUs",
        "stopped 600003.0 True",
    ]


def test_one_kernel_switches_clusters(
    guarded: ForeignCluster, open_one: ForeignCluster, ray_folder: Path, tmp_path: Path
) -> None:
    code = (
        f"{SAY}\n"
        f"guarded, other = {guarded.address!r}, {open_one.address!r}\n"
        "go(other)\n"
        "os.environ['RAY_AUTH_MODE'] = 'token'\n"
        "go(other)\n"
        "del os.environ['RAY_AUTH_MODE']\n"
        "go(guarded)\n"
        "ray.shutdown()\n"
        "go(other)\n"
    )
    ended = python(code, tmp_path, HOME=str(guarded.home))
    version, mode, fits, again = ended.stdout.splitlines()
    assert f"nbtune 0.0.9 instead of {nbtune.__version__} on " in version
    assert "is a cluster without token authentication, but RAY_AUTH_MODE=token requires it" in mode
    assert fits == f"Ray at {guarded.address}: 1 node, 2 CPUs, 0 GPUs"
    assert again == version


def test_a_connection_by_the_user_without_nbtune(guarded: ForeignCluster, ray_folder: Path, tmp_path: Path) -> None:
    code = f"{SAY}\nray.init({guarded.address!r}, log_to_driver=False, logging_level='ERROR')\ngo()\n"
    ended = python(code, tmp_path, HOME=str(guarded.home), RAY_AUTH_MODE="token")
    assert "Install it there (pip install nbtune==" in ended.stdout, ended.stderr


def test_ray_client_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from nbtune.cluster.link import probe
    from nbtune.cluster.link.address import parse

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r'needs the package grpcio.*pip install "nbtune\[client\]"'):
        probe.probe(parse("ray://127.0.0.1:1"))
