"""The launch snapshot: what resuming an experiment needs, stored in its folder beside the event log.

It holds the code with its captured variables, the options and the search space. Large values have files of
their own; those of code that replaces it have other names, so that each launch refers to its own values. All files are
pickles, as those of Ray Tune are, after a checksum: a pickle with wrong bytes may have wrong values without an error.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.fs as pafs
import ray.cloudpickle as cloudpickle

from nbtune.engine.storage.log import is_file, write_atomically
from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch

__all__ = ["delete_large", "has_launch", "read_large", "read_launch", "write_large", "write_launch"]

# Not ".pkl": Tune copies all files with that suffix to the driver's disk when it restores.
_LAUNCH, _LARGE = "launch.bin", "large-{}-{}.bin"
_CHECKSUM = struct.Struct("<I")


def write_launch(storage: pafs.FileSystem, path: str, launch: Launch) -> None:
    """Write a launch, without its large values and without the access to its storage, which may be secret.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        launch: what the driver was started with.

    Raises:
        OSError: the file could not be written.
    """
    spec = replace(launch.spec, storage=None, storage_filesystem=None)
    public = replace(launch, spec=spec, storage=Storage(launch.storage.redacted), environment={})
    _write(storage, f"{path}/{FOLDER}/{_LAUNCH}", public)


def has_launch(storage: pafs.FileSystem, path: str) -> bool:
    """Return whether an experiment's folder holds a launch.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    return is_file(storage, f"{path}/{FOLDER}/{_LAUNCH}")


def read_launch(storage: pafs.FileSystem, path: str) -> Launch:
    """Return the stored launch of an experiment.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.

    Raises:
        OSError: there is no launch in the folder, or it cannot be read.
        ExperimentError: it is damaged.
    """
    launch: Launch = _read(storage, f"{path}/{FOLDER}/{_LAUNCH}")
    return launch


def write_large(storage: pafs.FileSystem, path: str, values: Iterable[Any], replaced: int = 0) -> None:
    """Write the large values of a launch, a file each.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        values: the values, by their positions in the payload.
        replaced: `Launch.replaced`.

    Raises:
        OSError: a file could not be written.
    """
    for position, value in enumerate(values):
        _write(storage, f"{path}/{FOLDER}/{_LARGE.format(replaced, position)}", value)


def delete_large(storage: pafs.FileSystem, path: str, launch: Launch) -> None:
    """Delete the large values of a launch that was replaced.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        launch: the earlier launch.
    """
    for position in range(launch.large_count):
        with suppress(OSError):  # nothing refers to the file any more
            storage.delete_file(f"{path}/{FOLDER}/{_LARGE.format(launch.replaced, position)}")


def read_large(storage: pafs.FileSystem, path: str, launch: Launch) -> Iterator[Any]:
    """Yield the stored large values, by position.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        launch: the launch that they belong to.

    Raises:
        OSError: a file is missing: the driver died before it was written.
        ExperimentError: a file is damaged.
    """
    for position in range(launch.large_count):
        yield _read(storage, f"{path}/{FOLDER}/{_LARGE.format(launch.replaced, position)}")


def _write(storage: pafs.FileSystem, path: str, value: Any) -> None:
    data = cloudpickle.dumps(value)
    write_atomically(storage, path, _CHECKSUM.pack(zlib.crc32(data)) + data)


def _read(storage: pafs.FileSystem, path: str) -> Any:
    with storage.open_input_stream(path) as stream:
        content = memoryview(stream.read())
    data = content[_CHECKSUM.size :]
    if len(content) <= _CHECKSUM.size or _CHECKSUM.unpack_from(content)[0] != zlib.crc32(data):
        raise ExperimentError(
            f"{path} is damaged, so the experiment cannot be resumed: it has the code and the variables of the"
            " experiment. Its results and checkpoints can be read; start a new experiment to continue from them"
        )
    try:
        return pickle.loads(data)
    except (Exception, SystemExit) as error:  # what an object of the user's raises
        raise ExperimentError(
            f"{path} cannot be read, so the experiment cannot be resumed: an object that it was started with raises"
            f" {type(error).__name__}: {error}. Its results and checkpoints can be read"
        ) from error
