"""The data sets of an experiment: what is known of them, and what its trials have read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nbtune.results.state import TrialState
from nbtune.spec.options.datasets import DatasetInfo
from nbtune.spec.units import format_duration

__all__ = ["dataset_infos", "datasets_text", "read_frame", "read_text"]

_COLUMNS = ("worker", "dataset", "rows", "passes", "waited")
_MINUTE = 60.0
_TYPES = {"worker": "int64", "rows": "int64", "passes": "int64", "waited": "float64"}


def dataset_infos(metadata: Mapping[str, Any]) -> dict[str, DatasetInfo]:
    """Return the data sets that the options of an experiment have named: name -> what is known of it.

    Args:
        metadata: the metadata of the experiment.
    """
    found: dict[str, DatasetInfo] = {}
    for name, data in (metadata.get("datasets") or {}).items():
        if isinstance(data, Mapping):
            schema = data.get("schema")
            columns = {str(key): str(kind) for key, kind in schema.items()} if isinstance(schema, Mapping) else {}
            rows, size = (value if type(value) is int else None for value in (data.get("rows"), data.get("size")))
            found[str(name)] = DatasetInfo(columns, rows, size, str(data.get("stored", "")))
    return found


def datasets_text(metadata: Mapping[str, Any]) -> str:
    """Return the data sets of an experiment in one line; empty without any.

    Args:
        metadata: the metadata of the experiment.
    """
    infos = dataset_infos(metadata)
    return "; ".join(f"{name} ({info})" if str(info) else name for name, info in infos.items())


def read_frame(state: TrialState) -> pd.DataFrame:
    """Return what the processes of a trial have read, with the columns of `Trial.data`.

    Args:
        state: the trial's state.
    """
    rows = [
        (worker, name, int(read[0]), int(read[1]), read[2])
        for worker, reads in sorted(state.reads.items())
        for name, read in reads.items()
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_TYPES)


def read_text(state: TrialState, metadata: Mapping[str, Any]) -> str:
    """Return what a trial has read of each data set, a line each; empty if it has read nothing.

    Args:
        state: the trial's state.
        metadata: the metadata of the experiment.
    """
    infos, lines = dataset_infos(metadata), []
    for name, reads in read_frame(state).groupby("dataset", sort=False):
        total, passes, waited = int(reads["rows"].sum()), int(reads["passes"].max()), float(reads["waited"].max())
        text = f"{name}: {total:,} row{'' if total == 1 else 's'} read in {passes} pass{'' if passes == 1 else 'es'}"
        if len(reads) > 1:
            text += f" by {len(reads)} workers"
        if (info := infos.get(str(name))) is not None and info.rows is not None:
            text += f", of {info.rows:,} in the data set"
        if waited >= 0.01 and math.isfinite(waited):
            longest = "up to " if len(reads) > 1 else ""
            shown = f"{waited:.2g} s" if waited < _MINUTE else format_duration(waited)
            text += f"; the code has waited {longest}{shown} for them"
        lines.append(text)
    return "\n".join(lines)
