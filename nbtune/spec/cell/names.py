"""Which names a piece of code takes from outside, and which it binds.

A notebook cell and its notebook share one namespace, so a name in the cell may be its own or the
notebook's. Only what the cell really takes from the notebook should travel to the cluster: a
`model` that the cell makes anew must not drag the notebook's old `model` along.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Names", "bound_names", "names_of"]

_NEW_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Names:
    """The names that code takes from outside.

    Attributes:
        needed: name -> first line, of names that are read before the code binds them itself.
        maybe: names that are perhaps read before they are bound: bound in one branch only, or read
            in a function that may be called before the name is bound.
        star: whether a ``from module import *`` makes names appear that cannot be known.
    """

    needed: dict[str, int] = field(default_factory=dict)
    maybe: set[str] = field(default_factory=set)
    star: bool = False


def bound_names(body: Iterable[ast.AST]) -> list[str]:
    """Return the names that statements bind in their own scope, sorted."""
    found: set[str] = set()
    for node in _same_scope(body):
        found.update(_binds(node))
    return sorted(found)


def names_of(body: Sequence[ast.stmt], bound: Iterable[str] = ()) -> Names:
    """Return what `body` takes from outside, given that the names `bound` are there already."""
    flow = _Flow(not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in body))
    defined = flow.run(body, set(bound))
    for name in flow.declared & set(flow.names.needed):  # a function may have bound it by then
        del flow.names.needed[name]
        flow.names.maybe.add(name)
    for name, line in flow.later.items():
        if name in defined or name in flow.possible or name in flow.declared:
            flow.names.maybe.add(name)
        else:
            flow.names.needed.setdefault(name, line)
    flow.names.maybe |= flow.beyond
    flow.names.maybe -= set(flow.names.needed) | set(bound)
    return flow.names


def _binds(node: ast.AST) -> Iterator[str]:
    """Yield the names that this one node binds in the scope where it stands."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            if alias.name != "*":
                yield alias.asname or alias.name.split(".")[0]
    elif (isinstance(node, ast.ExceptHandler) and node.name) or (
        isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name
    ):
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _same_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that belong to the scope of `nodes`: not what is inside functions and classes."""
    for node in nodes:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner: list[ast.AST] = [*node.decorator_list]
            if isinstance(node, ast.ClassDef):
                inner += [*node.bases, *(keyword.value for keyword in node.keywords)]
            else:
                inner += [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            yield from _same_scope(inner)
        elif isinstance(node, ast.Lambda):
            yield from _same_scope([*node.args.defaults, *(d for d in node.args.kw_defaults if d)])
        elif isinstance(node, _COMPREHENSIONS):
            # Its loop variables are its own, but `:=` inside binds outside.
            yield from (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            yield from (n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        else:
            yield from _same_scope(ast.iter_child_nodes(node))


class _Flow:
    """Follows statements in their order and notes what is read before it is bound.

    Args:
        annotated: whether annotations are evaluated: not after ``from __future__ import annotations``.
        of_class: whether they are a class's body: its functions do not see its names, and it
            evaluates the annotations of its names.
    """

    def __init__(self, annotated: bool, of_class: bool = False) -> None:
        self._annotated, self._of_class = annotated, of_class
        # Read by classes in functions that bind them too: Python looks for them among the globals at once.
        self.beyond: set[str] = set()
        self._in_function = False
        self.names = Names()
        self.possible: set[str] = set()  # bound on some path
        self.later: dict[str, int] = {}  # read inside functions, which run later
        self.declared: set[str] = set()  # bound as globals inside functions
        self._coming: set[str] = set()  # bound somewhere in the loops around
        self._excused: set[str] = set()  # those of them that may be bound by now, in an earlier round

    def run(self, body: Sequence[ast.stmt], defined: set[str]) -> set[str]:
        for statement in body:
            defined = self.statement(statement, defined)
        return defined

    def branches(self, bodies: Sequence[Sequence[ast.stmt]], defined: set[str]) -> set[str]:
        """Run alternatives; what all of them bind is bound afterwards, unless they end in a jump."""
        ends = []
        for body in bodies:
            with self.perhaps():
                end = self.run(body, set(defined))
            if not (body and _leaves(body)):
                ends.append(end)
        return set.intersection(*ends) if ends else defined

    @contextmanager
    def perhaps(self, repeated: Sequence[ast.stmt] = ()) -> Iterator[None]:
        """Inside is what may not run in the first round of the loops around; itself a loop if `repeated`."""
        before = self._excused, self._coming
        self._excused = self._excused | self._coming
        self._coming = self._coming | set(bound_names(repeated))
        yield
        self._excused, self._coming = before

    def statement(self, node: ast.stmt, defined: set[str]) -> set[str]:
        if isinstance(node, ast.If):
            self.read([node.test], defined)
            defined = self.bind([node.test], defined)
            return self.branches([node.body, node.orelse], defined)
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self.read([node.iter, node.target], defined)
            inside = self.bind([node.target], set(defined))
            with self.perhaps(node.body):
                self.run(node.body, inside)
            self.run(node.orelse, set(defined))
            return defined  # the loop may not run at all
        if isinstance(node, ast.While):
            self.read([node.test], defined)
            defined = self.bind([node.test], defined)
            with self.perhaps(node.body):
                self.run(node.body, set(defined))
            self.run(node.orelse, set(defined))
            return defined
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.read([item], defined)
                defined = self.bind([item], defined)
            return self.run(node.body, defined)
        if isinstance(node, (ast.Try, ast.TryStar)):
            return self.attempt(node, defined)
        if isinstance(node, ast.Match):
            self.read([node.subject], defined)
            for case in node.cases:
                self.read([case.pattern], defined)
                inside = self.bind([case.pattern], set(defined))
                with self.perhaps():
                    self.read([case.guard] if case.guard else [], inside)
                    self.run(case.body, inside)
            return defined
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            self.names.star = True
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.load(node.target.id, node.lineno, defined)
        if isinstance(node, ast.AnnAssign):  # an annotation alone is dropped from a body
            self.read([node.annotation] if self._of_class and self._annotated else [], defined)
            self.read([node.value, node.target] if node.value else [], defined)
            return self.bind([node.target] if node.value else [], defined)
        # An assignment's value comes before its targets.
        self.read([node.value, *node.targets] if isinstance(node, ast.Assign) else [node], defined)
        return self.bind([node], defined)

    def attempt(self, node: ast.Try | ast.TryStar, defined: set[str]) -> set[str]:
        """Follow a `try` statement."""
        known = set(self.names.needed)
        after = self.run(node.orelse, self.run(node.body, set(defined)))
        if any(handler.type and "NameError" in ast.unparse(handler.type) for handler in node.handlers):
            for name in set(self.names.needed) - known:  # the code knows what to do without
                del self.names.needed[name]
                self.names.maybe.add(name)
        ends = [after]
        for handler in node.handlers:
            self.read([handler.type] if handler.type else [], defined)
            inside = set(defined) | ({handler.name} if handler.name else set())
            with self.perhaps():
                end = self.run(handler.body, inside)
            if not _leaves(handler.body):
                ends.append(end)
        return set.intersection(*ends) | self.run(node.finalbody, set(defined))

    def bind(self, nodes: Sequence[ast.AST], defined: set[str]) -> set[str]:
        names = set(bound_names(nodes))
        self.possible |= names
        return defined | names

    def load(self, name: str, line: int, defined: set[str]) -> None:
        if name in defined:
            return
        if name in self.possible or name in self._excused:
            self.names.maybe.add(name)
        else:
            self.names.needed.setdefault(name, line)

    def read(self, nodes: Iterable[ast.AST], defined: set[str]) -> None:
        """Note every name that is read in expressions and simple statements.

        What ``:=`` binds is added to `defined`.
        """
        for node in nodes:
            if isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Store):
                    self.load(node.id, node.lineno, defined)
            elif isinstance(node, _NEW_SCOPE):
                self.nested(node, defined)
            elif isinstance(node, _COMPREHENSIONS):
                own = set(defined)
                for generator in node.generators:
                    self.read([generator.iter], own)
                    own |= set(bound_names([generator.target]))
                    self.read(generator.ifs, own)
                rest = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                self.read(rest, own)
                defined |= set(bound_names([node]))
            elif isinstance(node, ast.NamedExpr):
                self.read([node.value], defined)
                defined.add(node.target.id)
            elif isinstance(node, (ast.BoolOp, ast.IfExp)):
                first, *rest = [node.test, node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
                self.read([first], defined)
                with self.perhaps():
                    self.read(rest, defined)
            else:
                self.read(ast.iter_child_nodes(node), defined)

    def nested(self, node: ast.AST, defined: set[str]) -> None:
        """Read a function or class: its head now, a function's body later, a class's body now."""
        if isinstance(node, ast.ClassDef):
            self.read([*node.decorator_list, *node.bases, *(k.value for k in node.keywords)], defined)
            inner = _Flow(self._annotated, of_class=True)
            inner._in_function = self._in_function
            inner.run(node.body, set())
            own = set(bound_names(node.body))
            for name, line in inner.names.needed.items():
                self.load(name, line, defined)
                if name in own and self._in_function:
                    self.beyond.add(name)
            self.names.maybe |= inner.names.maybe - defined
            self.declared |= inner.declared
            self._beyond(inner, defined)
            self._later(inner.later, {node.name}, defined)
            return
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        arguments = node.args
        self.read([*getattr(node, "decorator_list", []), *arguments.defaults], defined)
        self.read([default for default in arguments.kw_defaults if default], defined)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        annotations = [a.annotation for a in every] + [getattr(node, "returns", None)]
        for annotation in filter(None, annotations if self._annotated else []):
            # Later, since newer Pythons do not evaluate them before they are asked for.
            read = {n.id: n.lineno for n in ast.walk(annotation) if isinstance(n, ast.Name)}
            self._later(read, set(), defined)
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        declared = {n for g in _same_scope(body) if isinstance(g, ast.Global) for n in g.names}
        own = {argument.arg for argument in every} | (set(bound_names(body)) - declared)
        inner = _Flow(self._annotated)
        inner._in_function = True
        self.declared |= declared & set(bound_names(body))
        if isinstance(node, ast.Lambda):
            inner.read([node.body], own)
        else:
            inner.run(node.body, own)
        self.declared |= inner.declared
        self._beyond(inner, defined)
        # It runs once its own name is bound.
        seen = {"__class__"} if self._of_class else {*defined, getattr(node, "name", "")}
        self._later({**inner.names.needed, **inner.later}, own, seen)

    def _beyond(self, inner: _Flow, defined: set[str]) -> None:
        """Take over what classes in functions read among the globals, but for those that are bound by now."""
        globals_here = not self._in_function and not self._of_class
        self.beyond |= inner.beyond - defined if globals_here else inner.beyond

    def _later(self, names: dict[str, int], own: set[str], defined: set[str]) -> None:
        for name, line in names.items():
            if name not in own and name not in defined:
                self.later.setdefault(name, line)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
