"""Search spaces: parameters with their domains or constant values, and constraints over them."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.space.domain import MISSING, Domain, alternatives, depends_on
from nbtune.spec.space.expression import Expression
from nbtune.spec.space.from_ray import flatten_ray_space
from nbtune.spec.space.values import same

__all__ = ["Constraint", "Parameter", "Space", "nested", "top_level"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a search space.

    Attributes:
        name: its name; the names of a nested dictionary are joined by "/".
        domain: a `Domain`, a `Conditional`, an `Expression`, or a constant that every trial gets.
        default: the value for a run without tuning, an `Expression`, or `MISSING`.
        line: the line of the cell that defines it, counted from 1, or None.
    """

    name: str
    domain: Any
    default: Any = MISSING
    line: int | None = field(default=None, compare=False)

    @property
    def depends(self) -> frozenset[str]:
        """The top-level names of the parameters that its domain depends on."""
        return depends_on(self.domain)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameter) and all(
            same(getattr(self, part), getattr(other, part)) for part in ("name", "domain", "default")
        )

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Constraint:
    """A condition that every tried configuration meets.

    Attributes:
        test: true for valid configurations.
        line: the line of the cell that declares it, or None.
    """

    test: Expression
    line: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"require({self.test})"


@dataclass(frozen=True)
class Space:
    """Parameters in order, and the constraints over them.

    Attributes:
        parameters: one for each name, in the order of the cell or dictionary.
        constraints: conditions that every tried configuration meets.
    """

    parameters: tuple[Parameter, ...] = field(default_factory=tuple)
    constraints: tuple[Constraint, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and (self.parameters, self.constraints) == (other.parameters, other.constraints)

    def __hash__(self) -> int:
        return hash(self.names)

    @classmethod
    def from_dict(cls, space: Mapping[str, Any]) -> Space:
        """Return the space for a search space of Ray Tune.

        Args:
            space: the dictionary, as in ``Tuner(param_space=...)``.
        """
        return cls(tuple(Parameter(name, domain) for name, domain in flatten_ray_space(space)))

    def merged(self, other: Space) -> Space:
        """Return this space with the parameters and constraints of another one added.

        Args:
            other: its domains and defaults override those of parameters with the same name.
        """
        merged = {parameter.name: parameter for parameter in self.parameters}
        for parameter in other.parameters:
            previous = merged.get(parameter.name)
            default = previous.default if previous and parameter.default is MISSING else parameter.default
            merged[parameter.name] = replace(parameter, default=default)
        return Space(tuple(merged.values()), tuple(dict.fromkeys([*self.constraints, *other.constraints])))

    def __getitem__(self, name: str) -> Parameter:
        return {parameter.name: parameter for parameter in self.parameters}[name]

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def dependent(self) -> tuple[Parameter, ...]:
        """The parameters whose domains depend on others."""
        return tuple(parameter for parameter in self.parameters if parameter.depends)

    @property
    def grid_size(self) -> int:
        """The number of trials in one pass over the `grid_search` parameters; 1 if there are none.

        Conditional parameters and constraints are not considered.
        """
        grids = [p.domain for p in self.parameters if isinstance(p.domain, Domain) and p.domain.kind == "grid_search"]
        return math.prod(len(domain.values or []) for domain in grids)

    @property
    def referenced(self) -> frozenset[str]:
        """The top-level names of the parameters that other parameters or constraints depend on."""
        depends = (parameter.depends for parameter in self.parameters)
        return frozenset().union(*depends, *(constraint.test.depends for constraint in self.constraints))

    @property
    def ordered(self) -> tuple[Parameter, ...]:
        """The parameters, each after those that it depends on, otherwise in their order.

        Raises:
            graphlib.CycleError: there is a cyclic dependency.
        """
        positions = {name: position for position, name in enumerate(self.names)}
        sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
        for parameter in self.parameters:
            sorter.add(parameter.name, *(name for name in self.names if top_level(name) in parameter.depends))
        sorter.prepare()
        ready, ordered = list(sorter.get_ready()), []
        while ready:
            name = min(ready, key=positions.__getitem__)
            ready.remove(name)
            sorter.done(name)
            ready += sorter.get_ready()
            ordered.append(self[name])
        return tuple(ordered)

    def violated(self, config: Mapping[str, Any]) -> Constraint | None:
        """Return the first constraint that a configuration violates, or None.

        Args:
            config: the parameters, nested; constraints over missing parameters are skipped.

        Raises:
            ValueError: a constraint cannot be evaluated.
        """
        absent = {top_level(name) for name in self.names if not _has(config, name)}
        for constraint in self.constraints:
            if constraint.test.depends & absent:
                continue
            try:
                satisfied = bool(constraint.test(config))
            except Exception as error:  # the user's expression may raise anything
                raise ValueError(f"{constraint} cannot be evaluated: {type(error).__name__}: {error}") from error
            if not satisfied:
                return constraint
        return None

    def problems(self, invalid: Collection[str] = ()) -> list[Problem]:
        """Return the problems of the domains and of the dependencies between parameters.

        Args:
            invalid: top-level names of parameters that are declared but could not be read; a dependency on one of them
                is not reported.
        """
        problems: list[Problem] = []
        tops = {*map(top_level, self.names), *invalid}
        for parameter in self.parameters:
            problems += _argument_problems(parameter)
            problems += [
                Problem(
                    f"depends on the unknown parameter {name!r}{did_you_mean(name, tops)}",
                    parameter.line,
                    "unknown",
                    parameter=parameter.name,
                )
                for name in sorted(parameter.depends - tops)
            ]
        problems += [
            Problem(
                f"{constraint} uses the unknown parameter {name!r}{did_you_mean(name, tops)}",
                constraint.line,
                "unknown",
            )
            for constraint in self.constraints
            for name in sorted(constraint.test.depends - tops)
        ]
        try:
            _ = self.ordered
        except graphlib.CycleError as error:
            cycle = list(dict.fromkeys(error.args[1]))
            text = (
                f"the parameters depend on one another, {' -> '.join([*cycle, cycle[0]])}, so none can be sampled first"
            )
            problems.append(Problem(text, self[cycle[0]].line, "conflict"))
        return problems


def _argument_problems(parameter: Parameter) -> Iterator[Problem]:
    """Yield the problems of the arguments of a parameter's space functions."""
    for part in alternatives(parameter.domain):
        invalid = part.invalid_argument() if isinstance(part, Domain) else None
        if invalid is not None:
            text = f"{part!r}: {invalid.name}: {invalid.message}"
            yield Problem(text, parameter.line, invalid.code, parameter=parameter.name, field=invalid.name)


def _has(config: Any, name: str) -> bool:
    for part in name.split("/"):
        if not isinstance(config, Mapping) or part not in config:
            return False
        config = config[part]
    return True


def top_level(name: str) -> str:
    """Return the name of the variable that holds a parameter in a trial: "model" for "model/hidden".

    Args:
        name: the name of the parameter.
    """
    return name.partition("/")[0]


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested dictionary for a flat one: ``{"a": {"b": 1}}`` for ``{"a/b": 1}``.

    Args:
        flat: path -> value.
    """
    result: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        target = result
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return result
