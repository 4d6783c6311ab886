"""Who owns an experiment's folder: the files of its drivers there, and their signs of life."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import time
import uuid
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Self

import psutil
import pyarrow.fs as pafs

from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.storage import local_base

__all__ = ["Owner", "Sign", "claims", "folder_of_owners", "format_time", "identity_of", "read_owner", "this_process"]

_MAX_BYTES = 10_000  # of an owner's file, which has some hundred
_OWNERS = "owners"  # the folder of the files, inside that of the log
_NAME = re.compile(r"(\d{6,})(?:-([0-9a-f]+)\.json|\.lock)")


@dataclass(frozen=True)
class Owner:
    """A driver that owns, or has owned, an experiment's folder.

    Attributes:
        epoch: its number among the drivers of the experiment, from 1 on.
        id: unique.
        host: the name of its machine.
        machine: identifies the processes that its process id is valid for; empty if unknown.
        pid: its process id.
        process_started: when this process has started, as `psutil` reads it.
        folder: device and inode of the experiment's folder, where it is on a disk: a copy has others.
        cluster: the address of its Ray cluster.
        session: Ray's name of the cluster's session, which is unique.
        driver: the name of its actor.
        since: when it has become the owner, by its own clock.
        last: when it has last written this, by its own clock.
        beat: how often it has written this.
        released: whether it has ended properly.
    """

    epoch: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = ""
    machine: str = ""
    pid: int = 0
    process_started: float = 0.0
    folder: str = ""
    cluster: str = ""
    session: str = ""
    driver: str = ""
    since: float = 0.0
    last: float = 0.0
    beat: int = 0
    released: bool = False

    def __str__(self) -> str:
        cluster = f", cluster {self.cluster}" if self.cluster else ""
        return f"on {self.host or 'an unknown machine'}{cluster}, since {format_time(self.since)}"

    def is_dead(self, storage: pafs.FileSystem, path: str) -> bool:
        """Return whether it is known without waiting that the driver does not live, or owns another folder.

        Args:
            storage: the filesystem of the experiment's storage.
            path: the experiment's folder on it.
        """
        if self.released:
            return True
        if not self.machine or self.machine != _machine():
            return False
        if self.folder and self.folder != (identity_of(storage, path) or self.folder):
            return True  # the folder is a copy
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.process_started) < 2
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False
        return not alive


@dataclass(frozen=True)
class Sign:
    """What changes in a folder while its driver lives.

    Attributes:
        owner: the driver.
        files: name, size and time of the files that it writes.
    """

    owner: Owner
    files: tuple[Any, ...] = ()

    @classmethod
    def read(cls, storage: pafs.FileSystem, path: str) -> Self | None:
        """Return the present sign of life of an experiment's latest driver; None if there was none.

        Args:
            storage: the filesystem of the experiment's storage.
            path: the experiment's folder on it.

        Raises:
            OSError: the folder cannot be read.
        """
        folder = folder_of_owners(path)
        found = claims(storage, folder)
        if not found:
            return None
        epoch, identifier = max(found)
        owner = read_owner(storage, folder, epoch, identifier)
        mark = f"-{epoch:06}-"
        infos = storage.get_file_info(pafs.FileSelector(f"{path}/{FOLDER}"))
        return cls(
            owner, tuple(sorted((info.base_name, info.size, info.mtime_ns) for info in infos if mark in info.base_name))
        )


def this_process(epoch: int, **about: Any) -> Owner:
    """Return this process as the owner of an epoch.

    Args:
        epoch: the epoch.
        about: further fields of `Owner`.
    """
    now = time.time()
    started = psutil.Process().create_time()
    return Owner(
        epoch,
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_started=started,
        since=now,
        last=now,
        **about,
    )


def folder_of_owners(path: str) -> str:
    """Return the folder of the owners' files of an experiment.

    Args:
        path: the experiment's folder.
    """
    return f"{path}/{FOLDER}/{_OWNERS}"


def claims(storage: pafs.FileSystem, folder: str) -> list[tuple[int, str]]:
    """Return (epoch, id) of all owners; without an id where a driver has begun to become one.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the folder of the owners' files on it.

    Raises:
        OSError: the folder cannot be read.
    """
    infos = storage.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return [(int(match[1]), match[2] or "") for info in infos if (match := _NAME.fullmatch(info.base_name))]


def read_owner(storage: pafs.FileSystem, folder: str, epoch: int, identifier: str) -> Owner:
    """Return an owner; only with its epoch if its file is not there yet, or not readable.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the folder of the owners' files on it.
        epoch: its epoch.
        identifier: its id.
    """
    try:
        with storage.open_input_stream(f"{folder}/{epoch:06}-{identifier}.json") as stream:
            data = json.loads(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        data = {}
    about: dict[str, Any] = {}
    for entry in fields(Owner)[2:] if isinstance(data, dict) else ():
        value = data.get(entry.name)
        if isinstance(value, str) and entry.type == "str":
            about[entry.name] = "".join(filter(str.isprintable, value))[:200]
        elif entry.type == type(value).__name__ and (entry.type != "float" or math.isfinite(value)):
            about[entry.name] = value
    return Owner(epoch, identifier or "unknown", **about)


def format_time(seconds: float) -> str:
    """Return a time of another machine as text, also a wrong one.

    Args:
        seconds: seconds since the epoch.
    """
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "an unknown time"
    except (OverflowError, ValueError, OSError, TypeError):
        return "an unknown time"


def identity_of(storage: pafs.FileSystem, path: str) -> str | None:
    """Return device and inode of a folder on a disk; None elsewhere.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
    """
    if (base := local_base(storage)) is None:
        return None
    try:
        status = os.stat(f"{base}{path}")
    except OSError:
        return None
    return f"{status.st_dev}:{status.st_ino}"


@cache
def _machine() -> str:
    """Return what identifies the processes that a process id of this process is valid for; empty if unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
