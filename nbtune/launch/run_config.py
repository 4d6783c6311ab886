"""What the run configurations of Ray Tune and Ray Train have in common, as options."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["keep_checkpoints", "name_of", "storage_of"]

_DATED = re.compile(r"[-_]\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$")  # the end of a name that Ray has made


def name_of(name: str, notes: list[str]) -> str | None:
    """Return the experiment's name, which is one of a variable; None if Ray has made that of the configuration.

    Args:
        name: the configuration's.
        notes: receives a note if they differ.
    """
    if _DATED.search(name):
        return None
    valid = re.sub(r"\W", "_", name)
    valid = valid if valid.isidentifier() else f"run_{valid}"
    if valid != name:
        notes.append(f"the name {name!r} is {valid} here, since it is that of a variable")
    return valid


def storage_of(run: Any) -> dict[str, Any]:
    """Return the options of the storage.

    Args:
        run: a `ray.tune.RunConfig` or `ray.train.RunConfig`.
    """
    from ray.train.constants import DEFAULT_STORAGE_PATH

    if run.storage_filesystem is None and run.storage_path == DEFAULT_STORAGE_PATH:
        return {}  # nbtune's default, which the user may have changed
    return {"storage": str(run.storage_path), "storage_filesystem": run.storage_filesystem}


def keep_checkpoints(config: Any) -> dict[str, Any]:
    """Return the options that say which checkpoints are kept.

    Args:
        config: a `CheckpointConfig`.
    """
    if config.num_to_keep is None:
        return {}
    metric = config.checkpoint_score_attribute
    by = "latest" if metric is None else f"{config.checkpoint_score_order} {metric}"
    return {"keep_checkpoints": config.num_to_keep, "keep_by": by}
