"""A space as the library of a search algorithm takes it, and its suggestions as configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nbtune.engine.search.codecs import Codec, NotInDomainError, codec_of
from nbtune.engine.search.sampling import Rejected
from nbtune.engine.search.tokens import with_values
from nbtune.spec.space.domain import Domain, alternatives, depends_on, inner_domains
from nbtune.spec.space.space import Parameter, Space, nested

__all__ = ["Encoding", "encoding_problem"]


class Encoding:
    """A space as a library takes it.

    Args:
        space: the space, with tokens; `encoding_problem` is None for its parameters.
        native: what the library takes, of `NATIVE`.
        codec_of: returns the codec of a parameter that is not constant.

    Attributes:
        native: the library's space: parameter -> domain, by joined names, "a/b".
        searched: the names of the parameters that are not constant, each after those that it depends on.
    """

    def __init__(
        self,
        space: Space,
        native: frozenset[str],
        codec_of: Callable[[Parameter, frozenset[str]], Codec] = codec_of,
    ) -> None:
        self._codecs = {p.name: codec_of(p, native) for p in space.ordered if isinstance(p.domain, Domain) or p.depends}
        self._constants = {p.name: p.domain for p in space.parameters if p.name not in self._codecs}
        self.searched = tuple(self._codecs)
        self.native = {name: codec.native for name, codec in self._codecs.items() if codec.native is not None}
        if not self.native:  # libraries fail for an empty space
            self.native = {"unused": Domain("uniform", {"lower": 0.0, "upper": 1.0})}

    def decode(self, native: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters for a suggestion of the library, by joined names, with tokens.

        Args:
            native: the library's values, by joined names.
        """
        flat = dict(self._constants)
        for name in self.searched:
            try:
                flat[name] = self._codecs[name].decode(native.get(name), with_values(nested(flat)))
            except ValueError as error:
                return {name: Rejected(str(error))}
        return {name: flat[name] for name in self.searched}

    def encode(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return the library's values for a point.

        Args:
            point: all parameters by joined names, with tokens.

        Raises:
            NotInDomainError: a parameter is missing, or has a value that its domain does not have.
            ValueError: a domain cannot be evaluated.
        """
        config = with_values(nested({**self._constants, **point}))
        encoded = {}
        for name in self.native:
            if name not in self._codecs:
                encoded[name] = 0.5
            elif name not in point and not self._codecs[name].may_be_absent:
                raise NotInDomainError(f"{name} is missing")
            else:
                encoded[name] = self._codecs[name].encode(point.get(name), config)
        return encoded

    def is_same(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Tell whether two points of the library are the same, but for rounding errors.

        Args:
            one: the library's values by joined names.
            other: the same.
        """
        for name, domain in self.native.items():
            first, second = one.get(name), other.get(name)
            if domain.kind == "choice":
                if str(first) != str(second):
                    return False
                continue
            if first is None or second is None:
                return False
            size = sum(abs(float(domain.arguments[name])) for name in ("lower", "upper"))
            if not math.isclose(float(first), float(second), rel_tol=1e-9, abs_tol=1e-12 * size):
                return False
        return True


def encoding_problem(parameter: Parameter, native: frozenset[str]) -> str | None:
    """Return why a parameter cannot be made of what a library takes, or None if it can.

    Args:
        parameter: the parameter.
        native: what the library takes, of `NATIVE`.
    """
    parts = [part for part in alternatives(parameter.domain) if isinstance(part, Domain)]
    for part in parts:
        if part.kind == "grid_search":
            return "a grid_search is crossed by a random or grid search only; use choice([...])"
        if part.kind == "custom" or (part.kind == "sample_from" and parameter.depends):
            return f"{part.kind} cannot be searched"
        if len(list(inner_domains(part))) > 1:
            return (
                "space functions among the values of a choice cannot be searched; use two parameters, such as"
                ' `use: choice(["no", "yes"])` and `dropout: uniform(0.05, 0.4) if use == "yes" else 0.0`'
            )
        if part.kind == "choice" and "choice" not in native:
            return "it searches numbers only, and a choice has no order; use randint or quniform"
        if part.kind == "choice" and depends_on(part):
            return "a choice whose values depend on other parameters cannot be searched"
    choices = {repr(part) for part in parts if part.kind == "choice"}
    if len(choices) > 1 or (choices and any(part.kind != "choice" for part in parts)):
        return "different kinds of domains under different conditions cannot be searched; use two parameters"
    return None
