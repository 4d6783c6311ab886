"""Where experiments are kept: a folder of this machine, a URI that pyarrow knows, or a path on a given filesystem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pyarrow.fs as pafs

from nbtune.errors import ExperimentError

__all__ = ["Storage", "default_storage", "local_base"]


def default_storage() -> str:
    """Return the folder that Ray keeps results in by default, ``~/ray_results``."""
    return str(Path.home() / "ray_results")


@dataclass(frozen=True)
class Storage:
    """A place that experiments are in, or one experiment's own folder.

    Attributes:
        place: a folder, or a URI; with a `filesystem` the path on that.
        filesystem: the `pyarrow.fs.FileSystem` that `place` is a path on; None where `place` says it all.
    """

    place: str
    filesystem: pafs.FileSystem | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.place, self.filesystem)  # opened anew there: with that process's environment

    @cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        try:
            if self.filesystem is not None:
                return self.filesystem, self.place.rstrip("/")
            if self.is_uri:
                filesystem, path = pafs.FileSystem.from_uri(self.place)
                return filesystem, path.rstrip("/")
            return pafs.LocalFileSystem(), str(Path(self.place).expanduser().absolute())
        except (OSError, ValueError) as error:
            raise ExperimentError(f"{self.shown!r} cannot be opened: {_without_place(error, self)}") from error

    def open(self) -> tuple[pafs.FileSystem, str]:
        """Return its filesystem, and its path on that. It is opened once.

        Raises:
            ExperimentError: pyarrow cannot open it.
        """
        return self._opened

    @property
    def is_uri(self) -> bool:
        """Whether `place` is a URI."""
        return self.filesystem is None and "://" in self.place

    @property
    def shown(self) -> str:
        """Return `place` as logs and messages may show it: a URI without its passwords and keys."""
        if not self.is_uri:
            return self.place
        parts = urlsplit(self.place)
        query = "&".join(
            f"{name}=***" if any(word in name.lower() for word in ("key", "secret", "token")) else word
            for word in parts.query.split("&")
            for name in [word.partition("=")[0]]
        )
        # abfs://CONTAINER@ACCOUNT holds no secret, USER:PASSWORD@HOST does.
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"***{at}{host}" if ":" in user else parts.netloc, query=query))

    def join(self, folder: str) -> Storage:
        """Return a folder in it. What a URI has behind its ``?`` stays behind."""
        head, mark, query = self.place.partition("?") if self.is_uri else (self.place, "", "")
        return Storage(f"{head.rstrip('/')}/{folder}{mark}{query}", self.filesystem)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self._parts()[1]

    @property
    def parent(self) -> Storage:
        """What it is in: `join` of that and `name` is this."""
        return Storage(self._parts()[0], self.filesystem)

    def _parts(self) -> tuple[str, str]:
        head, mark, query = self.place.partition("?") if self.is_uri else (self.place, "", "")
        above, _, name = head.rstrip("/").rpartition("/")
        return f"{above}{mark}{query}", name

    @property
    def local_path(self) -> str | None:
        """Return its path on the disks of the machine that it is used on, or None where it is no such path."""
        filesystem, path = self.open()
        base = local_base(filesystem)
        return None if base is None else f"{base}{path}"

    def probe(self) -> None:
        """Make its folder if it is not there, and see that it can be written.

        Raises:
            ExperimentError: it cannot be made or written, or its filesystem cannot travel to the cluster.
        """
        if self.filesystem is not None:
            self._check_travels()
        filesystem, path = self.open()
        probe = f"{path}/.nbtune-probe-{uuid4().hex}"
        try:
            filesystem.create_dir(path, recursive=True)
            with filesystem.open_output_stream(probe) as stream:
                stream.write(b"")
            filesystem.delete_file(probe)
        except Exception as error:  # a filesystem of the user's raises what it likes
            raise ExperimentError(
                f"--storage: {self.shown!r} cannot be written: {_without_place(error, self)}."
                " Give a folder or URI that can"
            ) from error

    def _check_travels(self) -> None:
        import ray.cloudpickle as cloudpickle

        try:
            cloudpickle.dumps(self.filesystem)
        except Exception as error:  # whatever its own reduction raises
            raise ExperimentError(
                f"--storage-filesystem: {type(self.filesystem).__name__} cannot travel to the cluster: {error}."
                " Give one that can be pickled"
            ) from error


def local_base(filesystem: pafs.FileSystem) -> str | None:
    """Return what stands before the paths of a filesystem on this machine's disks, or None if it is no such one."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        return ""
    if isinstance(filesystem, pafs.SubTreeFileSystem):
        base = local_base(filesystem.base_fs)
        return None if base is None else f"{base}{filesystem.base_path.rstrip('/')}/"
    return None


def _without_place(error: Exception, storage: Storage) -> str:
    return str(error).replace(storage.place, storage.shown)
