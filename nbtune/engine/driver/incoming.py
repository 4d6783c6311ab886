"""What the kernel sends to a driver that it starts, and how it is stored. A driver whose kernel ends before exits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nbtune.engine.protocol.metadata import Metadata
from nbtune.engine.protocol.trust import ExperimentKey
from nbtune.engine.storage.launch_spec import Launch, Resume

__all__ = ["Incoming", "is_launcher_gone", "read_stored", "replace_code", "runs_at", "store"]

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
            if is_launcher_gone():
                self._on_abandoned("its kernel has ended")
                return
            if time.monotonic() - self._last_call > _TIMEOUT:
                self._on_abandoned(f"its kernel has sent nothing for {_TIMEOUT:g} s")
                return


def store(
    filesystem: Any, path: str, values: list[Any], key: ExperimentKey | None, record: Callable[[Metadata], None]
) -> None:
    """Write the large values into storage, so that the experiment can be resumed without its notebook.

    Args:
        filesystem: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        values: Ray's references to the values.
        key: signs the files.
        record: records changes of the metadata: a warning if they cannot be written.
    """
    import ray

    from nbtune.engine.storage.snapshot import write_large

    try:
        write_large(filesystem, path, [ray.get(value) for value in values], key)
    except OSError as error:
        record({"warning": f"it cannot be resumed after a crash: {error}"})


def read_stored(resume: Resume, received: list[Any]) -> tuple[Launch, Launch, list[Any]]:
    """Read what a resumed experiment was started with.

    Args:
        resume: how it is resumed.
        received: Ray's references to the large values of the code that replaces the stored one.

    Returns:
        The stored launch, the one with which the experiment is resumed, and references to the large values of this one.

    Raises:
        OSError: the storage cannot be read, or does not have what was launched.
        ExperimentError: what it has is damaged, or not trusted.
    """
    import ray

    from nbtune.engine.storage.snapshot import read_large, read_launch

    folder = resume.storage.join(resume.folder).open()
    stored = read_launch(*folder, resume.key)
    launch = stored if resume.code is None else stored.with_code(resume.code)
    if resume.code is None:
        received = [ray.put(value) for value in read_large(*folder, stored, resume.key)]
    return stored, launch.resumed(resume), received


def replace_code(filesystem: Any, path: str, stored: Launch, launch: Launch, values: list[Any]) -> None:
    """Replace the code of an experiment in its folder.

    At any moment the folder has a complete launch: the new large values are written before what refers to them.

    Args:
        filesystem: the filesystem of the experiment's storage.
        path: the experiment's folder on it.
        stored: the launch that is replaced.
        launch: the new one.
        values: Ray's references to its large values.

    Raises:
        OSError: a file could not be written.
    """
    import ray

    from nbtune.engine.storage.snapshot import delete_large, write_large, write_launch

    write_large(filesystem, path, (ray.get(value) for value in values), launch.key, launch.replaced)
    write_launch(filesystem, path, launch)
    delete_large(filesystem, path, stored)


def is_launcher_gone() -> bool:
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
