"""What the event log keeps of one of Tune's trials: written by the driver, or by the reader of a foreign folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle

from nbtune.engine.protocol.metrics import plain

__all__ = ["added_fields", "error_of", "is_json"]


def added_fields(trial: Any, folder: str, by: str = "search") -> dict[str, Any]:
    """Return what an "added" event holds: the configuration as JSON, and pickled where that would lose something."""
    config = plain(trial.config)
    data = {"id": trial.trial_id, "config": config, "folder": folder, "by": by}
    return {"data": data, "pickled": None if is_json(config) else cloudpickle.dumps(config)}


def is_json(value: Any) -> bool:
    """Tell whether JSON gives the value back just as it is."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_json, value))
    return value is None or type(value) in (bool, int, float, str)


def error_of(trial: Any) -> Any:
    """Return the exception that ended a trial's latest attempt, or its text, as Tune has kept it."""
    try:
        # Tune writes it to the driver's disk first, and to storage some time later.
        if trial.pickled_error_file and Path(trial.pickled_error_file).exists():
            return cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        if (error := trial.get_pickled_error()) is not None:
            return error
    except Exception:  # noqa: S110 - one of a class that is not here cannot be read back
        pass
    if trial.error_file and Path(trial.error_file).exists():
        return Path(trial.error_file).read_text("utf-8")
    return trial.get_error()
