"""The identity of an experiment: its id, together with the folder that it lives in."""

from __future__ import annotations

import os
import queue
import threading
import uuid
from contextlib import suppress

from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.storage.log import read_log
from nbtune.engine.storage.segments import has_log
from nbtune.engine.storage.storage import Storage

__all__ = ["identity", "same_place"]

_TIMEOUT = 10.0  # seconds to look for the original of a folder


def same_place(first: Storage, second: Storage) -> bool:
    """Return whether two storages are the same folder, as far as their paths show.

    Args:
        first: a folder.
        second: another one, or the same.
    """
    if first.place == second.place or first.redacted == second.redacted:
        return True
    with suppress(Exception):  # one of them is gone, or cannot be opened
        one, other = first.local_path, second.local_path
        return one is not None and other is not None and os.path.samefile(one, other)
    return False


def identity(where: Storage, metadata: Metadata, *, is_taken: bool = False) -> Metadata:
    """Return the id with which an experiment is resumed, and that of its original if it is a copy.

    A folder that was moved keeps its id. A copy gets its own, also where the original cannot be examined.

    Args:
        where: the experiment's folder.
        metadata: what its log says.
        is_taken: whether another folder is known to have this id.
    """
    known = metadata.get("id")
    if known is None:
        return {"id": uuid.uuid4().hex}
    if not is_taken and not _has_original(where, metadata.get("path", ""), known):
        return {"id": known}
    return {"id": uuid.uuid4().hex, "parent": known}


def _has_original(where: Storage, recorded: str, identifier: str) -> bool:
    """Return whether another folder has this id, or may have it: the one in which the experiment has run last."""
    original = Storage(recorded, where.filesystem)
    if not recorded or same_place(where, original):
        return False
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def look() -> None:
        try:
            place = original.open()
            answers.put(has_log(*place) and past_of(read_log(*place)).metadata.get("id") == identifier)
        except Exception:  # it is in a storage that cannot be read from here
            answers.put(True)

    threading.Thread(target=look, name="nbtune-original", daemon=True).start()  # an object store may not answer
    try:
        return answers.get(timeout=_TIMEOUT)
    except queue.Empty:
        return True
