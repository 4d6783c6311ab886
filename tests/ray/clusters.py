"""Clusters that nbtune has not started: an ordinary `ray start`, optionally in an environment without nbtune."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from nbtune.cluster.link.imports import lazy_folder

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class ForeignCluster:
    """A running cluster: its address, the port of its Ray Client server, and its folders."""

    address: str
    client_port: int
    temp: Path
    home: Path

    @property
    def client(self) -> str:
        return f"ray://127.0.0.1:{self.client_port}"

    def wait_for_client_server(self) -> None:
        """Wait until the Ray Client server listens: `ray start` does not wait for it."""
        deadline = time.monotonic() + 120
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.client_port)) == 0:
                    return
            assert time.monotonic() < deadline, f"nothing listens at {self.client}"
            time.sleep(0.1)


def python(code: str, folder: Path, seconds: float = 200, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run code in a new Python process, with nbtune of this checkout, and without Ray's authentication variables.

    Args:
        code: the code.
        folder: the working directory.
        seconds: the time limit.
        variables: environment variables to set, or with None to unset.
    """
    # The embedded Ray of an earlier test leaves its authentication mode in the environment of this process.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"PYTHONFAULTHANDLER": "1", "PYTHONPATH": path()}
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds
    )


def path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def interpreter(folder: Path) -> str:
    """Create a virtual environment with all packages of this one except nbtune; return its interpreter.

    Args:
        folder: the folder of the new environment. The .pth file that makes nbtune importable is not read there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    extra = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(ROOT)]
    Path(own, "packages.pth").write_text("\n".join([sysconfig.get_path("purelib"), *extra]))
    return str(folder / "bin" / "python")


@contextmanager
def foreign(
    program: str,
    token: str | None,
    *options: str,
    pythonpath: Path | None = None,
    autoscaling: str | None = None,
    lazy: bool = True,
) -> Iterator[ForeignCluster]:
    """Run `ray start` in a temporary folder, and end its processes after the block.

    Args:
        program: the Python interpreter that runs it.
        token: the token of the cluster, or None for a cluster without authentication.
        options: further arguments of `ray start`.
        pythonpath: a folder with further packages for its processes.
        autoscaling: the configuration of an autoscaler, whose nodes are processes on this machine, or None.
        lazy: whether its processes start faster than those of users' clusters: without the slow import that
            nbtune's own clusters do without.

    Yields:
        The cluster.
    """
    folder = Path(tempfile.mkdtemp(prefix="nbf-", dir="/tmp"))
    temp, home = folder / "ray", folder / "home"
    (home / ".ray").mkdir(parents=True)
    drop = {"RAY_TMPDIR", "RAY_ADDRESS"}
    variables = {name: value for name, value in os.environ.items() if name not in drop}
    variables |= {"HOME": str(home), "RAY_AUTH_MODE": "token" if token else "disabled"}
    variables["PYTHONPATH"] = os.pathsep.join(str(entry) for entry in (lazy and lazy_folder(), pythonpath) if entry)
    if token:
        (home / ".ray" / "auth_token").write_text(token)
    command = [program, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=2"]
    command += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={temp}"]
    if autoscaling is None:
        command.append("--no-monitor")
    else:
        (folder / "config.yaml").write_text(autoscaling)
        command.append(f"--autoscaling-config={folder / 'config.yaml'}")
        variables |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as free_port:  # Ray's default port is the same for all clusters of a machine
        client_port = free_port.getsockname()[1]
    command += [f"--ray-client-server-port={client_port}", "--min-worker-port=0", "--max-worker-port=0", *options]

    def start() -> subprocess.Popen[bytes]:
        with open(folder / "out", "w") as out:
            return subprocess.Popen(command, env=variables, stdout=out, stderr=subprocess.STDOUT, cwd=folder)

    process, attempts = start(), 1
    try:
        file, deadline = temp / "ray_current_cluster", time.monotonic() + 180
        while not (file.exists() and file.read_text()):
            if process.poll() is not None and attempts < 3:  # on a busy machine Ray gives up after 15 s
                process, attempts = start(), attempts + 1
            assert process.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < deadline, (folder / "out").read_text()
            time.sleep(0.05)
        yield ForeignCluster(file.read_text().strip(), client_port, temp, home)
    finally:
        with suppress(psutil.Error):
            tree = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in tree:
                with suppress(psutil.Error):
                    child.kill()
        process.wait()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def listening(processes: list[psutil.Process]) -> set[str]:
    """Return the hosts that processes listen on. IPv4 addresses mapped to IPv6 are returned as IPv4.

    Args:
        processes: the processes; those that have ended are ignored.
    """
    hosts = set()
    for process in processes:
        with suppress(psutil.Error):
            hosts |= {
                connection.laddr.ip
                for connection in process.net_connections()
                if connection.status == psutil.CONN_LISTEN
            }
    return {host.removeprefix("::ffff:") for host in hosts}


def last_line(text: str) -> dict[str, object]:
    """Parse the last line of a program's output as JSON."""
    answer: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return answer
