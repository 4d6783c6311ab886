"""A trial whose process Ray's memory monitor has killed: one failed trial, not the end of the experiment.

The error of such a process says that the node was out of memory, not that an actor has died. Tune handles only the
latter, and ends the experiment with any error that it does not know.
"""

from __future__ import annotations

from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError

from nbtune.engine._ray.tune import convert_task_errors

__all__ = ["OutOfMemoryActorError", "tolerate_memory_kills"]


class OutOfMemoryActorError(RayActorError):
    """The actor's process was killed since its node was out of memory."""


def tolerate_memory_kills(controller: Any) -> None:
    """Let a run of Tune's treat a kill by the memory monitor as the death of a trial's process.

    Args:
        controller: Tune's controller.
    """
    convert_task_errors(controller, _as_actor_error)


def _as_actor_error(error: Exception) -> Exception:
    return OutOfMemoryActorError(error_msg=str(error)) if isinstance(error, OutOfMemoryError) else error
