"""The values of options: known words, metrics and parameters of the code, folders, and variables of the notebook."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.notebook.completion import variables
from nbtune.notebook.completion.algorithms import algorithm_part
from nbtune.notebook.completion.candidates import NOTHING, Candidate, Completions, candidates
from nbtune.notebook.completion.cell import CellFacts
from nbtune.notebook.completion.experiments import named_experiments
from nbtune.notebook.completion.folders import folder_candidates
from nbtune.notebook.completion.words import Word
from nbtune.spec.options.condition import OWN_NAMES
from nbtune.spec.options.defaults import session
from nbtune.spec.options.options import OPTIONS, SCOPES
from nbtune.spec.options.plateau import CALLS
from nbtune.spec.plan.frameworks import FRAMEWORKS
from nbtune.spec.plan.shape import DEVICES, STRATEGIES
from nbtune.spec.plan.workers import AGGREGATES

__all__ = ["FREE", "Line", "complete_value", "known_values"]

FREE = frozenset({"name", "topology"})
"""Options whose values nothing is known of. Those that take a number are completed with variables and units only."""

_WORDS: dict[str, tuple[str, ...]] = {
    "mode": ("max", "min"),
    "scope": tuple(SCOPES),
    "fail_fast": ("yes", "no"),
    "reuse_actors": ("yes", "no"),
    "checkpoint_at_end": ("yes", "no"),
    "framework": tuple(FRAMEWORKS),
    "backend": ("gloo", "nccl"),
    "aggregate": tuple(AGGREGATES),
    "placement_strategy": STRATEGIES,
}
_NODE_LABELS = ("accelerator-type", "market-type", "availability-region", "availability-zone", "node-group", "node-id")
_NAMES_OF_PAIRS: dict[str, tuple[str, ...]] = {
    "resources": tuple(sorted(DEVICES - {"GPU"})),
    "driver_resources": (),
    "trial_resources": ("CPU", "GPU", "memory"),
    "label_selector": tuple(f"ray.io/{name}" for name in _NODE_LABELS),
}
_UNITS = {"memory": ("GB", "MB", "TB", "GiB", "MiB", "TiB"), "time_budget": ("s", "m", "h", "d")}
_NUMBER = re.compile(r"(?:[\d.]+[a-z]+)*?[\d.]*\d([a-zA-Z]*)")
_NAME_AT_END = re.compile(r"(?<![\w/.'\"])(?:[^\W\d][\w/]*)?\Z")
_MAX_CONDITION = 1000  # characters


@dataclass(frozen=True)
class Line:
    """A magic line.

    Attributes:
        namespace: the notebook's variables.
        facts: reads what is tuned: its parameters and metrics.
        given: the options of the line with their values, as text.
    """

    namespace: Mapping[str, Any]
    facts: Callable[[], CellFacts]
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the code reports."""
        return self.facts().metrics

    @property
    def parameters(self) -> list[str]:
        """The parameters of the cell, and of the variable that ``--space`` names."""
        names = list(self.facts().parameters)
        for variable in self.given.get("space", ()):
            space = self.namespace.get(variable)
            if type(space) is dict:
                names += [key for key in space if type(key) is str]
        return list(dict.fromkeys(names))


def complete_value(option: str, word: Word, line: Line) -> Completions:
    """Return the completions of the value of an option.

    Args:
        option: the name of the option, which may not exist.
        word: the value up to the cursor.
        line: the line that it is on.
    """
    if option == "space":
        return word.complete(word.value, variables.spaces(line.namespace))
    if option not in OPTIONS:
        return NOTHING
    if option in ("search", "scheduler"):
        return _algorithm(option, word, line)
    if option == "stop":
        return _condition(word, line)
    if option in ("metric", "mode", "mutate", "dataset_config", "datasets", "env", "worker_env", *_NAMES_OF_PAIRS):
        return _list(option, word, line)
    return word.complete(word.value, [*known_values(option, word.value, line), *_variables(option, line)])


def known_values(option: str, text: str, line: Line) -> list[Candidate]:
    """Return the values of an option that is one word, without variables.

    Args:
        option: the name of the option.
        text: the value up to the cursor.
        line: the line that it is on.
    """
    if option in _WORDS:
        return candidates(_WORDS[option], "value")
    if option == "storage":
        used = [str(session["storage"])] if isinstance(session.get("storage"), (str, os.PathLike)) else []
        return [*candidates([*used, "~/ray_results"] if not text else used, "path"), *folder_candidates(text)]
    if option == "warm_start":
        folders = folder_candidates(text) if "/" in text or text.startswith(("~", ".")) else []
        return [*named_experiments(line.namespace, running=False), *folders]
    if option == "keep_by":
        return candidates(
            ["latest", *(f"{order} {name}" for name in line.metrics for order in ("max", "min"))], "value"
        )
    if option == "workers":
        return candidates(line.parameters, "param")
    if option == "accelerator_type":
        return candidates(_accelerators(), "value")
    if option in _UNITS and (number := _NUMBER.fullmatch(text[:100])):
        digits = text[: len(text) - len(number[1])]
        return candidates([f"{digits}{unit}" for unit in _UNITS[option]], "value")
    return []


def _variables(option: str, line: Line) -> list[Candidate]:
    return variables.of_option(option, line.namespace)


def _algorithm(option: str, word: Word, line: Line) -> Completions:
    found = algorithm_part(option, word.value, word.inside if word.inside in ("'", '"') else "", line.metrics)
    if found is None:
        return NOTHING
    part, choices, is_name = found
    return word.complete(part, [*choices, *_variables(option, line)] if is_name else choices)


def _condition(word: Word, line: Line) -> Completions:
    """Complete the last name of a stop condition."""
    found = _NAME_AT_END.search(word.value[-_MAX_CONDITION:])
    if found is None:
        return NOTHING
    whole = found[0] == word.value
    choices = candidates([*line.metrics, *OWN_NAMES], "value", final=False)
    choices += [Candidate(f"{name}(", "function", False) for name in CALLS]
    return word.complete(found[0], [*choices, *_variables("stop", line)] if whole else choices)


def _list(option: str, word: Word, line: Line) -> Completions:
    """Complete the last one of several values with commas between them: names, or pairs with ``=``."""
    head, comma, part = word.value.rpartition(",")
    earlier = head.split(",") if comma else []
    taken = {one.partition("=")[0].strip() for one in earlier}
    choices: list[Candidate]
    if option == "datasets":
        name, equals, variable = part.partition("=")
        choices = variables.datasets(line.namespace)
        if equals:
            return word.complete(variable, choices)
        return word.complete(name, [*choices, Candidate("train=", "param", False), Candidate("valid=", "param", False)])
    if option in ("env", "worker_env", *_NAMES_OF_PAIRS):
        names = sorted(os.environ) if option.endswith("env") else _NAMES_OF_PAIRS[option]
        if "=" in part:
            return NOTHING
        choices = [Candidate(f"{name}=", "param", False) for name in names if name not in taken]
        return word.complete(part, choices if comma else [*_variables(option, line), *choices])
    if option == "metric":
        names = [name for name in line.metrics if name not in taken]
    elif option == "mode":
        names = list(_WORDS["mode"])
    elif option == "mutate":
        names = [name for name in line.parameters if name not in taken]
    else:
        names = [name for name in _dataset_names(line) if name not in taken]
    kind = "param" if option == "mutate" else "value"
    return word.complete(part, [*candidates(names, kind), *([] if comma else _variables(option, line))])


def _dataset_names(line: Line) -> list[str]:
    pairs = [part for value in line.given.get("datasets", ()) for part in value.split(",")]
    return [name.strip() for name in dict.fromkeys(part.partition("=")[0] for part in pairs) if name.strip()]


def _accelerators() -> list[str]:
    """Return Ray's names of accelerators, once Ray has been imported."""
    module = sys.modules.get("ray.util.accelerators.accelerators")
    return [name for key, name in vars(module).items() if key.isupper() and isinstance(name, str)] if module else []
