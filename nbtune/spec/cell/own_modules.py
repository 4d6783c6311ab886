"""What code uses of the user's own modules, and which modules that imports in turn. Nothing is imported or executed."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import types
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path as File
from typing import Any, TypeAlias

from nbtune.spec.cell.origin import is_user_module

__all__ = ["EXECUTED", "IMPORTING", "OwnModules", "Path"]

IMPORTING = ("import_module", "__import__")
"""Functions that import the module whose name is their first argument."""

Path: TypeAlias = tuple[str, ...]
"""Attributes, one of the other: ("sub", "f") of `module.sub.f`. Empty, or ("*",), for the module as a whole."""
EXECUTED: Path = ("",)
"""Nothing of a module is used, but it is executed."""
_DYNAMIC = {"globals", "locals", "vars", "eval", "exec"}
"""Functions that find names which the source does not show."""
_Imported: TypeAlias = tuple[str, str | None]
"""A module, and the name of it that an import statement binds: "" for the module itself, None for nothing."""


class OwnModules:
    """Collects the modules that code needs, with those that the user's own modules import.

    Of an own module, what is used is a name that it binds at its top level: a function needs what it mentions, and so
    on. Statements there that bind nothing are always executed, and may call what they mention, as may a decorator of
    the user's own. Where the use cannot be seen, as with `globals()`, the whole module counts.

    Attributes:
        imported: the names of all modules so far, with dots.
        names: the names and attributes that the own modules mention in what is used of them.
    """

    def __init__(self) -> None:
        self.imported, self.names = set[str](), set[str]()
        self._used = set[tuple[str, Path]]()
        self._is_own = cache(is_user_module)
        self._tops: dict[str, _Top | None] = {}

    def has(self, value: Any) -> bool:
        """Tell whether a value is one of the user's own modules.

        Args:
            value: any value.
        """
        return isinstance(value, types.ModuleType) and self._is_own(value.__name__)

    def use_object(self, module: Any, qualname: str) -> bool:
        """Note a function or class that is used; return whether its module is searched.

        Args:
            module: the name of the module that defines it.
            qualname: its qualified name.
        """
        if not module:
            return False
        self.use(str(module), (qualname.partition(".")[0],))
        return self._is_own(str(module)) and self._top(str(module)) is not None

    def use(self, module: str, *paths: Path) -> None:
        """Note that a module is imported, and what is used of it.

        Args:
            module: its name.
            paths: what is used; nothing for the whole module.
        """
        pending = [(module, path) for path in paths or [()]]
        while pending:
            use = pending.pop()
            if use not in self._used:
                self._used.add(use)
                pending += self._needs(*use)

    def use_all_names(self, module: str, paths: Iterable[Path]) -> None:
        """Note that all names of a module are imported, and which names are used.

        Args:
            module: its name.
            paths: the names that the importing code mentions, of this module or not, with their attributes.
        """
        top = self._top(module) if self._is_own(module) else None
        if top is None or top.stars:
            self.use(module)
        else:
            self.use(module, EXECUTED, *(path for path in paths if path[0] in top.imports or path[0] in top.statements))

    def _needs(self, module: str, path: Path) -> Iterator[tuple[str, Path]]:
        """Yield what a use of a module needs of other modules."""
        self.imported.add(module)
        if path and path[0] not in ("", "*"):
            self.imported.add(f"{module}.{path[0]}")  # perhaps a module of that package
        top = self._top(module) if self._is_own(module) else None
        if top is None:
            if path and path[0] not in ("", "*") and self._is_own(module):  # a folder without __init__.py
                yield f"{module}.{path[0]}", path[1:]
            return
        if "." in module:
            yield module.rpartition(".")[0], EXECUTED
        if not path or path[0] == "*":
            yield from top.mentions(top.all)
            return
        yield from top.mentions(top.always)
        first, rest = path[0], path[1:]
        if path == EXECUTED:
            return
        imports = [one for one in top.imports.get(first, ()) if one != (module, first)]  # from . import first
        yield from (_through(one, rest) for one in imports)
        yield from top.mentions(top.statements.get(first, ()))
        if imports or first in top.statements:
            return
        if self._file(f"{module}.{first}") is not None:
            yield f"{module}.{first}", rest
        elif top.stars:
            yield from ((source, path) for source in top.stars)
        else:  # it is made in a way that the source does not show
            yield from top.mentions(top.all)

    def _top(self, module: str) -> _Top | None:
        if module not in self._tops:
            file = self._file(module)
            self._tops[module] = None if file is None else _read(file, module, self.names)
        return self._tops[module]

    @cache  # noqa: B019 - the object lives as long as its only caller
    def _file(self, module: str) -> File | None:
        """Return the file of one of the user's modules; None if there is none."""
        top, *rest = module.split(".")
        spec = importlib.util.find_spec(top)
        if spec is None:
            return None
        if not rest:
            return File(spec.origin) if spec.origin else None  # None for a folder without __init__.py
        inner = [File(folder).joinpath(*rest) for folder in spec.submodule_search_locations or ()]
        candidates = [file for one in inner for file in (one.with_name(f"{one.name}.py"), one / "__init__.py")]
        return next((one for one in candidates if one.is_file()), None)


@dataclass
class _Top:
    """The top level of a module.

    Attributes:
        package: the parts of the name of its package.
        imports: name -> what its import statements bind to it.
        statements: name -> the other statements that bind it.
        stars: the modules of which it imports all names.
        always: the statements that bind nothing, and definitions that decorators of this package may keep.
        all: all statements.
        seen: the statements whose uses were yielded.
        mentioned: receives the names and attributes in them.
    """

    package: list[str]
    mentioned: set[str]
    imports: dict[str, list[_Imported]] = field(default_factory=lambda: defaultdict(list))
    statements: dict[str, list[ast.stmt]] = field(default_factory=lambda: defaultdict(list))
    stars: list[str] = field(default_factory=list)
    always: list[ast.stmt] = field(default_factory=list)
    all: list[ast.stmt] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def mentions(self, statements: Iterable[ast.stmt]) -> Iterator[tuple[str, Path]]:
        """Yield what statements use of modules, also by the names of this module that they mention; of each only once.

        Args:
            statements: statements of the top level.
        """
        pending = list(statements)
        while pending:
            statement = pending.pop()
            if id(statement) in self.seen:
                continue
            self.seen.add(id(statement))
            inner, names, by_name = _contents(statement, self.package)
            unused = set(inner)
            for name, path in names:
                unused.discard(name)
                self.mentioned.update((name, *path))
                if name in _DYNAMIC:
                    pending += self.all
                if name in inner:
                    yield from (_through(one, path) for one in inner[name])
                elif name in self.imports or name in self.statements:
                    yield from (_through(one, path) for one in self.imports.get(name, ()))
                    pending += self.statements.get(name, ())
                elif not hasattr(builtins, name):
                    yield from ((source, (name, *path)) for source in self.stars)
            yield from (_through(one, ()) for alias in unused for one in inner[alias])
            yield from ((name, ()) for name in by_name)


def _through(imported: _Imported, path: Path) -> tuple[str, Path]:
    """Return the use of a module, given what is imported and the attributes that are taken of it."""
    module, name = imported
    if name is None:
        return module, EXECUTED
    return module, (name, *path) if name else path


def _read(file: File, module: str, mentioned: set[str]) -> _Top | None:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # it cannot be imported in a trial either, or is no source
        return None
    top = _Top(module.split(".") if file.name == "__init__.py" else module.split(".")[:-1], mentioned)
    for statement in tree.body:
        if _is_main(statement):
            continue
        top.all.append(statement)
        bound = [one for node in _own_scope(statement) for one in _bound_by(node, top.package)]
        for alias, imported in bound:
            if alias == "*":
                top.stars.append(imported[0])
            else:
                top.imports[alias].append(imported)
        names = set(_assigned(statement))
        for name in names:
            top.statements[name].append(statement)
        if not names and not bound:
            top.always.append(statement)
    top.always += [one for one in top.all if _may_be_kept(one, top)]
    return top


def _may_be_kept(statement: ast.stmt, top: _Top) -> bool:
    """Tell whether a definition has a decorator of the user's own, which may keep it in a table."""
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    functions = [one.func if isinstance(one, ast.Call) else one for one in statement.decorator_list]
    names = {name for function in functions for name, _ in _contents(function, [])[1]}
    sources = {source.partition(".")[0] for name in names for source, _ in top.imports.get(name, ())}
    return bool(names & top.statements.keys()) or any(map(is_user_module, sources))


def _is_main(statement: ast.stmt) -> bool:
    """Tell whether a statement is ``if __name__ == "__main__"``, which is not executed by an import."""
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _own_scope(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and what is inside of it, but not the bodies of functions and classes."""
    yield statement
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for child in ast.iter_child_nodes(statement):
            yield from _own_scope(child)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds in its scope, but by imports."""
    for node in _own_scope(statement):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _bound_by(node: ast.AST, package: list[str]) -> Iterator[tuple[str, _Imported]]:
    """Yield what an import statement binds: the variable, and what is imported."""
    if isinstance(node, ast.Import):
        for one in node.names:
            if one.asname:
                yield one.asname, (one.name, "")
                continue
            top = one.name.partition(".")[0]
            yield top, (top, "")
            if top != one.name:
                yield top, (one.name, None)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from ((one.asname or one.name, (module, one.name)) for one in node.names)


def _contents(
    statement: ast.AST, package: list[str]
) -> tuple[Mapping[str, list[_Imported]], set[tuple[str, Path]], list[str]]:
    """Return what code has inside: its import statements, the names that it mentions, and modules imported by name.

    Args:
        statement: the code.
        package: the parts of the name of its package.

    Returns:
        Variable -> what is imported to it; the names with the attributes that are taken of them; names of modules.
    """
    imports, names, by_name = defaultdict[str, list[_Imported]](list), set[tuple[str, Path]](), list[str]()
    pending: list[tuple[ast.AST, Path]] = [(statement, ())]
    while pending:
        node, path = pending.pop()
        if isinstance(node, ast.Attribute):
            pending.append((node.value, (node.attr, *path)))
        elif isinstance(node, ast.Name):
            names.add((node.id, path))
        else:
            pending += [(child, ()) for child in ast.iter_child_nodes(node)]
            for alias, imported in _bound_by(node, package):
                imports[alias].append(imported)
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                if called in IMPORTING and isinstance(node.args[0].value, str):
                    by_name.append(node.args[0].value)
    return imports, names, by_name
