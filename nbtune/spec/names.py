"""Which names a piece of code takes from outside, and which it binds.

A notebook cell and its notebook share one namespace, so a name in the cell may be its own or the
notebook's. Only what the cell really takes from the notebook should travel to the cluster: a
`model` that the cell makes anew must not drag the notebook's old `model` along.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
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
    flow = _Flow()
    defined = flow.run(body, set(bound))
    for name, line in flow.later.items():
        if name in defined or name in flow.possible:
            flow.names.maybe.add(name)
        else:
            flow.names.needed.setdefault(name, line)
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
    """Follows statements in their order and notes what is read before it is bound."""

    def __init__(self) -> None:
        self.names = Names()
        self.possible: set[str] = set()  # bound on some path
        self.later: dict[str, int] = {}  # read inside functions, which run later

    def run(self, body: Sequence[ast.stmt], defined: set[str]) -> set[str]:
        for statement in body:
            defined = self.statement(statement, defined)
        return defined

    def branches(self, bodies: Sequence[Sequence[ast.stmt]], defined: set[str]) -> set[str]:
        """Run alternatives; what all of them bind is bound afterwards."""
        return set.intersection(*(self.run(body, set(defined)) for body in bodies))

    def statement(self, node: ast.stmt, defined: set[str]) -> set[str]:
        if isinstance(node, ast.If):
            self.read([node.test], defined)
            defined = self.bind([node.test], defined)
            return self.branches([node.body, node.orelse], defined)
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self.read([node.iter], defined)
            inside = self.bind([node.target], set(defined))
            self.run(node.body, inside)
            self.run(node.orelse, set(defined))
            return defined  # the loop may not run at all
        if isinstance(node, ast.While):
            self.read([node.test], defined)
            self.run(node.body, self.bind([node.test], set(defined)))
            self.run(node.orelse, set(defined))
            return defined
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.read([item.context_expr], defined)
                defined = self.bind([item], defined)
            return self.run(node.body, defined)
        if isinstance(node, (ast.Try, ast.TryStar)):
            after = self.run(node.orelse, self.run(node.body, set(defined)))
            ends = [after]
            for handler in node.handlers:
                self.read([handler.type] if handler.type else [], defined)
                inside = set(defined) | ({handler.name} if handler.name else set())
                if not _leaves(handler.body):
                    ends.append(self.run(handler.body, inside))
                else:
                    self.run(handler.body, inside)
            return set.intersection(*ends) | self.run(node.finalbody, set(defined))
        if isinstance(node, ast.Match):
            self.read([node.subject], defined)
            for case in node.cases:
                inside = self.bind([case.pattern], set(defined))
                self.read([case.guard] if case.guard else [], inside)
                self.run(case.body, inside)
            return defined
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            self.names.star = True
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.load(node.target.id, node.lineno, defined)
        if isinstance(node, ast.AnnAssign):  # an annotation alone is dropped from a body
            self.read([node.value, node.target] if node.value else [], defined)
            return self.bind([node.target] if node.value else [], defined)
        self.read([node], defined)
        return self.bind([node], defined)

    def bind(self, nodes: Sequence[ast.AST], defined: set[str]) -> set[str]:
        names = set(bound_names(nodes))
        self.possible |= names
        return defined | names

    def load(self, name: str, line: int, defined: set[str]) -> None:
        if name in defined:
            return
        if name in self.possible:
            self.names.maybe.add(name)
        else:
            self.names.needed.setdefault(name, line)

    def read(self, nodes: Iterable[ast.AST], defined: set[str]) -> None:
        """Note every name that is read in expressions and simple statements."""
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
            else:
                self.read(ast.iter_child_nodes(node), defined)

    def nested(self, node: ast.AST, defined: set[str]) -> None:
        """Read a function or class: its head now, a function's body later, a class's body now."""
        if isinstance(node, ast.ClassDef):
            self.read([*node.decorator_list, *node.bases, *(k.value for k in node.keywords)], defined)
            inner = _Flow()
            inner.run(node.body, set())
            for name, line in inner.names.needed.items():
                self.load(name, line, defined)
            self._later({**dict.fromkeys(inner.names.maybe, node.lineno), **inner.later}, set(), defined)
            return
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        arguments = node.args
        self.read([*getattr(node, "decorator_list", []), *arguments.defaults], defined)
        self.read([default for default in arguments.kw_defaults if default], defined)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        declared = {n for g in _same_scope(body) if isinstance(g, ast.Global) for n in g.names}
        own = {argument.arg for argument in every} | (set(bound_names(body)) - declared)
        inner = _Flow()
        if isinstance(node, ast.Lambda):
            inner.read([node.body], own)
        else:
            inner.run(node.body, own)
        self._later({**inner.names.needed, **inner.later}, own, defined)

    def _later(self, names: dict[str, int], own: set[str], defined: set[str]) -> None:
        for name, line in names.items():
            if name not in own and name not in defined:
                self.later.setdefault(name, line)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
