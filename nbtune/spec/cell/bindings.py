"""The names that code binds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = ["COMPREHENSIONS", "bindings", "bound_names", "same_scope"]

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def bound_names(body: Iterable[ast.AST]) -> list[str]:
    """Return the names that statements bind in their own scope, sorted.

    Args:
        body: the statements. Names that functions and classes in them bind are not included.
    """
    names: set[str] = set()
    for node in same_scope(body):
        names.update(bindings(node))
    return sorted(names)


def bindings(node: ast.AST) -> Iterator[str]:
    """Yield the names that a single node binds in its scope.

    Args:
        node: the node; its child nodes are not visited.
    """
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


def same_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes in the scope of statements or expressions, without the bodies of functions and classes.

    Args:
        nodes: the statements or expressions.
    """
    for node in nodes:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner: list[ast.AST] = [*node.decorator_list]
            if isinstance(node, ast.ClassDef):
                inner += [*node.bases, *(keyword.value for keyword in node.keywords)]
            else:
                inner += [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            yield from same_scope(inner)
        elif isinstance(node, ast.Lambda):
            yield from same_scope([*node.args.defaults, *(d for d in node.args.kw_defaults if d)])
        elif isinstance(node, COMPREHENSIONS):
            # Loop variables are local to a comprehension, but `:=` binds in the enclosing scope.
            yield from (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            yield from (n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        else:
            yield from same_scope(ast.iter_child_nodes(node))
