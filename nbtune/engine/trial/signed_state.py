"""The file of a checkpoint's dictionary: signed when it is written, and read if it is trusted.

`torch.save` writes a ZIP archive with one pickle, which is the only part that can run code, and the bytes of the
tensors. The pickle is signed while it is made, so that large tensors cost nothing. The signature is the comment of the
archive.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import types
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbtune.engine.protocol.trust import EVERYTHING, ExperimentKey, Trust
from nbtune.engine.trial.missing_class import TOLERANT
from nbtune.errors import UntrustedError

__all__ = ["read_state", "save_state"]

_WHAT = "checkpoint"
_MARK, _END = b"PK\5\6", struct.Struct("<4s16sH")  # of a ZIP archive: its mark, places and counts, bytes of the comment
_TAIL = 1000  # bytes, more than the end of an archive with a signature has
_TORCHSCRIPT = "constants.pkl"
"""`torch.load` takes an archive with this entry for a program of TorchScript, and runs that instead of the pickle."""


def save_state(state: dict[str, Any], file: Path, key: ExperimentKey | None) -> None:
    """Write a dictionary, as `torch.save` does.

    Args:
        state: the dictionary.
        file: the file.
        key: signs it; None for no signature.
    """
    import torch

    if key is None:
        torch.save(state, file)
    else:
        _save_signed(state, file, key)


def _save_signed(state: dict[str, Any], file: Path, key: ExperimentKey) -> None:
    import torch

    signatures: list[str] = []

    class Pickler(pickle.Pickler):
        def __init__(self, target: io.BytesIO, *args: Any, **named: Any) -> None:
            super().__init__(target, *args, **named)
            self._target = target

        def dump(self, value: Any) -> None:
            super().dump(value)
            signatures.append(key.sign(_WHAT, self._target.getvalue()))

    module = types.ModuleType(f"{__name__}.signing")
    vars(module).update(Pickler=Pickler)
    torch.save(state, file, pickle_module=module)
    with file.open("r+b") as archive:
        archive.seek(-_END.size, os.SEEK_END)
        mark, other = _END.unpack(archive.read())[:2]
        if mark == _MARK and len(signatures) == 1:
            comment = signatures[0].encode()
            archive.seek(-_END.size, os.SEEK_END)
            archive.write(_END.pack(mark, other, len(comment)) + comment)


def read_state(file: Path, trust: Trust, *, tolerant: bool) -> dict[str, Any]:
    """Return the dictionary in a file.

    Args:
        file: the file.
        trust: whose dictionaries are loaded.
        tolerant: whether substitutes take the places of classes that cannot be found.

    Raises:
        UntrustedError: it is not trusted. No part of it was loaded.
    """
    import torch

    device = None if torch.cuda.is_available() else "cpu"
    module: Any = TOLERANT if tolerant else pickle
    if trust is not EVERYTHING:
        if _TORCHSCRIPT in _entries(file):
            raise _untrusted(file)
        module = _checked(module, file, trust)
    state: dict[str, Any] = torch.load(file, map_location=device, pickle_module=module, weights_only=False)
    return state


def _checked(module: Any, file: Path, trust: Trust) -> Any:
    """Return a pickle module for `torch.load` that loads nothing but a trusted pickle."""
    with file.open("rb") as archive:
        archive.seek(-min(_TAIL, file.stat().st_size), os.SEEK_END)
        comment = archive.read().rpartition(_MARK)[2][_END.size - len(_MARK) :]
    signature = comment.decode("utf-8", "replace")

    class Unpickler(module.Unpickler):
        def __init__(self, pickled: Any, **named: Any) -> None:
            # These are the very bytes that are loaded, in whichever way the archive was read.
            data = pickled.read()
            if not trust.accepts(_WHAT, data, signature):
                raise _untrusted(file)
            super().__init__(io.BytesIO(data), **named)

    def load(pickled: Any, **named: Any) -> Any:
        raise _untrusted(file)  # only for the formats before ZIP, which are never signed

    checked = types.ModuleType(f"{__name__}.checked")
    vars(checked).update(Unpickler=Unpickler, load=load)
    return checked


def _entries(file: Path) -> list[str]:
    """Return the entries of an archive as `torch.load` sees them; none if it is no archive."""
    import torch

    with suppress(RuntimeError):
        return list(torch._C.PyTorchFileReader(str(file)).get_all_records())
    return []


def _untrusted(file: Path) -> UntrustedError:
    return UntrustedError(
        f"{file.parent} was not loaded, since that can run code, and its dictionary is not signed with your key:"
        " another user has saved it, or the file was changed. If you trust it, open the experiment with"
        " nbtune.load(path, trust=True), or the checkpoint with nbtune.Checkpoint(path, trust=True)"
    )
