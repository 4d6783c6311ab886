"""What the kernel sends to a driver that it starts: the large values. A driver whose kernel ends before exits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.metadata import Metadata

__all__ = ["Incoming", "runs_at", "store"]

_TIMEOUT = 600.0  # seconds without a call of the kernel after which it has given up
_POLL_INTERVAL = 1.0  # seconds between two looks whether the kernel still exists


class Incoming:
    """The large values of an experiment, as they arrive.

    Args:
        on_abandoned: called with the reason, on a thread of its own, if the kernel ends before it has sent everything.
    """

    def __init__(self, on_abandoned: Callable[[str], None]) -> None:
        self._on_abandoned = on_abandoned
        self._values: dict[int, Any] = {}  # Ray's references by position, as they arrive
        self._arrived = asyncio.Event()  # another one has arrived
        self._complete = threading.Event()
        self._last_call = time.monotonic()

    def watch(self) -> None:
        """Watch from now on whether the kernel still exists."""
        threading.Thread(target=self._watch, name="nbtune-incoming", daemon=True).start()

    def note_call(self) -> None:
        """Note that the kernel has called: it lives."""
        self._last_call = time.monotonic()

    def put(self, position: int, value: Any) -> None:
        """Put a large value into the object store. This process owns it there.

        Args:
            position: its position among the large values.
            value: the value.
        """
        import ray

        self.note_call()
        self._values[position] = ray.put(value)
        self._arrived.set()

    async def wait_for_all(self, count: int) -> list[Any]:
        """Return Ray's references to all large values, by position, when they have arrived.

        Args:
            count: their number.
        """
        while len(self._values) < count:  # the call that starts the experiment may arrive before those with values
            self._arrived.clear()
            await self._arrived.wait()
        self.complete()
        return [self._values[position] for position in range(count)]

    def complete(self) -> None:
        """Note that nothing more has to be sent: the kernel may end."""
        self._complete.set()

    def _watch(self) -> None:
        while not self._complete.wait(_POLL_INTERVAL):
            if _is_launcher_gone():
                self._on_abandoned("its kernel has ended")
                return
            if time.monotonic() - self._last_call > _TIMEOUT:
                self._on_abandoned(f"its kernel has sent nothing for {_TIMEOUT:g} s")
                return


def store(filesystem: Any, path: str, values: list[Any], record: Callable[[Metadata], None]) -> None:
    """Write the large values into storage, so that the experiment can be resumed without its notebook.

    Args:
        filesystem: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        values: Ray's references to the values.
        record: records changes of the metadata: a warning if they cannot be written.
    """
    import ray

    from nbtune.engine.storage.snapshot import write_large

    try:
        write_large(filesystem, path, [ray.get(value) for value in values])
    except OSError as error:
        record({"warning": f"it cannot be resumed after a crash: {error}"})


def _is_launcher_gone() -> bool:
    """Return whether the job that has made this actor is over."""
    import ray

    from nbtune.engine._ray.core import is_job_over

    with suppress(Exception):  # the cluster is busy, or ends
        return bool(ray.is_initialized()) and is_job_over(ray.get_runtime_context().get_job_id())
    return False


def runs_at() -> dict[str, str]:
    """Return where this driver runs, as fields of `nbtune.engine.storage.owner.Owner`."""
    import ray

    if not ray.is_initialized():
        return {}
    context = ray.get_runtime_context()
    return {
        "cluster": str(context.gcs_address),
        "session": context.get_session_name(),
        "driver": context.get_actor_name() or "",
    }
