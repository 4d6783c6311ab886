"""Pre-flight: from what the user gave to what can be launched, or to one message with every mistake."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nbtune.errors import Problem, SpecError
from nbtune.frameworks import framework_of
from nbtune.spec.cell.capture import Capture, Program, capture, metric_problems, saves, sources_of
from nbtune.spec.cell.names import Names
from nbtune.spec.cell.origin import module_of
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reports import Reports, reports_in
from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.options import Spec, make_spec
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Space, nested, top_level

_SAMPLES = 200  # of a space that is tried before it is launched

__all__ = ["GRID_WARNING", "Prepared", "as_space", "prepare_cell", "prepare_function"]

GRID_WARNING = 10_000
"""From this many trials on, an experiment is refused unless its number was asked for."""


@dataclass(frozen=True)
class Prepared:
    """What can be launched.

    Attributes:
        spec: the options.
        space: the parameters, as they were given.
        packed: the code and what it takes from the notebook (`nbtune.engine.trial.payload.Packed`).
        program: the same, not packed.
        source: the text of the cell or function.
        checkpoints: whether it may report checkpoints, as far as its text shows.
        notes: what a person should know of its space, one sentence each.
    """

    spec: Spec
    space: Space
    packed: Any
    program: Program
    source: str
    checkpoints: bool = True
    notes: tuple[str, ...] = ()


def no_name(filename: str) -> str | None:
    """Name no file a notebook cell."""
    return None


def prepare_cell(
    text: str,
    options: Mapping[str, Any],
    namespace: Mapping[str, Any],
    *,
    space: Any = None,
    filename: str = "<cell>",
    magic: str = "%%tune",
    namer: Callable[[str], str | None] = no_name,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a cell and everything around it.

    Args:
        text: the cell below the magic line.
        options: what the magic line says.
        namespace: the notebook's variables.
        space: a space in addition to the cell's, or None; see `as_space`.
        filename: the name for the cell's code.
        magic: the magic line.
        namer: file name -> what a traceback calls it, for the notebook's cells.
        problems: what was found before.

    Raises:
        SpecError: with every mistake.
    """
    found = list(problems or [])
    spec, wrong = _spec(options)
    found += wrong
    extra_space = as_space(space, found) if space is not None else None
    cell, cell_problems = parse_cell(text, namespace, filename=filename, magic=magic, extra_space=extra_space)
    found += cell_problems
    if cell is None:
        raise SpecError(found)
    whole = cell.space
    if not len(whole):
        found.append(Problem("the cell has no parameter; add a line like  lr: loguniform(1e-4, 1e-1) = 1e-2"))
    names = cell.names
    for name in map(top_level, whole.names):  # those of --space are there in a trial too
        names.needed.pop(name, None)
        names.maybe.discard(name)
    taken = capture(names, namespace)
    found += taken.problems
    if spec.name in taken.values and spec.name not in taken.optional:
        found.append(
            Problem(
                f"the experiment would take the name of {spec.name}, a variable that the cell uses;"
                " give it another name: %%tune NAME"
            )
        )
    found += metric_problems(spec.metric, cell.reports, taken.values.values(), "cell", cell.imports)
    sources = sources_of(cell, taken.values.values(), namer)
    program = Program(code=cell.code, is_async=cell.is_async, imports=cell.imports, sources=sources)
    checkpoints = saves(cell.reports, taken.values.values(), cell.imports)
    sound = not (wrong or whole.problems())
    return _finish(spec, whole, program, taken, namespace, cell.source, found, checkpoints, sound=sound)


def prepare_function(
    function: Callable[..., Any],
    space: Any,
    options: Mapping[str, Any],
    namespace: Mapping[str, Any] | None = None,
    *,
    namer: Callable[[str], str | None] = no_name,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a training function and everything around it.

    Args:
        function: takes the parameters, as one `config` dictionary or by their names.
        space: see `as_space`.
        options: the keyword arguments.
        namespace: the function's globals if None.
        namer: as for `prepare_cell`.
        problems: what was found before.

    Raises:
        SpecError: with every mistake.
    """
    found = list(problems or [])
    spec, wrong = _spec(options)
    if inspect.isclass(function) or not callable(function):
        text = f"{function!r} is no training function: give a function that takes the parameters"
        raise SpecError([*found, *wrong, Problem(text)])
    whole = as_space(space, wrong)
    wrong += whole.problems()
    found += wrong
    by_name = _takes_names(function, whole, found)
    source, reports = _source(function)
    if namespace is None:
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
    # The function's own pickling takes along what it uses; this is to look at.
    used = capture(Names(needed=dict.fromkeys(_globals_used(function, namespace), 0)), namespace)
    found += metric_problems(spec.metric, reports, used.values.values(), "function")
    sources = sources_of(None, [function, *used.values.values()], namer)
    program = Program(function=function, by_name=by_name, sources=sources)
    checkpoints = saves(reports, used.values.values())
    nothing = Capture({}, set(), [])
    return _finish(
        spec, whole, program, nothing, namespace, source, found, checkpoints, sound=not wrong, used=used.values
    )


def as_space(space: Any, problems: list[Problem]) -> Space:
    """Return the `Space` of a dictionary as Ray Tune takes it, a `Space`, or a widget with `.space`."""
    value = space if isinstance(space, (Space, Mapping)) else getattr(space, "space", space)
    if isinstance(value, Space):
        return value
    if isinstance(value, Mapping):
        return Space.from_dict(value)
    problems.append(
        Problem(f"{value!r} is no search space: give a dictionary, name -> loguniform(…), choice(…) or a value")
    )
    return Space()


def _spec(options: Mapping[str, Any]) -> tuple[Spec, list[Problem]]:
    merged, problems = with_defaults(options)
    spec, found = make_spec(merged)
    return spec, problems + found


def _finish(
    spec: Spec,
    space: Space,
    program: Program,
    taken: Capture,
    namespace: Mapping[str, Any],
    source: str,
    problems: list[Problem],
    checkpoints: bool,
    *,
    sound: bool,
    used: Mapping[str, Any] | None = None,
) -> Prepared:
    """Check what needs Ray's own pickling, and pack.

    `sound` says that no problem so far is about options and space, so that trials can be counted; `used` are the
    variables that a function takes along itself.
    """
    from nbtune.cluster.connect import import_ray

    import_ray()
    from nbtune.engine.search.algorithms import search_problems, trial_count
    from nbtune.engine.trial.payload import captured_variables, pack, unpicklable

    try:
        spec = spec.within(space)
        if spec.backend is not None:
            framework_of(spec.framework).arguments(spec.backend)
    except ValueError as error:
        problems.append(Problem(str(error)))
        sound = False
    unfit = search_problems(spec, space)
    problems += unfit
    sound = sound and not unfit
    notes = _try_space(spec, space, problems) if sound else ()
    count = 1
    if sound:
        try:
            count = trial_count(spec, space)
        except ValueError as error:
            problems.append(Problem(str(error)))
    if count == 0:
        problems.append(Problem(f"no point of the grid fulfils {' and '.join(map(str, space.constraints))}"))
    if count >= GRID_WARNING and spec.max_concurrent is None and spec.time_budget is None:
        grids = " x ".join(
            f"{p.name} ({len(p.domain.values or [])})" for p in space.parameters if _is_grid(spec, p.domain)
        )
        problems.append(
            Problem(
                f"this makes {count:,} trials: {spec.samples} samples{f' x {grids}' if grids else ''}. If it is meant,"
                " say --time-budget or --max-concurrent with it"
            )
        )
    values = dict(taken.values)
    try:
        packed = pack(program, values, namespace, spec.seed)
    except Exception as error:  # whatever some object's own reduction raises
        reason = error
        dropped, found = unpicklable(values, taken.optional)
        problems += found
        for name in dropped:
            del values[name]
        packed = None
        if not found and dropped:
            try:
                packed = pack(program, values, namespace, spec.seed)
            except Exception as again:
                reason = again
        what = getattr(program.function, "__name__", "the cell")
        if packed is None and used and unpicklable(used, set(used))[0]:
            found = unpicklable({what: program.function, **used}, set(used))[1]
            problems += found
        if packed is None and not found:
            problems.append(Problem(f"{what} cannot be sent to the trials: {type(reason).__name__}: {reason}"))
    if problems or packed is None:
        raise SpecError(problems)
    if used and module_of(program.function) == "__main__":  # else it is imported there, and takes along nothing
        packed = replace(packed, captured=captured_variables(used))
    return Prepared(spec, space, packed, program, source, checkpoints, notes)


def _try_space(spec: Spec, space: Space, problems: list[Problem]) -> tuple[str, ...]:
    """Sample a space whose parameters depend on one another, for what shows only then; return what to know of it."""
    from nbtune.engine.search.sampling import Sampler

    for point in spec.points:
        try:
            if spec.worker_group is not None:
                spec.worker_group.check(nested(point))
            broken = space.violated(nested(point))
        except ValueError as error:
            problems.append(Problem(f"--points: {point!r}: {error}"))
            continue
        if broken is not None:
            problems.append(Problem(f"--points: {point!r} does not fulfil {broken}"))
    if spec.search == "grid" or not (space.dependent or space.constraints):
        return ()  # the points of a grid are looked at one by one
    sampler, drawn = Sampler(space, seed=0), 0
    for _ in range(_SAMPLES):
        try:
            drawn += sampler.draw_valid()[1]
        except ValueError as error:
            lines = [p.line for p in space.dependent] + [constraint.line for constraint in space.constraints]
            line = min((line for line in lines if line is not None), default=None)
            problems.append(Problem(f"this space cannot be sampled: {error}", line))
            return ()
    share = _SAMPLES / drawn
    return (
        (f"about {share:.{0 if share > 0.1 else 1}%} of all samples fulfil the constraints; only these are tried",)
        if share < 1
        else ()
    )


def _is_grid(spec: Spec, domain: Any) -> bool:
    if not isinstance(domain, Domain):
        return False
    return domain.kind == "grid_search" or (spec.search == "grid" and domain.values is not None)


def _takes_names(function: Callable[..., Any], space: Space, problems: list[Problem]) -> bool:
    """Tell whether a function takes the parameters by name: ``f(lr, hidden)``, not ``f(config)``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    top = {name.split("/")[0] for name in space.names}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p for p in named if p.default is p.empty]
    catches = any(p.kind is p.VAR_KEYWORD for p in parameters)
    if len(required) == 1 and required[0].name not in top and required[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        return False
    missing = [p.name for p in required if p.name not in top]
    surplus = [name for name in sorted(top) if name not in {p.name for p in named}] if not catches else []
    name = getattr(function, "__name__", repr(function))
    if missing:
        problems.append(
            Problem(f"{name} needs {', '.join(missing)}, which the space does not have ({', '.join(sorted(top))})")
        )
    if surplus:
        problems.append(
            Problem(f"{name} does not take {', '.join(surplus)}; let it take one argument, config, or these names")
        )
    return True


def _source(function: Callable[..., Any]) -> tuple[str, Reports]:
    try:
        source = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return "", Reports((), False, True)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):  # a lambda, say
        return source, Reports((), False, True)
    generator = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node))
    return source, Reports((), False, True) if generator else reports_in(node.body, returns=True)


def _globals_used(function: Callable[..., Any], namespace: Mapping[str, Any]) -> list[str]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return [name for name in (code.co_names if code else ()) if name in namespace]
