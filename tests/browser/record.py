"""`python -m tests.browser.record`: writes the recorded experiment from which the preview page makes its scenarios."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nbtune import testing
from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import TrialReported
from nbtune.results.store import Store
from nbtune.views.live.rows import TableRows

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "widgets" / "preview" / "recorded.json"


def record() -> dict[str, Any]:
    """Return an experiment of 20 trials: its metadata, the columns of the table as Python sends them, and the trials."""
    events = list(testing.example(trials=20, reports=30, failing=1, seed=1))
    store = Store()
    for chunk in decode(encode(0, events)):
        store.apply(chunk)
    values: dict[int, dict[str, list[float]]] = {number: {} for number in store.trials}
    for event in events:
        if isinstance(event, TrialReported):
            for name, value in event.metrics.items():
                values[event.trial].setdefault(name, []).append(round(value, 5))
    table = TableRows(store).message(everything=True)
    assert table is not None
    trials = [
        {
            "config": {n: float(f"{v:.5g}") if isinstance(v, float) else v for n, v in state.config.items()},
            "status": state.status,
            "error": state.error,
            "traceback": state.traceback,
            "values": values[state.number],
        }
        for state in store.states()
    ]
    seconds = next(event.time_s for event in events if isinstance(event, TrialReported))
    assert math.isfinite(seconds)
    metadata = {name: store.metadata[name] for name in ("name", "metric", "mode")}
    return {**metadata, "seconds": seconds, "columns": table["columns"], "trials": trials}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(), separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n", "utf-8")
