"""The token: where it is, and which kind of authentication this process uses.

Ray looks for it in ``RAY_AUTH_TOKEN``, then in the file that ``RAY_AUTH_TOKEN_PATH`` names, then in
``~/.ray/auth_token``, and keeps in the C++ half what it has found. A process with a token does not work
with a cluster without: its actors die. So the mode follows the cluster, and is set anew for each.
The token itself never leaves the places where Ray looks for it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nbtune.errors import ClusterError

__all__ = ["MODE", "ensure", "forget", "said", "source", "use"]

MODE = "RAY_AUTH_MODE"

_set: str | None = None  # what `use` has put into the environment: not the user's word


def said() -> str | None:
    """Return which mode the user has asked for: "token", "disabled", another of Ray's, or None."""
    mode = os.environ.get(MODE)
    return None if mode is None or mode == _set else mode.lower()


def source() -> str | None:
    """Return where there is a token, in words, or None where there is none.

    Raises:
        ClusterError: a file is named that cannot be read.
    """
    if os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return "the environment variable RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else _default()
    try:
        there = bool(path.read_text("utf-8").strip())
    except FileNotFoundError:
        if named:  # Ray would end this whole process
            raise ClusterError(f"RAY_AUTH_TOKEN_PATH names {named}, and there is no such file") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"the token's file {path} cannot be read: {error}") from error
    return str(path) if there else None


def ensure() -> None:
    """Create Ray's own token file, for this user's eyes only, where there is no token yet.

    Raises:
        ClusterError: it cannot be written.
    """
    if source() is not None:
        return
    path = _default()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an empty one
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        return  # another process was first
    except OSError as error:
        raise ClusterError(f"the token's file {path} cannot be written: {error}") from error


def use(mode: str) -> None:
    """Use "token" or "disabled" in this process from now on, with the token as it is found now."""
    global _set
    if said() != mode:
        os.environ[MODE] = _set = mode
    from nbtune.cluster.link._ray import reload_authentication

    reload_authentication()


def forget() -> None:
    """Leave what `use` has set, so that the next cluster is met as the user has said."""
    global _set
    if _set is not None and os.environ.get(MODE) == _set:
        del os.environ[MODE]
    _set = None


def _default() -> Path:
    return Path.home() / ".ray" / "auth_token"
