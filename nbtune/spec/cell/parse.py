"""The cell language: a notebook cell as a search space and a body that runs as a cell does.

`nbtune.spec.cell.declared` takes the parameters and constraints out of it, everything else is the body.
The cell is parsed by `ast` alone.
"""

from __future__ import annotations
import __future__

import ast
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.errors import Problem
from nbtune.spec.cell.declared import extract_space
from nbtune.spec.cell.names import Names, bound_names, names_of
from nbtune.spec.cell.reports import Reports, reports_in
from nbtune.spec.space.domain import SPACE_FUNCTIONS
from nbtune.spec.space.space import Space, top_level

__all__ = ["HELPERS", "Cell", "parse_cell"]

HELPERS = ("report", "get_checkpoint", "get_context", "require", *SPACE_FUNCTIONS)
"""What is there in a trial without import."""


@dataclass(frozen=True)
class Cell:
    """A parsed cell.

    Attributes:
        source: the whole text, the magic line included, so that line numbers are the notebook's.
        filename: what its code calls its file; tracebacks find the source under this name.
        space: the parameters and constraints that it declares, and those of a space beside it.
        code: a function's code without arguments that runs the body; each name of the body's top
            level is a global, and a top-level `return` returns.
        is_async: whether the body awaits at top level, so that calling it gives a coroutine.
        names: what the body takes from the notebook.
        imports: the top-level packages that the body imports.
        reports: which metrics it reports, as far as its text shows.
    """

    source: str
    filename: str
    space: Space
    code: types.CodeType
    is_async: bool
    names: Names
    imports: frozenset[str]
    reports: Reports


def parse_cell(
    source: str,
    namespace: Mapping[str, Any],
    *,
    filename: str = "<cell>",
    magic: str = "%%tune",
    extra_space: Space | None = None,
) -> tuple[Cell | None, list[Problem]]:
    """Parse the text below the magic line.

    Args:
        source: the cell without its magic line.
        namespace: the notebook's variables; space expressions may use them.
        filename: the name for the code's file.
        magic: the magic line; the cell's lines are counted from it.
        extra_space: a space that is given beside the cell, or None.

    Returns:
        The cell, or None where it is no valid Python, and every problem that was found. A line that only a notebook
        takes is a problem, and is left out of the cell.
    """
    tree, problems = _parse(source, filename)
    if tree is None:
        return None, problems
    ast.increment_lineno(tree, 1)  # line 1 is the magic line
    space, body, found = extract_space(tree.body, namespace, extra_space or Space())
    problems += found
    problems += [
        Problem(
            "cannot be a parameter: nbtune defines this name in a trial; choose another",
            space[name].line,
            "conflict",
            parameter=name,
        )
        for name in space.names
        if name in HELPERS
    ]
    imports = frozenset(
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    )
    names = names_of(body, {top_level(name) for name in space.names})
    reports = reports_in(body, returns=True)
    try:
        code, is_async = _compile(body, filename)
    except SyntaxError as error:  # what the parser lets through: `break` outside a loop, for instance
        return None, [*problems, Problem(f"invalid syntax: {error.msg}", error.lineno, "syntax")]
    return Cell(f"{magic}\n{source}", filename, space, code, is_async, names, imports, reports), problems


def _parse(source: str, filename: str) -> tuple[ast.Module | None, list[Problem]]:
    """Parse, telling lines of shell or magic apart from mere syntax errors."""
    problems: list[Problem] = []
    lines = source.split("\n")
    while True:
        try:
            tree = ast.parse("\n".join(lines), filename)
            return tree, problems
        except SyntaxError as error:
            number = error.lineno or 1
            line = lines[number - 1] if number <= len(lines) else ""
            kind = _not_python(line)
            if not kind:
                text = f"{error.msg}: {line.strip()}" if line.strip() else error.msg
                return None, [*problems, Problem(f"invalid syntax: {text}", number + 1, "syntax")]
            problems.append(
                Problem(
                    f"{kind} ({line.strip()}) cannot run in a trial, which may be on another machine and has no"
                    " IPython; put it in a cell of its own, or use Python (subprocess, os)",
                    number + 1,
                )
            )
            lines[number - 1] = line[: len(line) - len(line.lstrip())] + "pass"


def _not_python(line: str) -> str | None:
    """Return what a line that Python does not take is in IPython: a shell command or a magic."""
    for part in (line.strip(), line.partition("=")[2].strip()):
        if part.startswith("!"):
            return "a shell command"
        if part.startswith("%"):
            return "a magic"
    return "help" if line.strip().endswith("?") or line.strip().startswith("?") else None


class _AsFunctionBody(ast.NodeTransformer):
    """Makes statements fit for a function whose names are all declared global."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            return node
        if node.value is None:  # an annotation alone binds nothing
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if not any(alias.name == "*" for alias in node.names):
            return node
        # Python allows a star import at module level only; `exec` is at module level.
        statement = ast.parse(f"exec({ast.unparse(node)!r}, globals())").body[0]
        for inner in ast.walk(statement):
            ast.copy_location(inner, node)
        return statement

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)  # they are global already

    def _leave(self, node: ast.AST) -> ast.AST:
        return node  # a scope of its own

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave


def _compile(body: list[ast.stmt], filename: str) -> tuple[types.CodeType, bool]:
    """Return the code of a function that runs `body` as a module would, but may `return`."""
    first = body[0].lineno if body else 1
    flags = 0
    while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
        # Python allows these at the top of a module only.
        for alias in body[0].names:
            flags |= getattr(getattr(__future__, alias.name, None), "compiler_flag", 0)
        body = body[1:]
    statements: list[ast.stmt] = [_AsFunctionBody().visit(node) for node in body] or [ast.Pass()]
    names = bound_names(statements)
    if names:
        place = {"lineno": first, "end_lineno": first, "col_offset": 0, "end_col_offset": 0}
        statements.insert(0, ast.Global(names, **place))
    is_async = _awaits(body)
    template = ast.parse(f"{'async ' if is_async else ''}def cell(): pass").body[0]
    assert isinstance(template, (ast.FunctionDef, ast.AsyncFunctionDef))
    template.name = "<module>"  # what a traceback calls the top level of a cell
    template.body = statements
    module = ast.fix_missing_locations(ast.Module([template], []))
    code = compile(module, filename, "exec", flags=flags, dont_inherit=True)
    return next(const for const in code.co_consts if isinstance(const, types.CodeType)), is_async


def _awaits(body: list[ast.stmt]) -> bool:
    """Tell whether the statements await in their own scope, as IPython lets a cell do."""
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if isinstance(node, ast.comprehension) and node.is_async:
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    return False
