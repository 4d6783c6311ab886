"""A helper of several tests: events into a store, as a source would deliver them."""

from collections.abc import Sequence

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import Event
from nbtune.results.store import Store

__all__ = ["feed"]


def feed(store: Store, *events: Event, cuts: Sequence[int] = ()) -> Store:
    """Apply events to a store, encoded in chunks.

    Args:
        store: the store.
        events: the events, numbered from the store's cursor on.
        cuts: the positions in `events` at which a new chunk begins; none for a single chunk.

    Returns:
        The store.
    """
    first = store.cursor
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        for chunk in decode(encode(first + start, list(events[start:end]))):
            store.apply(chunk)
    return store
