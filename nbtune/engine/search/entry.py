"""What search algorithms and schedulers have in common as entries of the registry: names, packages, arguments."""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from nbtune.errors import did_you_mean

__all__ = ["Entry", "Package"]


@dataclass(frozen=True)
class Package:
    """A package that an algorithm needs.

    Attributes:
        name: its name on PyPI.
        module: the module that is imported.
        versions: the versions that work, as a version specifier; empty if all do.
        extra: the extra of nbtune that installs it; empty if nbtune requires it anyway.
        note: why not every version works, or what it needs, without a full stop.
        command: how it is installed if not by the extra alone.
    """

    name: str
    module: str
    versions: str = ""
    extra: str = ""
    note: str = ""
    command: str = ""

    @property
    def install(self) -> str:
        """The command that installs it."""
        if self.command:
            return self.command
        return f'pip install "nbtune[{self.extra}]"' if self.extra else f'pip install "{self.name}{self.versions}"'

    def problem(self) -> str | None:
        """Return why it cannot be used in this environment, or None if it can. It is not imported."""
        from packaging.specifiers import SpecifierSet

        try:
            installed = version(self.name)
        except PackageNotFoundError:
            reason = f"the package {self.name}, which is not installed"
        else:
            if SpecifierSet(self.versions).contains(installed, prereleases=True):
                return None
            reason = f"{self.name}{self.versions}, but {installed} is installed, which Ray Tune cannot use"
        note = f" ({self.note})" if self.note else ""
        return f"{reason}. Install it: {self.install}{note}"


class Entry(ABC):
    """A search algorithm or scheduler.

    Attributes:
        name: its short name.
        summary: what it is good for, in one sentence.
        packages: the packages that it needs.
        arguments: argument -> what it means, with its default.
        classes: the names of Ray Tune's classes whose objects are this algorithm.
        needs_metric: whether it compares trials.
        partner: the short name of the scheduler, or of the search algorithm, without which it does not work; or None.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    packages: ClassVar[tuple[Package, ...]] = ()
    arguments: ClassVar[Mapping[str, str]] = {}
    classes: ClassVar[tuple[str, ...]] = ()
    needs_metric: ClassVar[bool] = True
    partner: ClassVar[str | None] = None

    def requires(self, arguments: Mapping[str, Any]) -> tuple[Package, ...]:
        """Return the packages that it needs.

        Args:
            arguments: the given arguments.
        """
        return self.packages

    def package_problem(self, arguments: Mapping[str, Any] | None = None) -> str | None:
        """Return why it cannot be used in this environment, or None if it can.

        Args:
            arguments: the given arguments.
        """
        for package in self.requires(arguments or {}):
            if (text := package.problem()) is not None:
                return f"{self.name} needs {text}"
        return None

    def accepts(self, arguments: Mapping[str, Any]) -> Collection[str]:
        """Return the names of the arguments that it takes. Its packages are installed.

        Args:
            arguments: the given arguments: some decide which others there are.
        """
        return self.arguments

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with arguments. Its packages are installed.

        Args:
            arguments: argument -> value.
        """
        allowed = self.accepts(arguments)
        for name in arguments:
            if name not in allowed:
                takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
                yield f"{self.name} has no argument {name!r}{did_you_mean(name, allowed)}; {takes}"
