"""Whether the driver of a stored experiment lives, as far as this process can tell."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.source import ElsewhereError
from nbtune.engine.storage.lease import LEASE, now
from nbtune.engine.storage.owner import Sign, format_time
from nbtune.engine.storage.segments import last_epoch
from nbtune.engine.storage.storage import Storage

__all__ = ["elsewhere", "free_epoch"]

_ANSWER_TIMEOUT = 5.0  # seconds for a driver's answer
_POLL_INTERVAL = 1.0  # seconds between two looks while waiting
_log = logging.getLogger("nbtune")
_lock = threading.Lock()
_seen: dict[str, tuple[Sign, float, float, bool]] = {}
"""Folder -> its latest sign of life, since when that is known, when it was last read, and whether it has changed."""


def elsewhere(where: Storage, namespace: str, last_event: float) -> str | None:
    """Return a sentence on the driver of an experiment that lives elsewhere, or may; None if no driver lives.

    The first look at a folder cannot tell. A later one can, if the lease time has passed in between.

    Args:
        where: the experiment's folder.
        namespace: the Ray namespace of the drivers' names.
        last_event: the time of the last event in its log, by the clock of its driver.

    Raises:
        OSError: the folder cannot be read.
    """
    sign = Sign.read(*where.open())
    if sign is None or sign.owner.is_dead(*where.open()):
        return None
    is_here = _is_on_this_cluster(sign, namespace)
    if is_here is not None:
        name = f"nbtune.attach({where.redacted!r})"
        return f"its driver on the connected cluster has not written its end yet: {name} shows it" if is_here else None
    unchanged_for, has_changed = _observe(where, sign)
    if unchanged_for >= LEASE:
        return None
    if has_changed:
        return f"it is running elsewhere: {sign.owner}. Stop it there, or attach to it there"
    last = format_time(max(sign.owner.last, last_event))
    return (
        f"it may be running elsewhere: {sign.owner}; its last sign of life was at {last} by the clock of that machine."
        f" resume() waits {LEASE:g} s for another one before it takes the experiment over"
    )


def free_epoch(where: Storage, namespace: str, name: str, *, wait: bool) -> int:
    """Return the epoch of the latest driver of an experiment, once that does not live any more; 0 without one.

    Waits up to the lease time where that cannot be known otherwise.

    Args:
        where: the experiment's folder.
        namespace: the Ray namespace of the drivers' names.
        name: the experiment's name, for messages.
        wait: whether the driver may live. It is not asked for one that is over according to its log.

    Raises:
        ElsewhereError: the driver lives elsewhere.
        OSError: the folder cannot be read.
    """
    first: Sign | None = None
    while True:
        sign = Sign.read(*where.open())
        epoch = max(sign.owner.epoch if sign else 0, last_epoch(*where.open()))
        if (
            not wait
            or sign is None
            or sign.owner.is_dead(*where.open())
            or _is_on_this_cluster(sign, namespace) is False
        ):
            return epoch
        unchanged_for, _ = _observe(where, sign)
        if unchanged_for >= LEASE:
            return epoch
        if first is not None and sign != first:
            raise ElsewhereError(f"it is running elsewhere: {sign.owner}. Stop it there, or attach to it there")
        if first is None:
            first = sign
            _log.warning(
                "%s may be running elsewhere, %s: looking up to %.0f s for a sign of life",
                name,
                sign.owner,
                LEASE - unchanged_for,
            )
        time.sleep(min(_POLL_INTERVAL, LEASE - unchanged_for))


def _observe(where: Storage, sign: Sign) -> tuple[float, bool]:
    """Return for how many seconds a sign of life has been the same, and whether it is known to have changed."""
    with _lock:
        looked = now()
        known, since, last_look, has_changed = _seen.get(where.place, (None, looked, looked, False))
        if known != sign:
            # After a longer time, the driver may have died since its last sign.
            is_recent = known is not None and known.owner.id == sign.owner.id and looked - last_look < LEASE
            since, has_changed = looked, is_recent
        _seen[where.place] = (sign, since, looked, has_changed)
        return looked - since, has_changed


def _is_on_this_cluster(sign: Sign, namespace: str) -> bool | None:
    """Return whether the connected cluster has the driver; None if the driver belongs to another one, or may."""
    import ray

    if not sign.owner.session or not sign.owner.driver or not ray.is_initialized():
        return None
    with suppress(Exception):  # the connection is lost: it is not known
        if ray.get_runtime_context().get_session_name() != sign.owner.session:
            return None
        try:
            process: Any = ray.get_actor(sign.owner.driver, namespace)
        except ValueError:
            return False
        info = ray.get(process.info.remote(), timeout=_ANSWER_TIMEOUT)
        return info is not None and info.owner == sign.owner.id
    return None
