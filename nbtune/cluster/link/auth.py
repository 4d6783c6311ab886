"""Ray's authentication token: its source, and the authentication mode of this process.

Ray reads the token from ``RAY_AUTH_TOKEN``, from the file that ``RAY_AUTH_TOKEN_PATH`` names, or from
``~/.ray/auth_token``, and caches it in its C++ half. A process with a token does not work with a cluster without token
authentication: its actors die. So the mode is set for each cluster before connecting. nbtune copies the token nowhere.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nbtune.errors import ClusterError

__all__ = ["MODE", "ensure_token", "requested_mode", "reset_mode", "token_source", "use_mode"]

MODE = "RAY_AUTH_MODE"
"""The environment variable of the authentication mode."""

_mode_set: str | None = None  # by `use_mode`, as opposed to the user


def requested_mode() -> str | None:
    """Return the mode that the user has set: "token", "disabled", another one of Ray's, or None."""
    mode = os.environ.get(MODE)
    return None if mode is None or mode == _mode_set else mode.lower()


def token_source() -> str | None:
    """Return a description of where the token is, or None if there is no token.

    Raises:
        ClusterError: the file that ``RAY_AUTH_TOKEN_PATH`` names cannot be read.
    """
    if os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return "the environment variable RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else _default_path()
    try:
        has_token = bool(path.read_text("utf-8").strip())
    except FileNotFoundError:
        if named:  # Ray would end this process
            raise ClusterError(f"the file of RAY_AUTH_TOKEN_PATH does not exist: {named}") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"the token file {path} cannot be read: {error}") from error
    return str(path) if has_token else None


def ensure_token() -> None:
    """Create Ray's default token file, readable for this user only, if there is no token.

    Raises:
        ClusterError: the file cannot be written.
    """
    if token_source() is not None:
        return
    path = _default_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an empty file
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        return  # another process has just created it
    except OSError as error:
        raise ClusterError(f"the token file {path} cannot be written: {error}") from error


def use_mode(mode: str) -> None:
    """Set the authentication mode of this process, and let Ray read the token again.

    Args:
        mode: "token" or "disabled".
    """
    from nbtune.cluster.link._ray import reload_authentication

    global _mode_set
    if requested_mode() != mode:
        os.environ[MODE] = _mode_set = mode
    reload_authentication()


def reset_mode() -> None:
    """Undo `use_mode`, so that the user's own setting counts for the next cluster."""
    global _mode_set
    if _mode_set is not None and os.environ.get(MODE) == _mode_set:
        del os.environ[MODE]
    _mode_set = None


def _default_path() -> Path:
    return Path.home() / ".ray" / "auth_token"
