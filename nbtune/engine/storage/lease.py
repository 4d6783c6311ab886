"""The lease of an experiment's folder: which driver owns it, and its signs of life.

Each driver of an experiment has an epoch: the first has 1, and each resumption the next number. It claims the epoch
with a file of its own in the experiment's folder, which it rewrites while it lives, and which it marks at its end. A
driver that finds a higher epoch was replaced, and must not write any more. What it still writes by then does no harm:
files of the event log carry the epoch in their names.

No filesystem has to offer an atomic operation. On a disk, an exclusively created file decides between two drivers that
claim the same epoch at once. In an object store each of them writes its claim, waits, and looks for that of the other.

A driver that writes its log looks for another owner every 10 seconds, which is one request; one that does not writes
its file as well. Measured on an S3 server with pyarrow: 6 requests a minute, or 20 with 22 kB sent and 14 kB received.

Clocks of different machines are never compared: who wants to know whether a driver lives observes its signs of life
for `LEASE` seconds by its own clock.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace

import pyarrow.fs as pafs

from nbtune.engine.storage.log import write_atomically
from nbtune.engine.storage.owner import Owner, claims, folder_of_owners, identity_of, read_owner
from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.storage import create_private_folder, local_base

__all__ = ["INTERVAL", "LEASE", "Lease", "LeaseLostError", "acquire", "now"]

INTERVAL = 10.0
"""Seconds between two signs of life of a driver."""
LEASE = 30.0
"""Seconds without a sign of life after which a driver may be replaced."""
_STALE = 1.5 * INTERVAL  # seconds after which a driver that was frozen must look for a newer one before it writes
_CONFIRM_TIMEOUT = 5.0  # seconds to wait for that
_SETTLE = 2.0  # seconds between a claim and the look for others, where nothing is exclusive
_ATTEMPTS = 5  # claims whose writing was slow are repeated


class LeaseLostError(Exception):
    """Another driver owns the experiment. The message says which."""


def acquire(storage: pafs.FileSystem, path: str, owner: Owner, *, is_new: bool = False) -> Lease:
    """Claim an epoch of an experiment.

    Args:
        storage: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        owner: this process, with the epoch to claim: one more than that of the driver that it replaces.
        is_new: whether this process has made the folder, so that no other can want it.

    Raises:
        LeaseLostError: another driver has claimed it, or a later one.
        OSError: the storage cannot be written.
    """
    folder = folder_of_owners(path)
    for private in (path, f"{path}/{FOLDER}", folder):
        create_private_folder(storage, private)
    base = local_base(storage)
    owner = replace(owner, folder=identity_of(storage, path) or "")
    lease = Lease(storage, folder, owner)
    settle = _SETTLE
    for _ in range(_ATTEMPTS):
        began = now()
        lease.check(owner.epoch - 1)
        if base is not None:
            try:
                os.close(os.open(f"{base}{folder}/{owner.epoch:06}.lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                raise LeaseLostError(_taken(storage, folder)) from None
        lease.write()
        if base is not None or is_new:
            return lease
        if now() - began <= settle / 2:  # else another may have looked before this claim could be seen
            time.sleep(settle)
            try:
                lease.check(owner.epoch)
            except LeaseLostError:
                lease.withdraw()
                raise
            return lease
        lease.withdraw()
        settle *= 2
    raise OSError(f"the storage is too slow: a file of some bytes in {folder} takes more than {settle / 4:g} s")


class Lease:
    """The lease that this driver has. Thread-safe.

    Args:
        storage: the filesystem of the experiment's storage.
        folder: the folder of the owners' files on it.
        owner: this driver.

    Attributes:
        owner: this driver.
        lost: why this driver must not write any more: a sentence; None while it is the owner.
    """

    def __init__(self, storage: pafs.FileSystem, folder: str, owner: Owner) -> None:
        self._storage, self._folder, self.owner = storage, folder, owner
        self._changed = threading.Condition()
        self._confirmed = now()
        self._waited: float | None = None  # the confirmation after which a thread has waited in vain for the next one
        self.lost: str | None = None
        self._on_lost: Callable[[], None] = lambda: None
        self._released = threading.Event()

    def write(self) -> None:
        """Write this driver's file: a sign of life."""
        self.owner = replace(self.owner, last=time.time(), beat=self.owner.beat + 1)
        path = f"{self._folder}/{self.owner.epoch:06}-{self.owner.id}.json"
        write_atomically(self._storage, path, json.dumps(asdict(self.owner)).encode())

    def check(self, epoch: int) -> None:
        """Raise `LeaseLostError` if another driver has claimed an epoch above this one, or has won it.

        Args:
            epoch: the epoch that may have been claimed.
        """
        mine = (self.owner.epoch, self.owner.id)
        others = [claim for claim in claims(self._storage, self._folder) if claim != mine and claim[1]]
        if any(claim > mine or claim[0] > epoch for claim in others):
            raise LeaseLostError(_taken(self._storage, self._folder, without=self.owner.id))

    def renew(self, *, sign: bool) -> None:
        """Look for another owner, and give a sign of life.

        Args:
            sign: whether to write one; else the driver has just written into its log, which is a sign as well.

        Raises:
            LeaseLostError: there is another owner.
            OSError: the storage cannot be read or written.
        """
        began = now()
        try:
            self.check(self.owner.epoch)
        except LeaseLostError as error:
            with self._changed:
                first, self.lost = self.lost is None, str(error)
                self._changed.notify_all()
            if first:
                self._on_lost()
            raise
        with self._changed:
            self._confirmed = began
            self._changed.notify_all()
        if sign:
            self.write()

    def start(self, writes: Callable[[], int], on_lost: Callable[[], None]) -> None:
        """Renew the lease periodically, on a thread of its own, until it is released or lost.

        Args:
            writes: returns the number of files that the driver has written into its log.
            on_lost: called once when there is another owner.
        """
        self._on_lost = on_lost
        threading.Thread(target=self._run, args=(writes,), name="nbtune-lease", daemon=True).start()

    def _run(self, writes: Callable[[], int]) -> None:
        known = writes()
        while self.lost is None and not self._released.wait(INTERVAL):
            before, known = known, writes()
            with suppress(Exception):  # a custom filesystem may raise anything; the log reports it
                self.renew(sign=known == before)

    def confirm(self) -> None:
        """Check before writing that this driver was not replaced. It only takes time after the process was frozen.

        Raises:
            LeaseLostError: there is another owner.
        """
        with self._changed:
            confirmed = self._confirmed
            if now() - confirmed > _STALE and self._waited != confirmed and self.lost is None:
                self._changed.wait_for(lambda: self.lost or self._confirmed != confirmed, _CONFIRM_TIMEOUT)
                self._waited = confirmed  # the storage does not answer: wait only once for it
            if self.lost is not None:
                raise LeaseLostError(self.lost)

    def release(self) -> None:
        """Mark that this driver has ended: it can be replaced at once."""
        self._released.set()
        with suppress(Exception):  # without the mark, it takes the next driver longer
            if self.lost is None:
                self.owner = replace(self.owner, released=True)
                self.write()

    def withdraw(self) -> None:
        """Remove the claim."""
        with suppress(OSError):
            self._storage.delete_file(f"{self._folder}/{self.owner.epoch:06}-{self.owner.id}.json")


def now() -> float:
    """Return seconds of a clock that also counts while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _taken(storage: pafs.FileSystem, folder: str, without: str = "") -> str:
    others = [claim for claim in claims(storage, folder) if claim[1] and claim[1] != without]
    owner = read_owner(storage, folder, *max(others)) if others else Owner(0)
    return f"another driver has taken it over: it is running elsewhere, {owner}"
