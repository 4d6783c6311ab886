"""Search spaces as a person has them in hand: from and to cells, dictionaries, Optuna and JSON; sampled and shown."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtune.cluster.link.imports import import_ray
from nbtune.errors import SpecError
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space import space as spec_space
from nbtune.spec.space.domain import MISSING, depends_on
from nbtune.spec.space.json import space_from_json, space_to_json
from nbtune.spec.space.to_cell import written
from nbtune.spec.space.values import label

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Space"]

_KEPT = "nbtune_space"
"""The user attribute of a study that keeps the whole space as JSON."""


class Space(spec_space.Space):
    """An ordered set of parameters, and what they have to fulfil together.

    Made by its `from_…` methods; ``%%tune --space SPACE`` and `nbtune.tune` take it. Two spaces are equal that have the
    same parameters, defaults and constraints in the same order.
    """

    # -- from ---------------------------------------------------------------------------------------

    @classmethod
    def of(cls, space: spec_space.Space) -> Space:
        """Return another half's space as one with these methods."""
        return cls(space.parameters, space.constraints)

    @classmethod
    def from_cell(cls, text: str, namespace: Mapping[str, Any] | None = None) -> Space:
        """Return the parameters and constraints of a cell.

        Args:
            text: the cell, with or without its ``%%tune`` line; the rest of it is not looked at.
            namespace: the variables that it may use: ``globals()``.

        Raises:
            SpecError: it is no valid cell, or its space is wrong.
        """
        first, _, rest = text.partition("\n")
        magic = first.startswith("%%")
        cell, problems = parse_cell(rest if magic else text, namespace or {}, magic=first if magic else "%%tune")
        if cell is None or problems:
            raise SpecError(problems)
        return cls.of(cell.space)

    @classmethod
    def from_dict(cls, space: Mapping[str, Any]) -> Space:
        """Return the space of a dictionary as Ray Tune takes it (``Tuner(param_space=...)``)."""
        return cls.of(spec_space.Space.from_dict(space))

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Return the space that `to_json` has written. Expressions in it may compute, but call nothing else.

        Raises:
            SpecError: it is no such text.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SpecError([f"this is no JSON: {error}"]) from error
        return cls.of(space_from_json(data))

    @classmethod
    def from_optuna(cls, study: Any) -> Space:
        """Return the space of a study.

        Args:
            study: an `optuna.Study`, also one that nbtune has not made: then the space is that of its trials'
                distributions, and a parameter that was there on a condition only is there always; or a dictionary
                name -> distribution.

        Raises:
            SpecError: the study has no trial yet, so that its space is not known.
        """
        from nbtune.engine.search.optuna_space import domain_of

        if isinstance(study, Mapping):
            distributions = dict(study)
        elif _KEPT in study.user_attrs:
            return cls.from_json(study.user_attrs[_KEPT])
        else:
            distributions = {}
            for trial in study.get_trials(deepcopy=False):
                distributions.update(trial.distributions)  # the latest, where they have changed
            if not distributions:
                raise SpecError(["the study has no trial with parameters yet: it does not say what its space is"])
        return cls(tuple(spec_space.Parameter(name, domain_of(found)) for name, found in distributions.items()))

    # -- to -----------------------------------------------------------------------------------------

    def to_cell(self) -> str:
        """Return it as the lines of a cell: a line for each parameter and constraint.

        Classes and functions are written by their names, and a constant is an ordinary assignment.

        Raises:
            SpecError: a name is no variable name.
        """
        return written(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the dictionary that ``ray.tune.Tuner(param_space=...)`` takes.

        Ray Tune has no defaults and no constraints. A parameter that depends on others is a domain of nbtune's own,
        which Ray Tune's random and grid search sample.
        """
        import_ray()
        from nbtune.engine.search.to_ray import to_ray

        return to_ray(self)

    def to_json(self) -> str:
        """Return it as JSON.

        Raises:
            SpecError: it has values that JSON has nothing for: classes, functions, other objects.
        """
        return json.dumps(space_to_json(self), indent=1)

    def to_optuna(self, **options: Any) -> Any:
        """Return a new `optuna.Study` with this space, its defaults as the first point to try.

        Ask it for trials by ``space.suggest(study.ask())``, or optimise
        ``study.optimize(lambda trial: train(**space.suggest(trial)), …)``.

        Args:
            options: what `optuna.create_study` takes: direction, sampler, storage…

        Raises:
            SpecError: Optuna cannot search it, or its values cannot be kept as JSON.
        """
        import optuna

        from nbtune.engine.search.optuna_space import optuna_problem

        wrong = [f"{p.name}: {why}" for p in self.parameters if (why := optuna_problem(p.domain)) is not None]
        if wrong:
            raise SpecError(wrong)
        kept = self.to_json()
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))  # not to tell of a name that it makes up
        study = optuna.create_study(**options)
        optuna.logging.set_verbosity(verbosity)
        study.set_user_attr(_KEPT, kept)
        defaults = {
            p.name: p.default for p in self.parameters if p.default is not MISSING and not depends_on(p.default)
        }
        if defaults:
            study.enqueue_trial(defaults)
        return study

    def distributions(self) -> dict[str, Any]:
        """Return name -> `optuna.distributions.BaseDistribution`, of the parameters that vary.

        Raises:
            SpecError: Optuna has none for a parameter, or one depends on others.
        """
        from nbtune.engine.search.optuna_space import distribution
        from nbtune.spec.space.domain import Domain

        if self.dependent:
            raise SpecError([f"{self.dependent[0].name} depends on other parameters: use space.suggest(trial)"])
        try:
            return {p.name: distribution(p.domain) for p in self.parameters if isinstance(p.domain, Domain)}
        except ValueError as error:
            raise SpecError([str(error)]) from error

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Let an `optuna.Trial` suggest a configuration, nested; it is not asked for what has its condition not met.

        Raises:
            optuna.TrialPruned: what it suggests does not fulfil the constraints, or a domain cannot be evaluated.
        """
        import optuna

        from nbtune.engine.search.optuna_space import suggest

        try:
            config = spec_space.nested(suggest(trial, self.ordered))
            broken = self.violated(config)
        except ValueError as error:
            raise optuna.TrialPruned(str(error)) from error
        if broken is not None:
            raise optuna.TrialPruned(f"{broken} is not fulfilled")
        return config

    # -- looking at it --------------------------------------------------------------------------------

    def sample(self, n: int = 1, seed: int | None = None) -> pd.DataFrame:
        """Return samples as a random search would draw them, those only that fulfil the constraints.

        Args:
            n: how many.
            seed: makes the same come again, or None.

        Returns:
            A row for each; a column for each parameter, nested ones as "a/b". One whose condition is not met is
            None, among numbers NaN.

        Raises:
            SpecError: no sample fulfils the constraints, or a domain cannot be evaluated.
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
        return "\n".join([f"Space of {_count(len(self), 'parameter')}", *(f"  {line}" for line in lines),
                          *(f"  {constraint}" for constraint in self.constraints)])  # fmt: skip

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align: left">{html.escape(text)}</td>'
                for text in (p.name, repr(p.domain), "" if p.default is MISSING else label(p.default))
            )
            + "</tr>"
            for p in self.parameters
        )
        head = "".join(f'<th style="text-align: left">{name}</th>' for name in ("parameter", "domain", "default"))
        below = "".join(f"<div><code>{html.escape(str(constraint))}</code></div>" for constraint in self.constraints)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def _at(config: Any, name: str) -> Any:
    for part in name.split("/"):
        config = config[part]
    return config


def _default(parameter: spec_space.Parameter) -> str:
    return "" if parameter.default is MISSING else f" = {label(parameter.default)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
