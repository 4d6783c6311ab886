"""Values of parameters as JSON, without loss of type: the event log holds configurations this way.

What JSON has is written as it is. Everything else is an object with the key `TYPE`: NumPy's and PyTorch's values,
dictionaries with keys of other types, tuples, sets, numbers that JSON lacks, paths and dates. They are read back as
data, without running code. Any other object is pickled, next to its text, and signed: whether that is unpickled is up
to the reader's trust (`nbtune.engine.protocol.trust`). If it is not, a placeholder with its text takes its place.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fractions
import math
import pathlib
import pickle
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from nbtune.bad_input import MAX_BITS, MAX_DEPTH
from nbtune.engine.protocol.not_loaded import NotLoaded
from nbtune.engine.protocol.trust import NOTHING, ExperimentKey, Trust
from nbtune.spec.space.values import label

__all__ = [
    "TYPE",
    "encoded_object",
    "from_typed_json",
    "signed",
    "to_typed_json",
]

TYPE = "$type"
"""The key that tells an encoded value from a dictionary."""


_VALUE = "value"
"""What a pickled value is, for its signature."""


def to_typed_json(value: Any) -> Any:
    """Encode a value as JSON.

    Args:
        value: any value. Subclasses of the types of JSON are not taken for these.

    Returns:
        The value itself if JSON keeps it as it is, otherwise a value of JSON that `from_typed_json` reads.
    """
    return _encode(value, 0)


def _encode(value: Any, depth: int) -> Any:
    """Encode a value that is inside `depth` others."""
    kind = type(value)
    if kind is int and value.bit_length() > MAX_BITS:
        return _typed("int", value=hex(value))
    if value is None or kind in (bool, int, str):
        return value
    if depth > MAX_DEPTH:
        return _object(value)
    if kind is float:
        return value if math.isfinite(value) else _typed("float", value=repr(value))
    if kind is list:
        return [_encode(item, depth + 1) for item in value]
    if kind is dict:
        if TYPE not in value and all(type(key) is str for key in value):
            return {key: _encode(item, depth + 1) for key, item in value.items()}
        items = [[_encode(key, depth + 1), _encode(item, depth + 1)] for key, item in value.items()]
        return _typed("dict", items=items)
    if kind in _SEQUENCE_NAMES:
        return _typed(_SEQUENCE_NAMES[kind], items=[_encode(item, depth + 1) for item in value])
    if kind is NotLoaded:
        return encoded_object(value.text, value.pickled, value.signature)
    for name, (accepts, encode, _) in _CODECS.items():
        if accepts(value):
            return _typed(name, **encode(value))
    return _object(value)


def signed(value: Any, key: ExperimentKey) -> Any:
    """Return an encoded value with the signatures of the objects in it.

    Args:
        value: what `to_typed_json` has returned.
        key: the experiment's key.
    """
    if isinstance(value, list):
        return [signed(item, key) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(TYPE) != "object":
        return {name: signed(item, key) for name, item in value.items()}
    if value["signature"] is not None or not value["pickled"]:  # what was read is not signed again
        return value
    return {**value, "signature": key.sign(_VALUE, base64.b64decode(value["pickled"]))}


def from_typed_json(value: Any, trust: Trust = NOTHING) -> Any:
    """Decode a value that `to_typed_json` has encoded.

    Args:
        value: the value of JSON.
        trust: which objects are unpickled, which runs the code that they name. `NotLoaded` stands for an object that
            is not trusted, or that cannot be unpickled in this process.

    Raises:
        ValueError: the value was not encoded by `to_typed_json`.
    """
    if isinstance(value, list):
        return [from_typed_json(item, trust) for item in value]
    if not isinstance(value, dict):
        return value
    if TYPE not in value:
        return {key: from_typed_json(item, trust) for key, item in value.items()}
    try:
        return _decode(value, trust)
    except (KeyError, TypeError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"invalid encoded value of type {value[TYPE]!r}: {error}") from error


def _decode(value: Mapping[str, Any], trust: Trust) -> Any:
    name = value[TYPE]
    if name == "float":
        return float(value["value"])
    if name == "int":
        return int(value["value"], 16)
    if name == "dict":
        return {from_typed_json(key, trust): from_typed_json(item, trust) for key, item in value["items"]}
    if name == "object":
        return _load(str(value["text"]), base64.b64decode(value["pickled"]), str(value["signature"] or ""), trust)
    if name in _SEQUENCES:
        return _SEQUENCES[name](from_typed_json(item, trust) for item in value["items"])
    if name not in _CODECS:
        raise ValueError(f"unknown type {name!r} of an encoded value")
    return _CODECS[name][2](value)


def _load(text: str, pickled: bytes, signature: str, trust: Trust) -> Any:
    is_trusted = trust.accepts(_VALUE, pickled, signature)
    if is_trusted and pickled:
        with suppress(Exception):  # its class is not in this process, or was changed since
            return pickle.loads(pickled)
    return NotLoaded(text, pickled, signature, bool(pickled) and not is_trusted)


def _typed(name: str, **data: Any) -> dict[str, Any]:
    return {TYPE: name, **data}


def _object(value: Any) -> dict[str, Any]:
    from ray import cloudpickle

    try:
        pickled = cloudpickle.dumps(value)
    except Exception:  # the trial has it all the same; the table shows its text
        pickled = b""
    return encoded_object(label(value), pickled)


def encoded_object(text: str, pickled: bytes, signature: str | None = None) -> dict[str, Any]:
    """Return a pickled object as `to_typed_json` encodes it.

    Args:
        text: the object as text.
        pickled: the pickled object; empty if it could not be pickled.
        signature: the signature of `pickled`; empty if it has none, None if it may get one.
    """
    return _typed("object", text=text, pickled=base64.b64encode(pickled).decode(), signature=signature)


# -- types that are data ---------------------------------------------------------------------------


def _array(value: np.ndarray) -> dict[str, Any]:
    return {
        "dtype": value.dtype.str,
        "shape": list(value.shape),
        "data": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode(),
    }


def _to_array(data: Mapping[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(data["data"]), _plain_dtype(data["dtype"]))
    return flat.reshape([int(length) for length in data["shape"]]).copy()


def _plain_dtype(text: str) -> np.dtype[Any]:
    dtype = np.dtype(str(text))
    if dtype.hasobject:
        raise ValueError(f"expected a NumPy dtype without objects, got {text!r}")
    return dtype


def _is_scalar(value: Any) -> bool:
    return isinstance(value, np.generic) and type(value).__module__ == "numpy" and _is_plain(value.dtype)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return not dtype.hasobject and dtype.names is None and dtype.subdtype is None


def _is_tensor(value: Any) -> bool:
    # PyTorch is not imported here: a value can only be a tensor where it is already.
    return type(value).__module__ == "torch" and type(value).__name__ == "Tensor" and str(value.device) == "cpu"


def _tensor(value: Any) -> dict[str, Any]:
    import torch

    flat = value.detach().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {
        "dtype": str(value.dtype).removeprefix("torch."),
        "shape": list(value.shape),
        "data": base64.b64encode(data).decode(),
        "requires_grad": bool(value.requires_grad),
    }


def _to_tensor(data: Mapping[str, Any]) -> Any:
    import torch

    raw, dtype = bytearray(base64.b64decode(data["data"])), _to_dtype(data)
    flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    return flat.reshape([int(length) for length in data["shape"]]).requires_grad_(bool(data["requires_grad"]))


def _to_dtype(data: Mapping[str, Any]) -> Any:
    import torch

    dtype = getattr(torch, str(data["dtype"]))
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"{data['dtype']!r} is not a dtype of PyTorch")
    return dtype


def _exactly(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


def _as_text(kind: type) -> tuple[Callable[[Any], bool], Callable[[Any], dict[str, Any]], Callable[[Any], Any]]:
    return _exactly(kind), lambda value: {"value": str(value)}, lambda data: kind(data["value"])


def _iso(kind: Any) -> tuple[Callable[[Any], bool], Callable[[Any], dict[str, Any]], Callable[[Any], Any]]:
    return (
        lambda value: type(value) is kind and getattr(value, "tzinfo", None) is None,
        lambda value: {"value": value.isoformat(), "fold": value.fold},
        lambda data: kind.fromisoformat(data["value"]).replace(fold=data["fold"]),
    )


_SEQUENCES: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_SEQUENCE_NAMES = {kind: name for name, kind in _SEQUENCES.items()}

_CODECS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], dict[str, Any]], Callable[[Any], Any]]] = {
    "numpy": (_is_scalar, lambda value: _array(np.asarray(value)), lambda data: _to_array(data)[()]),
    "array": (lambda value: type(value) is np.ndarray and _is_plain(value.dtype), _array, _to_array),
    "numpy.dtype": (
        lambda value: isinstance(value, np.dtype) and _is_plain(value),
        lambda value: {"dtype": value.str},
        lambda data: _plain_dtype(data["dtype"]),
    ),
    "tensor": (_is_tensor, _tensor, _to_tensor),
    "torch.dtype": (
        lambda value: type(value).__module__ == "torch" and type(value).__name__ == "dtype",
        lambda value: {"dtype": str(value).removeprefix("torch.")},
        _to_dtype,
    ),
    "bytes": (
        _exactly(bytes),
        lambda value: {"data": base64.b64encode(value).decode()},
        lambda data: base64.b64decode(data["data"]),
    ),
    "complex": (
        _exactly(complex),
        lambda value: {"parts": [repr(value.real), repr(value.imag)]},
        lambda data: complex(*map(float, data["parts"])),
    ),
    "range": (
        _exactly(range),
        lambda value: {"parts": [value.start, value.stop, value.step]},
        lambda data: range(*data["parts"]),
    ),
    "timedelta": (
        _exactly(dt.timedelta),
        lambda value: {"parts": [value.days, value.seconds, value.microseconds]},
        lambda data: dt.timedelta(*data["parts"]),
    ),
    "datetime": _iso(dt.datetime),
    "date": (
        _exactly(dt.date),
        lambda value: {"value": value.isoformat()},
        lambda data: dt.date.fromisoformat(data["value"]),
    ),
    "time": _iso(dt.time),
    "decimal": _as_text(decimal.Decimal),
    "fraction": (
        _exactly(fractions.Fraction),
        lambda value: {"value": str(value)},
        lambda data: fractions.Fraction(*map(int, data["value"].split("/"))),  # "1e999999999" takes for ever
    ),
    "uuid": _as_text(uuid.UUID),
    "path": _as_text(type(pathlib.Path())),
    "purepath": _as_text(pathlib.PurePosixPath),
}
