"""What can be done to an experiment while it runs and after it: the orders of its handle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

from nbtune.engine.protocol.source import RefusedError, Source, SourceLostError
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.about import About
from nbtune.results.store import ENDED

__all__ = ["Controls"]


class Controls(About):
    """The orders that an experiment takes. What is ordered after its end resumes it."""

    _source: Source

    @abstractmethod
    def _begin_again(self, **how: Any) -> None: ...

    def stop(self) -> None:
        """End the experiment: its trials' processes end, what they have reported stays.

        Returns once the cluster has taken the order; `wait` waits for the end.

        Raises:
            ExperimentError: it does not run.
        """
        self._command(lambda source: source.stop())

    def resume(self, *, failed: bool = False) -> Self:
        """Go on with it after a stop, after a crash of its driver or cluster, or in a new kernel; return itself.

        Unfinished trials go on from their last checkpoints, those without one begin anew; finished ones stay
        as they are. What is still missing is tried, and the search algorithm knows what it knew (Ray Tune's
        `Tuner.restore`, with what the event log knows in addition). A time budget begins anew.

        Args:
            failed: whether trials that have failed are tried again, too.

        Raises:
            ExperimentError: it runs, nothing is left to do, or its storage does not have what it needs.
            ClusterError: no cluster can be reached or started.
        """
        if self.status not in ENDED:
            raise ExperimentError(f"{self.name} is {self.status}: there is nothing to resume")
        self._begin_again(failed=failed)
        return self

    def add(self, point: Mapping[str, Any] | None = None, /, **parameters: Any) -> None:
        """Try a point of your own next, also after the end; parameters that are not given are sampled.

        Args:
            point: parameter -> value, for names that are no Python identifiers ("a/b").
            parameters: parameter=value.

        Raises:
            ExperimentError: it has no such parameter, or cannot be reached.
        """
        config = {**(point or {}), **parameters}
        self._known(config)
        self._order("add", config=config)

    def extend(self, samples: int) -> None:
        """Let the search algorithm try more samples than it was asked for, also after the end.

        Args:
            samples: how many more; with `grid_search` in the space, how often the grid.

        Raises:
            ExperimentError: its search algorithm cannot, or it cannot be reached.
        """
        count = _positive("samples", samples)
        self._order("extend", samples=count, trials=count * self._store.metadata.get("per_sample", 1))

    @property
    def max_concurrent(self) -> int | None:
        """How many trials may run at once; None for as many as fit. Setting it takes effect while it runs.

        Trials that run already are not stopped when there are more of them; one that waits already still starts.
        """
        return self._store.metadata.get("max_concurrent")

    @max_concurrent.setter
    def max_concurrent(self, number: int | None) -> None:
        self._order("limit", number=None if number is None else _positive("max_concurrent", number))

    def _known(self, config: Mapping[str, Any]) -> None:
        """Refuse parameters that the space does not have."""
        space = self._store.metadata.get("space", {})
        for name in config:
            if name not in space:
                raise ExperimentError(
                    f"{self.name} has no parameter {name!r}{did_you_mean(name, space)}; it has {', '.join(space)}"
                )

    def _order(self, name: str, **arguments: Any) -> None:
        """Give an order about the search; after the end, resume in order to carry it out."""
        if self.status in ENDED:
            self._begin_again(orders=((name, arguments),))
        else:
            self._command(lambda source: source.order(name, **arguments))

    def _command(self, send: Callable[[Source], Any]) -> None:
        if self.status in ENDED:
            raise ExperimentError(f"{self.name} is {self.status}: nothing of it runs")
        try:
            send(self._source)
        except RefusedError as error:
            raise ExperimentError(f"{self.name}: {error}") from None
        except (SourceLostError, TimeoutError) as error:
            raise ExperimentError(f"{self.name} cannot be reached: {error}") from error


def _positive(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ExperimentError(f"{name}={number!r} is no whole number of 1 or more")
    return number
