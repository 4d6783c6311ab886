"""Random numbers of a search algorithm whose library draws them by NumPy's global functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["OwnRandomNumbers"]


class OwnRandomNumbers:
    """A base class beside one of Ray Tune's searchers. The state of its random numbers is saved with the searcher's."""

    _numpy_state: Any = None

    @contextmanager
    def own_random_numbers(self, seed: int | None) -> Iterator[None]:
        """Draw the searcher's own random numbers inside, whatever else draws some in this process.

        Args:
            seed: the seed, or None for those of the process.
        """
        if seed is None:
            yield
            return
        before = np.random.get_state()
        np.random.set_state(self._numpy_state or np.random.RandomState(seed).get_state())
        try:
            yield
        finally:
            self._numpy_state = np.random.get_state()
            np.random.set_state(before)
