"""`Library`: search algorithms of a library, which Ray Tune has a searcher for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from nbtune.engine.search.algorithms.base import Algorithm, Request
from nbtune.engine.search.codecs import NATIVE, NotInDomainError
from nbtune.engine.search.encoding import Encoding, encoding_problem
from nbtune.engine.search.own_settings import has_own_space, own_metric, own_mode, own_points, set_own_points, unwrapped
from nbtune.spec.space.space import Parameter, Space

__all__ = ["Library"]


class Library(Algorithm):
    """A search algorithm of a library.

    Attributes:
        searcher: module and class of its searcher: Ray Tune's, or a subclass of it in `nbtune.engine.search.libraries`.
        native: the domains that the library takes as they are, of `nbtune.engine.search.encoding.NATIVE`.
        seed: the name of the searcher's argument for the seed; empty if it has none.
        takes_points: whether it can be told of the points to evaluate first.
        ours: the arguments of Ray Tune's searcher that nbtune gives.
    """

    searcher: ClassVar[tuple[str, str]]
    native: ClassVar[frozenset[str]] = NATIVE
    seed: ClassVar[str] = ""
    takes_points: ClassVar[bool] = True
    ours: ClassVar[frozenset[str]] = frozenset({"space", "metric", "mode", "points_to_evaluate", "evaluated_rewards"})

    def problem(self, parameter: Parameter) -> str | None:
        return encoding_problem(parameter, self.native)

    def accepts(self, arguments: Mapping[str, Any]) -> Collection[str]:
        taken = dict.fromkeys(self.arguments)
        for base in self.searcher_class().__mro__:  # a subclass passes its keyword arguments on
            parameters = inspect.signature(base).parameters.values() if "__init__" in vars(base) else ()
            taken.update(dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "args"))
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
        return [name for name in taken if name not in self.ours]

    def searcher_class(self) -> Any:
        """Return the class of its searcher. It is imported, with its library."""
        module, name = self.searcher
        return getattr(importlib.import_module(module), name)

    def make(self, request: Request) -> Any:
        from nbtune.engine.search.encoded import EncodedSearcher

        encoding = self.encoding(request.tokens.space)
        told, untold = _sorted_points(encoding, request.points) if self.takes_points else ([], request.points)
        arguments = dict(request.arguments)
        if self.seed and request.spec.seed is not None:
            arguments.setdefault(self.seed, request.spec.seed)
        points = [dict(encoding.encode(point)) for point in told]
        searcher = self.create(request, arguments, points)
        seed, may_finish = request.spec.seed, self.may_finish(arguments)
        made = EncodedSearcher(searcher, encoding, request.space, told, untold, seed=seed, may_finish=may_finish)
        made.begin(**request.objectives)
        return made

    def encoding(self, space: Space) -> Encoding:
        """Return a space as the library takes it.

        Args:
            space: the space, with tokens.
        """
        return Encoding(space, self.native)

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        """Create Ray Tune's searcher.

        Args:
            request: what for.
            arguments: its arguments: the user's, and the seed.
            points: the points to evaluate first, as the library takes them.
        """
        return self.searcher_class()(
            metric=request.metric, mode=request.spec.mode, points_to_evaluate=points or None, **arguments
        )

    def may_finish(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether the search is over when its library has no more proposals.

        Args:
            arguments: the user's arguments.
        """
        return False

    def wrap(self, searcher: Any, request: Request) -> Any:
        """Return a searcher of the user's, which may be in wrappers, with the space as its library takes it.

        Args:
            searcher: the object. One with a space of its own is returned as it is.
            request: what for.
        """
        if has_own_space(searcher):
            return searcher
        from ray.tune.utils.util import flatten_dict

        from nbtune.engine.search.encoded import EncodedSearcher

        inner, mended = unwrapped(searcher), self.searcher_class()
        if issubclass(mended, type(inner)):
            inner.__class__ = mended  # the same attributes, and methods that are mended
        encoding = self.encoding(request.tokens.space)
        points = [request.tokens.encode(flatten_dict(point, delimiter="/")) for point in own_points(inner) or ()]
        told, untold = _sorted_points(encoding, points)
        if points:
            set_own_points(inner, [encoding.encode(point) for point in told])
        made = EncodedSearcher(searcher, encoding, request.space, told, untold, seed=request.spec.seed)
        given = request.objectives
        made.begin(own_metric(searcher) or given["metric"], own_mode(searcher) or given["mode"])
        return made

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        yield from (
            f"{self.name}: {name} is given by nbtune, not as an argument" for name in arguments if name in self.ours
        )
        yield from super().argument_problems(
            {name: value for name, value in arguments.items() if name not in self.ours}
        )


def _sorted_points(
    encoding: Encoding, points: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the points that a library can be told of, and the others."""
    told: list[Mapping[str, Any]] = []
    untold: list[Mapping[str, Any]] = []
    for point in points:
        try:
            encoding.encode(point)
        except NotInDomainError:
            untold.append(point)
        else:
            told.append(point)
    return told, untold
