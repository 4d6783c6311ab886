"""What users give to train: a function, a class, or a `Tuner` or trainer of Ray that has one with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtune.engine._ray.trainable import is_trainer, is_tuner
from nbtune.errors import Problem
from nbtune.launch.prepare import Origin, Prepared, prepare_function
from nbtune.launch.trainables import is_trainable_class
from nbtune.launch.trainer import prepare_trainer
from nbtune.launch.tuner import prepare_tuner
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

__all__ = ["has_settings", "prepare_given"]


def has_settings(given: Any) -> bool:
    """Tell whether a value is a `ray.tune.Tuner` or a trainer of Ray Train, which may have a space of its own.

    Args:
        given: any value.
    """
    return is_tuner(given) or is_trainer(given)


def prepare_given(
    given: Any,
    space: Any,
    options: Mapping[str, Any] | Spec,
    namespace: Mapping[str, Any] | None = None,
    *,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check what is trained, its options and its space, and pack it.

    Args:
        given: a function, a `ray.tune.Trainable`, a `ray.tune.Tuner` or a trainer of Ray Train.
        space: see `as_space`; None for that of a tuner or trainer.
        options: option -> value, from the keyword arguments; or the options of a stored experiment.
        namespace: the variables that the function may use; its globals if None.
        problems: problems that were found before.

    Raises:
        SpecError: with every mistake.
    """
    if is_tuner(given):
        prepared = prepare_tuner(given, options, namespace, space=space, problems=problems)
    elif is_trainer(given):
        prepared = prepare_trainer(given, space, options, namespace, problems=problems)
    else:
        return prepare_function(given, space, options, namespace, problems=problems)
    return replace(prepared, origin=_origin(given, prepared, namespace or {}))


def _origin(given: Any, prepared: Prepared, namespace: Mapping[str, Any]) -> Origin:
    """Return the origin of what has settings: the variable that has it now, or that of the function or class in it."""
    variable = next((name for name, value in namespace.items() if value is given), prepared.origin.variable)

    def prepare_again(stored: Spec, space: Space) -> Prepared:
        present: Any = namespace.get(variable)
        if has_settings(present):
            return prepare_given(present, space, stored, namespace)
        if is_tuner(given) and is_trainable_class(present):
            return prepare_function(present, space, stored, namespace, of_tuner=True)
        return prepared.origin.prepare(stored, space)

    return Origin(prepare_again, is_cell=False, variable=variable)
