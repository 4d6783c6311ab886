"""The keeper of a local cluster: the parent of its `ray start`, which ends it when nobody uses it any more.

A program, `python -m nbtune.cluster.local.guardian`, that lives in a session of its own and outlives the kernel that
has started it. It gets its orders as one line of JSON on its input, tells by the state file that the cluster is up,
and imports no Ray: it asks the cluster by `nbtune.cluster.link.ask`, in a process that may die of it.
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
from nbtune.cluster.local.processes import MARK, end, identity
from nbtune.errors import ClusterError

__all__ = ["Orders", "main", "reason"]

_TICK = 0.5  # seconds between two looks at the process
_SELDOM, _SOON = 180.0, 1.0  # seconds between two questions to the cluster: at most, and at least
_UP = 120.0  # seconds for Ray to start
_ERROR = re.compile(r"\w*(error|exception)\b|\bfail|fatal|invalid|cannot|unable|denied|exit code|usage:", re.IGNORECASE)


@dataclass(frozen=True)
class Orders:
    """What a keeper is to do.

    Attributes:
        folder: the cluster's folder; there is nothing else in it.
        command: the `ray start`.
        facts: the rest of the state file.
    """

    folder: str
    command: list[str]
    facts: dict[str, Any]


def reason(folder: Path) -> str:
    """Return what Ray's logs say of an end: the errors of the first log that has some, else the last lines."""
    session = folder / "ray" / "session_latest" / "logs"
    logs = [folder / "ray.log", *sorted(session.glob("gcs_server.*")), *sorted(session.glob("raylet.*"))]
    texts = [log.read_text("utf-8", "replace").splitlines() for log in logs if log.is_file()]
    for lines in texts:
        telling = [line.strip() for line in lines if _ERROR.search(line) and "Traceback" not in line]
        if telling:
            return "\n".join(telling[-5:])
    rest = [line.strip() for lines in texts for line in lines if line.strip()]
    return "\n".join(rest[-5:]) or "Ray has said nothing"


def _tell(text: str) -> None:
    """Answer the kernel that waits, once: nothing if all is well."""
    with suppress(OSError):  # it may be gone
        sys.stdout.write(json.dumps(text) + "\n")
        sys.stdout.flush()
    # Whoever reads is not to wait for more, and what is written later must not fail.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


class _Keeper:
    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.over = threading.Event()
        self.ray: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Start Ray, and return when it has ended or is to end."""
        with open(Path(self.orders.folder) / "ray.log", "wb") as output:
            self.ray = subprocess.Popen(  # noqa: S603
                self.orders.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        where = self._wait_until_up()
        if where is None:
            _tell(reason(Path(self.orders.folder)))
            return
        facts = {**self.orders.facts, "versions": tuple(self.orders.facts["versions"])}
        state.write(
            state.State(
                address=where, folder=self.orders.folder, keeper=identity(), ray=identity(self.ray.pid), **facts
            )
        )
        _tell("")
        self._watch(address.parse(where), facts["idle"])
        if self.ray.poll() is not None and not self.over.is_set():
            # Its folder goes, and with it Ray's logs; who finds the cluster dead may want to know why.
            (state.home() / "cluster.log").write_text(
                f"{time.ctime()}: the local cluster has ended by itself, exit status {self.ray.returncode}\n"
                f"{reason(Path(self.orders.folder))}\n",
                "utf-8",
            )

    def _wait_until_up(self) -> str | None:
        assert self.ray is not None
        file = Path(self.orders.folder) / "ray" / "ray_current_cluster"
        due = time.monotonic() + _UP
        while self.ray.poll() is None and time.monotonic() < due and not self.over.wait(0.05):
            if file.exists() and (where := file.read_text("utf-8").strip()):
                return where
        return None

    def _watch(self, where: address.Address, idle: float) -> None:
        assert self.ray is not None
        pause = min(max(idle / 20, _SOON), _SELDOM)
        used = asked = time.monotonic()
        while self.ray.poll() is None and not self.over.wait(_TICK):
            if time.monotonic() - asked < pause:
                continue
            used = max(used, self._last_use(where))
            asked = time.monotonic()
            if asked - used < idle:
                continue
            with state.locked(wait=False) as held:  # who holds it is joining
                if held and time.monotonic() - max(used, self._last_use(where)) >= idle:
                    state.remove(self.orders.folder)
                    return

    def _last_use(self, where: address.Address) -> float:
        """Return when somebody was last seen, by the clock that goes on while the machine's is set."""
        now = time.monotonic()
        try:
            answer = probe.ask(where, "activity", patience=60)
        except ClusterError:
            return now  # too busy to answer, or it is ending, which the next look shows
        if answer.get("jobs", 1) or answer.get("experiments", 1):
            return now
        return now - max(time.time() - float(answer["last"]), 0)

    def finish(self) -> None:
        """End every process of the cluster, and leave nothing behind."""
        state.remove(self.orders.folder)
        first = []
        if self.ray is not None and self.ray.poll() is None:
            first = [psutil.Process(self.ray.pid)]
        end(self.orders.folder, first)
        if self.ray is not None:
            self.ray.wait()
        shutil.rmtree(self.orders.folder, ignore_errors=True)


def main() -> None:
    """Keep a cluster, from its start to its end."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    os.environ[MARK] = orders.folder
    keeper = _Keeper(orders)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.over.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        keeper.run()
    finally:
        keeper.finish()


if __name__ == "__main__":
    main()
