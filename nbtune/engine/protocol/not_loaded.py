"""The placeholder of an object that was not unpickled, since it is not trusted or cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbtune.errors import UntrustedError
from nbtune.spec.space.values import is_plain

__all__ = ["NotLoaded", "NotLoadedError", "refused_names"]


class NotLoadedError(UntrustedError, AttributeError, TypeError):
    """A placeholder was used as if it were the object. Also those errors, so that code that probes objects goes on."""


@dataclass(frozen=True)
class NotLoaded:
    """Stands for an object that was not unpickled. It shows as the object's text; any use of it is an error.

    Attributes:
        text: the object as text, see `nbtune.spec.space.values.label`.
        pickled: the pickled object; empty if it could not be pickled.
        signature: the signature of `pickled`; empty if it has none.
        is_refused: whether it is not trusted. Otherwise it cannot be unpickled in this process.
    """

    text: str
    pickled: bytes = b""
    signature: str = ""
    is_refused: bool = False

    def __repr__(self) -> str:
        return self.text

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else self._error()  # protocols that code probes for

    def _error(self) -> NotLoadedError:
        if self.is_refused:
            return NotLoadedError(
                f"{self.text} is an object that was not loaded, since loading it can run code, and it is not signed"
                " with your key. If you trust the folder of the experiment, nbtune.load(path, trust=True) loads it"
            )
        return NotLoadedError(
            f"{self.text} is an object that cannot be loaded in this process: its class is missing here, or was"
            " changed, or it could not be stored"
        )

    def _use(self, *given: Any, **named: Any) -> Any:
        raise self._error()

    __call__ = __getitem__ = __iter__ = __len__ = __contains__ = __enter__ = __float__ = __int__ = __index__ = _use
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _use
    __pow__ = __rpow__ = __floordiv__ = __mod__ = __neg__ = __lt__ = __le__ = __gt__ = __ge__ = _use


def refused_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the parameters that are or contain objects that are not trusted.

    Args:
        config: name -> value, as `nbtune.engine.protocol.typed_values.from_typed_json` returns values.
    """
    return [name for name, value in config.items() if not is_plain(value) and _has_refused(value)]


def _has_refused(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_refused(key) or _has_refused(item) for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_refused, value))
    return type(value) is NotLoaded and value.is_refused
