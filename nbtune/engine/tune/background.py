"""The proposals of the user's search algorithm, made on a thread of their own if each of them takes seconds.

Tune's loop handles no reports and no commands while it waits for a proposal. So it gets none instead, and asks again.
An algorithm is never called on two threads at once: what it is told meanwhile waits in a queue. So it proposes what it
would have proposed on Tune's thread. Until Tune has got a proposal, the state of the algorithm for a snapshot is that
from before, and what it was told since: a resumed experiment asks for this proposal again.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune.search import Searcher
from ray.tune.search.search_generator import SearchGenerator

from nbtune.engine._ray.tune import add_samples
from nbtune.engine.protocol.registry import filesystem_by_reference
from nbtune.engine.tune.search_state import Whole, restore_search, save_search

__all__ = ["Background", "Saved", "have_proposals_ended"]

_PATIENCE = 0.02  # seconds that Tune's loop waits for a new proposal: the first ones of some algorithms take no time
_NONE_PAUSE = 1.0  # seconds until an algorithm that has no proposal is asked again, unless it is told something
_THREAD = "nbtune-proposal"
_SESSION = "nbtune-session"

_Call = tuple[str, tuple[Any, ...], dict[str, Any]]
"""As for `Background.tell`."""

Saved = tuple[Whole | bytes | None, list[_Call]]
"""What `save_search` returns, pickled if it is from before a computation; what the algorithm is to be told after it."""


@dataclass(frozen=True)
class _Before:
    """The state of an algorithm before a computation.

    Attributes:
        files: its files: name, with `_SESSION` for the name of the run -> content.
        whole: what `save_search` has returned, pickled.
    """

    files: Mapping[str, bytes]
    whole: bytes


class Background:
    """The user's search algorithm.

    Args:
        algorithm: a `ray.tune.search.SearchAlgorithm`, or a `Searcher`.
        makes_proposals: whether it makes its proposals on a thread of their own.

    Attributes:
        algorithm: Tune's search algorithm.
    """

    def __init__(self, algorithm: Any, *, makes_proposals: bool) -> None:
        self.algorithm: Any = SearchGenerator(algorithm) if isinstance(algorithm, Searcher) else algorithm
        self._makes_proposals = makes_proposals
        self._making: Future[Any] | None = None  # the proposal that is being made
        self._made: Future[Any] | None = None  # the one that is made, until Tune takes it
        self._before: _Before | None = None  # the state from before the one or the other
        self._calls: list[_Call] = []  # what the algorithm is to be told once it is made
        self._told: dict[Any, _Call] = {}  # what it was told since then; of the reports of a trial only the last one
        self._was_finished = False  # whether no further proposal is wanted
        self._ask_at = 0.0  # when the algorithm is asked again that had no proposal, by `time.monotonic`
        self._unchanged: _Before | None = None  # its state, if it was told nothing since

    def next(self, *, wait: bool = False) -> Any:
        """Return the next trial; None if there is none now, or none is left.

        Args:
            wait: whether to wait for a proposal that takes seconds.
        """
        if not self._makes_proposals:
            return self.algorithm.next_trial()
        self._collect()
        patience = 0.0
        if self._made is None and self._making is None:
            if self.algorithm.is_finished() or (not wait and time.monotonic() < self._ask_at):
                return None
            patience = _PATIENCE
            self._before, self._making = self._unchanged or self._present_state(), Future()
            threading.Thread(target=self._make, args=(self._making,), name=_THREAD, daemon=True).start()
        if self._making is not None:
            futures.wait([self._making], None if wait else patience)
            self._collect()
        if self._made is None:
            return None
        made, self._made, self._before = self._made, None, None
        self._told.clear()
        return made.result()

    def _make(self, proposal: Future[Any]) -> None:
        try:
            proposal.set_result(self.algorithm.next_trial())
        except BaseException as error:  # raised again on Tune's thread
            proposal.set_exception(error)

    def _collect(self) -> None:
        """If the proposal is made, tell the algorithm what it was not told meanwhile."""
        if self._making is None or not self._making.done():
            return
        made, self._making = self._making, None
        if made.exception() is None and made.result() is None:
            self._ask_at, self._unchanged, self._before = time.monotonic() + _NONE_PAUSE, self._before, None
        else:
            self._made = made
        calls, self._calls = self._calls, []
        for call in calls:
            self._call(*call)

    def tell(self, method: str, *arguments: Any, **named: Any) -> None:
        """Call a method of the algorithm, as soon as it makes no proposal.

        Args:
            method: "on_trial_result", "on_trial_complete" or "set_finished"; "add_samples", which makes it suggest more
                trials; or "add_evaluated_point" of a searcher.
            arguments: its arguments.
            named: the same by name.
        """
        if method in ("set_finished", "add_samples"):
            self._was_finished = method == "set_finished"
        self._collect()
        if self._making is None:
            self._call(method, arguments, named)
        else:
            self._calls.append((method, arguments, named))

    def _call(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._made is not None:
            key = arguments[0] if method == "on_trial_result" else object()
            self._told.pop(key, None)
            self._told[key] = method, arguments, named
        self._unchanged = None
        if method != "on_trial_result":  # reports come often, and no algorithm waits for one to make a proposal
            self._ask_at = 0.0
        if method == "add_samples":
            add_samples(self.algorithm, *arguments)
        elif method == "add_evaluated_point":
            with suppress(Exception):  # most algorithms do not support it, or not for a point outside of the space
                self.algorithm.searcher.add_evaluated_point(*arguments)
        else:
            getattr(self.algorithm, method)(*arguments, **named)

    def is_finished(self) -> bool:
        """Return whether all proposals are made."""
        self._collect()
        if self._making is not None or self._made is not None:  # the algorithm counts the one that Tune has not got
            return self._was_finished
        return bool(self.algorithm.is_finished())

    # -- state in Tune's snapshot -----------------------------------------------------------------

    def save(self, dirpath: str, session_str: str) -> Saved:
        """Save the state of the algorithm.

        Args:
            dirpath: the folder for its files.
            session_str: distinguishes the files of this run.

        Returns:
            What to pickle and to give to `restore`.
        """
        self._collect()
        if self._before is None:
            return save_search(self.algorithm, dirpath, session_str), []
        for name, content in self._before.files.items():
            target = Path(dirpath, name.replace(_SESSION, session_str))
            part = target.with_suffix(".part")
            part.write_bytes(content)
            part.replace(target)
        return self._before.whole, [*self._told.values(), *self._calls]

    def _present_state(self) -> _Before:
        with tempfile.TemporaryDirectory() as folder, filesystem_by_reference():
            whole = cloudpickle.dumps(save_search(self.algorithm, folder, _SESSION))
            return _Before({path.name: path.read_bytes() for path in Path(folder).iterdir()}, whole)

    def restore(self, dirpath: str, saved: Saved) -> None:
        """Restore the state of the algorithm.

        Args:
            dirpath: the folder with its files.
            saved: what `save` has returned.
        """
        whole, calls = saved
        restore_search(self.algorithm, dirpath, cloudpickle.loads(whole) if isinstance(whole, bytes) else whole)
        for call in calls:
            self._call(*call)


def have_proposals_ended(timeout: float) -> bool:
    """Return whether no thread makes a proposal. One that is not wanted any more cannot be interrupted.

    Args:
        timeout: seconds to wait for its end.
    """
    deadline = time.monotonic() + timeout
    for thread in [thread for thread in threading.enumerate() if thread.name == _THREAD]:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            return False
    return True
