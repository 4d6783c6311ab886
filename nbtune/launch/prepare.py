"""Preparation: from a cell or function and its options to an experiment that can be launched, or to every mistake."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nbtune.bad_input import readable_input
from nbtune.engine.protocol.importing import without_collection
from nbtune.errors import Problem, SpecError, option_ref
from nbtune.launch.check_framework import with_framework
from nbtune.launch.check_objectives import with_own_objectives
from nbtune.launch.check_objects import check_objects
from nbtune.launch.check_space import as_space, check_samples, check_trial_count
from nbtune.launch.data import name_datasets, pack_data
from nbtune.launch.function import globals_used, reported_metrics, source_and_reports, takes_parameters_by_name
from nbtune.launch.packing import pack_program
from nbtune.launch.resources import with_largest_resources
from nbtune.launch.trainables import (
    class_problems,
    is_trainable_class,
    methods_of,
    namespace_of,
    not_trainable,
    read_trained,
    with_own_resources,
)
from nbtune.passwords import without_variables
from nbtune.shell import cell_label
from nbtune.spec.cell.capture import (
    Capture,
    Program,
    all_metrics,
    capture,
    may_save_checkpoints,
    metric_problems,
    unseen_reporters,
)
from nbtune.spec.cell.entry import Entry
from nbtune.spec.cell.interaction import interaction_problems
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reached import reached_functions
from nbtune.spec.cell.texts import unseen_names
from nbtune.spec.options.condition import metrics_of
from nbtune.spec.options.datasets import PackedDatasets
from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.space.space import Space, top_level

if TYPE_CHECKING:
    from nbtune.engine.trial.payload import Packed

__all__ = ["Origin", "Prepared", "prepare_cell", "prepare_function"]

_CELL = Entry("cell")


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
        entry: how Ray Tune runs it.
        notes: notes on its space, one sentence each.
        origin: where its code comes from.
        datasets: the packed data sets that the options name; None without any.
    """

    spec: Spec
    space: Space
    packed: Packed
    program: Program
    source: str
    origin: Origin
    metrics: tuple[str, ...] = ()
    checkpoints: bool = True
    entry: Entry = field(default_factory=Entry)
    notes: tuple[str, ...] = ()
    datasets: PackedDatasets | None = None


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
    problems += metric_problems(_named_metrics(spec), cell.reports, values, "cell", cell.imports)
    source = without_variables(cell.source)  # it is stored
    program = Program(code=cell.code, is_async=cell.is_async, imports=cell.imports, source=source)
    checkpoints = may_save_checkpoints(cell.reports, values, cell.imports)
    reported = all_metrics(cell.reports, values, cell.imports)
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
        reported=reported,
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
    of_tuner: bool = False,
    notes: Sequence[str] = (),
) -> Prepared:
    """Check a training function or class, its options and its space, and pack it.

    Args:
        function: takes the parameters, as one `config` dictionary or by their names; or a `ray.tune.Trainable`.
        space: see `as_space`.
        options: option -> value, from the keyword arguments; or the options of a stored experiment.
        namespace: the variables that the function may use; its globals if None.
        problems: problems that were found before.
        of_tuner: whether a `ray.tune.Tuner` has it, which calls it with one dictionary, and ends a trial at "done".
        notes: notes on what was given.

    Raises:
        SpecError: with every mistake.
    """
    problems, given = list(problems or []), function
    if not callable(given) or (inspect.isclass(given) and not is_trainable_class(given)):
        raise SpecError([*problems, *_make_spec(options)[1], not_trainable(given)])
    trained = read_trained(given, of_tuner=of_tuner, problems=problems)
    function, entry = trained.trainable, trained.entry
    if not isinstance(options, Spec):
        options = with_own_resources(options, trained.options)
    spec, request_problems = _make_spec(options)
    parameters = as_space(space, request_problems)
    request_problems += [*parameters.problems(), *class_problems(trained, spec)]
    problems += request_problems
    as_in_ray = entry.is_class or of_tuner or trained.arguments  # those of `with_parameters` are given beside a config
    by_name = not as_in_ray and takes_parameters_by_name(function, parameters, problems)
    source, reports = source_and_reports(function)
    if namespace is None:
        namespace = namespace_of(function)
    problems += interaction_problems([], reached_functions(methods_of(function), namespace), namespace, cell_label)
    # For checks only: pickling the function includes the variables that it uses.
    used = capture(FreeNames(needed=dict.fromkeys(globals_used(function, namespace), 0)), namespace).values
    kind = "class" if entry.is_class else "function"
    problems += metric_problems(_named_metrics(spec), reports, unseen_reporters(used), kind)
    program = Program(function=function, arguments=trained.arguments, by_name=by_name)
    checkpoints = entry.saves if entry.is_class else may_save_checkpoints(reports, unseen_reporters(used))
    reported = all_metrics(reports, unseen_reporters(used))
    nothing, valid = Capture({}, set(), []), not request_problems
    metrics = reported_metrics(reports, used.values())
    origin = _origin_of(given, namespace, of_tuner=of_tuner)
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
        reported=reported,
        used={**used, **trained.arguments},
        entry=entry,
        notes=notes,
    )


def _origin_of(function: Callable[..., Any], namespace: Mapping[str, Any], *, of_tuner: bool) -> Origin:
    """Return the origin of a function: the variable that has it now, or that will have it under its own name."""
    own = str(getattr(function, "__name__", ""))
    names = [own, *namespace]
    variable = next((name for name in names if namespace.get(name) is function), "" if own in namespace else own)

    def prepare_again(stored: Spec, space: Space) -> Prepared:
        present: Any = namespace.get(variable)
        if not (inspect.isroutine(present) or is_trainable_class(present)):
            present = function
        return prepare_function(present, space, stored, namespace, of_tuner=of_tuner)

    return Origin(prepare_again, is_cell=False, variable=variable)


def _named_metrics(spec: Spec) -> list[tuple[str, str]]:
    """Return (option, metric) for the metrics that options name."""
    # A metric without a valid mode is no objective yet.
    metrics = [spec.metric] if spec.metric is not None else [objective.metric for objective in spec.objectives]
    return [*(("metric", metric) for metric in metrics), *(("stop", metric) for metric in metrics_of(spec.stop))]


def _make_spec(options: Mapping[str, Any] | Spec) -> tuple[Spec, list[Problem]]:
    if isinstance(options, Spec):
        return options, []
    merged, default_problems = with_defaults(options)
    spec, problems = make_spec(merged)
    return with_own_objectives(spec), default_problems + problems


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
    reported: tuple[str, ...] | None,
    used: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    entry: Entry = _CELL,
) -> Prepared:
    """Check what needs Ray, and pack.

    `valid` tells whether options and space are valid so far, so that trials can be sampled and counted; `reported` are
    the metrics, None if not all are known; `used` are the variables that are pickled with a function.
    """
    from nbtune.cluster.connect import import_ray

    import_ray()
    with without_collection():
        import ray.tune  # noqa: F401 - the largest package of those that an experiment needs
    from nbtune.engine.search.registry import scheduler_of
    from nbtune.launch.check_algorithms import check_algorithms
    from nbtune.launch.warm_start import with_warm_start

    unsupported: list[Problem] = []
    spec, space = name_datasets(spec, space, namespace)
    try:
        spec = spec.within(space)
    except SpecError as error:
        unsupported += error.problems
    code = [one for one in (program.code, program.function) if one is not None]
    values = captured.values if used is None else used
    spec, framework_notes = with_framework(spec, code, values, unsupported)
    spec, warm_notes = with_warm_start(spec, space, unsupported) if valid and not problems else (spec, [])
    if valid:
        spec, resource_notes = with_largest_resources(spec, space, unsupported)
        notes = (*notes, *resource_notes)
    scheduling = check_algorithms(spec, space, unsupported, checkpoints=checkpoints, reported=reported)
    check_objects(spec, space, unsupported)
    problems += unsupported
    notes = (*notes, *framework_notes, *scheduling, *warm_notes)
    if (scheduler := scheduler_of(spec.scheduler)) is not None and scheduler.new_processes:
        spec = replace(spec, reuse_actors=False)
    if valid and not unsupported:
        notes = (*notes, *check_samples(spec, space, problems))
        check_trial_count(spec, space, problems)
    packed = pack_program(program, captured, namespace, spec.seed, problems, cell_label, used=used)
    datasets, data_notes = pack_data(spec, packed, problems)
    if problems or packed is None:
        raise SpecError(problems)
    spec, notes = replace(spec, reads_data=spec.reads_data or packed.reads_data), (*notes, *data_notes)
    return Prepared(spec, space, packed, program, source, origin, metrics, checkpoints, entry, notes, datasets)
