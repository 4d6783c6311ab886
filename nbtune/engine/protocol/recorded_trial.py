"""What the event log records of one of Tune's trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle

from nbtune.engine.protocol.events import TrialAdded
from nbtune.engine.protocol.trust import ExperimentKey
from nbtune.engine.protocol.typed_values import signed, to_typed_json
from nbtune.spec.space.values import is_plain

__all__ = ["added_event", "encode_config", "error_of"]


def added_event(
    trial: Any,
    number: int,
    time: float,
    folder: str,
    key: ExperimentKey | None,
    by: str = "search",
    place: tuple[int, int] | None = None,
) -> TrialAdded:
    """Return the event that a trial of Tune's exists.

    Args:
        trial: Tune's trial.
        number: its number in the experiment.
        time: when it was added, in seconds since the epoch.
        folder: the name of its folder in the experiment's.
        key: signs the objects among its parameters; None for no signatures.
        by: who has added it, "user" or "search".
        place: the number of its configuration and of the repeat; None where configurations are not repeated.
    """
    config, (configuration, repeat) = encode_config(trial.config, key), place or (-1, 0)
    return TrialAdded(
        number,
        time,
        ray_id=trial.trial_id,
        config=config,
        folder=folder,
        by=by,
        configuration=configuration,
        repeat=repeat,
    )


def encode_config(config: Mapping[str, Any], key: ExperimentKey | None) -> dict[str, Any]:
    """Return a configuration as the events have it.

    Args:
        config: the configuration, nested.
        key: as for `added_event`.
    """
    encoded = {str(name): to_typed_json(value) for name, value in config.items()}
    if key is None:
        return encoded
    return {name: value if is_plain(value) else signed(value, key) for name, value in encoded.items()}


def error_of(trial: Any) -> Any:
    """Return the exception that ended a trial's latest attempt, as Tune has stored it: pickled, or else as text.

    Args:
        trial: Tune's trial.
    """
    try:
        # Tune writes it to the driver's disk first, and copies it to storage some time later.
        if trial.pickled_error_file and Path(trial.pickled_error_file).exists():
            return cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        if (error := trial.get_pickled_error()) is not None:
            return error
    except Exception:  # noqa: S110 - its class may be missing in this process
        pass
    if trial.error_file and Path(trial.error_file).exists():
        return Path(trial.error_file).read_text("utf-8")
    return trial.get_error()
