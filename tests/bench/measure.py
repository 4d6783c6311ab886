"""Shared by all figures: probes in separate processes, medians, rows of the table."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    "clean_environment",
    "failures",
    "loads",
    "median",
    "probe",
    "report_progress",
    "wait_until_idle",
    "write_result",
]

ROOT = Path(__file__).parents[2]
_OUT = "NBTUNE_BENCH_OUT"
_ATTEMPTS = 3
_STORAGE = "NBTUNE_BENCH_STORAGE"
STORAGE = os.environ.get(_STORAGE, "")
"""The folder for experiments, in a probe."""
loads: list[float] = []
"""The share of all cores that other programs used right before each probe."""
failures: dict[str, str] = {}
"""Part of a figure -> the error with which it failed, while the rest of the figure was measured."""


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Attributes:
        rounds: the number of measurements of each side; the table has medians.
        quick: whether to skip measurements that take minutes.
        places: the places that the figure `places` measures; None for all of them.
    """

    rounds: int = 3
    quick: bool = False
    places: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        figure: the name of the module that measured it.
        what: what was measured.
        measured: the value.
        unit: "s", "ms", "x", "%" or "".
        limit: the maximum that is acceptable, or None if the row is for information only.
        note: a remark for the table.
        data: all single measurements, for the JSON file.
    """

    figure: str
    what: str
    measured: float
    unit: str = "s"
    limit: float | None = None
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the limit is met; None without a limit."""
        return None if self.limit is None else self.measured <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return the cells of the row in the table."""
        met = {None: "", True: "yes", False: "NO"}[self.met]
        limit = "" if self.limit is None else f"≤ {_shown(self.limit, self.unit)}"
        return self.what, _shown(self.measured, self.unit), limit, met, self.note


def _shown(value: float, unit: str) -> str:
    if unit == "x":  # a ratio
        return f"1/{1 / value:.3g}" if 0 < value < 0.2 else f"{value:.3g}"
    if unit == "s":
        return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"
    return f"{value:.3g} {unit}".strip()


def median(values: Iterable[float]) -> float:
    """Return the median of the values."""
    return statistics.median(values)


def report_progress(text: str) -> None:
    """Print progress to stderr; the table goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """Return the environment of this process without variables that would make a probe join another cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "NBTUNE_", "TUNE_"))}


def alternate(rounds: int, sides: Sequence[str], run: Callable[[str], dict[str, Any]]) -> dict[str, list[Any]]:
    """Run each side once per round, alternately; return side -> the result of each round."""
    results: dict[str, list[Any]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):  # the order alternates
            results[side].append(run(side))
    return results


def wait_until_idle(timeout: float = 30.0) -> float:
    """Wait until the machine is nearly idle; return the share of its cores that is busy then.

    Args:
        timeout: the maximum time to wait, in seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        busy = float(psutil.cpu_percent(interval=1.5)) / 100
        if busy < 0.2 or time.monotonic() > deadline:
            return busy


def probe(
    module: str, *arguments: str, timeout: float = 300, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a probe, and retry if it fails.

    A Ray node fails if one of its processes needs more than 15 s to start, which happens on a busy machine.

    Args:
        module: the module's name in this package.
        arguments: the command-line arguments of the module.
        timeout: the time limit of one attempt, in seconds.
        variables: further environment variables of its process.

    Raises:
        RuntimeError: all attempts failed; the message ends with the output of the last one.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _probe(module, *arguments, timeout=timeout, variables=variables or {})
        except RuntimeError as error:
            report_progress(f"  retrying: {str(error).strip().splitlines()[-1]}")
    return _probe(module, *arguments, timeout=timeout, variables=variables or {})


def _probe(module: str, *arguments: str, timeout: float, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a module of this package in a new process with its own Ray; return the result that it writes."""
    loads.append(wait_until_idle())
    # A short path in /tmp: it contains Ray's sockets, whose paths may have at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="nbb", dir="/tmp"))
    out = folder / "out.json"
    environment = {
        **clean_environment(),
        **variables,
        "RAY_TMPDIR": str(folder / "ray"),
        _OUT: str(out),
        _STORAGE: str(folder / "results"),
    }
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
            raise RuntimeError(
                f"{module} {' '.join(arguments)} wrote no result, return code {process.returncode}\n{tail}"
            )
        results: dict[str, Any] = json.loads(out.read_text())
    finally:
        _end_all(str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    summary = ", ".join(f"{name} {value:.4g}" for name, value in results.items() if isinstance(value, (int, float)))
    report_progress(f"  {module} {' '.join(arguments)}: {summary}  ({time.perf_counter() - began:.0f} s in all)")
    return results


def write_result(**results: Any) -> None:
    """Write the result of a probe, atomically. A probe calls this before Ray shuts down."""
    path = Path(os.environ[_OUT])
    path.with_suffix(".part").write_text(json.dumps(results))
    path.with_suffix(".part").rename(path)


def _end_all(folder: str) -> None:
    """End the processes of a probe: those with its folder in their command line or environment."""
    processes = [
        process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs_to(process, folder)
    ]
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)


def _belongs_to(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in part for part in process.cmdline()) or folder in process.environ().get("RAY_TMPDIR", "")
    except psutil.Error:
        return False
