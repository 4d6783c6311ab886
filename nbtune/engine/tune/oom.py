"""A trial whose process Ray's memory monitor has killed, so that it is one failed trial and not the end of all.

Ray says of such a process that the node was out of memory, not that an actor has died, and Tune 2.60 takes
what it does not know for a reason to end the whole experiment. It has no hook for this, so the one method
that hears of it is given the other kind of error. Where Tune has changed, nothing is done.
"""

from __future__ import annotations

from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError

__all__ = ["OutOfMemoryActorError", "bear_memory_kills"]


class OutOfMemoryActorError(RayActorError):
    """The actor's process was killed since its node was out of memory."""


def bear_memory_kills(controller: Any) -> None:
    """Let a run of Tune's treat a kill by the memory monitor as the death of a trial's process.

    Args:
        controller: Tune's controller.
    """
    manager = getattr(controller, "_actor_manager", None)
    known = getattr(manager, "_actor_task_failed", None)
    if manager is None or known is None:
        return

    def failed(tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = OutOfMemoryActorError(error_msg=str(exception))
        known(tracked_actor_task=tracked_actor_task, exception=exception)

    manager._actor_task_failed = failed
