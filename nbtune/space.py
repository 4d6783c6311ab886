"""`Space`, the public class of search spaces: converted from and to other formats, sampled and displayed."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtune.bad_input import readable_input
from nbtune.cluster.link.imports import import_ray
from nbtune.errors import SpecError
from nbtune.shown import shown
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space import space as spec_space
from nbtune.spec.space.domain import MISSING, depends_on
from nbtune.spec.space.json import space_from_json, space_to_json
from nbtune.spec.space.to_cell import space_to_cell
from nbtune.spec.space.values import label

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Space"]

_STUDY_ATTRIBUTE = "nbtune_space"
"""The user attribute of a study that holds the space as JSON."""


class Space(spec_space.Space):
    """A search space: parameters in order, and the constraints over them.

    Create one with the `from_…` methods, and pass it to ``%%tune --space SPACE`` or `nbtune.tune`. Two spaces are equal
    if they have the same parameters, defaults and constraints in the same order.

    Attributes:
        parameters: one for each name, in the order of the cell or dictionary.
        constraints: conditions that every tried configuration meets.
    """

    # -- conversions from other formats -------------------------------------------------------------

    @classmethod
    def from_spec(cls, space: spec_space.Space) -> Space:
        """Return a space with the methods of this class.

        Args:
            space: a space of `nbtune.spec`, which has no conversions.
        """
        return cls(space.parameters, space.constraints)

    @classmethod
    @readable_input()
    def from_cell(cls, text: str, namespace: Mapping[str, Any] | None = None) -> Space:
        """Return the parameters and constraints of a cell.

        Args:
            text: the cell, with or without its ``%%tune`` line. Statements that declare nothing are ignored.
            namespace: the variables that declarations may use, ``globals()`` for instance.

        Raises:
            SpecError: the cell is not valid Python, or its space is invalid.
        """
        first, _, rest = text.partition("\n")
        magic = first.startswith("%%")
        cell, problems = parse_cell(rest if magic else text, namespace or {}, magic=first if magic else "%%tune")
        if cell is None or problems:
            raise SpecError(problems)
        return cls.from_spec(cell.space)

    @classmethod
    @readable_input()
    def from_dict(cls, space: Mapping[str, Any]) -> Space:
        """Return the space for a search space of Ray Tune.

        Args:
            space: the dictionary, as in ``ray.tune.Tuner(param_space=...)``.
        """
        return cls.from_spec(spec_space.Space.from_dict(space))

    @classmethod
    @readable_input()
    def from_json(cls, text: str) -> Space:
        """Return the space for a text from `to_json`.

        Args:
            text: the JSON, which may come from an untrusted source: its expressions can use only parameters, operators
                and a few builtins.

        Raises:
            SpecError: the text has another format, or an expression uses something else.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SpecError([f"invalid JSON: {error}"]) from error
        return cls.from_spec(space_from_json(data))

    @classmethod
    def from_optuna(cls, study: Any) -> Space:
        """Return the space of a study.

        Args:
            study: an `optuna.Study`, or a dictionary name -> distribution. The space of a study that nbtune has not
                created consists of the distributions of its trials, without conditions.

        Raises:
            SpecError: the study has no trial with parameters yet, so its space is unknown.
        """
        from nbtune.engine.search.optuna_space import domain_of

        if isinstance(study, Mapping):
            distributions = dict(study)
        elif _STUDY_ATTRIBUTE in study.user_attrs:
            return cls.from_json(study.user_attrs[_STUDY_ATTRIBUTE])
        else:
            distributions = {}
            for trial in study.get_trials(deepcopy=False):
                distributions.update(trial.distributions)  # distributions may change between trials: use the latest
            if not distributions:
                raise SpecError(["the study has no trial with parameters yet, so its search space is unknown"])
        return cls(
            tuple(spec_space.Parameter(name, domain_of(distribution)) for name, distribution in distributions.items())
        )

    # -- conversions to other formats ---------------------------------------------------------------

    def to_cell(self) -> str:
        """Return the cell that declares this space, with a line for each parameter and constraint.

        Classes and functions are written by name, and constants as assignments.

        Raises:
            SpecError: the name of a parameter is not a valid variable name.
        """
        return space_to_cell(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the dictionary for ``ray.tune.Tuner(param_space=...)``.

        Defaults and constraints are lost, because Ray Tune does not have them. A parameter that depends on others
        becomes a domain of nbtune's, which only Ray Tune's random and grid search can sample.
        """
        import_ray()
        from nbtune.engine.search.to_ray import to_ray

        return to_ray(self)

    def to_json(self) -> str:
        """Return this space as JSON, for `from_json`.

        Raises:
            SpecError: the space has values that JSON cannot represent: classes, functions, other objects.
        """
        return json.dumps(space_to_json(self), indent=1)

    def to_optuna(self, **options: Any) -> Any:
        """Create an `optuna.Study` for this space, with the defaults enqueued as its first trial.

        Draw configurations with ``space.suggest(study.ask())``, or optimize with
        ``study.optimize(lambda trial: train(**space.suggest(trial)), …)``.

        Args:
            options: keyword arguments of `optuna.create_study`: direction, sampler, storage…

        Returns:
            The study.

        Raises:
            SpecError: Optuna does not support the space, or its values cannot be stored as JSON.
        """
        import optuna

        from nbtune.engine.search.optuna_space import optuna_problem

        problems = [f"{p.name}: {text}" for p in self.parameters if (text := optuna_problem(p.domain)) is not None]
        if problems:
            raise SpecError(problems)
        definition = self.to_json()
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(
            max(verbosity, optuna.logging.WARNING)
        )  # no message about a generated name of the study
        study = optuna.create_study(**options)
        optuna.logging.set_verbosity(verbosity)
        study.set_user_attr(_STUDY_ATTRIBUTE, definition)
        defaults = {
            p.name: p.default for p in self.parameters if p.default is not MISSING and not depends_on(p.default)
        }
        if defaults:
            study.enqueue_trial(defaults)
        return study

    def distributions(self) -> dict[str, Any]:
        """Return name -> `optuna.distributions.BaseDistribution` for the parameters that are not constant.

        Raises:
            SpecError: Optuna has no distribution for a parameter, or a parameter depends on others.
        """
        from nbtune.engine.search.optuna_space import distribution
        from nbtune.spec.space.domain import Domain

        if self.dependent:
            raise SpecError([f"{self.dependent[0].name} depends on other parameters; use space.suggest(trial) instead"])
        try:
            return {p.name: distribution(p.domain) for p in self.parameters if isinstance(p.domain, Domain)}
        except ValueError as error:
            raise SpecError([str(error)]) from error

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Suggest a configuration.

        Args:
            trial: an `optuna.Trial`. It gets no value for a parameter whose condition does not hold.

        Returns:
            The configuration, nested.

        Raises:
            optuna.TrialPruned: the configuration violates a constraint, or a domain cannot be evaluated.
        """
        import optuna

        from nbtune.engine.search.optuna_space import suggest

        try:
            config = spec_space.nested(suggest(trial, self.ordered))
            violated = self.violated(config)
        except ValueError as error:
            raise optuna.TrialPruned(str(error)) from error
        if violated is not None:
            raise optuna.TrialPruned(f"{violated} is not satisfied")
        return config

    # -- samples and display --------------------------------------------------------------------------

    def sample(self, n: int = 1, seed: int | None = None) -> pd.DataFrame:
        """Draw samples that satisfy the constraints, as random search does.

        Args:
            n: the number of samples.
            seed: a seed for reproducible samples, or None.

        Returns:
            A row for each sample and a column for each parameter; the names of nested ones are joined by "/". A
            parameter whose condition does not hold is None, or NaN in a column of numbers.

        Raises:
            SpecError: the space is invalid, no sample satisfies the constraints, or a domain cannot be evaluated.
        """
        import pandas as pd

        import_ray()
        from nbtune.engine.search.sampling import Sampler

        if problems := self.problems():
            raise SpecError(problems)
        sampler = Sampler(self, seed)
        try:
            rows = [sampler.draw_valid()[0] for _ in range(n)]
        except ValueError as error:
            raise SpecError([str(error)]) from error
        return pd.DataFrame({name: pd.Series([_at(row, name) for row in rows]) for name in self.names})

    def __repr__(self) -> str:
        width = max((len(name) for name in self.names), default=0)
        lines = [f"{p.name:<{width}}  {p.domain!r}{_default(p)}" for p in self.parameters]
        lines += map(str, self.constraints)
        return "\n".join([f"Space of {_count(len(self), 'parameter')}", *(f"  {shown(line)}" for line in lines)])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align: left">{html.escape(shown(text))}</td>'
                for text in (p.name, repr(p.domain), "" if p.default is MISSING else label(p.default))
            )
            + "</tr>"
            for p in self.parameters
        )
        header = "".join(f'<th style="text-align: left">{name}</th>' for name in ("parameter", "domain", "default"))
        constraints = "".join(
            f"<div><code>{html.escape(shown(constraint))}</code></div>" for constraint in self.constraints
        )
        return f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>{constraints}"


def _at(config: Any, name: str) -> Any:
    for part in name.split("/"):
        config = config[part]
    return config


def _default(parameter: spec_space.Parameter) -> str:
    return "" if parameter.default is MISSING else f" = {label(parameter.default)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
