"""The guardian of a local cluster: the parent process of its `ray start`, which ends an unused cluster.

A program, `python -m nbtune.cluster.local.guardian`, that runs in a session of its own and outlives the kernel that
has started it. It reads its configuration as one line of JSON from standard input, and writes the state file when the
cluster is ready. It does not import Ray: it queries the cluster with `nbtune.cluster.link.query`, in another process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nbtune.cluster.link import address, probe
from nbtune.cluster.local import state
from nbtune.cluster.local.processes import MARK, identity, terminate
from nbtune.errors import ClusterError

__all__ = ["GuardianConfig", "failure_reason", "main"]

_POLL_INTERVAL = 0.5  # seconds between checks of the process
_MAX_QUERY_INTERVAL, _MIN_QUERY_INTERVAL = 180.0, 1.0  # seconds between queries of the cluster
_START_TIMEOUT = 120.0  # seconds for Ray to start
_ERROR = re.compile(r"\w*(error|exception)\b|\bfail|fatal|invalid|cannot|unable|denied|exit code|usage:", re.IGNORECASE)


@dataclass(frozen=True)
class GuardianConfig:
    """The configuration of a guardian.

    Attributes:
        folder: the cluster's folder, which contains nothing else.
        command: the command line of `ray start`.
        metadata: the fields of `State` that the guardian does not determine.
    """

    folder: str
    command: list[str]
    metadata: dict[str, Any]


def failure_reason(folder: Path) -> str:
    """Return why Ray has ended: the errors in the first log that has some, else the last lines of the logs.

    Args:
        folder: the cluster's folder.
    """
    session = folder / "ray" / "session_latest" / "logs"
    logs = [folder / "ray.log", *sorted(session.glob("gcs_server.*")), *sorted(session.glob("raylet.*"))]
    texts = [log.read_text("utf-8", "replace").splitlines() for log in logs if log.is_file()]
    for lines in texts:
        errors = [line.strip() for line in lines if _ERROR.search(line) and "Traceback" not in line]
        if errors:
            return "\n".join(errors[-5:])
    all_lines = [line.strip() for lines in texts for line in lines if line.strip()]
    return "\n".join(all_lines[-5:]) or "Ray's logs are empty"


def _reply(text: str) -> None:
    """Send the reply to the waiting kernel, once; an empty text for success."""
    with suppress(OSError):  # it may have ended
        sys.stdout.write(json.dumps(text) + "\n")
        sys.stdout.flush()
    # The reader must not wait for more, and later writes must not fail.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


class _Guardian:
    def __init__(self, config: GuardianConfig) -> None:
        self.config = config
        self.over = threading.Event()
        self.ray: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Start Ray, and return when it has ended or has to end."""
        with open(Path(self.config.folder) / "ray.log", "wb") as output:
            self.ray = subprocess.Popen(  # noqa: S603
                self.config.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        cluster_address = self._wait_for_address()
        if cluster_address is None:
            _reply(failure_reason(Path(self.config.folder)))
            return
        metadata = {**self.config.metadata, "versions": tuple(self.config.metadata["versions"])}
        state.write(
            state.State(
                address=cluster_address,
                folder=self.config.folder,
                guardian=identity(),
                ray=identity(self.ray.pid),
                **metadata,
            )
        )
        _reply("")
        self._watch(address.parse(cluster_address), metadata["idle"])
        if self.ray.poll() is not None and not self.over.is_set():
            # Its folder is removed, and with it Ray's logs: keep the reason for the user.
            (state.home() / "cluster.log").write_text(
                f"{time.ctime()}: the local cluster has ended by itself, exit status {self.ray.returncode}\n"
                f"{failure_reason(Path(self.config.folder))}\n",
                "utf-8",
            )

    def _wait_for_address(self) -> str | None:
        assert self.ray is not None
        file = Path(self.config.folder) / "ray" / "ray_current_cluster"
        due = time.monotonic() + _START_TIMEOUT
        while self.ray.poll() is None and time.monotonic() < due and not self.over.wait(0.05):
            if file.exists() and (text := file.read_text("utf-8").strip()):
                return text
        return None

    def _watch(self, cluster_address: address.Address, idle: float) -> None:
        assert self.ray is not None
        interval = min(max(idle / 20, _MIN_QUERY_INTERVAL), _MAX_QUERY_INTERVAL)
        used = queried = time.monotonic()
        while self.ray.poll() is None and not self.over.wait(_POLL_INTERVAL):
            if time.monotonic() - queried < interval:
                continue
            used = max(used, self._last_use(cluster_address))
            queried = time.monotonic()
            if queried - used < idle:
                continue
            with state.locked(wait=False) as acquired:  # otherwise a kernel is connecting
                if acquired and time.monotonic() - max(used, self._last_use(cluster_address)) >= idle:
                    state.remove(self.config.folder)
                    return

    def _last_use(self, cluster_address: address.Address) -> float:
        """Return when the cluster was last in use, by the monotonic clock."""
        now = time.monotonic()
        try:
            answer = probe.query(cluster_address, "activity", timeout=60)
        except ClusterError:
            return now  # too busy to answer, or about to end, which the next check will find
        if answer.get("jobs", 1) or answer.get("experiments", 1):
            return now
        return now - max(time.time() - float(answer["last_job_end"]), 0)

    def finish(self) -> None:
        """Terminate all processes of the cluster, and remove its folder."""
        state.remove(self.config.folder)
        roots = []
        if self.ray is not None and self.ray.poll() is None:
            roots = [psutil.Process(self.ray.pid)]
        terminate(self.config.folder, roots)
        if self.ray is not None:
            self.ray.wait()
        shutil.rmtree(self.config.folder, ignore_errors=True)


def main() -> None:
    """Start a cluster, and end it when it is no longer in use."""
    config = GuardianConfig(**json.loads(sys.stdin.readline()))
    os.environ[MARK] = config.folder
    guardian = _Guardian(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: guardian.over.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        guardian.run()
    finally:
        guardian.finish()


if __name__ == "__main__":
    main()
