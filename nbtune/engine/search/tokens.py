"""Tokens: text in place of values that Ray Tune and search algorithms do not handle.

Tune replaces every object in a search space by a placeholder of its own, and fails where a choice has objects beside
numbers. Many search algorithms take numbers and text only. So both get a space with tokens, and the configurations of
the trials get the values back before anything else sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from operator import getitem
from typing import Any

from nbtune.engine.search.sampling import SampleError, sample_inner
from nbtune.spec.space.domain import Domain, inner_domains
from nbtune.spec.space.space import Parameter, Space, top_level
from nbtune.spec.space.values import is_plain, label, same

__all__ = ["Token", "Tokens", "from_tokens", "to_tokens", "with_values"]

_VALUES = {"choice": "categories", "grid_search": "values"}
"""The domains that list their values -> the name of the argument."""


class Token(str):
    """Text that stands for a value.

    Args:
        text: the text, which no other token of the same domain has.
        value: the value, which may contain domains, or the domain of a ``sample_from``.
    """

    __slots__ = ("value",)
    value: Any

    def __new__(cls, text: str, value: Any) -> Token:
        token = super().__new__(cls, text)
        token.value = value
        return token

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.value

    def __deepcopy__(self, memo: Any) -> Token:
        # Tune copies the configuration of each trial. The value may be large, or impossible to copy.
        return self


class Tokens:
    """A search space with tokens, and the way from values to tokens and back.

    Args:
        space: the space with values.

    Attributes:
        space: the space with tokens.
    """

    def __init__(self, space: Space) -> None:
        referenced = space.referenced
        self.space = Space(tuple(_with_tokens(p, referenced) for p in space.parameters), space.constraints)
        self._by_parameter = {p.name: list(_tokens_of(p.domain)) for p in self.space.parameters}

    def encode(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return a point with tokens for the values that have one.

        Args:
            point: parameter -> value; nested parameters have joined names, "a/b".
        """
        return {name: _token_for(value, self._by_parameter.get(name, ())) for name, value in point.items()}

    def encode_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the point of a nested configuration, with tokens, without parameters that it does not have.

        Args:
            config: the configuration. A dictionary in it may be the value of a parameter.
        """
        point = {}
        for name in self._by_parameter:
            with suppress(KeyError, TypeError):
                point[name] = reduce(getitem, name.split("/"), config)
        return self.encode(point)


def to_tokens(values: Iterable[Any]) -> list[Any]:
    """Return the values of a domain, with a token for each that is not a plain number, text, bool or None.

    Args:
        values: the values.
    """
    found: list[Any] = []
    values = list(values)
    texts = {value for value in values if type(value) is str}
    for position, value in enumerate(values):
        if is_plain(value):
            found.append(value)
            continue
        text = label(value)
        if text in texts:
            text = f"{text} ({position})"
        texts.add(text)
        found.append(Token(text, value))
    return found


def from_tokens(config: Mapping[str, Any], random_state: Any = None) -> dict[str, Any]:
    """Return a nested configuration with the values of its tokens.

    A ``sample_from`` and the domains inside values are sampled last, in order.

    Args:
        config: the configuration.
        random_state: the random state, or None for NumPy's global one.

    Raises:
        SampleError: the function of a ``sample_from`` raises.
    """
    decoded = with_values(config)
    _sample(decoded, decoded, random_state, "")
    return decoded


def with_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested configuration with the values of its tokens, except those that are sampled.

    Args:
        config: the configuration, or the part of one that is sampled yet.
    """
    return {key: _value(item) for key, item in config.items()}


def _value(item: Any) -> Any:
    if isinstance(item, Token):
        return item.value if next(inner_domains(item.value), None) is None else item
    return with_values(item) if isinstance(item, Mapping) else item


def _sample(part: dict[str, Any], config: dict[str, Any], random_state: Any, prefix: str) -> None:
    for key, item in part.items():
        if isinstance(item, Token):
            try:
                part[key] = sample_inner(item.value, config, random_state)
            except ValueError as error:
                raise SampleError(f"{prefix}{key}", str(error)) from error.__cause__
        elif isinstance(item, dict):
            _sample(item, config, random_state, f"{prefix}{key}/")


def _with_tokens(parameter: Parameter, referenced: frozenset[str]) -> Parameter:
    domain = parameter.domain
    if parameter.depends:  # sampled by `Derived`, whose values Tune does not replace
        return parameter
    if isinstance(domain, Domain):
        if domain.kind == "sample_from":
            # A parameter that others depend on has to be sampled before them, by `Derived`.
            is_referenced = top_level(parameter.name) in referenced
            return parameter if is_referenced else replace(parameter, domain=Token(repr(domain), domain))
        if domain.kind in _VALUES:
            name = _VALUES[domain.kind]
            return replace(parameter, domain=Domain(domain.kind, {name: to_tokens(domain.arguments[name])}))
        return parameter
    return replace(parameter, domain=to_tokens([domain])[0])


def _tokens_of(domain: Any) -> Iterable[Token]:
    if isinstance(domain, Domain) and domain.kind in _VALUES:
        values = domain.arguments[_VALUES[domain.kind]]
        return (value for value in values if isinstance(value, Token)) if isinstance(values, list) else ()
    return ()


def _token_for(value: Any, tokens: Sequence[Token]) -> Any:
    """Return the token of a value; a new one for a value that has none and is not plain."""
    if isinstance(value, Token):
        return value
    for token in tokens:
        if token.value is value or same(token.value, value):
            return token
    for token in tokens:  # 2 for NumPy's 2
        try:
            if bool(token.value == value):
                return token
        except Exception:  # noqa: S112 - arrays, and whatever cannot be compared
            continue
    return to_tokens([value])[0]
