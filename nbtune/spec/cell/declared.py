"""What the top level of a cell declares: parameters and constraints.

A top-level ``name: SPACE_EXPRESSION`` (with ``= default`` or without) is a parameter, or a nested dictionary of
parameters. It may use other parameters: as a condition, ``A if optimizer == "sgd" else None``, and in the arguments of
space functions. A top-level ``require(CONDITION)`` says what they have to fulfil together.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.names import bound_names
from nbtune.spec.cell.origin import module_of
from nbtune.spec.space.domain import MISSING, SPACE_FUNCTIONS, Conditional, Domain
from nbtune.spec.space.expression import Expression, ast_names, read_expression
from nbtune.spec.space.space import Constraint, Parameter, Space, top_level

__all__ = ["declarations", "space_in"]

_SHORT = 60  # characters of source in a message


def space_in(
    statements: Sequence[ast.stmt], namespace: Mapping[str, Any], further: Space
) -> tuple[Space, list[ast.stmt], list[Problem]]:
    """Take parameters and constraints out of the top-level statements of a cell.

    Args:
        statements: the cell's.
        namespace: the notebook's variables; what is declared may use them.
        further: a space that is given beside the cell.

    Returns:
        The whole space, where `further` goes before the cell's own, the other statements, and what is wrong.
    """
    own = set(bound_names(statements))
    nodes: Sequence[Any] = statements  # which of them are annotations is asked of each
    declared = {node.target.id for node in nodes if _declares(node)}
    there = frozenset(declared | {top_level(name) for name in further.names})
    reader = _Reader(namespace, there, frozenset(own - declared))
    found: dict[str, tuple[int, list[Parameter]]] = {}
    constraints: list[Constraint] = []
    body: list[ast.stmt] = []
    problems: list[Problem] = []
    for node in nodes:
        if _requires(node, own, namespace):
            try:
                constraints.append(reader.constraint(node))
            except ValueError as error:
                problems.append(Problem(str(error), node.lineno))
        elif not _declares(node):
            misspelt = _misspelt(node, own, namespace)
            problems += misspelt
            if misspelt:  # no second complaint about its name
                found.setdefault(node.target.id, (node.lineno, [Parameter(node.target.id, None, line=node.lineno)]))
            else:
                body.append(node)
        elif node.target.id in found:
            first = found[node.target.id][0]
            problems.append(Problem(f"{node.target.id} is a parameter already, in line {first}", node.lineno))
        else:
            try:
                found[node.target.id] = (node.lineno, reader.parameters(node))
            except ValueError as error:
                problems.append(Problem(f"{node.target.id}: {error}", node.lineno))
                found[node.target.id] = (node.lineno, [])
    space = Space(tuple(parameter for _, group in found.values() for parameter in group), tuple(constraints)).merged(
        further
    )
    unknown = {name for name, (_, group) in found.items() if not group}
    # What could not be read is complained about already, not once more by what depends on it.
    problems += [p for p in space.problems() if not any(repr(name) in p.message for name in unknown)]
    return space, body, problems


def declarations(statements: Sequence[ast.stmt], namespace: Mapping[str, Any]) -> list[ast.stmt]:
    """Return those of a cell's top-level statements that declare parameters or constraints."""
    own = set(bound_names(statements))
    return [node for node in statements if _declares(node) or _requires(node, own, namespace)]


@dataclass(frozen=True)
class _Reader:
    """Reads what is declared.

    Attributes:
        namespace: the notebook's variables.
        parameters_there: the names of all parameters.
        own: the other names that the cell binds.
    """

    namespace: Mapping[str, Any]
    parameters_there: frozenset[str]
    own: frozenset[str]

    def parameters(self, node: Any) -> list[Parameter]:
        """Return the parameters that a statement declares: one, or those of a dictionary."""
        name = node.target.id
        others = self.parameters_there
        if name in self.namespace:  # `batch: choice([batch, 2 * batch])` means the notebook's
            others -= {name}
        if not isinstance(node.annotation, ast.Dict):
            default = MISSING if node.value is None else self.value(node.value, others - {name})
            return [Parameter(name, self.domain(node.annotation, others), default, node.lineno)]
        domains = dict(self.entries(name, node.annotation, others))
        given = {} if node.value is None else self.evaluate(node.value)
        if not isinstance(given, Mapping):
            raise ValueError(f"{_source(node.value)} is no default for a dictionary: give {{name: value}}")
        defaults = dict(_flat(name, given, domains))
        if unknown := sorted(defaults.keys() - domains.keys()):
            raise ValueError(f"the default has {unknown[0]!r}, which is none of {', '.join(domains)}")
        return [Parameter(path, domain, defaults.get(path, MISSING), node.lineno) for path, domain in domains.items()]

    def constraint(self, node: Any) -> Constraint:
        """Return the constraint of a statement ``require(CONDITION)``."""
        call = node.value
        if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
            raise ValueError(f"{_source(call)}: require takes one condition, over parameters")
        test = self.expression(call.args[0], self.parameters_there)
        if not test.depends:
            raise ValueError(
                f"{_source(call)} uses no parameter, so it is the same for every trial; the parameters are"
                f" {', '.join(sorted(self.parameters_there)) or 'none'}"
            )
        return Constraint(test, node.lineno)

    def entries(self, prefix: str, node: ast.Dict, others: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Yield the parameters of a dictionary: path, domain."""
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or "/" in key.value or not key.value:
                raise ValueError(
                    f"{_source(key or value)}: the names in a dictionary of parameters are texts without /"
                )
            path = f"{prefix}/{key.value}"
            if isinstance(value, ast.Dict) and value.keys:
                yield from self.entries(path, value, others)
            else:
                yield path, self.domain(value, others)

    def domain(self, node: ast.expr, others: frozenset[str]) -> Any:
        """Return what an annotation, or a part of it, stands for."""
        if isinstance(node, ast.IfExp):
            if not ast_names(node.test) & others:
                return self.domain(node.body if self.evaluate(node.test) else node.orelse, others)
            test = self.expression(node.test, others)
            return Conditional(test, self.domain(node.body, others), self.domain(node.orelse, others))
        kind = _space_function(node)
        if kind is None or not isinstance(node, ast.Call):
            return self.value(node, others)
        depends = kind != "sample_from" and ast_names(node) & others
        if not depends:
            # `tune.choice(...)` and `choice(...)` are the same; the name is ours, whatever the notebook calls so.
            call = ast.Call(ast.Name("__space_function__", ast.Load()), node.args, node.keywords)
            own = {"__space_function__": lambda *args, **kwargs: Domain.call(kind, *args, **kwargs)}
            return self.evaluate(ast.copy_location(call, node), own, shown=node)
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            raise ValueError(f"{_source(node)}: arguments that depend on parameters are written out, without * and **")
        arguments = [self.value(argument, others) for argument in node.args]
        named = {str(keyword.arg): self.value(keyword.value, others) for keyword in node.keywords}
        try:
            return Domain.call(kind, *arguments, **named)
        except TypeError as error:
            raise ValueError(f"{_source(node)} cannot be evaluated: TypeError: {error}") from error

    def value(self, node: ast.expr, others: frozenset[str]) -> Any:
        """Return a value, or the expression where it depends on parameters."""
        return self.expression(node, others) if ast_names(node) & others else self.evaluate(node)

    def expression(self, node: ast.expr, others: frozenset[str]) -> Expression:
        try:
            return read_expression(node, self.namespace, others)
        except NameError as error:
            raise ValueError(f"{_source(node)} cannot be evaluated: {error}{self.made_here(node)}") from None

    def evaluate(self, node: ast.expr, more: Mapping[str, Any] | None = None, shown: ast.expr | None = None) -> Any:
        whole = ast.fix_missing_locations(ast.Expression(node))
        try:
            return eval(
                compile(whole, "<parameter>", "eval"), {**self.namespace, **(more or {})}
            )  # the user's own code
        except Exception as error:  # whatever it raises
            why = f"{type(error).__name__}: {error}{self.made_here(node)}"
            raise ValueError(f"{_source(shown or node)} cannot be evaluated: {why}") from error

    def made_here(self, node: ast.expr) -> str:
        """Return a hint where an expression uses what the cell makes only in a trial."""
        made = sorted(ast_names(node) & self.own - set(self.namespace))
        if not made:
            return ""
        return f". {made[0]} is made by the cell in a trial; here are only parameters and the notebook's variables"


def _declares(node: Any) -> bool:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and _space_function(node.annotation) is not None
    )


def _requires(node: Any, own: set[str], namespace: Mapping[str, Any]) -> bool:
    """Tell whether a statement is nbtune's ``require(...)``, not a function of the notebook's that has this name."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    if isinstance(function, ast.Attribute):
        return function.attr == "require" and isinstance(function.value, ast.Name) and function.value.id == "nbtune"
    if not isinstance(function, ast.Name) or function.id != "require" or "require" in own:
        return False
    return "require" not in namespace or module_of(namespace["require"]).startswith("nbtune")


def _space_function(node: ast.expr) -> str | None:
    """Return the name of a space function that an annotation calls, if it calls one."""
    if isinstance(node, ast.IfExp):
        return _space_function(node.body) or _space_function(node.orelse)
    if isinstance(node, ast.Dict):
        return next((kind for value in node.values if (kind := _space_function(value))), None)
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name if name in SPACE_FUNCTIONS else None


def _misspelt(node: Any, own: set[str], namespace: Mapping[str, Any]) -> list[Problem]:
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return []
    call = node.annotation
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return []
    name = call.func.id
    hint = did_you_mean(name, SPACE_FUNCTIONS)
    if not hint or name in own or name in namespace or hasattr(builtins, name):
        return []
    return [Problem(f"{name} is no space function{hint}. There are: {', '.join(SPACE_FUNCTIONS)}", node.lineno)]


def _flat(prefix: str, values: Mapping[str, Any], domains: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested dictionary by their paths, down to those that are parameters."""
    for key, value in values.items():
        path = f"{prefix}/{key}"
        if path not in domains and isinstance(value, Mapping):
            yield from _flat(path, value, domains)
        else:
            yield path, value


def _source(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."
