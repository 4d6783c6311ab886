"""Search algorithms and schedulers with their arguments: ``optuna(sampler='gp')``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.notebook.completion.candidates import Candidate, candidates

__all__ = ["algorithm_part"]

_ENTRIES: dict[str, Mapping[str, Any]] = {"search": ALGORITHMS, "scheduler": SCHEDULERS}
_CALL = re.compile(r"\s*(\w+)\(")
_TEXTS = re.compile(r"""'[^']*'|"[^"]*\"""")
_GIVEN = re.compile(r"(\w+)\s*=")
_PART = re.compile(r"""(?:(\w+)\s*=\s*)?(['"]?[\w-]*)$""")
_MAX_ARGUMENT = 300  # characters
_SWITCH = re.compile(r"\((?:True|False)\)$")


def algorithm_part(
    option: str, text: str, quote: str, metrics: Sequence[str]
) -> tuple[str, list[Candidate], bool] | None:
    """Return the part of the value of ``--search`` or ``--scheduler`` that is completed, and what may stand there.

    Args:
        option: "search" or "scheduler".
        text: the value up to the cursor.
        quote: the quote that the whole value is in, or an empty string.
        metrics: the metrics that the code reports.

    Returns:
        The part; its candidates; whether it is the name, for which variables are allowed as well. None where nothing
        is completed.
    """
    if (call := _CALL.match(text)) is None:
        return text, candidates(_ENTRIES[option], "value"), True
    entry = _ENTRIES[option].get(call[1])
    inside = _TEXTS.sub(lambda found: "0" * len(found[0]), text[call.end() :])
    if entry is None or inside.count("(") + inside.count("[") > inside.count(")") + inside.count("]"):
        return None
    if inside.count(")") > inside.count("("):
        return None
    last = text[call.end() + inside.rfind(",") + 1 :]
    part = _PART.search(last) if len(last) <= _MAX_ARGUMENT else None
    if part is None or last[: part.start()].strip():
        return None
    mark = '"' if quote == "'" else "'"
    typed = part[2][:1] if part[2].startswith(("'", '"')) else ""
    if part[1] is not None:
        return part[2], _values(option, call[1], part[1], typed or mark, metrics), False
    if typed:
        return None
    given = set(_GIVEN.findall(inside[: inside.rfind(",") + 1]))
    names = [*entry.arguments, *(("metric", "mode") if option == "scheduler" and entry.needs_metric else ())]
    return part[2], [Candidate(f"{name}=", "param", False) for name in names if name not in given], False


def _values(option: str, name: str, argument: str, mark: str, metrics: Sequence[str]) -> list[Candidate]:
    """Return the values of an argument that are known: texts in quotes, True and False."""
    texts: Sequence[str] = ()
    if argument == "metric":
        texts = metrics
    elif argument == "mode":
        texts = ("min", "max")
    elif argument == "time_attr":
        texts = ("training_iteration", "time_total_s", *metrics)
    elif argument == "sampler" and name == "optuna":
        from nbtune.engine.search.algorithms.optuna import SAMPLERS

        texts = tuple(SAMPLERS)
    elif argument == "model_name" and name == "hebo":
        texts = ("gp", "gpy", "rf")
    elif argument == "optimizer" and name == "nevergrad":
        texts = ("NGOpt", "OnePlusOne", "CMA", "TwoPointsDE")
    elif argument == "base" and name == "resources":
        texts = tuple(SCHEDULERS)
    elif _SWITCH.search(_ENTRIES[option][name].arguments.get(argument, "")):
        return candidates(("True", "False"), "keyword", final=False)
    return [Candidate(f"{mark}{text}{mark}", "value", False) for text in texts if mark not in text]
