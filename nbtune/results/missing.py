"""What the user is told about events that are missing in an experiment's log, and objects that were not loaded."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["gaps"]

_SHOWN = 5  # names of parameters


def gaps(missing: Sequence[tuple[int, int]], refused: Collection[str], end: int | None) -> str:
    """Return which events are missing, and which parameters have objects that were not loaded; empty without any.

    Args:
        missing: (first, end) of each range of events.
        refused: the names of the parameters.
        end: the number after the last event of the log; None if the experiment is not over. A range that ends there is
            the end of the log, and nobody knows how long it was.
    """
    texts = []
    if missing:
        ranges = [f"{first} to {end - 1}" if end - first > 1 else f"{first}" for first, end in missing]
        if missing[-1][1] == end:
            ranges[-1] = f"from {missing[-1][0]} on"
        lost = "reports and states of trials are lost"
        texts.append(f"events {', '.join(ranges)} of its log are damaged or missing: {lost}")
    if refused:
        shown = ", ".join(list(refused)[:_SHOWN]) + (", …" if len(refused) > _SHOWN else "")
        texts.append(
            f"objects among the values of {shown} are shown as text: they are not signed with your key, and loading"
            " them can run code. If you trust the folder, nbtune.load(path, trust=True) loads them"
        )
    return "; ".join(texts)
