"""The cell language: from the text of a notebook cell to its search space and its executable body.

`nbtune.spec.cell.declared` extracts the parameters and constraints; the remaining statements are the body. The cell is
parsed with `ast` alone.
"""

from __future__ import annotations
import __future__

import ast
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.bad_input import NESTED, invalid_characters, shortened
from nbtune.errors import Problem
from nbtune.spec.cell.bindings import bound_names
from nbtune.spec.cell.declared import extract_space
from nbtune.spec.cell.names import FreeNames, free_names
from nbtune.spec.cell.reports import Reports, find_reports
from nbtune.spec.space.domain import SPACE_FUNCTIONS
from nbtune.spec.space.space import Space, top_level

__all__ = ["HELPERS", "Cell", "parse_cell"]

HELPERS = ("report", "get_checkpoint", "get_context", "get_dataset_shard", "require", *SPACE_FUNCTIONS)
"""The names that nbtune defines in a trial."""


@dataclass(frozen=True)
class Cell:
    """A parsed cell.

    Attributes:
        source: the whole text with the magic line, so that line numbers match the notebook's.
        filename: the file name of its code; tracebacks find the source under this name.
        space: the parameters and constraints that the cell declares, merged with `extra_space`.
        body: the other statements.
        code: the code of a function without arguments that runs the body. Names that the body binds at top level are
            globals, and a top-level `return` returns from the function.
        is_async: whether the body awaits at top level, so that the function returns a coroutine.
        names: the names that the body reads from the notebook.
        imports: the top-level packages that the body imports.
        reports: the metrics that the body reports, as far as its source shows.
    """

    source: str
    filename: str
    space: Space
    body: Sequence[ast.stmt]
    code: types.CodeType
    is_async: bool
    names: FreeNames
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
    """Parse a cell.

    Args:
        source: the cell without its magic line.
        namespace: the notebook's variables, which declarations may use.
        filename: the file name for its code.
        magic: the magic line; it is line 1 in the line numbers of problems.
        extra_space: a space in addition to the cell's, or None. Its domains and defaults override the cell's.

    Returns:
        The cell, or None if it is not valid Python, and every problem found. IPython's magics and shell commands are
        reported as problems and replaced by `pass`.
    """
    tree, problems = _parse(source, filename)
    if tree is None:
        return None, problems
    ast.increment_lineno(tree, 1)  # line 1 is the magic line
    space, body, space_problems = extract_space(tree.body, namespace, extra_space or Space())
    problems += space_problems
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
    names = free_names(body, {top_level(name) for name in space.names})
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    # It may bind any name.
    names.star_import |= any(isinstance(function, ast.Name) and function.id == "exec" for function in calls)
    reports = find_reports(body, returns=True)
    try:
        code, is_async = _compile(body, filename)
    except SyntaxError as error:  # only the compiler reports `break` outside of a loop, for instance
        return None, [*problems, Problem(f"invalid syntax: {error.msg}", error.lineno, "syntax")]
    except RecursionError:
        return None, [*problems, Problem(f"the code is {NESTED}", code="syntax")]
    return Cell(f"{magic}\n{source}", filename, space, body, code, is_async, names, imports, reports), problems


def _parse(source: str, filename: str) -> tuple[ast.Module | None, list[Problem]]:
    """Parse, and report magics and shell commands in place of the syntax errors that they cause."""
    problems: list[Problem] = []
    if (invalid := invalid_characters(source)) is not None:
        return None, [Problem(f"the cell {invalid[0]}", invalid[1] + 1, "syntax")]
    lines = source.split("\n")
    while True:
        try:
            tree = ast.parse("\n".join(lines), filename)
            return tree, problems
        except (RecursionError, MemoryError):  # Python's parser raises the latter for a stack that is too small
            return None, [*problems, Problem(f"the code is {NESTED}", _nested_line(lines), "syntax")]
        except SyntaxError as error:
            number = error.lineno or 1
            line = lines[number - 1] if number <= len(lines) else ""
            kind = _not_python(line)
            if not kind:
                text = f"{error.msg}: {shortened(line.strip(), 200)}" if line.strip() else error.msg
                return None, [*problems, Problem(f"invalid syntax: {text}", number + 1, "syntax")]
            problems.append(
                Problem(
                    f"{kind} ({line.strip()}) cannot run in a trial, which has no IPython and may run on another"
                    " machine; move it to another cell, or use Python (subprocess, os)",
                    number + 1,
                )
            )
            lines[number - 1] = line[: len(line) - len(line.lstrip())] + "pass"


def _nested_line(lines: list[str]) -> int | None:
    """Return the number of the first line that cannot be parsed by itself for its depth; None if there is none."""
    for number, line in enumerate(lines, 2):
        try:
            ast.parse(line.strip())
        except (RecursionError, MemoryError):
            return number
        except (SyntaxError, ValueError):
            continue
    return None


def _not_python(line: str) -> str | None:
    """Return the kind of IPython syntax on a line that is not valid Python, or None."""
    for part in (line.strip(), line.partition("=")[2].strip()):
        if part.startswith("!"):
            return "a shell command"
        if part.startswith("%"):
            return "a magic"
    return "help" if line.strip().endswith("?") or line.strip().startswith("?") else None


class _AsFunctionBody(ast.NodeTransformer):
    """Transforms top-level statements for a function in which all names are declared global."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            return node
        if node.value is None:  # an annotation without a value binds nothing
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if not any(alias.name == "*" for alias in node.names):
            return node
        # Star imports are allowed at module level only, and `exec` runs code at module level.
        statement = ast.parse(f"exec({ast.unparse(node)!r}, globals())").body[0]
        for inner in ast.walk(statement):
            ast.copy_location(inner, node)
        return statement

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Let functions that use the local variables of their caller use the globals, as at the top level of a cell."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.keywords:
            return node
        here = ast.copy_location(ast.Name("globals", ast.Load()), node)
        if node.func.id in ("locals", "vars") and not node.args:
            node.func = here
        elif node.func.id in ("eval", "exec") and len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
            node.args.append(ast.copy_location(ast.Call(here, [], []), node))
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)  # all names are global already

    def _skip(self, node: ast.AST) -> ast.AST:
        return node  # do not transform nested scopes

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _skip


def _compile(body: list[ast.stmt], filename: str) -> tuple[types.CodeType, bool]:
    """Compile `body` to a function that binds names in its globals, as a module does, and may `return` and await."""
    first = body[0].lineno if body else 1
    flags = 0
    while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
        # Future imports are allowed at the top of a module only.
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
    template.name = "<module>"  # the name of a cell's top level in tracebacks
    template.body = statements
    module = ast.fix_missing_locations(ast.Module([template], []))
    code = compile(module, filename, "exec", flags=flags, dont_inherit=True)
    return next(const for const in code.co_consts if isinstance(const, types.CodeType)), is_async


def _awaits(body: list[ast.stmt]) -> bool:
    """Tell whether the statements await at top level, which IPython allows in a cell."""
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
