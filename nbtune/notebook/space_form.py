"""`SpaceForm`: a form on a search space, from whatever a space can be read from."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem, SpecError
from nbtune.launch import planning
from nbtune.launch.prepare import as_space
from nbtune.results.store import flat
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
"""What a new cell's line begins with."""


class SpaceForm(SpaceEditor):
    """A form to build or change a search space; ``%%tune --space FORM`` takes it as it is.

    Its rows are what one would type in a cell. What is wrong is said at the field, and `space` stays the last that was
    right. "Write cell" puts the whole ``%%tune`` cell below this one; `write` does the same from Python.

    Args:
        source: what to begin with: None for an empty form; the text of a cell, which keeps its options and its body;
            a `Space`, or a dictionary as Ray Tune takes it; an `Experiment`, whose best trials then suggest changes;
            an `optuna.Study`, with the same.
        namespace: the variables that the fields may use; the notebook's if None.

    Raises:
        SpecError: the source is none of these, or a cell that is no Python.
    """

    def __init__(self, source: Any = None, *, namespace: Mapping[str, Any] | None = None) -> None:
        if namespace is None:
            namespace = getattr(shell(), "user_ns", {})
        text, line, trials = _read(source)
        try:
            form = Form.read(text, namespace, line)
        except SyntaxError as error:
            raise SpecError([Problem(f"the cell is no Python: {error.msg}", error.lineno)]) from None
        super().__init__(form, _suggestions(form, trials), Space.from_spec, partial(_planned, namespace))

    @property
    def suggestions(self) -> list[str]:
        """What the best trials of the experiment suggest; each has its button in the form."""
        return [suggestion.text for suggestion in self._suggestions]

    def write(self) -> None:
        """Put the cell below the one that runs.

        Raises:
            SpecError: something is wrong with what is typed.
        """
        if not self.valid:
            raise SpecError([f"the form is not right yet: {self._checked.blocked_reason}"])
        insert_cell_below(self.text)


def _planned(namespace: Mapping[str, Any], space: Space, line: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return what is planned on the connected cluster, as lines, and whether it can be run."""
    ray: Any = sys.modules.get("ray")
    if not getattr(ray, "is_initialized", bool)():  # a form starts no cluster by itself
        return ["no cluster is connected yet, so nothing is planned"], True
    planned = planning.plan(space=space, **line_options(line, namespace))
    return str(planned).splitlines(), not planned.problems


def _suggestions(form: Form, trials: list[ScoredTrial]) -> list[Suggestion]:
    checked = form.check(form.layout.rows, form.line)
    return [] if checked.space is None else suggest(form.layout.rows, checked.space, trials)


def _read(source: Any) -> tuple[str, dict[str, str] | None, list[ScoredTrial]]:
    """Return a source as the text of a cell, the fields of its line where it has none, and its trials."""
    if source is None:
        return "", _NEW, []
    if isinstance(source, str):
        return source, None if source.startswith("%%tune") else _NEW, []
    kinds = {(base.__module__.partition(".")[0], base.__name__) for base in type(source).__mro__}
    if ("optuna", "Study") in kinds:
        mode = "max" if source.direction.name == "MAXIMIZE" else "min"
        return Space.from_optuna(source).to_cell(), {**_NEW, "mode": mode}, _of_study(source, mode)
    if ("nbtune", "Experiment") in kinds:
        return *_of_experiment(source), _of_trials(source)
    problems: list[Problem] = []
    space = as_space(source, problems)
    if problems:
        raise SpecError(problems)
    return Space.from_spec(space).to_cell(), _NEW, []


def _of_experiment(experiment: Experiment) -> tuple[str, dict[str, str] | None]:
    """Return the cell that an experiment ran; of one that ran a function, its space."""
    if experiment.source.startswith("%%tune"):
        return experiment.source.rstrip("\n"), None  # IPython has ended the cell with a line feed
    metadata = experiment._store.metadata
    options = metadata.get("options", {})
    line = {name: str(options.get(name) or "") for name in ("metric", "mode", "samples")}
    return experiment.space.to_cell(), {**line, "name": experiment.name if experiment.name.isidentifier() else ""}


def _of_trials(experiment: Experiment) -> list[ScoredTrial]:
    metric, found = experiment._store.metric, []
    sign = -1 if experiment._store.metadata.get("mode") == "max" else 1
    if metric is None:
        return []
    for number, trial in experiment.trials.items():
        value = trial.metrics.get(metric) if trial.status != "failed" else None
        if isinstance(value, (int, float)) and math.isfinite(value):
            found.append(ScoredTrial(number, dict(flat(trial.config)), sign * float(value)))
    return found


def _of_study(study: Any, mode: str) -> list[ScoredTrial]:
    sign = -1 if mode == "max" else 1
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    return [ScoredTrial(trial.number, trial.params, sign * trial.value) for trial in done if math.isfinite(trial.value)]
