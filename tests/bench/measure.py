"""What every figure needs: probes in processes of their own, medians, rows of the table."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "ROOT",
    "STORAGE",
    "Options",
    "Row",
    "alternate",
    "calm",
    "clean_environment",
    "hand_back",
    "loads",
    "median",
    "probe",
    "say",
]

ROOT = Path(__file__).parents[2]
_OUT = "NBTUNE_BENCH_OUT"
_ATTEMPTS = 3
_STORAGE = "NBTUNE_BENCH_STORAGE"
STORAGE = os.environ.get(_STORAGE, "")
"""In a probe: the folder for experiments."""
loads: list[float] = []
"""The share of all cores that other programs had right before each probe."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        rounds: how often each side is measured; the table has medians.
        quick: leave out what takes minutes.
    """

    rounds: int = 3
    quick: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        figure: the module that measured it.
        what: what was measured.
        measured: the value.
        unit: "s", "ms", "x", "%" or "".
        reach: the value that it may have at most, or None where there is only something to know.
        note: what else there is to say.
        data: all single measurements, for the JSON.
    """

    figure: str
    what: str
    measured: float
    unit: str = "s"
    reach: float | None = None
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the reach is met; None where there is none."""
        return None if self.reach is None else self.measured <= self.reach

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return what stands in the table's columns."""
        met = {None: "", True: "yes", False: "NO"}[self.met]
        reach = "" if self.reach is None else f"≤ {_shown(self.reach, self.unit)}"
        return self.what, _shown(self.measured, self.unit), reach, met, self.note


def _shown(value: float, unit: str) -> str:
    if unit == "x":  # a ratio
        return f"1/{1 / value:.3g}" if 0 < value < 0.2 else f"{value:.3g}"
    if unit == "s":
        return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"
    return f"{value:.3g} {unit}".strip()


def median(values: Iterable[float]) -> float:
    """Return the middle of the values."""
    return statistics.median(values)


def say(text: str) -> None:
    """Tell on stderr how far it is; the table goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would make a probe join another cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "NBTUNE_", "TUNE_"))}


def alternate(rounds: int, sides: Sequence[str], run: Callable[[str], dict[str, Any]]) -> dict[str, list[Any]]:
    """Run each side once a round, in turns; return side -> what each round gave."""
    found: dict[str, list[Any]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):  # nobody is always the first
            found[side].append(run(side))
    return found


def calm(most: float = 30.0) -> float:
    """Wait until this machine has little else to do; return the share of its cores that is busy then.

    Args:
        most: seconds to wait at most.
    """
    until = time.monotonic() + most
    while True:
        busy = psutil.cpu_percent(interval=1.5) / 100
        if busy < 0.2 or time.monotonic() > until:
            return busy


def probe(module: str, *arguments: str, timeout: float = 300) -> dict[str, Any]:
    """Run a probe, and again if it fails.

    Ray's node gives up when one of its helpers needs more than 15 s to start, as it may on a busy machine.

    Args:
        module: the module's name in this package.
        arguments: what to measure.
        timeout: seconds.

    Raises:
        RuntimeError: it failed every time; with the end of what it printed.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _probe(module, *arguments, timeout=timeout)
        except RuntimeError as error:
            say(f"  once more: {str(error).strip().splitlines()[-1]}")
    return _probe(module, *arguments, timeout=timeout)


def _probe(module: str, *arguments: str, timeout: float) -> dict[str, Any]:
    """Run one of this package's modules in a fresh process with a Ray of its own; return what it hands back."""
    # In /tmp and short: Ray's sockets are in here, and their paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="nbb", dir="/tmp"))
    out = folder / "out.json"
    environment = {
        **clean_environment(),
        "RAY_TMPDIR": str(folder / "ray"),
        _OUT: str(out),
        _STORAGE: str(folder / "results"),
    }
    loads.append(calm())
    began = time.perf_counter()
    try:
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tests.bench.{module}", *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not out.exists():
            tail = (folder / "log").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{module} {' '.join(arguments)} gave nothing, return code {process.returncode}\n{tail}")
        found: dict[str, Any] = json.loads(out.read_text())
    finally:
        _end_all(str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, (int, float)))
    say(f"  {module} {' '.join(arguments)}: {shown}  ({time.perf_counter() - began:.0f} s in all)")
    return found


def hand_back(**found: Any) -> None:
    """In a probe: what it measured. Written whole or not at all, before Ray goes down."""
    path = Path(os.environ[_OUT])
    path.with_suffix(".part").write_text(json.dumps(found))
    path.with_suffix(".part").rename(path)


def _end_all(folder: str) -> None:
    """End the processes that belong to a probe: those that carry its folder."""
    left = [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process, folder)]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)


def _carries(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in part for part in process.cmdline()) or folder in process.environ().get("RAY_TMPDIR", "")
    except psutil.Error:
        return False
