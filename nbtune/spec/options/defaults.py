"""Default values of options, where neither a flag nor an argument gives one.

A flag or argument beats ``%config NbTune``, which beats ``[tool.nbtune]`` in the nearest
pyproject.toml at or above the working directory, which beats nbtune's own default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbtune.errors import Problem, did_you_mean
from nbtune.spec.options.options import OPTIONS

__all__ = ["session", "with_defaults"]

session: dict[str, Any] = {}
"""The defaults that ``%config NbTune.OPTION = …`` has set in this session."""


def with_defaults(given: Mapping[str, Any], folder: Path | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """Return the options with the session's and the project's defaults filled in.

    Args:
        given: option -> value, from the call or the magic line; None stands for "not given".
        folder: the folder to search for pyproject.toml, and then those above it; the working directory if None.

    Returns:
        The options, and the problems of pyproject.toml.
    """
    project, problems = _project(folder or Path.cwd())
    defaults = {**project, **{name: value for name, value in session.items() if value is not None}}
    explicit = {name: value for name, value in given.items() if value is not None}
    return {**defaults, **explicit}, problems


def _project(folder: Path) -> tuple[dict[str, Any], list[Problem]]:
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            tools = tomllib.loads(path.read_text("utf-8")).get("tool", {})
        except (OSError, ValueError) as error:
            return {}, [Problem(f"{path} cannot be read: {error}", code="syntax")]
        table = tools.get("nbtune", {}) if isinstance(tools, dict) else tools
        if not isinstance(table, dict):
            return {}, [Problem(f"{path}, [tool.nbtune]: expected a table, option = value, got {table!r}")]
        options = {key.replace("-", "_"): value for key, value in table.items()}
        unknown = [key for key in options if key not in OPTIONS]
        problems = [
            Problem(f"{path}, [tool.nbtune]: unknown option {key!r}{did_you_mean(key, OPTIONS)}", code="unknown")
            for key in unknown
        ]
        return {key: value for key, value in options.items() if key in OPTIONS}, problems
    return {}, []
