"""Domains of parameters, represented as calls of Ray Tune's space functions.

A domain is the name of a space function with its arguments, `loguniform(0.0001, 0.1)`, so that it can be validated,
shown and sent without Ray. `nbtune.engine.search.to_ray` converts it to Ray Tune's own object. Arguments may depend on
other parameters, and a `Conditional` selects a domain by a condition.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nbtune.spec.space.arguments import InvalidArgument, invalid_number, number_problem
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.values import is_number, label, same

__all__ = [
    "MAX_VALUES",
    "MISSING",
    "SPACE_FUNCTIONS",
    "Conditional",
    "Domain",
    "alternatives",
    "depends_on",
    "inner_domains",
    "resolve",
]


MAX_VALUES = 1_000_000
"""The largest number of integers of a range that are listed one by one, for a grid."""


class _Missing(enum.Enum):
    """An enum, so that the sentinel is a singleton even after pickling."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing.MISSING
"""The sentinel for "no default"; None is a valid default."""


def _signature(required: str, **optional: Any) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in required.split()]
    parameters += [inspect.Parameter(name, kind, default=value) for name, value in optional.items()]
    return inspect.Signature(parameters)


SPACE_FUNCTIONS: dict[str, inspect.Signature] = {
    "uniform": _signature("lower upper"),
    "quniform": _signature("lower upper q"),
    "loguniform": _signature("lower upper", base=None),
    "qloguniform": _signature("lower upper q", base=None),
    "randn": _signature("", mean=0.0, sd=1.0),
    "qrandn": _signature("mean sd q"),
    "randint": _signature("lower upper"),
    "qrandint": _signature("lower upper", q=1),
    "lograndint": _signature("lower upper", base=None),
    "qlograndint": _signature("lower upper q", base=None),
    "choice": _signature("categories"),
    "grid_search": _signature("values"),
    "sample_from": _signature("func"),
}
"""The space functions of Ray Tune (ray.tune.search.sample): name -> signature."""


@dataclass(frozen=True, eq=False)
class Domain:
    """The set of values of a parameter, as a call of one of Ray Tune's space functions.

    Attributes:
        kind: the name of the function, a key of `SPACE_FUNCTIONS`; or "custom" for another object, which only the
            user's search algorithm interprets.
        arguments: the arguments by name; for "custom", the object as "domain".
    """

    kind: str
    arguments: Mapping[str, Any]

    @classmethod
    def call(cls, kind: str, *args: Any, **kwargs: Any) -> Domain:
        """Return the domain for the call ``kind(*args, **kwargs)``.

        Args:
            kind: the name of a space function.
            args: its positional arguments, each of which may be an `Expression`.
            kwargs: its keyword arguments, likewise.

        Raises:
            TypeError: the function does not accept these arguments.
        """
        bound = SPACE_FUNCTIONS[kind].bind(*args, **kwargs)
        values = dict(bound.arguments)
        values.pop("base", None)  # deprecated: Ray Tune accepts and ignores it
        if kind in {"choice", "grid_search"}:
            sequence = next(iter(values.values()))
            if not isinstance(sequence, str) and hasattr(sequence, "__iter__"):
                values = {name: list(value) for name, value in values.items()}
        return cls(kind, values)

    def __repr__(self) -> str:
        return self.text(label)

    def text(self, show: Callable[[Any], str]) -> str:
        """Return the call as Python source.

        Args:
            show: formats an argument or, in a list of values, a single value.
        """
        if self.kind == "custom":
            return show(self.arguments["domain"])
        return f"{self.kind}({', '.join(self._argument_texts(show))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Domain) or self.kind != other.kind:
            return False
        return same([*self._effective()], [*other._effective()])

    def __hash__(self) -> int:
        return hash((self.kind, *self.arguments))

    def _effective(self) -> Iterator[Any]:
        """Yield all arguments in the order of the signature, with defaults for omitted ones."""
        for name, parameter in SPACE_FUNCTIONS[self.kind].parameters.items() if self.kind != "custom" else ():
            value = self.arguments.get(name, parameter.default)
            yield float(value) if is_number(value) and not isinstance(value, bool) else value
        if self.kind == "custom":
            yield self.arguments["domain"]

    def _argument_texts(self, show: Callable[[Any], str]) -> Iterator[str]:
        by_keyword = False
        for name, parameter in SPACE_FUNCTIONS[self.kind].parameters.items():
            if name not in self.arguments or _is_default(self.arguments[name], parameter.default):
                by_keyword = True  # arguments after an omitted one must be passed by keyword
                continue
            value = self.arguments[name]
            text = "[" + ", ".join(map(show, value)) + "]" if isinstance(value, list) else show(value)
            yield f"{name}={text}" if by_keyword else text

    @property
    def values(self) -> list[Any] | None:
        """All values of a choice, a grid or a range of integers.

        None if they are infinite, more integers than `MAX_VALUES`, or depend on parameters.
        """
        if depends_on(self):
            return None
        if self.kind in {"choice", "grid_search"}:
            return list(next(iter(self.arguments.values())))
        if self.kind in {"randint", "lograndint"}:
            return _listed(range(int(self.arguments["lower"]), int(self.arguments["upper"])))
        if self.kind in {"qrandint", "qlograndint"}:
            lower, upper, q = (int(self.arguments.get(name, 1)) for name in ("lower", "upper", "q"))
            # Multiples of q between the bounds; Ray Tune includes the upper one unless q is 1.
            return _listed(range(-(-lower // q) * q, upper + (q > 1), q))
        return None

    def invalid_argument(self, names: Mapping[str, str] | None = None) -> InvalidArgument | None:
        """Return the first invalid argument, or None. Arguments that depend on parameters are not checked.

        Args:
            names: argument -> what the message calls it, where that is another name.
        """
        given = {name: value for name, value in self.arguments.items() if not isinstance(value, Expression)}
        if self.kind in {"choice", "grid_search"}:
            for name, values in given.items():
                if not isinstance(values, list):
                    return InvalidArgument(name, f"expected a list of values, got {label(values)}")
                if not values:
                    return InvalidArgument(name, "expected at least one value, got none", "missing")
                return self._invalid_value(name, values)
        if self.kind == "sample_from" and given and not callable(given["func"]):
            return InvalidArgument("func", f"expected a function, got {label(given['func'])}")
        if self.kind in {"choice", "grid_search", "sample_from", "custom"}:
            return None
        for name, value in given.items():
            if message := number_problem(self.kind, value):
                return InvalidArgument(name, message)
        if len(given) < len(self.arguments):
            return None
        return invalid_number(self.kind, given, {name: name for name in given} | dict(names or {}))

    def _invalid_value(self, name: str, values: list[Any]) -> InvalidArgument | None:
        """Return what is wrong with a domain among the values of a choice or grid, or None."""
        for domain in inner_domains(values):
            if domain.kind == "grid_search":
                text = f"{domain!r} cannot be a value of {self.kind}; list its values instead"
                return InvalidArgument(name, text, "unsupported")
            if domain.kind not in {"choice", "custom"} and (problem := domain.problem()) is not None:
                return InvalidArgument(name, problem)
        return None

    def problem(self) -> str | None:
        """Return `invalid_argument` as one message with the call and the argument in front, or None."""
        invalid = self.invalid_argument()
        return None if invalid is None else f"{self!r}: {invalid.name}: {invalid.message}"


@dataclass(frozen=True)
class Conditional:
    """A domain or value that depends on a condition, as in ``uniform(0, 1) if optimizer == "sgd" else None``.

    Attributes:
        test: the condition over other parameters.
        then: a `Domain`, `Expression`, `Conditional` or value for configurations that meet the condition.
        otherwise: the same, for those that do not.
    """

    test: Expression
    then: Any
    otherwise: Any = None

    def __repr__(self) -> str:
        return self.text(label)

    def text(self, show: Callable[[Any], str]) -> str:
        """Return the conditional expression as Python source.

        Args:
            show: formats a value; see `Domain.text`.
        """
        then, otherwise = (
            part.text(show) if isinstance(part, (Domain, Conditional)) else show(part)
            for part in (self.then, self.otherwise)
        )
        then = f"({then})" if isinstance(self.then, Conditional) else then
        return f"{then} if {self.test} else {otherwise}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Conditional)
            and self.test == other.test
            and same(self.then, other.then)
            and same(self.otherwise, other.otherwise)
        )

    def __hash__(self) -> int:
        return hash(self.test)


def depends_on(domain: Any) -> frozenset[str]:
    """Return the top-level names of the parameters that a domain or value depends on.

    Args:
        domain: a `Domain`, `Conditional`, `Expression` or value.
    """
    if isinstance(domain, Expression):
        return domain.depends
    if isinstance(domain, Conditional):
        return domain.test.depends | depends_on(domain.then) | depends_on(domain.otherwise)
    if isinstance(domain, Domain):
        return frozenset().union(*map(depends_on, domain.arguments.values()))
    return frozenset()


def alternatives(domain: Any) -> list[Any]:
    """Return the branches of a `Conditional`, nested ones included, or a list with the domain itself.

    Args:
        domain: a `Domain`, `Conditional`, `Expression` or value.
    """
    if isinstance(domain, Conditional):
        return [*alternatives(domain.then), *alternatives(domain.otherwise)]
    return [domain]


def inner_domains(value: Any) -> Iterator[Domain]:
    """Yield the domains inside a value of a choice or grid, as in ``choice([0.0, uniform(0.05, 0.4)])``.

    Args:
        value: any value. Dictionaries, lists and tuples are searched, and the values of a choice or grid among them.
    """
    if isinstance(value, Domain):
        yield value
        if value.kind in {"choice", "grid_search"}:
            for argument in value.arguments.values():
                yield from inner_domains(argument)
    elif type(value) in (dict, list, tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from inner_domains(item)


def resolve(domain: Any, config: Mapping[str, Any]) -> Any:
    """Evaluate a domain for given values of the parameters that it depends on.

    Args:
        domain: a `Domain`, `Conditional`, `Expression` or value.
        config: the parameters, nested.

    Returns:
        A `Domain` that does not depend on parameters, or a value.

    Raises:
        ValueError: the evaluated domain has an invalid argument, or an expression raises.
    """
    try:
        while isinstance(domain, Conditional):
            domain = domain.then if domain.test(config) else domain.otherwise
        if isinstance(domain, Expression):
            return domain(config)
        if not depends_on(domain):
            return domain
        arguments = {
            name: value(config) if isinstance(value, Expression) else value for name, value in domain.arguments.items()
        }
        resolved = Domain.call(domain.kind, **arguments)
    except Exception as error:  # the user's expression may raise anything
        raise ValueError(f"{domain!r} cannot be evaluated: {type(error).__name__}: {error}") from error
    if (problem := resolved.problem()) is not None:
        raise ValueError(problem)
    return resolved


def _listed(values: range) -> list[int] | None:
    # `len` fails for a range of more than 2**63 numbers.
    return list(values) if not values or (values[-1] - values[0]) // values.step < MAX_VALUES else None


def _is_default(value: Any, default: Any) -> bool:
    try:
        return bool(value == default)
    except Exception:  # for instance of an array, which is invalid but must be shown in the message
        return False
