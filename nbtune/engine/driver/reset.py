"""Returns the process of a driver to its first state after an experiment."""

from __future__ import annotations

import logging

from nbtune.engine._ray.tune import forget_parameters
from nbtune.engine.protocol.registry import forget_live
from nbtune.engine.trial import tidy
from nbtune.engine.tune.background import have_proposals_ended

__all__ = ["reset"]

_log = logging.getLogger(__name__)
_PROPOSAL_TIMEOUT = 2.0  # seconds in which a search algorithm may end the proposal that it makes


def reset() -> bool:
    """Forget the experiment that is over; return whether the process can run another one."""
    forget_live()
    forget_parameters()
    reason: str | None = "still makes a proposal"  # which draws from the generators of the next experiment
    if have_proposals_ended(_PROPOSAL_TIMEOUT):
        reason = tidy.tidy(threads=False)  # those of Ray and asyncio stay
    if reason is not None:
        _log.debug("a driver's process is not used again: it %s", reason)
    return reason is None
