"""The time until a `%%tune` cell returns and the next cell can run, as the front end of a kernel sees it."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, median, probe, write_result
from tests.bench.runs import CPUS, SETTLE

__all__ = ["measure"]

_CELL = """%%tune {name} --storage {storage}
model_id: grid_search(["model_0", "model_1"])
return {{"score": model_id}}"""


def measure(options: Options) -> list[Row]:
    """Measure with a running cluster, twice in one session, and including the start of Ray."""
    results = alternate(options.rounds, ("warm", "cold"), lambda side: probe("returns", side))
    warm = median(one["first_call"] for one in results["warm"])
    again = median(one["second_call"] for one in results["warm"])
    cold = median(one["first_call"] for one in results["cold"])
    return [
        Row("returns", "%%tune returns, warm cluster", warm, limit=1.0, data=results),
        Row("returns", "%%tune returns, the same session's second", again, limit=1.0),
        Row("returns", "%%tune returns, Ray to start", cold, limit=10.0),
    ]


def _seconds(client: Any, code: str) -> float:
    """Run a cell as an interactive front end does; return the duration in seconds."""
    began = time.perf_counter()
    reply = client.execute_interactive(code, output_hook=lambda _: None, stdin_hook=lambda _: None, timeout=120)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"]["traceback"]))
    return time.perf_counter() - began


def _finished(client: Any, name: str) -> None:
    _seconds(client, f"assert {name}.wait(120).status == 'finished', {name}")


if __name__ == "__main__":
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        _seconds(client, "%load_ext nbtune")
        if sys.argv[1] == "warm":
            _seconds(client, f"import nbtune; nbtune.connect(cpus={CPUS})")
            time.sleep(SETTLE)
        results = {"first_call": _seconds(client, _CELL.format(name="first", storage=STORAGE))}
        _finished(client, "first")
        if sys.argv[1] == "warm":
            time.sleep(SETTLE)  # nbtune prestarts processes again
            results["second_call"] = _seconds(client, _CELL.format(name="second", storage=STORAGE))
            _finished(client, "second")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    write_result(**results)
