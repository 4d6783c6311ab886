"""What the user is told about events that are missing in an experiment's log."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["missing_events"]


def missing_events(missing: Sequence[tuple[int, int]], *, is_end: bool) -> str:
    """Return which events are missing.

    Args:
        missing: (first, end) of each range of events; at least one.
        is_end: whether the last range is the end of the log, and nobody knows how long it was.
    """
    ranges = [f"{first} to {end - 1}" if end - first > 1 else f"{first}" for first, end in missing]
    if is_end:
        ranges[-1] = f"from {missing[-1][0]} on"
    return f"events {', '.join(ranges)} of its log are damaged or missing: reports and states of trials are lost"
