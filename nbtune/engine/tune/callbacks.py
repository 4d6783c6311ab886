"""The user's callbacks: called beside nbtune's own, in the driver's process, as Ray Tune calls them.

An exception of one of them neither ends the experiment nor keeps the others from being called.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune import Callback

from nbtune.engine.protocol.failures import format_error
from nbtune.engine.protocol.metrics import Report, reported
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.result import REPORT, TUNE_ENTRIES, as_users_result

__all__ = ["UserCallbacks"]

_log = logging.getLogger(__name__)


def _forwarded(method: str) -> Any:
    """Return a method that calls the method of this name of each callback."""

    def call(self: UserCallbacks, *args: Any, **info: Any) -> None:
        for callback in self.callbacks:
            self._call(callback, method, *args, **info)

    return call


class UserCallbacks(Live, Callback):
    """Calls the user's callbacks. It comes before the recorder, since they may change a result, as in Ray Tune.

    Args:
        callbacks: the callbacks, in their order.
        sources: the notebook's cells, as for `nbtune.engine.protocol.failures.register_sources`.
        warn: called with a text when a callback has raised an exception for the first time.
    """

    role = "callbacks"

    def __init__(
        self,
        callbacks: Sequence[Callback],
        sources: Mapping[str, tuple[str, str]],
        warn: Callable[[str], None],
    ) -> None:
        self.callbacks, self._sources, self._warn = callbacks, sources, warn
        self._raised: dict[int, str] = {}  # the position of a callback -> what it has raised first

    on_step_begin = _forwarded("on_step_begin")
    on_step_end = _forwarded("on_step_end")
    on_trial_start = _forwarded("on_trial_start")
    on_trial_restore = _forwarded("on_trial_restore")
    on_trial_save = _forwarded("on_trial_save")
    on_trial_complete = _forwarded("on_trial_complete")
    on_trial_recover = _forwarded("on_trial_recover")
    on_trial_error = _forwarded("on_trial_error")
    on_checkpoint = _forwarded("on_checkpoint")
    on_experiment_end = _forwarded("on_experiment_end")

    def setup(self, **info: Any) -> None:  # type: ignore[override]  # Tune gives all by name
        for callback in self.callbacks:
            self._call(callback, "setup", **info)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        # What a callback changes is part of the report, and an entry of Tune's takes effect: "should_checkpoint".
        report: Report = result.pop(REPORT)
        seen = as_users_result(result)
        before = dict(seen)
        for callback in self.callbacks:
            self._call(
                callback, "on_trial_result", iteration=iteration, trials=trials, trial=trial, result=seen, **info
            )
        changed = {name: value for name, value in seen.items() if name not in before or value is not before[name]}
        if changed:
            result.update(changed)
            own = {name: value for name, value in changed.items() if name not in TUNE_ENTRIES}
            report = replace(report, metrics={**report.metrics, **self._as_metrics(own)})
        result[REPORT] = report

    def _as_metrics(self, changed: Mapping[Any, Any]) -> dict[str, Any]:
        try:
            return reported(changed)
        except ValueError as error:  # cannot be written
            self._note(-1, f"a callback has added to a report what cannot be stored: {error}")
            return {}

    def _call(self, callback: Callback, method: str, *args: Any, **info: Any) -> Any:
        try:
            return getattr(callback, method)(*args, **info)
        except BaseException as error:  # also `sys.exit()`, which would end Tune's thread
            _log.warning("the callback %s has raised an exception", type(callback).__name__, exc_info=error)
            failure = format_error(error, self._sources)
            text = (
                f"the callback {type(callback).__name__} raised {failure.summary} in {method}{self._place(error)}; the"
                " experiment goes on, and the callback is still called"
            )
            self._note(next(n for n, known in enumerate(self.callbacks) if known is callback), text)
            return None

    def _note(self, position: int, text: str) -> None:
        if position not in self._raised:
            self._raised[position] = text
            self._warn("; ".join(self._raised.values()))

    def _place(self, error: BaseException) -> str:
        """Return the last line of the user's code that an exception has passed; empty if there is none."""
        frames = traceback.extract_tb(error.__traceback__)
        known = [frame for frame in frames if frame.filename in self._sources]
        if known:
            return f" ({self._sources[known[-1].filename][0]}, line {known[-1].lineno})"
        return f' (File "{frames[-1].filename}", line {frames[-1].lineno})' if len(frames) > 1 else ""

    # -- state, which Tune would store unsigned: the search algorithm's snapshot has it ------------------

    def get_state(self) -> None:
        """Return no state, see `dump_state`."""

    def dump_state(self) -> bytes | None:
        """Return the states of the callbacks; None if none has one that can be saved."""
        states: dict[int, bytes] = {}
        for position, callback in enumerate(self.callbacks):
            if state := self._call(callback, "get_state"):
                try:
                    states[position] = cloudpickle.dumps(state)
                except Exception as error:  # a `__reduce__` of the user's may raise anything
                    name = type(callback).__name__
                    self._note(position, f"the state of the callback {name} cannot be stored for a resume: {error}")
        return cloudpickle.dumps(states) if states else None

    def load_state(self, state: bytes) -> None:
        """Restore the states of the callbacks.

        Args:
            state: what `dump_state` has returned.
        """
        for position, pickled in cloudpickle.loads(state).items():
            if position < len(self.callbacks):
                self._call(self.callbacks[position], "set_state", cloudpickle.loads(pickled))
