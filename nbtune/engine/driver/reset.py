"""Returns the process of a driver to its first state after an experiment."""

from __future__ import annotations

import logging

from nbtune.engine._ray.tune import forget_parameters
from nbtune.engine.protocol.registry import forget_live
from nbtune.engine.trial import tidy

__all__ = ["reset"]

_log = logging.getLogger(__name__)


def reset() -> bool:
    """Forget the experiment that is over; return whether the process can run another one."""
    forget_live()
    forget_parameters()
    reason = tidy.tidy(threads=False)  # those of Ray and asyncio stay
    if reason is not None:
        _log.debug("a driver's process is not used again: it %s", reason)
    return reason is None
