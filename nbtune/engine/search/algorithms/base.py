"""`Algorithm`: what nbtune knows about a search algorithm, and how it creates one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nbtune.engine.search.entry import Entry
from nbtune.engine.search.tokens import Tokens
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space

__all__ = ["Algorithm", "Request"]


@dataclass(frozen=True)
class Request:
    """What a search algorithm is created for.

    Attributes:
        spec: the options.
        space: the search space.
        tokens: from values to tokens.
        points: the points to evaluate first, with tokens: parameter -> value, by joined names, "a/b".
        grid: the points of one pass over the grid, with tokens, if they are enumerated, else None.
    """

    spec: Spec
    space: Space
    tokens: Tokens
    points: Sequence[Mapping[str, Any]]
    grid: Sequence[Mapping[str, Any]] | None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The user's arguments of the algorithm."""
        return self.spec.search.arguments if isinstance(self.spec.search, Named) else {}

    @property
    def metric(self) -> str | None:
        """The metric by its name in Tune's results; None without one, or if there are several."""
        from nbtune.engine.protocol.result import tune_name

        return None if self.spec.metric is None else tune_name(self.spec.metric)

    @property
    def objectives(self) -> dict[str, Any]:
        """The arguments `metric` and `mode` of a search algorithm of Tune's that takes lists of several."""
        from nbtune.engine.protocol.result import tune_name

        several = self.spec.several
        if not several:
            return {"metric": self.metric, "mode": self.spec.mode}
        return {"metric": [tune_name(one.metric) for one in several], "mode": [one.mode for one in several]}


class Algorithm(Entry):
    """A search algorithm.

    Attributes:
        learns: whether it learns from results of points that it has not asked for.
        objectives: how many metrics it can optimise at once.
        max_concurrent: how many trials it can wait for at once; None if there is no limit.
        slow: whether it needs about a second for a proposal, or more.
    """

    learns: ClassVar[bool] = False
    objectives: ClassVar[float] = 1
    max_concurrent: ClassVar[int | None] = None
    slow: ClassVar[bool] = False

    @abstractmethod
    def problem(self, parameter: Parameter) -> str | None:
        """Return why it cannot search a parameter, or None if it can.

        Args:
            parameter: the parameter with its domain.
        """

    @abstractmethod
    def make(self, request: Request) -> Any:
        """Create the algorithm for ``TuneConfig(search_alg=...)``.

        Args:
            request: what for.
        """

    def is_slow(self, search: Any) -> bool:
        """Return whether a search needs so long for a proposal that Tune's loop must not wait for it.

        Args:
            search: a `Named` with its arguments, or an object.
        """
        return self.slow

    def param_space(self, request: Request) -> dict[str, Any]:
        """Return the space for ``Tuner(param_space=...)``: what does not vary, as the algorithm has the rest.

        Args:
            request: as for `make`.
        """
        from nbtune.engine.search.to_ray import to_ray

        constants = (parameter for parameter in request.tokens.space.parameters if is_constant(parameter))
        return to_ray(Space(tuple(constants), ()))


def is_constant(parameter: Parameter) -> bool:
    """Tell whether a parameter has the same value in all trials.

    Args:
        parameter: the parameter.
    """
    return not isinstance(parameter.domain, Domain) and not parameter.depends
