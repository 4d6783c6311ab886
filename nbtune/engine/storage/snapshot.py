"""What an experiment needs in order to be resumed: kept in its folder, beside the event log.

The code with what it takes from the notebook, the options and the space. Big values are files of
their own. All of it is pickles, as Ray Tune's own files there are.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.fs as pafs
import ray.cloudpickle as cloudpickle

from nbtune.engine.storage.log import FOLDER, write_whole
from nbtune.engine.storage.storage import Storage

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch

__all__ = ["has_launch", "keep_large", "keep_launch", "read_large", "read_launch"]

# Not ".pkl": Tune copies all files of that name to the driver's disk when it restores.
_LAUNCH, _LARGE = "launch.bin", "large-{}.bin"


def keep_launch(storage: pafs.FileSystem, path: str, launch: Launch) -> None:
    """Write what was launched, but for its big values, and for what opens its storage: that may be secret.

    Raises:
        OSError: the storage does not take it.
    """
    spec = replace(launch.spec, storage=None, storage_filesystem=None)
    public = replace(launch, spec=spec, storage=Storage(launch.storage.shown), environment={})
    _write(storage, f"{path}/{FOLDER}/{_LAUNCH}", public)


def has_launch(storage: pafs.FileSystem, path: str) -> bool:
    """Tell whether an experiment's folder holds what was launched."""
    info: Any = storage.get_file_info(f"{path}/{FOLDER}/{_LAUNCH}")
    return bool(info.type == pafs.FileType.File)


def read_launch(storage: pafs.FileSystem, path: str) -> Launch:
    """Return what was launched.

    Raises:
        OSError: it is not there.
    """
    launch: Launch = _read(storage, f"{path}/{FOLDER}/{_LAUNCH}")
    return launch


def keep_large(storage: pafs.FileSystem, path: str, values: Sequence[Any]) -> None:
    """Write the big values.

    Raises:
        OSError: the storage does not take them.
    """
    for position, value in enumerate(values):
        _write(storage, f"{path}/{FOLDER}/{_LARGE.format(position)}", value)


def read_large(storage: pafs.FileSystem, path: str, count: int) -> Iterator[Any]:
    """Yield the big values, in order.

    Raises:
        OSError: one is not there: the driver has died before it was written.
    """
    for position in range(count):
        yield _read(storage, f"{path}/{FOLDER}/{_LARGE.format(position)}")


def _write(storage: pafs.FileSystem, path: str, value: Any) -> None:
    write_whole(storage, path, cloudpickle.dumps(value))


def _read(storage: pafs.FileSystem, path: str) -> Any:
    with storage.open_input_stream(path) as stream:
        return pickle.load(stream)
