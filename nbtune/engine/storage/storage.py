"""`Storage`: a local folder, a URI that pyarrow supports, or a path on a given filesystem."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pyarrow.fs as pafs

from nbtune.errors import ExperimentError, Problem

__all__ = [
    "Storage",
    "create_private_folder",
    "default_storage",
    "has_credentials",
    "is_inside",
    "local_base",
    "write_private",
]

_PASSWORD = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[^/?#@]*:[^/?#]*@", re.IGNORECASE)


def default_storage() -> str:
    """Return the folder in which Ray stores results by default, ``~/ray_results``."""
    return str(Path.home() / "ray_results")


@dataclass(frozen=True)
class Storage:
    """The folder that contains experiments, or the folder of one experiment.

    Attributes:
        place: a local folder or a URI; with a `filesystem`, a path on that. A local folder becomes absolute, since the
            processes that open it have other working folders.
        filesystem: the `pyarrow.fs.FileSystem` that `place` is a path on, or None.
    """

    place: str
    filesystem: pafs.FileSystem | None = None

    def __post_init__(self) -> None:
        if self.filesystem is None and not self.is_uri:
            path = Path(self.place).expanduser().absolute()
            # "..", as of load(".."), is the name of no folder.
            object.__setattr__(self, "place", str(path.resolve() if ".." in path.parts else path))

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.place, self.filesystem)  # each process opens it with its own environment

    @cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        try:
            if self.filesystem is not None:
                return self.filesystem, self.place.rstrip("/")
            if self.is_uri:
                filesystem, path = pafs.FileSystem.from_uri(self.place)
                return filesystem, path.rstrip("/")
            return pafs.LocalFileSystem(), self.place
        except (OSError, ValueError) as error:
            raise ExperimentError(f"cannot open the storage {self.redacted!r}: {_redacted(error, self)}") from error

    def open(self) -> tuple[pafs.FileSystem, str]:
        """Return the filesystem and the path on it; the filesystem is cached.

        Raises:
            ExperimentError: pyarrow cannot open the storage.
        """
        return self._opened

    @property
    def is_uri(self) -> bool:
        """Whether `place` is a URI."""
        return self.filesystem is None and "://" in self.place

    @property
    def redacted(self) -> str:
        """`place` as logs and messages may show it: a URI without passwords and keys."""
        if not self.is_uri:
            return self.place
        parts = urlsplit(self.place)
        query = "&".join(
            f"{name}=***" if any(word in name.lower() for word in ("key", "secret", "token")) else item
            for item in parts.query.split("&")
            for name in [item.partition("=")[0]]
        )
        _, at, host = parts.netloc.rpartition("@")
        netloc = f"***{at}{host}" if has_credentials(self.place) else parts.netloc
        return urlunsplit(parts._replace(netloc=netloc, query=query))

    def join(self, folder: str) -> Storage:
        """Return a folder inside this one; the query of a URI is preserved.

        Args:
            folder: the folder's name.
        """
        path, query = self._split_query()
        return Storage(f"{path.rstrip('/')}/{folder}{query}", self.filesystem)

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self._split_path()[1]

    @property
    def parent(self) -> Storage:
        """The folder that contains this one: ``storage.parent.join(storage.name) == storage``."""
        return Storage(self._split_path()[0], self.filesystem)

    def _split_path(self) -> tuple[str, str]:
        path, query = self._split_query()
        parent, _, name = path.rstrip("/").rpartition("/")
        return f"{parent}{query}", name

    def _split_query(self) -> tuple[str, str]:
        """Return `place` without its query, and the query with its ``?``; only a URI has one."""
        path, mark, query = self.place.partition("?") if self.is_uri else (self.place, "", "")
        return path, f"{mark}{query}"

    @property
    def local_path(self) -> str | None:
        """The path on a disk of the machine, or None if the storage is not local."""
        filesystem, path = self.open()
        base = local_base(filesystem)
        return None if base is None else f"{base}{path}"

    def path_of(self, inside: str) -> str:
        """Return the path of a file or folder of this folder on the filesystem.

        Args:
            inside: its path relative to this folder, as the event log has it.

        Raises:
            ExperimentError: pyarrow cannot open the storage.
        """
        return f"{self.open()[1]}/{inside}"

    def probe(self) -> None:
        """Create the folder if it does not exist, and check that it is writable.

        Raises:
            ExperimentError: the folder cannot be created or written, or the filesystem cannot be pickled.
        """
        if self.filesystem is not None:
            self._check_picklable()
        filesystem, path = self.open()
        probe = f"{path}/.nbtune-probe-{uuid4().hex}"
        try:
            filesystem.create_dir(path, recursive=True)
            with filesystem.open_output_stream(probe) as stream:
                stream.write(b"")
            filesystem.delete_file(probe)
        except Exception as error:  # a custom filesystem may raise anything
            text = f"cannot write to {self.redacted!r}: {_redacted(error, self)}. Give a writable folder or URI"
            raise ExperimentError(Problem(text, option="storage")) from error

    def _check_picklable(self) -> None:
        import ray.cloudpickle as cloudpickle

        try:
            cloudpickle.dumps(self.filesystem)
        except Exception as error:  # a custom `__reduce__` may raise anything
            text = f"cannot pickle {type(self.filesystem).__name__}: {error}. Give a filesystem that can be pickled"
            raise ExperimentError(Problem(text, option="storage_filesystem")) from error


def local_base(filesystem: pafs.FileSystem) -> str | None:
    """Return the local path of a filesystem's root, without its last slash, or None if it is not on a local disk.

    Args:
        filesystem: the filesystem.
    """
    if isinstance(filesystem, pafs.LocalFileSystem):
        return ""
    if isinstance(filesystem, pafs.SubTreeFileSystem):
        base = local_base(filesystem.base_fs)
        return None if base is None else f"{base}{filesystem.base_path.rstrip('/')}/"
    return None


def is_inside(filesystem: pafs.FileSystem, folder: str, path: str) -> bool:
    """Return whether a path is inside a folder, also where links lead: a folder from others may have some.

    Args:
        filesystem: the filesystem; only a disk has links.
        folder: the folder on it, which may be a link itself.
        path: the path on it, which begins with the folder's.
    """
    if (base := local_base(filesystem)) is None:
        return True
    return os.path.realpath(f"{base}{path}").startswith(f"{os.path.realpath(f'{base}{folder}')}/")


def has_credentials(uri: str) -> bool:
    """Return whether a URI holds a password: ``USER:PASSWORD@HOST``, unlike ``abfs://CONTAINER@ACCOUNT``.

    Args:
        uri: the URI, or any text.
    """
    return _PASSWORD.match(uri) is not None


def create_private_folder(filesystem: pafs.FileSystem, path: str) -> None:
    """Create a folder that, on a disk, only this user can read, whatever the umask is.

    Args:
        filesystem: the filesystem.
        path: the folder on it. A folder that exists becomes private as well, if it is this user's.

    Raises:
        OSError: it cannot be created.
    """
    filesystem.create_dir(path, recursive=True)
    if (base := local_base(filesystem)) is not None:
        with suppress(PermissionError):
            os.chmod(f"{base}{path}", 0o700)


def write_private(filesystem: pafs.FileSystem, path: str, data: bytes) -> None:
    """Write a file that, on a disk, only this user can read, whatever the umask is.

    Args:
        filesystem: the filesystem.
        path: the file on it.
        data: the whole contents.

    Raises:
        OSError: it cannot be written.
    """
    if (base := local_base(filesystem)) is not None:  # it must never exist with other permissions
        os.close(os.open(f"{base}{path}", os.O_CREAT | os.O_WRONLY, 0o600))
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)


def _redacted(error: Exception, storage: Storage) -> str:
    return str(error).replace(storage.place, storage.redacted)
