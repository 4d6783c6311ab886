"""`python -m tests.bench`: run the benchmarks, print a table, write .build/bench.json."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tests.bench.measure import ROOT, Options, Row, failures, loads, median, report_progress
from tests.bench.places import PLACES

FIGURES = (
    "imports",
    "processes",
    "quickstart",
    "fresh",
    "returns",
    "stop",
    "sweep",
    "places",
    "further",
    "kernel",
    "report",
    "floor",
    "stream",
    "large",
    "bytes",
    "flood",
    "workers",
    "many",
    "searches",
    "train",
    "frameworks",
)
"""The modules, in the order in which they are measured. Each has `measure(options) -> list[Row]`."""
JSON = ROOT / ".build" / "bench.json"
HEADER = ("what", "measured", "limit", "met", "note")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=FIGURES, help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="skip stock Tune with its defaults, which takes minutes")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each side is measured (3)")
    parser.add_argument("--place", metavar="NAME", action="append", choices=PLACES, help="of `places`; all by default")
    given = parser.parse_args(arguments)
    options = Options(max(1, given.rounds), given.quick, tuple(given.place) if given.place else None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a running probe is ended, too
    rows: list[Row] = []
    failed: dict[str, str] = {}
    began = time.perf_counter()
    for name in given.only or FIGURES:
        report_progress(f"{name}: {importlib.import_module(f'tests.bench.{name}').__doc__}")
        try:
            rows += importlib.import_module(f"tests.bench.{name}").measure(options)
        except Exception as error:  # continue with the other figures
            failed[name] = str(error)
            report_progress(f"  FAILED: {error}")
        failed |= failures
        about = {
            "rounds": options.rounds,
            "seconds": round(time.perf_counter() - began),
            "others": round(median(loads), 2) if loads else None,
        }
        write(rows, failed, about, keep=bool(given.only))
    print(table(rows))
    for name in failed:
        print(f"{name}: failed")
    if loads:
        print(
            f"other programs used {100 * median(loads):.0f} % of the cores before each, median of {len(loads)} probes"
        )
    missed = [row.what for row in rows if row.met is False]
    print(
        f"{len(missed)} of {sum(row.met is not None for row in rows)} limits exceeded; all measurements are in {JSON.relative_to(ROOT)}"
    )
    return 1 if failed else 0


def write(rows: Sequence[Row], failed: Mapping[str, str], about: Mapping[str, Any], *, keep: bool) -> None:
    """Write the rows so far to the JSON file, with all single measurements.

    Args:
        rows: the rows.
        failed: figure -> the error of a benchmark that failed.
        about: metadata of this run.
        keep: whether to keep the rows of other figures in the file.
    """
    machine = {
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
        **{package: version(package) for package in ("ray", "optuna", "nbtune")},
    }
    results = [{**row.as_json(), "run": dict(about)} for row in rows]
    if keep and JSON.exists():
        measured = {row.figure for row in rows}
        results = [row for row in json.loads(JSON.read_text())["rows"] if row["figure"] not in measured] + results
    JSON.parent.mkdir(exist_ok=True)
    JSON.write_text(json.dumps({"machine": machine, "rows": results, "failed": dict(failed)}, indent=1))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, padded to be readable as text, too."""
    lines = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]])


if __name__ == "__main__":
    sys.exit(main())
