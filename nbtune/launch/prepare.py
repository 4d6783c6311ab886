"""Preparation: from a cell or function and its options to an experiment that can be launched, or to every mistake."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtune.bad_input import readable_input
from nbtune.engine.protocol.importing import without_collection
from nbtune.errors import Problem, SpecError, option_ref
from nbtune.frameworks import framework_of
from nbtune.launch.check_objects import check_objects
from nbtune.launch.check_space import check_samples, check_trial_count
from nbtune.launch.function import globals_used, reported_metrics, source_and_reports, takes_parameters_by_name
from nbtune.launch.packing import pack_program
from nbtune.passwords import without_variables
from nbtune.shell import cell_label
from nbtune.spec.cell.capture import Capture, Program, capture, may_save_checkpoints, metric_problems, unseen_reporters
from nbtune.spec.cell.interaction import interaction_problems
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reached import reached_functions
from nbtune.spec.cell.texts import unseen_names
from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.space.space import Space, top_level
from nbtune.spec.space.values import label

if TYPE_CHECKING:
    from nbtune.engine.trial.payload import Packed

__all__ = ["Origin", "Prepared", "as_space", "prepare_cell", "prepare_function"]


@dataclass(frozen=True)
class Origin:
    """Where the code of an experiment comes from.

    Attributes:
        prepare: prepares the present text of the code, for the options and the space of a stored experiment.
        is_cell: whether it is a cell, and not a function.
        variable: the variable of the notebook that has the function; empty for a cell.
    """

    prepare: Callable[[Spec, Space], Prepared]
    is_cell: bool
    variable: str = ""


@dataclass(frozen=True)
class Prepared:
    """An experiment that can be launched.

    Attributes:
        spec: the options.
        space: the parameters, as they were given.
        packed: the code and the notebook's variables that it uses.
        program: the same, not packed.
        source: the text of the cell or function.
        metrics: the metrics that it reports, as far as its text shows.
        checkpoints: whether it may report checkpoints, as far as its text shows.
        notes: notes on its space, one sentence each.
        origin: where its code comes from.
    """

    spec: Spec
    space: Space
    packed: Packed
    program: Program
    source: str
    origin: Origin
    metrics: tuple[str, ...] = ()
    checkpoints: bool = True
    notes: tuple[str, ...] = ()


@readable_input()
def prepare_cell(
    text: str,
    options: Mapping[str, Any] | Spec,
    namespace: Mapping[str, Any],
    *,
    space: Any = None,
    filename: str = "<cell>",
    magic: str = "%%tune",
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a cell, its options and its space, and pack it.

    Args:
        text: the cell below the magic line.
        options: option -> value, from the magic line; or the options of a stored experiment.
        namespace: the notebook's variables.
        space: a space in addition to the cell's own, or None; see `as_space`.
        filename: the file name that the cell's code is compiled under.
        magic: the magic line.
        problems: problems that were found before.

    Raises:
        SpecError: with every mistake.
    """
    problems = list(problems or [])
    spec, option_problems = _make_spec(options)
    problems += option_problems
    extra_space = as_space(space, problems) if space is not None else None
    cell, cell_problems = parse_cell(text, namespace, filename=filename, magic=magic, extra_space=extra_space)
    problems += cell_problems
    if cell is None:
        raise SpecError(problems)
    if not len(cell.space):
        text = "the cell has no parameter; add a line such as  lr: loguniform(1e-4, 1e-1) = 1e-2"
        problems.append(Problem(text, code="missing"))
    names = cell.names
    for name in map(top_level, cell.space.names):  # parameters of the additional space are variables in a trial, too
        names.needed.pop(name, None)
        names.optional.discard(name)
    captured = capture(names, namespace)
    problems += captured.problems
    problems += interaction_problems(cell.body, reached_functions(cell.code, namespace), namespace, cell_label)
    if spec.name in captured.values and spec.name not in captured.optional:
        text = (
            f"{spec.name!r} is a variable that the cell uses, and the experiment would replace it; choose another name:"
            f" {option_ref('name', 'NAME')}"
        )
        problems.append(Problem(text, code="conflict"))
    values = unseen_reporters(captured.values)
    problems += metric_problems(spec.metric, cell.reports, values, "cell", cell.imports)
    source = without_variables(cell.source)  # it is stored
    program = Program(code=cell.code, is_async=cell.is_async, imports=cell.imports, source=source)
    checkpoints = may_save_checkpoints(cell.reports, values, cell.imports)
    valid = not (option_problems or cell.space.problems())
    metrics = reported_metrics(cell.reports, values)
    notes = [
        f"line {line}: {called} names variables by values that are not known beforehand; a trial has only the variables"
        " that the cell names itself"
        for called, line in unseen_names(cell.body)
    ]

    def prepare_again(stored: Spec, _: Space) -> Prepared:
        return prepare_cell(text, stored, namespace, space=space, filename=filename, magic=magic)

    return _finish(
        spec,
        cell.space,
        program,
        captured,
        namespace,
        source,
        Origin(prepare_again, is_cell=True),
        problems,
        metrics,
        checkpoints,
        valid=valid,
        notes=notes,
    )


@readable_input()
def prepare_function(
    function: Callable[..., Any],
    space: Any,
    options: Mapping[str, Any] | Spec,
    namespace: Mapping[str, Any] | None = None,
    *,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a training function, its options and its space, and pack it.

    Args:
        function: takes the parameters, as one `config` dictionary or by their names.
        space: see `as_space`.
        options: option -> value, from the keyword arguments; or the options of a stored experiment.
        namespace: the variables that the function may use; its globals if None.
        problems: problems that were found before.

    Raises:
        SpecError: with every mistake.
    """
    problems = list(problems or [])
    spec, request_problems = _make_spec(options)
    if inspect.isclass(function) or not callable(function):
        text = f"expected a training function that takes the parameters, got {label(function)}"
        raise SpecError([*problems, *request_problems, Problem(text)])
    parameters = as_space(space, request_problems)
    request_problems += parameters.problems()
    problems += request_problems
    by_name = takes_parameters_by_name(function, parameters, problems)
    source, reports = source_and_reports(function)
    if namespace is None:
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
    problems += interaction_problems([], reached_functions(function, namespace), namespace, cell_label)
    # For checks only: pickling the function includes the variables that it uses.
    used = capture(FreeNames(needed=dict.fromkeys(globals_used(function, namespace), 0)), namespace).values
    problems += metric_problems(spec.metric, reports, unseen_reporters(used), "function")
    program = Program(function=function, by_name=by_name)
    checkpoints = may_save_checkpoints(reports, unseen_reporters(used))
    nothing, valid = Capture({}, set(), []), not request_problems
    metrics = reported_metrics(reports, used.values())
    origin = _origin_of(function, namespace)
    return _finish(
        spec,
        parameters,
        program,
        nothing,
        namespace,
        source,
        origin,
        problems,
        metrics,
        checkpoints,
        valid=valid,
        used=used,
    )


def _origin_of(function: Callable[..., Any], namespace: Mapping[str, Any]) -> Origin:
    """Return the origin of a function: the variable that has it now, or that will have it under its own name."""
    own = str(getattr(function, "__name__", ""))
    names = [own, *namespace]
    variable = next((name for name in names if namespace.get(name) is function), "" if own in namespace else own)

    def prepare_again(stored: Spec, space: Space) -> Prepared:
        present = namespace.get(variable)
        if not inspect.isroutine(present):
            present = function
        return prepare_function(present, space, stored, namespace)

    return Origin(prepare_again, is_cell=False, variable=variable)


def as_space(space: Any, problems: list[Problem]) -> Space:
    """Return the `Space` of a value that describes one; an empty one if it does not.

    Args:
        space: a dictionary as Ray Tune takes it, a `Space`, or an object with one as its `space`, such as a form.
        problems: receives the problem of any other value.
    """
    value = space if isinstance(space, (Space, Mapping)) else getattr(space, "space", space)
    if isinstance(value, Space):
        return value
    if isinstance(value, Mapping):
        return Space.from_dict(value)
    text = f"expected a search space: a dictionary, name -> loguniform(…), choice(…) or a value; got {label(value)}"
    problems.append(Problem(text))
    return Space()


def _make_spec(options: Mapping[str, Any] | Spec) -> tuple[Spec, list[Problem]]:
    if isinstance(options, Spec):
        return options, []
    merged, default_problems = with_defaults(options)
    spec, problems = make_spec(merged)
    return spec, default_problems + problems


def _finish(
    spec: Spec,
    space: Space,
    program: Program,
    captured: Capture,
    namespace: Mapping[str, Any],
    source: str,
    origin: Origin,
    problems: list[Problem],
    metrics: tuple[str, ...],
    checkpoints: bool,
    *,
    valid: bool,
    used: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Prepared:
    """Check what needs Ray, and pack.

    `valid` tells whether options and space are valid so far, so that trials can be sampled and counted; `used` are the
    variables that are pickled with a function; `notes` are those on the code.
    """
    from nbtune.cluster.connect import import_ray

    import_ray()
    with without_collection():
        import ray.tune  # noqa: F401 - the largest package of those that an experiment needs
    from nbtune.engine.search.algorithms import search_problems

    unsupported: list[Problem] = []
    try:
        spec = spec.within(space)
        if spec.backend is not None:
            framework_of(spec.framework).arguments(spec.backend)
    except SpecError as error:
        unsupported += error.problems
    except ValueError as error:
        unsupported.append(Problem(str(error), option="backend"))
    unsupported += search_problems(spec, space)
    check_objects(spec, space, unsupported)
    problems += unsupported
    if valid and not unsupported:
        notes = (*notes, *check_samples(spec, space, problems))
        check_trial_count(spec, space, problems)
    packed = pack_program(program, captured, namespace, spec.seed, problems, cell_label, used=used)
    if problems or packed is None:
        raise SpecError(problems)
    return Prepared(spec, space, packed, program, source, origin, metrics, checkpoints, tuple(notes))
