"""The present code of an experiment: compared with the stored code when it is resumed, or packed in its place.

It is the text of the cell that was run last, or the function that a variable of the notebook has now.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nbtune.errors import ExperimentError, NbtuneError
from nbtune.launch.function import source_and_reports
from nbtune.launch.given import has_settings, prepare_given
from nbtune.launch.prepare import Origin, Prepared, prepare_function
from nbtune.launch.trainables import is_trainable_class
from nbtune.passwords import without_passwords
from nbtune.shell import cell_id, say, shell
from nbtune.spec.cell.versions import CELL, CodeChange, difference, digest_of_code
from nbtune.spec.options.options import Spec
from nbtune.spec.space.json import space_to_json
from nbtune.spec.space.space import Space

if TYPE_CHECKING:
    from nbtune.engine.protocol.metadata import Metadata
    from nbtune.engine.storage.launch_spec import Launch, NewCode

__all__ = ["ChosenCode", "choose_code", "remember", "remember_start"]

_latest: dict[str, Origin] = {}
"""Name of an experiment -> the cell or function that was prepared last under this name."""
_latest_of_cell: dict[str, Origin] = {}
"""Id of a cell of the notebook -> what was prepared last in it."""
_started: dict[str, tuple[str | None, Origin]] = {}
"""Id of an experiment of this session -> the id of its cell, if the frontend tells, and its code."""


@dataclass(frozen=True)
class ChosenCode:
    """The code of a resumed experiment.

    Attributes:
        metadata: what the log records of the stored code; empty if it is replaced.
        code: what replaces the stored code, or None.
        large: the large values of the new code.
    """

    metadata: Metadata
    code: NewCode | None = None
    large: list[Any] = field(default_factory=list)


def remember(prepared: Prepared) -> None:
    """Remember a cell or function as the present one of its name. Only what leads to it is kept, not its variables.

    Args:
        prepared: what was prepared, whether it is started or not.
    """
    _latest[prepared.spec.name] = prepared.origin
    if prepared.origin.is_cell and (cell := cell_id()):
        _latest_of_cell[cell] = prepared.origin


def remember_start(identifier: str, origin: Origin) -> None:
    """Remember from which code an experiment was started.

    Args:
        identifier: the experiment's id.
        origin: its code.
    """
    _started[identifier] = (cell_id(), origin)


def choose_code(launch: Launch, metadata: Metadata, wanted: str) -> ChosenCode:
    """Return the code that a resumed experiment runs, after a message on how the present and the stored one differ.

    Args:
        launch: the stored launch.
        metadata: the experiment's metadata, according to its log.
        wanted: "stored" or "new".

    Raises:
        ExperimentError: the new code is wanted, and this kernel does not have it.
        SpecError: the new code cannot be sent to the trials.
    """
    name = metadata.get("name") or launch.spec.name
    origin = _origin(launch, metadata.get("id", ""), name)
    if wanted == "new":
        if origin is None:
            raise ExperimentError(_why_unknown(launch, name))
        return _new_code(launch, origin, name)
    stored: Metadata = {"source": launch.metadata.get("source", ""), "code": launch.metadata.get("code", "")}
    if origin is None:
        return ChosenCode(stored)
    try:
        change, _ = _compare(launch, origin)
    except Exception as error:  # the present code does not matter for the stored one, but its error tells of a change
        reason = str(error) if isinstance(error, NbtuneError) else f"{type(error).__name__}: {error}"
        say(f"{name} goes on with its stored code. The present code could not be started: {reason}")
        return ChosenCode(stored)
    if change:
        hint = f'{name}.resume(code="new") takes the present code'
        say(f"{name} goes on with its stored code; changed since: {change}. {hint}.\n{change.diff}".rstrip())
        stored["code"] = f"it runs its stored code; changed since in the notebook: {change}"
    return ChosenCode(stored)


def _new_code(launch: Launch, origin: Origin, name: str) -> ChosenCode:
    """Pack the present code, after a message on what it changes."""
    from nbtune.engine.storage.launch_spec import NewCode

    change, prepared = _compare(launch, origin)
    if (maker := _changed_maker(prepared)) is not None:
        own = getattr(prepared.program.function, "__name__", "")
        raise ExperimentError(
            f"{own} was made by an earlier text of {maker.__name__}: call it again for the variable {own},"
            f" {own} = {maker.__name__}(…), and try this again"
        )
    if prepared.entry.is_class != launch.entry.is_class:
        kinds = ("a class", "a function") if launch.entry.is_class else ("a function", "a class")
        raise ExperimentError(
            f"{name} was started with {kinds[0]}, and cannot be resumed with {kinds[1]}; start a new experiment"
        )
    _check_parameters(launch, prepared, name)
    packed = prepared.packed
    say(f"{name} goes on with its present code; {_described(change)}")
    what = change if change else "with the same text"
    note = f"its code was replaced ({what}); trials that were over before ran the earlier code"
    metadata: Metadata = {"source": without_passwords(prepared.source), "metrics": list(prepared.metrics), "code": note}
    code = NewCode(packed.data, len(packed.large), packed.sources, packed.version, prepared.origin.variable, metadata)
    return ChosenCode({}, code, packed.large)


def _described(change: CodeChange) -> str:
    return f"changed: {change}.\n{change.diff}" if change else "its text is that of the stored code."


def _origin(launch: Launch, identifier: str, name: str) -> Origin | None:
    """Return where the present code of an experiment is in this kernel; None if that is unknown."""
    is_cell = CELL in launch.version.definitions
    cell, origin = _started.get(identifier, (None, None))
    if origin is not None and not origin.is_cell:
        return origin
    if origin is not None and cell is not None:
        return _latest_of_cell.get(cell, origin)
    if (latest := _latest.get(name)) is not None and latest.is_cell == is_cell:
        return latest
    variables = _variables()
    function: Any = variables.get(launch.variable)
    if is_cell or not (inspect.isroutine(function) or is_trainable_class(function) or has_settings(function)):
        return None

    def prepare(spec: Spec, space: Space) -> Prepared:
        if has_settings(function):
            return prepare_given(function, space, spec)
        return prepare_function(function, space, spec, of_tuner=launch.entry.ends_at_done and not launch.entry.is_class)

    return Origin(prepare, is_cell=False, variable=launch.variable)


def _variables() -> Mapping[str, Any]:
    """Return the variables of the notebook, or of the program."""
    ipython = shell()
    return vars(sys.modules["__main__"]) if ipython is None else ipython.user_ns


def _compare(launch: Launch, origin: Origin) -> tuple[CodeChange, Prepared]:
    """Prepare the present code of an experiment, and return what has changed in it.

    Raises:
        SpecError: it has mistakes, or cannot be sent to the trials.
    """
    prepared = origin.prepare(launch.spec, launch.space)
    version = prepared.packed.version
    if (maker := _changed_maker(prepared)) is not None:  # the function has the earlier text
        text = source_and_reports(maker)[0] or digest_of_code(maker.__code__)
        version = replace(version, definitions={**version.definitions, maker.__name__: text})
    return difference(launch.version, version), prepared


def _changed_maker(prepared: Prepared) -> types.FunctionType | None:
    """Return the notebook's function that has made the training function, if it would make another one now."""
    function = inspect.unwrap(prepared.program.function) if prepared.program.function is not None else None
    name, _, inner = str(getattr(function, "__qualname__", "")).partition(".<locals>.")
    if not inner or not isinstance(function, types.FunctionType):
        return None
    maker = function.__globals__.get(name)
    is_changed = isinstance(maker, types.FunctionType) and digest_of_code(function.__code__) not in _digests(
        maker.__code__
    )
    return maker if is_changed else None


def _digests(code: types.CodeType) -> set[str]:
    """Return the digests of code and of all functions in it."""
    inner = [_digests(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return {digest_of_code(code)}.union(*inner)


def _why_unknown(launch: Launch, name: str) -> str:
    """Return why the present code of an experiment is not known, and what to do."""
    if CELL in launch.version.definitions:
        return (
            f"{name} cannot be resumed with new code: this kernel has run no cell of that name. Run its cell with"
            f" %%tune {name} --dry-run, which starts nothing, and try this again; {name}.resume() uses the stored code"
        )
    wanted = f"has no function {launch.variable}: define it" if launch.variable else "does not have its function"
    return (
        f"{name} cannot be resumed with new code: this kernel {wanted}, and try this again; {name}.resume() uses the"
        " stored code"
    )


def _check_parameters(launch: Launch, prepared: Prepared, name: str) -> None:
    """Tell how the space of the present cell differs, which does not replace the stored one.

    Raises:
        ExperimentError: it has other parameters.
    """
    stored, present = launch.space, prepared.space
    if set(stored.names) != set(present.names):
        raise ExperimentError(
            f"{name} cannot be resumed with new code that has other parameters: it has {', '.join(stored.names)}, and"
            f" the present cell {', '.join(present.names)}. Start a new experiment instead"
        )
    if space_to_json(stored, keep_names=True) != space_to_json(present, keep_names=True):
        say(f"the search space of {name} stays as it was; start a new experiment for another one")
