"""`nbtune.SpaceForm`: a form on a search space, from a cell, a space, an experiment or an Optuna study."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem, SpecError
from nbtune.launch import planning
from nbtune.launch.check_space import as_space
from nbtune.shell import insert_cell_below, shell
from nbtune.space import Space
from nbtune.spec.forms.form import Form
from nbtune.spec.forms.form_line import line_options
from nbtune.spec.forms.suggest import ScoredTrial, Suggestion, suggest
from nbtune.views.forms.space_form import SpaceEditor

if TYPE_CHECKING:
    from nbtune.results.experiment import Experiment

__all__ = ["SpaceForm"]

_NEW = {"name": "sweep", "metric": "score", "mode": "max", "samples": "10"}
"""The initial fields of a new cell's magic line."""


class SpaceForm(SpaceEditor):
    """A form to build or change a search space; ``%%tune --space FORM`` accepts it.

    Each row is a parameter or constraint of a cell. Errors are shown at the fields, and `space` stays the latest valid
    one. The button "Write cell" writes the ``%%tune`` cell below this one; `write` does the same from Python.

    Args:
        source: the initial form: None for an empty one; the text of a cell, whose options and body are kept; a `Space`,
            or a dictionary as Ray Tune takes it; an `Experiment` or an `optuna.Study`, whose best trials then suggest
            changes.
        namespace: the variables that the fields may use; the notebook's if None.

    Raises:
        SpecError: the source has another type, or is a cell with a syntax error.
    """

    def __init__(self, source: Any = None, *, namespace: Mapping[str, Any] | None = None) -> None:
        if namespace is None:
            namespace = getattr(shell(), "user_ns", {})
        text, line, trials = _read(source)
        try:
            form = Form.read(text, namespace, line)
        except SyntaxError as error:
            raise SpecError([Problem(f"the cell is not valid Python: {error.msg}", error.lineno)]) from None
        super().__init__(form, _suggestions(form, trials), Space.from_spec, partial(_plan, namespace))

    @property
    def suggestions(self) -> list[str]:
        """The changes that the best trials suggest; the form has a button for each."""
        return [suggestion.text for suggestion in self._suggestions]

    def write(self) -> None:
        """Write `text` into a new cell below the running one.

        Raises:
            SpecError: the form is not valid.
            NbtuneError: there is no notebook.
        """
        if not self.valid:
            raise SpecError([f"the form is not valid: {self._checked.blocked_reason}"])
        insert_cell_below(self.text)


def _plan(namespace: Mapping[str, Any], space: Space, line: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return the lines of the plan on the connected cluster, and whether the trials fit."""
    ray: Any = sys.modules.get("ray")
    if not getattr(ray, "is_initialized", bool)():  # a form does not start a cluster
        return ["no cluster is connected, so there is no plan"], True
    planned = planning.plan(space=space, **line_options(line, namespace))
    return str(planned).splitlines(), not planned.problems


def _suggestions(form: Form, trials: list[ScoredTrial]) -> list[Suggestion]:
    checked = form.check(form.layout.rows, form.line)
    return [] if checked.space is None else suggest(form.layout.rows, checked.space, trials)


def _read(source: Any) -> tuple[str, dict[str, str] | None, list[ScoredTrial]]:
    """Return a source as the text of a cell, the fields of its line if the text has none, and its trials."""
    if source is None:
        return "", _NEW, []
    if isinstance(source, str):
        return source, None if source.startswith("%%tune") else _NEW, []
    kinds = {(base.__module__.partition(".")[0], base.__name__) for base in type(source).__mro__}
    if ("optuna", "Study") in kinds:
        modes = ["max" if direction.name == "MAXIMIZE" else "min" for direction in source.directions]
        numbered = [f"score_{number}" for number in range(1, len(modes) + 1)]
        metrics = source.metric_names or (numbered if len(modes) > 1 else ["score"])
        line = {**_NEW, "metric": ",".join(metrics), "mode": ",".join(modes)}
        return Space.from_optuna(source).to_cell(), line, _scored_study_trials(source, modes)
    if ("nbtune", "Experiment") in kinds:
        return *_read_experiment(source), _scored_trials(source)
    problems: list[Problem] = []
    space = as_space(source, problems)
    if problems:
        raise SpecError(problems)
    return Space.from_spec(space).to_cell(), _NEW, []


def _read_experiment(experiment: Experiment) -> tuple[str, dict[str, str] | None]:
    """Return the cell of an experiment, or the space of one that ran a function."""
    if experiment.source.startswith("%%tune"):
        return experiment.source.rstrip("\n"), None  # IPython appends a line feed to the cell
    metadata = experiment._store.metadata
    options = metadata.get("options", {})
    line = {name: str(options.get(name) or "") for name in ("metric", "mode", "samples")}
    return experiment.space.to_cell(), {**line, "name": experiment.name if experiment.name.isidentifier() else ""}


def _scored_trials(experiment: Experiment) -> list[ScoredTrial]:
    scored = []
    sign = -1 if experiment._store.metadata.get("mode") == "max" else 1
    for state in experiment._store.states():
        if state.value is not None and state.status != "failed":
            parameters = experiment._store.value_configuration(state).parameters
            scored.append(ScoredTrial(state.number, parameters, sign * float(state.value)))
    return scored


def _scored_study_trials(study: Any, modes: list[str]) -> list[ScoredTrial]:
    if len(modes) > 1:  # no trial is the best one
        return []
    sign = -1 if modes == ["max"] else 1
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    return [ScoredTrial(trial.number, trial.params, sign * trial.value) for trial in done if math.isfinite(trial.value)]
