"""The free names of code, which it reads from its namespace.

A notebook cell and its notebook share one namespace, so a name in the cell may refer to a variable of either. Only
the variables that the cell reads from the notebook are sent to the cluster: a cell that assigns `model` before it
reads it must not send the notebook's `model`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nbtune.spec.cell.bindings import COMPREHENSIONS, bindings, bound_names, same_scope

__all__ = ["FreeNames", "free_names"]

_NEW_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass
class FreeNames:
    """The names that code reads from its namespace.

    Attributes:
        needed: name -> the line of its first use, for names that are certainly read before the code binds them.
        optional: names that may be read before the code binds them: bound in one branch only, for instance, or read
            by a function that may be called before the name is bound.
        star_import: whether the code has a ``from module import *``, which may bind any name.
    """

    needed: dict[str, int] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    star_import: bool = False


def free_names(body: Sequence[ast.stmt], bound: Iterable[str] = ()) -> FreeNames:
    """Return the names that statements read from their namespace.

    Args:
        body: the statements.
        bound: names that are bound before the statements run.
    """
    flow = _FlowAnalysis(not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in body))
    defined = flow.run(body, set(bound))
    for name in flow.declared_globals & set(flow.names.needed):  # a call may have bound it before it is read
        del flow.names.needed[name]
        flow.names.optional.add(name)
    for name, line in flow.deferred.items():
        if name in defined or name in flow.possibly_bound or name in flow.declared_globals:
            flow.names.optional.add(name)
        else:
            flow.names.needed.setdefault(name, line)
    flow.names.optional |= flow.class_reads
    flow.names.optional -= set(flow.names.needed) | set(bound)
    return flow.names


class _FlowAnalysis:
    """Follows the statements of one scope in order and records the names that are read before they are bound.

    `defined` is always the set of names that are bound for certain at that point.

    Args:
        evaluates_annotations: false after ``from __future__ import annotations``.
        is_class_body: whether the scope is the body of a class. Its methods do not see the names that it binds, and
            annotations of its variables are evaluated.
    """

    def __init__(self, evaluates_annotations: bool, is_class_body: bool = False) -> None:
        self._evaluates_annotations, self._is_class_body = evaluates_annotations, is_class_body
        # Names that a class body inside a function reads and binds: Python reads them from the globals, not from the
        # enclosing function.
        self.class_reads: set[str] = set()
        self._in_function = False
        self.names = FreeNames()
        self.possibly_bound: set[str] = set()  # bound on some path
        self.deferred: dict[str, int] = {}  # read inside functions, which run later
        self.declared_globals: set[str] = set()  # bound as globals inside functions
        self._bound_in_loops: set[str] = set()  # bound anywhere in the enclosing loops
        self._maybe_bound_earlier: set[str] = set()  # of these, the names that an earlier iteration may have bound

    def run(self, body: Sequence[ast.stmt], defined: set[str]) -> set[str]:
        for statement in body:
            defined = self.statement(statement, defined)
        return defined

    def alternatives(self, blocks: Sequence[tuple[Sequence[ast.stmt], set[str]]], defined: set[str]) -> set[str]:
        """Follow alternative blocks, each with the names that are bound before it.

        Names are bound after the blocks if every block binds them or ends in a jump.
        """
        ends = []
        for body, before in blocks:
            with self.conditional():
                end = self.run(body, set(before))
            if not (body and _jumps(body)):
                ends.append(end)
        return set.intersection(*ends) if ends else defined

    @contextmanager
    def conditional(self, repeated: Sequence[ast.stmt] = ()) -> Iterator[None]:
        """Mark the statements inside as conditional, so that an earlier iteration of a loop may run before they do.

        Args:
            repeated: the body, if the statements are the body of a loop.
        """
        before = self._maybe_bound_earlier, self._bound_in_loops
        self._maybe_bound_earlier = self._maybe_bound_earlier | self._bound_in_loops
        self._bound_in_loops = self._bound_in_loops | set(bound_names(repeated))
        yield
        self._maybe_bound_earlier, self._bound_in_loops = before

    def statement(self, node: ast.stmt, defined: set[str]) -> set[str]:
        if isinstance(node, ast.If):
            self.read([node.test], defined)
            defined = self.bind([node.test], defined)
            blocks = [(node.body, defined | _bound_if_true(node.test)), (node.orelse, defined)]
            return self.alternatives(blocks, defined)
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self.read([node.iter, node.target], defined)
            inside = self.bind([node.target], set(defined))
            with self.conditional(node.body):
                self.run(node.body, inside)
            self.run(node.orelse, set(defined))
            return defined  # the loop may not run at all
        if isinstance(node, ast.While):
            self.read([node.test], defined)
            defined = self.bind([node.test], defined)
            with self.conditional(node.body):
                self.run(node.body, defined | _bound_if_true(node.test))
            self.run(node.orelse, set(defined))
            return defined
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.read([item], defined)
                defined = self.bind([item], defined)
            return self.run(node.body, defined)
        if isinstance(node, (ast.Try, ast.TryStar)):
            return self.try_statement(node, defined)
        if isinstance(node, ast.Match):
            self.read([node.subject], defined)
            for case in node.cases:
                self.read([case.pattern], defined)
                inside = self.bind([case.pattern], set(defined))
                with self.conditional():
                    self.read([case.guard] if case.guard else [], inside)
                    self.run(case.body, inside)
            return defined
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            self.names.star_import = True
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.load(node.target.id, node.lineno, defined)
        if isinstance(node, ast.AnnAssign):  # an annotation alone is dropped from a body
            self.read([node.annotation] if self._is_class_body and self._evaluates_annotations else [], defined)
            self.read([node.value, node.target] if node.value else [], defined)
            return self.bind([node.target] if node.value else [], defined)
        # An assignment's value comes before its targets.
        self.read([node.value, *node.targets] if isinstance(node, ast.Assign) else [node], defined)
        return self.bind([node], defined)

    def try_statement(self, node: ast.Try | ast.TryStar, defined: set[str]) -> set[str]:
        """Follow a `try` statement and return the names that are bound after it."""
        known = set(self.names.needed)
        after = self.run(node.orelse, self.run(node.body, set(defined)))
        if any(handler.type and "NameError" in ast.unparse(handler.type) for handler in node.handlers):
            for name in set(self.names.needed) - known:  # the code handles the absence of the name
                del self.names.needed[name]
                self.names.optional.add(name)
        ends = [after]
        for handler in node.handlers:
            self.read([handler.type] if handler.type else [], defined)
            inside = set(defined) | ({handler.name} if handler.name else set())
            with self.conditional():
                end = self.run(handler.body, inside)
            if not _jumps(handler.body):
                ends.append(end)
        return set.intersection(*ends) | self.run(node.finalbody, set(defined))

    def bind(self, nodes: Sequence[ast.AST], defined: set[str]) -> set[str]:
        """Return `defined` with the names that nodes bind for certain. Those that ``:=`` binds, `read` has added."""
        self.possibly_bound |= set(bound_names(nodes))
        scope = list(same_scope(nodes))
        walrus_targets = {id(node.target) for node in scope if isinstance(node, ast.NamedExpr)}
        return defined.union(*(bindings(node) for node in scope if id(node) not in walrus_targets))

    def load(self, name: str, line: int, defined: set[str]) -> None:
        if name in defined:
            return
        if name in self.possibly_bound or name in self._maybe_bound_earlier:
            self.names.optional.add(name)
        else:
            self.names.needed.setdefault(name, line)

    def read(self, nodes: Iterable[ast.AST], defined: set[str]) -> None:
        """Record the names that are read in expressions and statements; add those that ``:=`` binds to `defined`."""
        for node in nodes:
            if isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Store):
                    self.load(node.id, node.lineno, defined)
            elif isinstance(node, _NEW_SCOPE):
                self.scope(node, defined)
            elif isinstance(node, COMPREHENSIONS):
                inner = set(defined)
                for generator in node.generators:
                    self.read([generator.iter], inner)
                    inner |= set(bound_names([generator.target]))
                    self.read(generator.ifs, inner)
                self.read([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt], inner)
                defined |= set(bound_names([node]))
            elif isinstance(node, ast.NamedExpr):
                self.read([node.value], defined)
                defined.add(node.target.id)
            elif isinstance(node, (ast.BoolOp, ast.IfExp)):
                self.conditional_expression(node, defined)
            else:
                self.read(ast.iter_child_nodes(node), defined)

    def conditional_expression(self, node: ast.BoolOp | ast.IfExp, defined: set[str]) -> None:
        """Follow ``and``, ``or`` and ``if`` in an expression, whose operands are evaluated only in part."""
        branches: list[tuple[Sequence[ast.expr], set[str]]]
        if isinstance(node, ast.IfExp):
            self.read([node.test], defined)
            branches = [([node.body], defined | _bound_if_true(node.test)), ([node.orelse], set(defined))]
        else:
            self.read(node.values[:1], defined)
            branches = [(node.values[1:], set(defined)), ([], set(defined))]
        with self.conditional():
            for operands, names in branches:
                self.read(operands, names)
        ends = [names for _, names in branches]
        self.possibly_bound |= set.union(*ends)
        defined |= set.intersection(*ends)

    def scope(self, node: ast.AST, defined: set[str]) -> None:
        """Follow a function or class. The body of a class runs at once, that of a function when it is called."""
        if isinstance(node, ast.ClassDef):
            self.read([*node.decorator_list, *node.bases, *(k.value for k in node.keywords)], defined)
            inner = _FlowAnalysis(self._evaluates_annotations, is_class_body=True)
            inner._in_function = self._in_function
            inner.run(node.body, set())
            bound = set(bound_names(node.body))
            for name, line in inner.names.needed.items():
                self.load(name, line, defined)
                if name in bound and self._in_function:
                    self.class_reads.add(name)
            self.names.optional |= inner.names.optional - defined
            self.declared_globals |= inner.declared_globals
            self._add_class_reads(inner, defined)
            self._defer(inner.deferred, {node.name}, defined)
            return
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        arguments = node.args
        self.read([*getattr(node, "decorator_list", []), *arguments.defaults], defined)
        self.read([default for default in arguments.kw_defaults if default], defined)
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += [a for a in (arguments.vararg, arguments.kwarg) if a]
        annotations = [a.annotation for a in parameters] + [getattr(node, "returns", None)]
        for annotation in filter(None, annotations if self._evaluates_annotations else []):
            # Deferred, because Python 3.14 evaluates annotations only on access.
            read = {n.id: n.lineno for n in ast.walk(annotation) if isinstance(n, ast.Name)}
            self._defer(read, set(), defined)
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        declared_globals = {n for g in same_scope(body) if isinstance(g, ast.Global) for n in g.names}
        local_names = {argument.arg for argument in parameters} | (set(bound_names(body)) - declared_globals)
        inner = _FlowAnalysis(self._evaluates_annotations)
        inner._in_function = True
        self.declared_globals |= declared_globals & set(bound_names(body))
        if isinstance(node, ast.Lambda):
            inner.read([node.body], local_names)
        else:
            inner.run(node.body, local_names)
        self.declared_globals |= inner.declared_globals
        self._add_class_reads(inner, defined)
        # The body runs after the name of the function is bound.
        visible = {"__class__"} if self._is_class_body else {*defined, getattr(node, "name", "")}
        self._defer({**inner.names.needed, **inner.deferred}, local_names, visible)

    def _add_class_reads(self, inner: _FlowAnalysis, defined: set[str]) -> None:
        """Adopt the `class_reads` of an inner scope; at module level, without the names that are already bound."""
        at_module_level = not self._in_function and not self._is_class_body
        self.class_reads |= inner.class_reads - defined if at_module_level else inner.class_reads

    def _defer(self, names: dict[str, int], local_names: set[str], defined: set[str]) -> None:
        for name, line in names.items():
            if name not in local_names and name not in defined:
                self.deferred.setdefault(name, line)


def _bound_if_true(test: ast.expr) -> set[str]:
    """Return names that a condition has bound by ``:=`` if it is true, of those that it does not always bind."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return set().union(*map(_bound_if_true, test.values))
    conditional = any(isinstance(node, (ast.BoolOp, ast.IfExp)) for node in ast.walk(test))
    return set() if conditional else set(bound_names([test]))


def _jumps(body: Sequence[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
