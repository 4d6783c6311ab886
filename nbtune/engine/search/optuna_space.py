"""Conversion between search spaces and Optuna: distributions, and suggestions of a trial (define-by-run)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbtune.engine.protocol.registry import Live
from nbtune.engine.search.codecs import Numbers, multiples
from nbtune.engine.search.sampling import Rejected
from nbtune.engine.search.tokens import Token, to_tokens, with_values
from nbtune.errors import option_ref
from nbtune.spec.space.domain import Domain, alternatives, depends_on, inner_domains, resolve
from nbtune.spec.space.space import Parameter, Space, nested

__all__ = ["DefineByRun", "distribution", "domain_of", "inner_problem", "on_grid", "optuna_problem", "suggest"]


def optuna_problem(domain: Any) -> str | None:
    """Return why Optuna does not support a domain, or None if it does.

    Args:
        domain: a `Domain`, an expression over domains, or a value.
    """
    instead = option_ref("search", "random")
    parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
    for part in parts:
        if part.kind in {"grid_search", "sample_from", "randn", "qrandn", "custom"}:
            return f"Optuna does not support {part.kind}; use choice([...]), or {instead}"
        if len(list(inner_domains(part))) > 1:
            return inner_problem("Optuna")
        if part.kind == "choice" and depends_on(part):
            return f"Optuna does not support a choice that depends on other parameters; use {instead}"
    if len({_family(part) for part in parts}) > 1:
        return (
            "Optuna does not support domains of different kinds under different conditions; use two parameters, or"
            f" {instead}"
        )
    return None


def inner_problem(searcher: str) -> str:
    """Return why a search algorithm does not support domains among the values of a choice.

    Args:
        searcher: what the message calls it.
    """
    return (
        f"{searcher} does not sample space functions among the values of a choice; use two parameters, such as"
        ' `use: choice(["no", "yes"])` and `dropout: uniform(0.05, 0.4) if use == "yes" else 0.0`, or'
        f" {option_ref('search', 'random')}"
    )


def _family(domain: Domain) -> Any:
    if domain.kind == "choice":
        return repr(domain)
    return ("int" in domain.kind, "log" in domain.kind, domain.kind.startswith("q"))


def distribution(domain: Domain) -> Any:
    """Convert a domain that does not depend on other parameters to an `optuna.distributions` object.

    Choices that are not plain numbers, text, bool or None are represented by tokens: Optuna stores no others.

    In Ray Tune the upper bound of integers is exclusive, except with a step; in Optuna it is inclusive. Optuna has no
    logarithmic distributions with a step: the step is ignored here, and `on_grid` rounds the value.

    Args:
        domain: the domain.

    Raises:
        ValueError: Optuna does not support the domain.
    """
    import optuna.distributions as od

    if (reason := optuna_problem(domain)) is not None:
        raise ValueError(f"{domain!r}: {reason}")
    arguments, log = domain.arguments, "log" in domain.kind
    if domain.kind == "choice":
        return od.CategoricalDistribution(to_tokens(arguments["categories"]))
    lower, upper = _bounds(domain)
    step = None if log else arguments.get("q")
    if "int" not in domain.kind:
        return od.FloatDistribution(lower, upper, log=log, step=step)
    return od.IntDistribution(lower, upper, log=log, step=int(step or 1))


def on_grid(domain: Domain, value: Any) -> Any:
    """Return the value of a domain that is nearest to a value of its Optuna distribution.

    It is the multiple of the domain's step that Ray Tune draws: Optuna adds steps to the lower bound instead, which
    gives other floating-point numbers, and has no logarithmic distributions with a step.

    Args:
        domain: the domain.
        value: the value that Optuna suggests.
    """
    q = domain.arguments.get("q")
    if q is None:
        return value
    first, last = multiples(domain)
    nearest = min(max(round(value / q), first), last) * q
    return int(nearest) if "int" in domain.kind else float(nearest)


def _bounds(domain: Domain) -> tuple[Any, Any]:
    """Return the least and the greatest value of a domain of numbers."""
    lower, upper, q = domain.arguments["lower"], domain.arguments["upper"], domain.arguments.get("q")
    if "int" in domain.kind and (q is None or q == 1):
        return int(lower), int(upper) - 1
    if q is None:
        return lower, upper
    first, last = multiples(domain)
    if "int" in domain.kind:
        return int(first * q), int(last * q)
    return round(first * q, 12), round(last * q, 12)  # Optuna compares decimal fractions: 0.3, not 3 * 0.1


def domain_of(distribution: Any) -> Domain:
    """Convert an `optuna.distributions` object to a domain.

    Args:
        distribution: a categorical, float or integer distribution.

    Raises:
        ValueError: the type of the distribution is not supported.
    """
    name, log = type(distribution).__name__, getattr(distribution, "log", False)
    if name == "CategoricalDistribution":
        return Domain.call("choice", list(distribution.choices))
    if name == "FloatDistribution":
        if distribution.step is not None:
            return Domain.call("quniform", distribution.low, distribution.high, distribution.step)
        return Domain.call("loguniform" if log else "uniform", distribution.low, distribution.high)
    if name == "IntDistribution":
        if distribution.step != 1:
            return Domain.call("qrandint", distribution.low, distribution.high, distribution.step)
        return Domain.call("lograndint" if log else "randint", distribution.low, distribution.high + 1)
    raise ValueError(
        f"expected a CategoricalDistribution, FloatDistribution or IntDistribution of Optuna, got {distribution!r}"
    )


def suggest(trial: Any, parameters: Iterable[Parameter], fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Let an Optuna trial suggest a configuration, without the parameters whose condition is not met.

    Args:
        trial: an `optuna.Trial`, or an object with its `suggest_…` methods.
        parameters: the parameters, each after those that it depends on (`Space.ordered`).
        fixed: parameter -> value, for parameters that are not suggested.

    Returns:
        parameter -> value; nested parameters have joined names, "a/b".

    Raises:
        ValueError: a domain cannot be evaluated.
    """
    flat: dict[str, Any] = dict(fixed or {})
    for parameter in parameters:
        if parameter.name in flat:
            continue
        try:
            domain = resolve(parameter.domain, nested(flat))
        except ValueError as error:
            raise ValueError(f"{parameter.name}: {error}") from error
        flat[parameter.name] = _suggest(trial, parameter.name, domain) if isinstance(domain, Domain) else domain
    return flat


def _suggest(trial: Any, name: str, domain: Domain) -> Any:
    if domain.kind == "sample_from":
        return to_tokens([domain])[0]  # sampled after the other parameters
    if "randn" in domain.kind:
        numbers = Numbers(domain, frozenset())
        bounds = (numbers.native.arguments[bound] for bound in ("lower", "upper"))
        return numbers.decode(trial.suggest_float(name, *bounds), {})
    target = distribution(domain)
    if domain.kind == "choice":
        value = trial.suggest_categorical(name, target.choices)
        return value.value if isinstance(value, Token) else value
    suggest_number = trial.suggest_int if "int" in domain.kind else trial.suggest_float
    return on_grid(domain, suggest_number(name, target.low, target.high, step=target.step, log=target.log))


class DefineByRun(Live):
    """A space as the define-by-run function for Ray Tune's ``OptunaSearch(space=...)``.

    It is a `Live` object, since Tune pickles the function with the state of the search, and functions of the
    notebook that the space may refer to cannot be unpickled in another process.

    Args:
        space: the search space.
    """

    role = "space"

    def __init__(self, space: Space) -> None:
        self._parameters = space.ordered

    def encode(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return Optuna's values for a point.

        Args:
            point: parameter -> value, with tokens, by joined names.

        Raises:
            ValueError: a domain does not have the value, or cannot be evaluated.
        """
        encoded, config = dict(point), with_values(nested(dict(point)))
        for parameter in self._parameters:
            domain = resolve(parameter.domain, config) if parameter.name in point else None
            if isinstance(domain, Domain) and "randn" in domain.kind:  # Optuna suggests the quantile
                encoded[parameter.name] = Numbers(domain, frozenset()).encode(point[parameter.name], config)
        return encoded

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Return the configuration that a trial suggests.

        Args:
            trial: the `optuna.Trial`.
        """
        try:
            return suggest(trial, self._parameters)
        except ValueError as error:  # an exception here would end the experiment; only this configuration is rejected
            return {self._parameters[0].name: Rejected(str(error))}
