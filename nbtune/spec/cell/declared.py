"""Parameters and constraints, as the top level of a cell declares them.

A top-level ``name: SPACE_EXPRESSION``, with ``= default`` or without, is a parameter or a nested dictionary of
parameters. It may use other parameters in a condition, ``A if optimizer == "sgd" else None``, and in the arguments of
space functions. A top-level ``require(CONDITION)`` is a constraint over parameters.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.bad_input import NESTED, shortened
from nbtune.errors import Problem, did_you_mean
from nbtune.spec.cell.assigned import assigned_domains
from nbtune.spec.cell.bindings import bound_names
from nbtune.spec.cell.origin import module_of
from nbtune.spec.space.domain import MISSING, SPACE_FUNCTIONS, Conditional, Domain
from nbtune.spec.space.expression import Expression, ast_names, read_expression
from nbtune.spec.space.from_ray import with_domains
from nbtune.spec.space.space import Constraint, Parameter, Space, top_level

__all__ = ["declarations", "extract_space"]

_MAX_SOURCE = 60  # characters of source code in a message


def extract_space(
    statements: Sequence[ast.stmt], namespace: Mapping[str, Any], extra_space: Space
) -> tuple[Space, list[ast.stmt], list[Problem]]:
    """Separate the parameters and constraints of a cell from its other statements.

    Args:
        statements: the cell's top-level statements.
        namespace: the notebook's variables, which declarations may use.
        extra_space: a space given in addition to the cell. Its domains and defaults override the cell's.

    Returns:
        The merged space, the statements that declare nothing, and every problem found.
    """
    bound = set(bound_names(statements))
    nodes: Sequence[Any] = statements  # the attributes of annotated assignments are read after `_is_parameter`
    declared = {node.target.id for node in nodes if _is_parameter(node)}
    parameters = frozenset(declared | {top_level(name) for name in extra_space.names})
    reader = _Reader(namespace, parameters, frozenset(bound - declared))
    groups: dict[str, tuple[int, list[Parameter]]] = {}  # name in the cell -> line, its parameters
    constraints: list[Constraint] = []
    body: list[ast.stmt] = []
    problems: list[Problem] = []
    for node in nodes:
        if _is_constraint(node, bound, namespace):
            try:
                constraints.append(reader.constraint(node))
            except ValueError as error:
                problems.append(Problem(str(error), node.lineno))
            except RecursionError:
                problems.append(Problem(f"the condition is {NESTED}", node.lineno, "syntax"))
        elif not _is_parameter(node):
            misspelt = _misspelt_function(node, bound, namespace)
            problems += misspelt
            if misspelt:  # a placeholder, so that uses of the name are not reported as well
                groups.setdefault(node.target.id, (node.lineno, [Parameter(node.target.id, None, line=node.lineno)]))
            else:
                body.append(node)
        elif node.target.id in groups:
            first = groups[node.target.id][0]
            text = f"already declared in line {first}"
            problems.append(Problem(text, node.lineno, "repeated", parameter=node.target.id))
        else:
            try:
                groups[node.target.id] = (node.lineno, reader.parameters(node))
            except ValueError as error:
                problems.append(Problem(str(error), node.lineno, parameter=node.target.id))
                groups[node.target.id] = (node.lineno, [])
            except RecursionError:
                text = f"the space is {NESTED}"
                problems.append(Problem(text, node.lineno, "syntax", parameter=node.target.id))
                groups[node.target.id] = (node.lineno, [])
    for name, problem in assigned_domains(body, namespace):
        problems.append(problem)
        groups.setdefault(name, (problem.line or 0, [Parameter(name, None, line=problem.line)]))
    own = Space(tuple(parameter for _, group in groups.values() for parameter in group), tuple(constraints))
    space = own.merged(extra_space)
    # An invalid parameter is reported once, not again by each parameter that depends on it.
    problems += space.problems(invalid=[name for name, (_, group) in groups.items() if not group])
    return space, body, problems


def declarations(statements: Sequence[ast.stmt], namespace: Mapping[str, Any]) -> list[ast.stmt]:
    """Return the statements that declare parameters or constraints.

    Args:
        statements: the cell's top-level statements.
        namespace: the notebook's variables; a `require` among them is not nbtune's.
    """
    bound = set(bound_names(statements))
    return [node for node in statements if _is_parameter(node) or _is_constraint(node, bound, namespace)]


@dataclass(frozen=True)
class _Reader:
    """Evaluates declarations.

    Attributes:
        namespace: the notebook's variables.
        parameter_names: the top-level names of all parameters.
        body_names: the names that only the body of the cell binds.
    """

    namespace: Mapping[str, Any]
    parameter_names: frozenset[str]
    body_names: frozenset[str]

    def parameters(self, node: Any) -> list[Parameter]:
        """Return the parameters that a statement declares: one, or those of a dictionary."""
        name = node.target.id
        others = self.parameter_names
        if name in self.namespace:  # `batch: choice([batch, 2 * batch])` means the notebook's `batch`
            others -= {name}
        if not isinstance(node.annotation, ast.Dict):
            default = MISSING if node.value is None else self.value(node.value, others - {name})
            return [Parameter(name, self.domain(node.annotation, others), default, node.lineno)]
        domains = dict(self.entries(name, node.annotation, others))
        given = {} if node.value is None else self.evaluate(node.value)
        if not isinstance(given, Mapping):
            raise ValueError(f"the default must be a dictionary, {{name: value}}, not {_source(node.value)}")
        defaults = dict(_flatten(name, given, domains))
        if unknown := sorted(defaults.keys() - domains.keys()):
            raise ValueError(f"the default sets {unknown[0]!r}; the parameters are {', '.join(domains)}")
        return [Parameter(path, domain, defaults.get(path, MISSING), node.lineno) for path, domain in domains.items()]

    def constraint(self, node: Any) -> Constraint:
        """Return the constraint of a statement ``require(CONDITION)``."""
        call = node.value
        if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
            raise ValueError(f"{_source(call)}: require takes one condition, over parameters")
        test = self.expression(call.args[0], self.parameter_names)
        if not test.depends:
            raise ValueError(
                f"{_source(call)} uses no parameter, so it is the same for every trial; the parameters are"
                f" {', '.join(sorted(self.parameter_names)) or 'none'}"
            )
        return Constraint(test, node.lineno)

    def entries(self, prefix: str, node: ast.Dict, others: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Yield the parameters of a dictionary: path, domain."""
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or "/" in key.value or not key.value:
                raise ValueError(
                    f"{_source(key or value)}: keys of a dictionary of parameters must be non-empty strings without /"
                )
            path = f"{prefix}/{key.value}"
            if isinstance(value, ast.Dict) and value.keys:
                yield from self.entries(path, value, others)
            else:
                yield path, self.domain(value, others)

    def domain(self, node: ast.expr, others: frozenset[str]) -> Any:
        """Return the domain or value that an annotation, or a part of it, stands for."""
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
            # `tune.choice(...)` and `choice(...)` are equivalent, even if the notebook uses these names otherwise.
            call = ast.Call(ast.Name("__space_function__", ast.Load()), node.args, node.keywords)
            # Space functions among the values need no import either.
            functions = {name: _space_call(name) for name in SPACE_FUNCTIONS if name not in self.namespace}
            functions["__space_function__"] = _space_call(kind)
            return self.evaluate(ast.copy_location(call, node), functions, shown=node)
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            raise ValueError(
                f"{_source(node)}: arguments that depend on parameters must be written out, without * and **"
            )
        if inner := _inner_function([*node.args, *(keyword.value for keyword in node.keywords)], self.namespace):
            raise ValueError(
                f"{_source(node)}: {inner}(…) inside {kind}(…) cannot be used together with parameters; write a"
                f" condition over another parameter, such as  {inner}(…) if use == 'yes' else 0.0"
            )
        arguments = [self.value(argument, others) for argument in node.args]
        keywords = {str(keyword.arg): self.value(keyword.value, others) for keyword in node.keywords}
        try:
            return Domain.call(kind, *arguments, **keywords)
        except TypeError as error:
            raise ValueError(f"{_source(node)} cannot be evaluated: TypeError: {error}") from error

    def value(self, node: ast.expr, others: frozenset[str]) -> Any:
        """Return the value of an expression, or the expression itself if it depends on parameters."""
        return self.expression(node, others) if ast_names(node) & others else self.evaluate(node)

    def expression(self, node: ast.expr, others: frozenset[str]) -> Expression:
        try:
            return read_expression(node, self.namespace, others)
        except NameError as error:
            raise ValueError(f"{_source(node)} cannot be evaluated: {error}{self.body_name_hint(node)}") from None

    def evaluate(self, node: ast.expr, extra: Mapping[str, Any] | None = None, shown: ast.expr | None = None) -> Any:
        tree = ast.fix_missing_locations(ast.Expression(node))
        try:
            return eval(compile(tree, "<parameter>", "eval"), {**self.namespace, **(extra or {})})
        except RecursionError:
            raise
        except Exception as error:  # the user's code may raise anything
            reason = f"{type(error).__name__}: {error}{self.body_name_hint(node)}"
            raise ValueError(f"{_source(shown or node)} cannot be evaluated: {reason}") from error

    def body_name_hint(self, node: ast.expr) -> str:
        """Return a hint if an expression uses a name that the body of the cell binds, which only runs in a trial."""
        names = sorted(ast_names(node) & self.body_names - set(self.namespace))
        if not names:
            return ""
        return (
            f". {names[0]} is defined by the cell's code, which runs in a trial; a declaration can use only parameters"
            " and the notebook's variables"
        )


def _space_call(kind: str) -> Callable[..., Domain]:
    def call(*args: Any, **kwargs: Any) -> Domain:
        if kind in {"choice", "grid_search"}:
            args = tuple(map(with_domains, args))
            kwargs = {name: with_domains(value) for name, value in kwargs.items()}
        return Domain.call(kind, *args, **kwargs)

    return call


def _inner_function(nodes: Sequence[ast.expr], namespace: Mapping[str, Any]) -> str | None:
    """Return the name of the first space function that is called inside of arguments, or None."""
    for node in nodes:
        for inner in ast.walk(node):
            name = inner.func.id if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) else ""
            if name in SPACE_FUNCTIONS and name not in namespace:
                return name
    return None


def _is_parameter(node: Any) -> bool:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and _space_function(node.annotation) is not None
    )


def _is_constraint(node: Any, bound: set[str], namespace: Mapping[str, Any]) -> bool:
    """Tell whether a statement calls nbtune's `require`, not a function of the user's with that name."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    function = node.value.func
    if isinstance(function, ast.Attribute):
        return function.attr == "require" and isinstance(function.value, ast.Name) and function.value.id == "nbtune"
    if not isinstance(function, ast.Name) or function.id != "require" or "require" in bound:
        return False
    return "require" not in namespace or module_of(namespace["require"]).startswith("nbtune")


def _space_function(node: ast.expr) -> str | None:
    """Return the name of the first space function that an annotation calls, or None."""
    if isinstance(node, ast.IfExp):
        return _space_function(node.body) or _space_function(node.orelse)
    if isinstance(node, ast.Dict):
        return next((kind for value in node.values if (kind := _space_function(value))), None)
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name if name in SPACE_FUNCTIONS else None


def _misspelt_function(node: Any, bound: set[str], namespace: Mapping[str, Any]) -> list[Problem]:
    """Return a problem if an annotation calls an undefined function with a name similar to a space function's."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return []
    call = node.annotation
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return []
    name = call.func.id
    hint = did_you_mean(name, SPACE_FUNCTIONS)
    if not hint or name in bound or name in namespace or hasattr(builtins, name):
        return []
    text = f"unknown space function {name}{hint}; expected one of {', '.join(SPACE_FUNCTIONS)}"
    return [Problem(text, node.lineno, "unknown", parameter=node.target.id)]


def _flatten(prefix: str, values: Mapping[str, Any], domains: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested dictionary by their paths; a dictionary whose path is a parameter is a value."""
    for key, value in values.items():
        path = f"{prefix}/{key}"
        if path not in domains and isinstance(value, Mapping):
            yield from _flatten(path, value, domains)
        else:
            yield path, value


def _source(node: ast.AST) -> str:
    return shortened(ast.unparse(node), _MAX_SOURCE)
