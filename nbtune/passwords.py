"""Passwords in texts that are shown or stored: those in URLs, and values of variables on a magic line."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "without_passwords", "without_variables"]

HIDDEN = "***"
"""What replaces a secret."""

_IN_URL = re.compile(r"(?<=://)[^\s/?#@'\"<>]*:[^\s/?#@'\"<>]*(?=@)")
_IN_QUERY = re.compile(r"(?<=[?&])([\w.-]*(?:key|secret|token|password)[\w.-]*=)[^\s&#'\"<>]+", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """Return text with ``***`` in place of what URLs have as a user with a password, and of keys in their queries.

    Args:
        text: any text.
    """
    if "://" not in text:
        return text
    return _IN_QUERY.sub(r"\1***", _IN_URL.sub("***", text))


_VARIABLES = re.compile(r"""(--(?:worker-)?env(?:\s+|=))("[^"]*"|'[^']*'|\{[^}]*\}|[^\s"'{]\S*)""")


def without_variables(cell: str) -> str:
    """Return the text of a cell whose magic line has ``***`` in place of environment variables' values and passwords.

    Args:
        cell: the text. One without a magic line is returned as it is.
    """
    lines = cell.split("\n")
    if not lines[0].startswith("%%"):
        return cell
    end = next((number for number, line in enumerate(lines) if not line.endswith("\\")), len(lines) - 1) + 1
    head = _VARIABLES.sub(lambda found: found[1] + _hidden(found[2]), without_passwords("\n".join(lines[:end])))
    return "\n".join([head, *lines[end:]])


def _hidden(value: str) -> str:
    if value[0] == "{":
        return f"'{HIDDEN}'"
    if "=" not in value:  # the name of a variable of the notebook
        return value
    mark = value[0] if value[0] in "\"'" else ""
    parts = value.strip("\"'").split(",")
    return (
        mark
        + ",".join(f"{name}={HIDDEN}" if equals else HIDDEN for name, equals, _ in (p.partition("=") for p in parts))
        + mark
    )
