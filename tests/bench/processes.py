"""What each kind of process imports, and what Ray's own processes take until they are up: CPU seconds and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import psutil

from tests.bench.measure import ROOT, Options, Row, alternate, clean_environment, median, probe, write_result
from tests.bench.runs import connect_nbtune, init_stock

__all__ = ["measure"]

KINDS = {
    "a process of Ray, in a Jupyter environment": ("stock", ("ray",)),
    "a process of Ray, of a Ray of nbtune": ("nbtune", ("ray",)),
    "… with ray.tune": ("nbtune", ("ray.tune",)),
    "driver": ("nbtune", ("ray", "nbtune.engine.driver.driver", "nbtune.engine.tune.tuner")),
    "trial": ("nbtune", ("ray", "nbtune.engine.tune.trainable")),
    "trial with workers": ("nbtune", ("ray", "nbtune.engine.tune.trainable", "nbtune.engine.train.distributed")),
    "worker": ("nbtune", ("ray", "nbtune.engine.train.worker")),
    "fork server": ("nbtune", ("nbtune.engine.driver.preload",)),
    "kernel, with %load_ext nbtune": ("nbtune", ("IPython", "nbtune.notebook.magics")),
    "kernel, with a sweep": (
        "nbtune",
        (
            *("IPython", "nbtune.notebook.magics", "ray", "ray.tune", "nbtune.launch.start", "nbtune.launch.resume"),
            *("nbtune.engine.client.launch", "nbtune.engine.search.make", "nbtune.engine.trial.payload"),
            *("nbtune.results.experiment", "pandas", "nbtune.views.live.dashboard", "nbtune.views.still.kept"),
        ),
    ),
}
"""Kind of process -> whose start it has, and the modules that it imports."""
HEAVY = ("lark", "pandas", "ray.data", "ray.train", "pyarrow", "tensorboardX", "optuna", "torch", "IPython", "plotly")
_CODE = f"""
import importlib, json, resource, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({{
    "cpu": used.ru_utime + used.ru_stime,
    "megabytes": used.ru_maxrss / 1024 if sys.platform == "linux" else used.ru_maxrss / 2**20,
    "modules": len(sys.modules),
    "heavy": [name for name in {HEAVY!r} if name in sys.modules],
}}))
"""


def measure(options: Options) -> list[Row]:
    """Import in new processes, and start both Rays alternately."""
    for kind in KINDS:  # writes the bytecode
        _import(kind)
    imports = alternate(max(3, options.rounds), tuple(KINDS), _import)
    rows = [_row(kind, rounds) for kind, rounds in imports.items()]
    started = alternate(options.rounds, ("stock", "nbtune"), lambda side: probe("processes", side))
    for side, rounds in started.items():
        number, memory = median(one["number"] for one in rounds), median(one["megabytes"] for one in rounds)
        note = f"{number:.0f} processes, {memory:.0f} MB, up after {median(one['up'] for one in rounds):.2f} s"
        name = "of nbtune" if side == "nbtune" else "of ray.init"
        rows.append(
            Row("processes", f"the processes of a Ray {name}, CPU", median(one["cpu"] for one in rounds), note=note)
        )
    return rows


def _row(kind: str, rounds: Sequence[dict[str, Any]]) -> Row:
    last = rounds[-1]
    note = f"{last['modules']} modules, {last['megabytes']:.0f} MB; {', '.join(last['heavy']) or 'nothing heavy'}"
    return Row(
        "processes", f"imports: {kind}, CPU", median(one["cpu"] for one in rounds), "s", None, note, {kind: rounds}
    )


def _import(kind: str) -> dict[str, Any]:
    whose, modules = KINDS[kind]
    path = [str(ROOT)]
    if whose == "nbtune":
        path.insert(0, str(ROOT / "nbtune" / "cluster" / "embedded" / "lazy"))
    environment = {**clean_environment(), "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-c", _CODE, *modules]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _probe(side: str) -> None:
    """Start Ray; write what its processes have used when no worker has been started for an experiment."""
    began = time.perf_counter()
    (connect_nbtune if side == "nbtune" else init_stock)(settle=0)
    up = time.perf_counter() - began
    time.sleep(1.0)
    own = [process for process in psutil.Process().children(recursive=True) if not _is_worker(process)]
    cpu = sum(sum(process.cpu_times()[:2]) for process in own)
    megabytes = sum(process.memory_info().rss for process in own) / 2**20
    write_result(up=up, cpu=cpu, megabytes=megabytes, number=len(own))


def _is_worker(process: psutil.Process) -> bool:
    command = " ".join(process.cmdline())
    return command.startswith("ray::IDLE") or "default_worker.py" in command or "forkserver" in command


if __name__ == "__main__":
    _probe(sys.argv[1])
