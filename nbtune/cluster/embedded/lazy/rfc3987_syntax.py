"""Precedes the package of the same name on the path, and imports it when it is first used.

In a Jupyter environment `jsonschema` finds that package and imports it, which builds a grammar for
about a second of CPU; and every process of Ray imports `jsonschema`. `jsonschema` uses only this one
function, for the formats "iri" and "iri-reference", so nothing is lost by building it on demand.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def is_valid_syntax(*args: Any, **kwargs: Any) -> Any:
    """Call the package's own `is_valid_syntax`."""
    return _real()(*args, **kwargs)


@functools.cache
def _real() -> Callable[..., Any]:
    here = str(Path(__file__).parent)
    path, module = list(sys.path), sys.modules.pop(__name__, None)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    try:
        return importlib.import_module("rfc3987_syntax").is_valid_syntax  # type: ignore[no-any-return]
    finally:
        sys.path[:] = path
        if module is not None:
            sys.modules[__name__] = module
