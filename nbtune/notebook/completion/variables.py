"""The notebook's variables that may be the value of an option. Only types are looked at: no code of the values runs."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from nbtune.notebook.binding import reserved
from nbtune.notebook.completion.candidates import Candidate
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS

__all__ = ["datasets", "experiments", "of_option", "spaces", "trainables", "variables"]

# Attributes of a class may run the code of its metaclass, and `isinstance` that of the value's `__class__`.
_bases: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_attributes: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_name: Callable[[type], str] = type.__dict__["__name__"].__get__

_PLAIN = (str, int, float, bool, type(None))
_MAX_ITEMS = 1000  # of a value that is read
_FUNCTION = ("", "function")
_OBJECTS: dict[str, tuple[tuple[str, str], ...]] = {
    "search": (("ray", "Searcher"), ("ray", "SearchAlgorithm")),
    "scheduler": (("ray", "TrialScheduler"),),
    "points": (("pandas", "DataFrame"),),
    "warm_start": (("nbtune", "Experiment"), ("optuna", "Study"), ("pandas", "DataFrame")),
    "resources": (("ray", "PlacementGroupFactory"), _FUNCTION),
    "stop": (("ray", "Stopper"), _FUNCTION),
    "callbacks": (("ray", "Callback"),),
    "storage_filesystem": (("pyarrow", "FileSystem"),),
    "trial_name_creator": (_FUNCTION,),
    "trial_dirname_creator": (_FUNCTION,),
    "scaling": (("ray", "ScalingConfig"), ("nbtune", "ScalingForm")),
    "backend": (("ray", "BackendConfig"),),
    "dataset_config": (("ray", "DataConfig"),),
}
"""Option -> the objects that it takes: the package and the name of a class among their bases."""
_DATASET = (("ray", "Dataset"),)
_SPACE = (("nbtune", "Space"), ("nbtune", "SpaceForm"))
_TRAINED = (("ray", "Tuner"), ("ray", "DataParallelTrainer"))
_LIBRARIES = ("ray", "nbtune", "IPython")
_ANY_TEXT = {"metric", "mutate", "mode", "accelerator_type", "topology", "workers", "warm_start", "keep_by", "backend"}
"""Options that take any text, so that a variable with some text tells nothing."""


def variables(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the variables that the user has defined, the latest first.

    Args:
        namespace: the notebook's variables.
    """
    for name, value in reversed(list(namespace.items())):
        if type(name) is str and name.isidentifier() and not name.startswith("_") and reserved(name) is None:
            yield name, value


def of_option(option: str, namespace: Mapping[str, Any]) -> list[Candidate]:
    """Return the variables that an option takes.

    Args:
        option: the name of the option.
        namespace: the notebook's variables.
    """
    if not OPTIONS[option].variable:
        return []
    wanted = _OBJECTS.get(option, ())
    return _those(namespace, lambda value: _fits(option, value, wanted))


def spaces(namespace: Mapping[str, Any]) -> list[Candidate]:
    """Return the variables that may be a search space: spaces, forms and dictionaries with names as keys.

    Args:
        namespace: the notebook's variables.
    """
    return _those(
        namespace,
        lambda value: _is_any(value, _SPACE) or (_is_filled(value) and all(type(key) is str for key in value)),
    )


def datasets(namespace: Mapping[str, Any]) -> list[Candidate]:
    """Return the variables that are data sets of Ray Data, or dictionaries of them.

    Args:
        namespace: the notebook's variables.
    """
    return _those(
        namespace,
        lambda value: (
            _is_any(value, _DATASET) or (_is_filled(value) and all(_is_any(one, _DATASET) for one in value.values()))
        ),
    )


def trainables(namespace: Mapping[str, Any]) -> list[Candidate]:
    """Return what ``%tune run`` takes: functions, class Trainables, tuners and trainers.

    Args:
        namespace: the notebook's variables.
    """
    return _those(namespace, lambda value: _is_any(value, (*_TRAINED, _FUNCTION)) or _is_trainable_class(value))


def experiments(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the experiments among the variables, by the names of the variables.

    Args:
        namespace: the notebook's variables.
    """
    return {name: value for name, value in variables(namespace) if _is_any(value, (("nbtune", "Experiment"),))}


def _those(namespace: Mapping[str, Any], fits: Callable[[Any], bool]) -> list[Candidate]:
    return [_candidate(name, value) for name, value in variables(namespace) if fits(value)]


def _is_filled(value: Any) -> bool:
    """Tell whether a value is a dictionary with entries."""
    return type(value) is dict and bool(value)


def _candidate(name: str, value: Any) -> Candidate:
    if _is_function(value):
        return Candidate(name, "function")
    return Candidate(name, "class" if type in _bases(type(value)) else "instance")


def _fits(option: str, value: Any, wanted: tuple[tuple[str, str], ...]) -> bool:
    if _is_any(value, wanted):
        return True
    if option == "callbacks":
        return type(value) in (list, tuple) and bool(value) and all(_is_any(one, wanted) for one in value)
    if option in ("search", "scheduler"):
        names = SEARCHES if option == "search" else SCHEDULERS
        is_pair = type(value) is tuple and len(value) == 2 and type(value[0]) is str and type(value[1]) is dict
        return is_pair and value[0] in names
    if type(value) is str and option in _ANY_TEXT:
        return False
    if value is None or not _is_plain(value):
        return False
    try:
        OPTIONS[option].read(value)
    except Exception:
        return False
    return True


def _is_plain(value: Any) -> bool:
    """Tell whether a value consists of Python's own types only, so that reading it runs no other code."""
    pending, seen = [value], 0
    while pending:
        one = pending.pop()
        seen += 1
        if seen > _MAX_ITEMS:
            return False
        if type(one) in (list, tuple):
            pending.extend(one[: _MAX_ITEMS + 1])
        elif type(one) is dict:
            if len(one) > _MAX_ITEMS or not all(type(key) is str for key in one):
                return False
            pending.extend(one.values())
        elif type(one) not in _PLAIN:
            return False
    return True


def _is_any(value: Any, wanted: tuple[tuple[str, str], ...]) -> bool:
    if _FUNCTION in wanted and _is_function(value):
        return True
    return any((package, name) in wanted for package, name in _classes(_bases(type(value))))


def _is_function(value: Any) -> bool:
    """Tell whether a value is a function that the user may have written."""
    if type(value) is partial:
        return True
    return type(value) is types.FunctionType and str(value.__module__).partition(".")[0] not in _LIBRARIES


def _is_trainable_class(value: Any) -> bool:
    if type not in _bases(type(value)):
        return False
    own, *bases = _classes(_bases(value))
    return ("ray", "Trainable") in bases and own[0] != "ray"


def _classes(bases: tuple[type, ...]) -> Iterator[tuple[str, str]]:
    """Yield the package and the name of each class."""
    for base in bases:
        module = _attributes(base).get("__module__")
        yield (module.partition(".")[0] if type(module) is str else ""), _name(base)
