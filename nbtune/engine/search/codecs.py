"""A parameter as the library of a search algorithm takes it, and its suggestions as values of the parameter.

Libraries differ in the domains that they know. Each gets only those that it takes as they are: numbers, integers,
either of them on a logarithmic scale, and choices. Everything else is made of these, in the same way for all:

- steps: the library searches the multiples of the step, as integers or by rounding,
- logarithms: it searches the logarithm uniformly,
- normal distributions: it searches the quantile, a number between 0 and 1,
- choices: it gets the positions of the values as text, so that the values may be anything,
- parameters that depend on others: it searches the quantile within the domain that applies.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from nbtune.engine.search.tokens import to_tokens
from nbtune.spec.space.domain import Domain, alternatives, resolve
from nbtune.spec.space.space import Parameter
from nbtune.spec.space.values import is_number, same

__all__ = ["NATIVE", "Codec", "NotInDomainError", "Numbers", "codec_of", "multiples"]

NATIVE = frozenset({"log", "int", "logint", "choice"})
"""What a library may take as it is, apart from uniform numbers."""

_TAIL = 1e-6  # of a normal distribution; a library that proposes bounds would propose infinity without it


class NotInDomainError(ValueError):
    """A value that a domain does not have, so that a library cannot be told of it."""


class Codec(ABC):
    """One parameter: what a library gets, and the way from its values to those of the parameter and back.

    Attributes:
        native: the domain that the library searches; None if there is nothing to search.
        may_be_absent: whether a point may be without the parameter.
    """

    native: Domain | None = None
    may_be_absent = False

    @abstractmethod
    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        """Return the value of the parameter.

        Args:
            native: the library's value; None without a native domain.
            config: the parameters that it depends on, nested, without tokens.

        Raises:
            ValueError: the domain cannot be evaluated.
        """

    @abstractmethod
    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        """Return the library's value for a value of the parameter.

        Args:
            value: the value, or its token.
            config: as for `decode`.

        Raises:
            NotInDomainError: the domain does not have the value.
        """


class _Constant(Codec):
    """A domain with a single value, which no library needs to know."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        return self._value

    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        return None


class _Choice(Codec):
    def __init__(self, categories: Sequence[Any], native: frozenset[str]) -> None:
        self._categories = list(categories)
        self.native = Domain("choice", {"categories": [str(index) for index in range(len(self._categories))]})

    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        return self._categories[int(str(native))]

    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        for index, category in enumerate(self._categories):
            if category is value or same(category, value):
                return str(index)
        for index, category in enumerate(self._categories):  # 2 for NumPy's 2
            try:
                if bool(category == value):
                    return str(index)
            except Exception:  # noqa: S112 - arrays, and whatever cannot be compared
                continue
        raise NotInDomainError(f"{value!r} is not one of the values")


class Numbers(Codec):
    """A domain of numbers.

    Args:
        domain: the domain. It does not depend on other parameters.
        native: what the library takes.
    """

    def __init__(self, domain: Domain, native: frozenset[str]) -> None:
        self._is_int = "int" in domain.kind
        self._normal: NormalDist | None = None
        if "randn" in domain.kind:
            self._normal = NormalDist(domain.arguments.get("mean", 0.0), domain.arguments.get("sd", 1.0))
        self._log = "log" in domain.kind
        self._step: Any = domain.arguments.get("q")
        if self._normal is not None:
            self._low, self._high = _TAIL, 1 - _TAIL
            self._bounds: tuple[Any, Any] | None = None
            self._searches_log = self._searches_int = False
        else:
            if self._is_int and self._step is None:
                self._step = 1
            bounds = domain.arguments["lower"], domain.arguments["upper"]
            self._bounds = bounds if self._step is None else multiples(domain)
            self._searches_int = self._step is not None and ("logint" if self._log else "int") in native
            self._searches_log = self._log and not self._searches_int and "log" not in native
            low, high = self._bounds
            if self._step is not None and not self._searches_int:
                low, high = low - 0.5, high + 0.5  # each multiple has an interval of the same length
            self._low, self._high = (math.log(low), math.log(high)) if self._searches_log else (low, high)
        self.native: Domain = self._native_domain()

    def _native_domain(self) -> Domain:
        if self._searches_int:
            return Domain("lograndint" if self._log else "randint", {"lower": self._low, "upper": self._high + 1})
        kind = "loguniform" if self._log and not self._searches_log else "uniform"
        return Domain(kind, {"lower": float(self._low), "upper": float(self._high)})

    @property
    def only(self) -> Any:
        """The only value of the domain, in a tuple; None if it has several."""
        if self._bounds is None or self._bounds[0] != self._bounds[1]:
            return None
        return (self._valued(self._bounds[0]),)

    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        if self._normal is not None:
            value = self._normal.inv_cdf(_within(float(native), self._low, self._high))
            return value if self._step is None else float(round(value / self._step) * self._step)
        if not self._searches_int:
            native = float(native)
            native = math.exp(_within(native, self._low, self._high)) if self._searches_log else native
        assert self._bounds is not None
        return self._valued(_within(native if self._step is None else round(native), *self._bounds))

    def _valued(self, bounded: Any) -> Any:
        """Return the value for a number within the bounds, or for a multiple of the step."""
        if self._step is None:
            return float(bounded)
        value = int(bounded) * self._step
        return int(value) if self._is_int else float(value)

    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        if not is_number(value) or isinstance(value, bool) or not math.isfinite(value):
            raise NotInDomainError(f"{value!r} is not a number")
        bounded = float(value) if self._step is None else round(value / self._step)
        if self._step is not None and not math.isclose(bounded * self._step, value, rel_tol=1e-9, abs_tol=1e-12):
            raise NotInDomainError(f"{value!r} is not a multiple of {self._step!r}")
        if self._normal is not None:
            return _within(self._normal.cdf(value), self._low, self._high)
        assert self._bounds is not None
        if not self._bounds[0] <= bounded <= self._bounds[1]:
            raise NotInDomainError(f"{value!r} is out of the bounds")
        if self._searches_int:
            return int(bounded)
        return math.log(bounded) if self._searches_log else float(bounded)

    def at(self, share: float) -> Any:
        """Return the value at a share of the library's interval, from 0 to 1. It searches no integers.

        Args:
            share: the share.
        """
        return self.decode(self._low + share * (self._high - self._low), {})

    def share(self, value: Any) -> float:
        """Return the share of the library's interval at which a value is.

        Args:
            value: the value.

        Raises:
            NotInDomainError: the domain does not have the value.
        """
        native = self.encode(value, {})
        return float((native - self._low) / (self._high - self._low)) if self._high > self._low else 0.5


class _Dependent(Codec):
    """A parameter that depends on others: a number that is a share of the domain which applies, or a choice."""

    may_be_absent = True

    def __init__(self, domain: Any, native: frozenset[str]) -> None:
        self._domain = domain
        parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
        self._choice: Codec | None = None
        if parts and parts[0].kind == "choice":
            self._choice = _Choice(to_tokens(parts[0].arguments["categories"]), native)
            self.native = self._choice.native
        elif parts:
            self.native = Domain("uniform", {"lower": 0.0, "upper": 1.0})

    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        domain = resolve(self._domain, config)
        if not isinstance(domain, Domain):
            return to_tokens([domain])[0]
        if self._choice is not None:
            return self._choice.decode(native, config)
        return Numbers(domain, frozenset()).at(_within(float(native), 0.0, 1.0))

    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        domain = resolve(self._domain, config)
        if self._choice is not None:
            return self._choice.encode(value, config) if isinstance(domain, Domain) else "0"
        if self.native is None:
            return None
        return Numbers(domain, frozenset()).share(value) if isinstance(domain, Domain) else 0.5


def codec_of(parameter: Parameter, native: frozenset[str]) -> Codec:
    """Return the codec of a parameter that is not constant.

    Args:
        parameter: the parameter, with tokens.
        native: what the library takes, of `NATIVE`.
    """
    if parameter.depends:
        return _Dependent(parameter.domain, native)
    domain: Domain = parameter.domain
    if domain.kind == "choice":
        categories = domain.arguments["categories"]
        return _Constant(categories[0]) if len(categories) == 1 else _Choice(categories, native)
    numbers = Numbers(domain, native)
    return numbers if numbers.only is None else _Constant(numbers.only[0])


def multiples(domain: Domain) -> tuple[int, int]:
    """Return the least and the greatest factor of the step whose multiples are values of a domain.

    Args:
        domain: a domain of integers, or one of numbers with a step.
    """
    lower, upper, q = domain.arguments["lower"], domain.arguments["upper"], domain.arguments.get("q", 1)
    last = math.floor(round(upper / q, 9))  # 0.3 / 0.1 is 2.9999999999999996
    # The upper bound of integers is exclusive without a step, see `Domain.values`.
    return math.ceil(round(lower / q, 9)), last - ("int" in domain.kind and q == 1)


def _within(value: Any, low: Any, high: Any) -> Any:
    return min(max(value, low), high)
