"""Search spaces as Optuna has them: distributions, and suggestions of a trial (define-by-run)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbtune.engine.protocol.registry import Live
from nbtune.engine.search.sampling import Rejected
from nbtune.spec.space.domain import Domain, alternatives, depends_on, resolve
from nbtune.spec.space.space import Parameter, Space, nested

__all__ = ["DefineByRun", "distribution", "domain_of", "optuna_problem", "suggest"]


def optuna_problem(domain: Any) -> str | None:
    """Return why Optuna cannot search a domain, or None."""
    parts = [part for part in alternatives(domain) if isinstance(part, Domain)]
    for part in parts:
        if part.kind in {"grid_search", "sample_from", "randn", "qrandn", "custom"}:
            return f"--search optuna cannot use {part.kind}; write choice([...]), or use --search random"
        if part.kind == "choice" and depends_on(part):
            return "--search optuna cannot use a choice whose values depend on other parameters; use --search random"
    if len({_family(part) for part in parts}) > 1:
        return (
            "--search optuna cannot use a parameter that is of another kind under another condition; give it two"
            " names, or use --search random"
        )
    return None


def _family(domain: Domain) -> Any:
    if domain.kind == "choice":
        return repr(domain)
    return ("int" in domain.kind, "log" in domain.kind, domain.kind.startswith("q"))


def distribution(domain: Domain) -> Any:
    """Return the distribution of `optuna.distributions` for a domain without dependencies.

    Ray Tune's upper bound of integers is outside the range, but for those with a step; Optuna's is inside. Optuna
    has no logarithmic range with steps: the step is left out here, and `suggest` rounds.

    Raises:
        ValueError: Optuna has none.
    """
    import optuna.distributions as od

    if (why := optuna_problem(domain)) is not None:
        raise ValueError(f"{domain!r}: {why}")
    given, log = domain.arguments, "log" in domain.kind
    if domain.kind == "choice":
        return od.CategoricalDistribution(list(given["categories"]))
    step = None if log else given.get("q")
    if "int" not in domain.kind:
        return od.FloatDistribution(given["lower"], given["upper"], log=log, step=step)
    high = int(given["upper"]) - (given.get("q", 1) == 1)
    return od.IntDistribution(int(given["lower"]), high, log=log, step=int(step or 1))


def domain_of(found: Any) -> Domain:
    """Return the domain of one of Optuna's distributions.

    Raises:
        ValueError: it is of a kind that is not known here.
    """
    name, log = type(found).__name__, getattr(found, "log", False)
    if name == "CategoricalDistribution":
        return Domain.call("choice", list(found.choices))
    if name == "FloatDistribution":
        if found.step is not None:
            return Domain.call("quniform", found.low, found.high, found.step)
        return Domain.call("loguniform" if log else "uniform", found.low, found.high)
    if name == "IntDistribution":
        if found.step != 1:
            return Domain.call("qrandint", found.low, found.high, found.step)
        return Domain.call("lograndint" if log else "randint", found.low, found.high + 1)
    raise ValueError(f"{name} is no distribution that nbtune knows")


def suggest(trial: Any, order: Iterable[Parameter], fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Let a trial of Optuna's suggest a configuration; parameters whose condition is not met are not asked for.

    Args:
        trial: an `optuna.Trial`, or what stands for one.
        order: the parameters, each after those that it depends on (`Space.ordered`).
        fixed: parameter -> value, what is not to be suggested.

    Returns:
        parameter -> value, nested ones by their joined names.

    Raises:
        ValueError: a domain cannot be evaluated.
    """
    flat: dict[str, Any] = dict(fixed or {})
    for parameter in order:
        if parameter.name in flat:
            continue
        try:
            domain = resolve(parameter.domain, nested(flat))
        except ValueError as error:
            raise ValueError(f"{parameter.name}: {error}") from error
        flat[parameter.name] = _suggest(trial, parameter.name, domain) if isinstance(domain, Domain) else domain
    return flat


def _suggest(trial: Any, name: str, domain: Domain) -> Any:
    found, given = distribution(domain), domain.arguments
    if domain.kind == "choice":
        return trial.suggest_categorical(name, found.choices)
    ask = trial.suggest_int if "int" in domain.kind else trial.suggest_float
    value = ask(name, found.low, found.high, step=found.step, log=found.log)
    q = given.get("q")
    if q is None or not found.log:
        return value
    rounded = min(max(round(value / q) * q, given["lower"]), given["upper"])
    return int(rounded) if "int" in domain.kind else rounded


class DefineByRun(Live):
    """A space as the function that Ray Tune's ``OptunaSearch(space=...)`` takes.

    Tune keeps it with what Optuna has learned, by a pickle that functions of the notebook's would not survive.

    Args:
        space: the space.
    """

    role = "space"

    def __init__(self, space: Space) -> None:
        self._order = space.ordered

    def __call__(self, trial: Any) -> dict[str, Any]:
        """Return the configuration: what was suggested, and the rest."""
        try:
            return suggest(trial, self._order)
        except ValueError as error:  # must not end the experiment: the proposal is thrown away
            return {self._order[0].name: Rejected(str(error))}
