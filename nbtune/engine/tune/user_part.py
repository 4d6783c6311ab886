"""The user's objects that take part in a run: an exception that one of them raises ends the experiment with it.

Tune would fail the trial whose result was handled, or end with an error of its own. Here the first exception is kept,
the method returns what keeps Tune's loop going, and `Control` ends the loop with its next step: every trial is in its
state, and the experiment can be resumed.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, TypeVar

from nbtune.engine.protocol.failures import TrialError, format_error
from nbtune.engine.search.sampling import SampleError

__all__ = ["Failures", "HasUserPart", "ends_experiment"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound="HasUserPart")


class Failures:
    """What the user's objects have raised.

    Args:
        sources: the notebook's cells, as for `nbtune.engine.protocol.failures.register_sources`.

    Attributes:
        first: the first exception; None if there is none.
    """

    def __init__(self, sources: Mapping[str, tuple[str, str]] | None = None) -> None:
        self._sources = sources or {}
        self.first: TrialError | None = None

    def add(self, error: BaseException, part: str) -> None:
        """Keep an exception, unless there is an earlier one.

        Args:
            error: the exception.
            part: what has raised it, such as "the scheduler MyScheduler".
        """
        if self.first is None:
            if isinstance(error, SampleError) and error.__cause__ is not None:
                part, error = f"the sample_from of the parameter {error.parameter}", error.__cause__
            formatted = format_error(error, self._sources)
            place = self._place(error)
            self.first = TrialError(f"{formatted.summary} (raised by {part}{place})", formatted.text)

    def add_final(self, error: TrialError) -> None:
        """Keep an error whose message is complete, unless there is an earlier one.

        Args:
            error: the error.
        """
        self.first = self.first or error

    def raise_first(self) -> None:
        """Raise the first exception, if there is one."""
        if self.first is not None:
            raise self.first

    def _place(self, error: BaseException) -> str:
        """Return the last line of the notebook's code that an exception has passed; empty if there is none."""
        frames = [
            (self._sources[frame.f_code.co_filename][0], line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if frame.f_code.co_filename in self._sources
        ]
        return ", {}, line {}".format(*frames[-1]) if frames else ""


class HasUserPart:
    """Base class of what calls an object of the user.

    Attributes:
        failures: receives what the object raises.
        part: what the object is, such as "the scheduler MyScheduler".
    """

    failures: Failures
    part: str


def ends_experiment(
    default: _R,
) -> Callable[[Callable[Concatenate[_S, _P], _R]], Callable[Concatenate[_S, _P], _R]]:
    """Return a decorator of methods that call the user's object: an exception ends the experiment with it.

    Args:
        default: what the method returns then.
    """

    def decorate(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
        @functools.wraps(method)
        def guarded(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
            try:
                return method(self, *args, **kwargs)
            except BaseException as error:  # also `sys.exit()`, which would end Tune's thread without its clean-up
                self.failures.add(error, self.part)
                return default

        return guarded

    return decorate
