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

__all__ = ["early_start", "read_start", "session", "with_defaults"]

_START = "start"
_STARTS = {"load": "at once, in the background", "sweep": "with the first experiment"}
"""The values of the setting `start`: when nbtune starts Ray on this machine. It is not an option of experiments."""

session: dict[str, Any] = {}
"""The defaults, and the setting `start`, that ``%config NbTune.OPTION = …`` has set in this session."""


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
    defaults.pop(_START, None)
    explicit = {name: value for name, value in given.items() if value is not None}
    return {**defaults, **explicit}, problems


def read_start(value: object) -> str:
    """Return a value of the setting `start`.

    Args:
        value: the given value.

    Raises:
        ValueError: there is no such value.
    """
    if isinstance(value, str) and value in _STARTS:
        return value
    choices = ", ".join(f'"{name}" ({meaning})' for name, meaning in _STARTS.items())
    guess = did_you_mean(value, _STARTS) if isinstance(value, str) else ""
    raise ValueError(f"expected one of {choices}, got {value!r}{guess}")


def early_start(folder: Path | None = None) -> bool:
    """Tell whether the session or the project wants Ray to start when nbtune is loaded.

    Args:
        folder: as for `with_defaults`.
    """
    chosen = session.get(_START) or _project(folder or Path.cwd())[0].get(_START)
    return bool(chosen == "load")


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
        known = {*OPTIONS, _START}
        problems = [
            Problem(f"{path}, [tool.nbtune]: unknown option {key!r}{did_you_mean(key, known)}", code="unknown")
            for key in options
            if key not in known
        ]
        try:
            read_start(options.get(_START, "sweep"))
        except ValueError as error:
            problems.append(Problem(f"{path}, [tool.nbtune]: {_START}: {error}"))
        return {key: value for key, value in options.items() if key in known}, problems
    return {}, []
