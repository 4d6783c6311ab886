"""How soon a `%%tune` cell comes back, so that the next cell can run: in a kernel, as its front end sees it."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.bench.measure import STORAGE, Options, Row, alternate, hand_back, median, probe
from tests.bench.runs import CPUS, SETTLE

__all__ = ["measure"]

_CELL = """%%tune {name} --storage {storage}
model_id: grid_search(["model_0", "model_1"])
return {{"score": model_id}}"""


def measure(options: Options) -> list[Row]:
    """Measure with a cluster that is there, twice in one session, and with Ray to start."""
    found = alternate(options.rounds, ("warm", "cold"), lambda side: probe("returns", side))
    warm = median(one["first_call"] for one in found["warm"])
    again = median(one["second_call"] for one in found["warm"])
    cold = median(one["first_call"] for one in found["cold"])
    return [
        Row("returns", "%%tune returns, warm cluster", warm, reach=1.0, data=found),
        Row("returns", "%%tune returns, the same session's second", again, reach=1.0),
        Row("returns", "%%tune returns, Ray to start", cold, reach=10.0),
    ]


def _seconds(client: Any, code: str) -> float:
    """Run a cell to its end as somebody does who could answer; return how long that took."""
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
        found = {"first_call": _seconds(client, _CELL.format(name="first", storage=STORAGE))}
        _finished(client, "first")
        if sys.argv[1] == "warm":
            time.sleep(SETTLE)  # processes are started ahead again
            found["second_call"] = _seconds(client, _CELL.format(name="second", storage=STORAGE))
            _finished(client, "second")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    hand_back(**found)
