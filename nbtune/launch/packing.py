"""Packing a program: its code and the notebook's variables, or the problem of each that cannot be pickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem
from nbtune.spec.cell.capture import Capture, Program
from nbtune.spec.cell.origin import module_of

if TYPE_CHECKING:
    from nbtune.engine.trial.payload import Packed

__all__ = ["pack_program"]


def pack_program(
    program: Program,
    captured: Capture,
    namespace: Mapping[str, Any],
    seed: int | None,
    problems: list[Problem],
    label: Callable[[str], str | None],
    *,
    used: Mapping[str, Any] | None = None,
) -> Packed | None:
    """Pack a program and its variables.

    Args:
        program: the program.
        captured: the variables that are packed with it; optional ones are left out if they cannot be pickled.
        namespace: the notebook's variables.
        seed: the experiment's seed.
        problems: receives the problems.
        label: file name -> its label in a traceback if it is a cell of the notebook, else None.
        used: the variables that the program's function refers to, which are pickled with the function itself.

    Returns:
        The packed program, or None if it cannot be pickled.
    """
    from nbtune.engine.trial.payload import captured_variables, pack, unpicklable

    values = dict(captured.values)
    cause: Exception
    try:
        packed: Packed | None = pack(program, values, namespace, seed, label)
    except Exception as error:  # any exception that an object's own reduction raises
        packed, cause = None, error
        dropped, culprits = unpicklable(values, captured.optional)
        problems += culprits
        if not culprits and dropped:
            try:
                remaining = {name: value for name, value in values.items() if name not in dropped}
                packed = pack(program, remaining, namespace, seed, label)
            except Exception as second_error:
                cause = second_error
        name = getattr(program.function, "__name__", "the cell")
        if packed is None and used and unpicklable(used, set(used))[0]:
            culprits = unpicklable({name: program.function, **used}, set(used))[1]
            problems += culprits
        if packed is None and not culprits:
            text = f"{name} cannot be sent to the trials: {type(cause).__name__}: {cause}"
            problems.append(Problem(text, code="unpicklable"))
        values = {} if packed is None else {name: values[name] for name in values if name not in dropped}
    tried = set(values)
    while packed is not None and (named := packed.text_names - tried):
        # Variables that only texts name. Those that cannot be pickled may be words by accident.
        tried |= named
        found = {name: namespace[name] for name in named}
        left_out, _ = unpicklable(found, set(found))
        values |= {name: value for name, value in found.items() if name not in left_out}
        packed = pack(program, values, namespace, seed, label)
    if packed is not None and used and module_of(program.function) == "__main__":
        # A function of another module is imported in the trial, and nothing is sent with it.
        packed = replace(packed, captured=captured_variables({**used, **values}))
    return packed
