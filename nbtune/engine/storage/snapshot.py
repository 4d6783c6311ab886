"""The launch snapshot: what resuming an experiment needs, stored in its folder beside the event log.

It holds the code with its captured variables, the options and the search space. Large values have files of
their own; those of code that replaces it have other names, so that each launch refers to its own values. All files are
pickles, as those of Ray Tune are, after a checksum and a signature: a pickle with wrong bytes may have wrong values
without an error, and one from others may run any code.
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

from nbtune.engine.protocol.trust import ExperimentKey, Trust
from nbtune.engine.storage.log import is_file, write_atomically
from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError, UntrustedError

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch

__all__ = ["delete_large", "has_launch", "read_large", "read_launch", "write_large", "write_launch"]

# Not ".pkl": Tune copies all files with that suffix to the driver's disk when it restores.
_LAUNCH, _LARGE = "launch.bin", "large-{}-{}.bin"
_HEADER = struct.Struct("<IH")  # checksum of all that follows it, bytes of the signature


def write_launch(storage: pafs.FileSystem, path: str, launch: Launch) -> None:
    """Write a launch, without its large values, its key, and the access to its storage, which may be secret.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        launch: what the driver was started with.

    Raises:
        OSError: the file could not be written.
    """
    spec = replace(launch.spec, storage=None, storage_filesystem=None)
    public = replace(launch, spec=spec, storage=Storage(launch.storage.redacted), environment={}, key=None)
    _write(storage, path, _LAUNCH, public, launch.key)


def has_launch(storage: pafs.FileSystem, path: str) -> bool:
    """Return whether an experiment's folder holds a launch.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    return is_file(storage, f"{path}/{FOLDER}/{_LAUNCH}")


def read_launch(storage: pafs.FileSystem, path: str, trust: Trust) -> Launch:
    """Return the stored launch of an experiment.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        trust: whose launches are loaded.

    Raises:
        OSError: there is no launch in the folder, or it cannot be read.
        ExperimentError: it is damaged.
        UntrustedError: it is not trusted.
    """
    launch: Launch = _read(storage, path, _LAUNCH, trust)
    return launch


def write_large(
    storage: pafs.FileSystem, path: str, values: Iterable[Any], key: ExperimentKey | None, replaced: int = 0
) -> None:
    """Write the large values of a launch, a file each.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        values: the values, by their positions in the payload.
        key: the experiment's key.
        replaced: `Launch.replaced`.

    Raises:
        OSError: a file could not be written.
    """
    for position, value in enumerate(values):
        _write(storage, path, _LARGE.format(replaced, position), value, key)


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


def read_large(storage: pafs.FileSystem, path: str, launch: Launch, trust: Trust) -> Iterator[Any]:
    """Yield the stored large values, by position.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        launch: the launch that they belong to.
        trust: whose values are loaded.

    Raises:
        OSError: a file is missing: the driver died before it was written.
        ExperimentError: a file is damaged.
        UntrustedError: a file is not trusted.
    """
    for position in range(launch.large_count):
        yield _read(storage, path, _LARGE.format(launch.replaced, position), trust)


def _write(storage: pafs.FileSystem, path: str, name: str, value: Any, key: ExperimentKey | None) -> None:
    data = cloudpickle.dumps(value)
    signature = b"" if key is None else key.sign(name, data).encode()
    checksum = zlib.crc32(data, zlib.crc32(signature))
    header = _HEADER.pack(checksum, len(signature))
    write_atomically(storage, f"{path}/{FOLDER}/{name}", b"".join((header, signature, data)))


def _read(storage: pafs.FileSystem, path: str, name: str, trust: Trust) -> Any:
    with storage.open_input_stream(f"{path}/{FOLDER}/{name}") as stream:
        content = memoryview(stream.read())
    signed = content[_HEADER.size :]
    checksum, length = _HEADER.unpack_from(content) if len(signed) else (0, 0)
    if not len(signed) or checksum != zlib.crc32(signed):
        raise ExperimentError(
            f"{path}/{FOLDER}/{name} is damaged, so the experiment cannot be resumed: it has the code and the variables"
            " of the experiment. Its results and checkpoints can be read; start a new experiment to continue from them"
        )
    data = signed[length:]
    if not trust.accepts(name, data, bytes(signed[:length]).decode("utf-8", "replace")):
        raise UntrustedError(
            f"{path} cannot be resumed, which runs the code in it: {name} is not signed with your key, so another user"
            " has started the experiment, or has changed the file. If you trust the folder, nbtune.load(path,"
            " trust=True).resume() resumes it"
        )
    try:
        return pickle.loads(data)
    except (Exception, SystemExit) as error:  # what an object of the user's raises
        raise ExperimentError(
            f"{path} cannot be read, so the experiment cannot be resumed: an object that it was started with raises"
            f" {type(error).__name__}: {error}. Its results and checkpoints can be read"
        ) from error
