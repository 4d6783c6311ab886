"""Trust: which pickles of an experiment may be loaded, since loading a pickle can run any code.

Each user has a key, in a file that only this user can read. Each experiment has a key that is derived from it. The
kernel gives that one to the driver, and the driver to the trials; it is stored nowhere. They sign every pickle that
nbtune writes into the experiment's folder, or lets Tune write. A pickle is loaded if one of its signatures was made
with the reader's own key, wherever the folder is now, or if the user has said that the folder is trusted.

A signature is of the pickle's bytes and of what they are, such as "launch.bin". It is about code, not about results:
everything in the folder that is data is read as it is.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["EVERYTHING", "NOTHING", "OWN", "ExperimentKey", "Trust", "experiment_key", "key_note"]

_HOME, _FILE = "NBTUNE_HOME", "NBTUNE_KEY_FILE"
_BYTES = 32


class Trust(Protocol):
    """Tells which pickles may be loaded."""

    def accepts(self, what: str, data: bytes | memoryview, *signatures: str) -> bool:
        """Return whether a pickle may be loaded.

        Args:
            what: what it is, as it was signed.
            data: the pickle.
            signatures: its signatures; any of them counts.
        """
        ...


@dataclass(frozen=True)
class ExperimentKey:
    """The key of an experiment, with which its driver and its trials sign what they write, and check what they load.

    Attributes:
        name: the id with which it was derived. Every signature names it.
        secret: the key itself.
        accepts_all: whether they load everything, since the user has said that the folder is trusted.
    """

    name: str
    secret: bytes = field(repr=False)
    accepts_all: bool = False

    def sign(self, what: str, data: bytes | memoryview) -> str:
        """Return the signature of a pickle.

        Args:
            what: what it is.
            data: the pickle.
        """
        mac = hmac.new(self.secret, what.encode("utf-8", "replace") + b"\0", hashlib.sha256)
        mac.update(data)
        return f"{self.name}:{mac.hexdigest()}"

    def accepts(self, what: str, data: bytes | memoryview, *signatures: str) -> bool:
        """Return whether a pickle may be loaded; see `Trust.accepts`."""
        if self.accepts_all:
            return True
        own = [signature for signature in signatures if signature.startswith(f"{self.name}:")]
        return bool(own) and self.sign(what, data) in own


class _Own:
    """Accepts what was signed with a key of this user."""

    def accepts(self, what: str, data: bytes | memoryview, *signatures: str) -> bool:
        key = _user_key(create=False)
        names = {signature.rpartition(":")[0] for signature in signatures}
        return key is not None and any(_derived(key, name).accepts(what, data, *signatures) for name in names)


class _Always:
    def __init__(self, answer: bool) -> None:
        self._answer = answer

    def accepts(self, what: str, data: bytes | memoryview, *signatures: str) -> bool:
        return self._answer


OWN: Trust = _Own()
"""Accepts the experiments of this user."""
EVERYTHING: Trust = _Always(True)
"""Accepts everything: the user has said that the folder is trusted."""
NOTHING: Trust = _Always(False)
"""Accepts nothing: only data is read."""


def experiment_key(name: str, *, accepts_all: bool = False) -> ExperimentKey:
    """Return the key of an experiment of this user. The user's key is created with the first one.

    Args:
        name: the id with which the experiment was launched.
        accepts_all: as in `ExperimentKey`.
    """
    key = _user_key(create=True)
    assert key is not None
    return _derived(key, name, accepts_all=accepts_all)


def key_note() -> str:
    """Return why later sessions will not trust the experiments of this one; empty if they will."""
    problem = _load(_path(), create=True)[1]
    return f"{problem}; later sessions load its objects and code only with trust=True" if problem else ""


def _derived(key: bytes, name: str, *, accepts_all: bool = False) -> ExperimentKey:
    secret = hmac.digest(key, b"nbtune experiment " + name.encode("utf-8", "replace"), "sha256")
    return ExperimentKey(name, secret, accepts_all)


def _path() -> Path:
    """Return the file of the user's key: ``$NBTUNE_KEY_FILE``, or ``key`` in ``$NBTUNE_HOME`` or ``~/.nbtune``."""
    if given := os.environ.get(_FILE):
        return Path(given).expanduser()
    return Path(os.environ.get(_HOME) or "~/.nbtune").expanduser() / "key"


def _user_key(*, create: bool) -> bytes | None:
    return _load(_path(), create=create)[0]


_loaded: dict[Path, bytes] = {}


def _load(path: Path, *, create: bool) -> tuple[bytes | None, str]:
    """Return the key in a file, and why it is only that of this session; empty if it is in the file."""
    if (known := _loaded.get(path)) is not None:
        return known, ""
    try:
        if create and not path.exists():
            _create(path)
        key = path.read_bytes()
        if len(key) < _BYTES:
            raise OSError("it has less than 32 bytes; delete it, and it is created again")
    except OSError as error:
        reason = f"the key that signs experiments cannot be stored in {path}: {error.strerror or error}"
        return _session_key() if create or _session_key.cache_info().currsize else None, reason
    _loaded[path] = key
    return key, ""


@functools.cache
def _session_key() -> bytes:
    return secrets.token_bytes(_BYTES)


def _create(path: Path) -> None:
    """Create a key, unless another process has done it meanwhile. The file is never incomplete, and always private."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
