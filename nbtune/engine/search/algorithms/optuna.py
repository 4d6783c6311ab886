"""Optuna: its samplers by name, or any sampler object."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from nbtune.engine.protocol.registry import register_live
from nbtune.engine.search.algorithms.base import Request
from nbtune.engine.search.algorithms.library import Library
from nbtune.engine.search.codecs import Codec, Numbers, codec_of
from nbtune.engine.search.encoding import Encoding
from nbtune.engine.search.entry import Package
from nbtune.engine.search.optuna_space import DefineByRun, distribution, on_grid, optuna_problem
from nbtune.engine.search.own_settings import unwrapped
from nbtune.errors import did_you_mean
from nbtune.spec.options.named import Named
from nbtune.spec.space.domain import Domain
from nbtune.spec.space.space import Parameter, Space
from nbtune.spec.space.values import label

__all__ = ["SAMPLERS", "Optuna"]

SAMPLERS = {
    "tpe": "TPESampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}
"""Short name -> class of `optuna.samplers`."""


class Optuna(Library):
    """Ray Tune's OptunaSearch."""

    name = "optuna"
    summary = "Optuna's samplers, TPE unless another one is named; good for most searches, also with conditions"
    packages = (Package("optuna", "optuna", ">=4.4"),)
    arguments = {  # noqa: RUF012
        "sampler": f'the sampler: {", ".join(SAMPLERS)}, or an object of optuna.samplers ("tpe")',
        "n_startup_trials": "the number of random trials first (10)",
        "multivariate": "tpe: whether it looks at the parameters together (False)",
        "constraints_func": "returns for a trial of Optuna numbers that are to be <= 0; an object only (none)",
        "storage": "where Optuna stores the study, an object of optuna.storages (in memory)",
        "study_name": 'the name of the study ("optuna")',
    }
    classes = ("OptunaSearch",)
    learns = True
    objectives = float("inf")
    searcher = ("nbtune.engine.search.libraries.optuna", "Optuna")
    ours = Library.ours | {"seed"}

    def problem(self, parameter: Parameter) -> str | None:
        if isinstance(parameter.domain, Domain) and not parameter.depends:
            return super().problem(parameter)
        return super().problem(parameter) or optuna_problem(parameter.domain)

    def requires(self, arguments: Mapping[str, Any]) -> tuple[Package, ...]:
        if arguments.get("sampler") == "cmaes":
            return (*self.packages, Package("cmaes", "cmaes", ">=0.10", "cmaes"))
        return self.packages

    def accepts(self, arguments: Mapping[str, Any]) -> Collection[str]:
        own = {"sampler": None, "study_name": None, "storage": None}
        sampler = arguments.get("sampler", "tpe")
        if not isinstance(sampler, str) or sampler not in SAMPLERS:
            return own
        taken = inspect.signature(_sampler_class(sampler)).parameters
        return own | dict.fromkeys(name for name in taken if name != "seed")

    def argument_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        sampler = arguments.get("sampler", "tpe")
        if isinstance(sampler, str) and sampler not in SAMPLERS:
            hint = did_you_mean(sampler, SAMPLERS)
            yield f"{self.name}: sampler: expected {', '.join(SAMPLERS)} or an object, got {sampler!r}{hint}"
            return
        if not isinstance(sampler, str) and not any(base.__name__ == "BaseSampler" for base in type(sampler).__mro__):
            yield f"{self.name}: sampler: expected {', '.join(SAMPLERS)} or an object, got {label(sampler)}"
            return
        yield from super().argument_problems(arguments)

    def is_slow(self, search: Any) -> bool:
        if isinstance(search, Named):
            sampler = search.arguments.get("sampler")
            return sampler == "gp" or type(sampler).__name__ == "GPSampler"
        return type(getattr(unwrapped(search), "_sampler", None)).__name__ == "GPSampler"

    def make(self, request: Request) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if not _needs_define_by_run(request.space):
            return super().make(request)
        register_live(searched := DefineByRun(request.space))
        return self._searcher(request, dict(request.arguments), searched, [dict(point) for point in request.points])

    def encoding(self, space: Space) -> Encoding:
        return Encoding(space, self.native, _codec_of)

    def create(self, request: Request, arguments: dict[str, Any], points: list[dict[str, Any]]) -> Any:
        searched = {}
        for parameter in request.space.parameters:
            if isinstance(domain := parameter.domain, Domain) and domain.kind != "sample_from":
                native = Numbers(domain, self.native).native if "randn" in domain.kind else domain
                searched[parameter.name] = distribution(native)
        return self._searcher(request, arguments, searched, points)

    def _searcher(self, request: Request, arguments: dict[str, Any], space: Any, points: list[dict[str, Any]]) -> Any:
        import optuna

        own = {name: arguments.pop(name) for name in ("study_name", "storage") if name in arguments}
        sampler = arguments.pop("sampler", "tpe")
        if isinstance(sampler, str):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the user has chosen it
                sampler = _sampler_class(sampler)(seed=request.spec.seed, **arguments)
        return self.searcher_class()(
            space or None, **request.objectives, points_to_evaluate=points or None, sampler=sampler, **own
        )

    def param_space(self, request: Request) -> dict[str, Any]:
        return {} if _needs_define_by_run(request.space) else super().param_space(request)


class _Natural(Codec):
    """A parameter that Optuna searches under its own values, since functions of the user's get Optuna's trials."""

    def __init__(self, domain: Domain) -> None:
        self.native = domain

    def decode(self, native: Any, config: Mapping[str, Any]) -> Any:
        assert self.native is not None
        return native if self.native.kind == "choice" else on_grid(self.native, native)

    def encode(self, value: Any, config: Mapping[str, Any]) -> Any:
        assert self.native is not None
        if self.native.kind == "choice":  # only to know whether it is one of the values
            position = int(codec_of(Parameter("", self.native), Library.native).encode(value, config) or 0)
            return self.native.arguments["categories"][position]
        Numbers(self.native, Library.native).encode(value, config)
        return value


def _codec_of(parameter: Parameter, native: frozenset[str]) -> Codec:
    is_natural = isinstance(parameter.domain, Domain) and not parameter.depends and "randn" not in parameter.domain.kind
    return _Natural(parameter.domain) if is_natural else codec_of(parameter, native)


def _sampler_class(name: str) -> Any:
    import optuna

    return getattr(optuna.samplers, SAMPLERS[name])


def _needs_define_by_run(space: Space) -> bool:
    """Return whether Optuna has to suggest the parameters one by one, since conditions or constraints need them."""
    return bool(space.dependent or space.constraints)
