"""Suggested changes of a search space, from the best trials of a sweep: wider bounds, fewer values, new defaults."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.bad_input import parse_expression
from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.domain import Conditional, Domain, depends_on
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label, literal, same

__all__ = ["ScoredTrial", "Suggestion", "suggest"]

_BEST_SHARE = 0.2  # the share of the trials that count as the best
_MIN_TRIALS = 3  # the least number of best trials, and of trials with a value, to conclude anything from
_BOUND_MARGIN = 0.05  # a value closer to a bound than this share of the range lies at the bound
_SIGNIFICANCE = 0.05  # the largest probability of an observation by chance that leads to a suggestion


@dataclass(frozen=True)
class ScoredTrial:
    """A trial with the value of its metric.

    Attributes:
        number: the number of the trial.
        config: its parameters; names of nested ones are joined by "/".
        value: the value of the metric, its sign changed for mode "max", so that less is better.
    """

    number: int
    config: Mapping[str, Any]
    value: float


@dataclass(frozen=True)
class Suggestion:
    """A suggested change of the rows of a form.

    Attributes:
        text: the change and the reason for it.
        changes: parameter -> field -> its new text.
    """

    text: str
    changes: dict[str, dict[str, str]]


def suggest(rows: Sequence[Row], space: Space, trials: Sequence[ScoredTrial]) -> list[Suggestion]:
    """Suggest changes of the space for the next sweep.

    Args:
        rows: the space of the sweep as the rows of a form.
        space: the same space.
        trials: the trials with a finite value, in any order.
    """
    ranked = sorted(trials, key=lambda trial: trial.value)
    best = ranked[: max(_MIN_TRIALS, round(_BEST_SHARE * len(ranked)))]
    if len(ranked) <= _MIN_TRIALS:
        return []
    suggestions: list[Suggestion] = []
    domains = {parameter.name: _domain(parameter.domain) for parameter in space.parameters}
    for row in rows:
        domain = domains.get(row.name)
        if domain is None or depends_on(domain):
            continue
        if "lower" in domain.arguments:
            suggestions += _widen_bounds(row, domain, best)
        elif domain.kind in ("choice", "grid_search"):
            suggestions += _drop_values(row, domain, ranked, best)
    return [*suggestions, *_new_defaults(rows, domains, ranked[0])]


def _domain(domain: Any) -> Domain | None:
    """Return the domain that the fields of a row describe, without its condition."""
    domain = domain.then if isinstance(domain, Conditional) else domain
    return domain if isinstance(domain, Domain) else None


def _widen_bounds(row: Row, domain: Domain, best: Sequence[ScoredTrial]) -> Iterator[Suggestion]:
    lower, upper = (float(domain.arguments[name]) for name in ("lower", "upper"))
    log = "log" in domain.kind
    scale = math.log if log else float
    width = scale(upper) - scale(lower)
    if "int" in domain.kind and "q" not in domain.arguments:
        upper -= 1  # randint excludes its upper bound
    values = [float(t.config[row.name]) for t in best if isinstance(t.config.get(row.name), (int, float))]
    for side, bound in (("lower", lower), ("upper", upper)):
        near = sum(
            abs(scale(value) - scale(bound)) <= _BOUND_MARGIN * width for value in values if value > 0 or not log
        )
        new_bound = _wider_bound(domain, side)
        if near < _MIN_TRIALS or near * 2 <= len(values) or new_bound is None:
            continue
        direction = "down" if side == "lower" else "up"
        yield Suggestion(
            f"widen {row.name} {direction} to {new_bound}: {near} of its {len(values)} best trials lie at the {side}"
            f" bound ({label(domain.arguments[side])})",
            {row.name: {side: new_bound}},
        )


def _wider_bound(domain: Domain, side: str) -> str | None:
    """Return the text of a bound further out, or None if the present bound is a natural limit."""
    lower, upper = (float(domain.arguments[name]) for name in ("lower", "upper"))
    integer = "int" in domain.kind
    if "log" in domain.kind:
        factor = min(10.0, upper / lower)
        new = lower / factor if side == "lower" else upper * factor
    elif side == "lower":
        new = lower - (upper - lower) / 2 if lower < 0 else lower / 2
    else:
        new = upper + (upper - lower) / 2
    # 0 and 1 limit shares and probabilities, and a range from 0 is unlikely to be meant to include negative values.
    natural = (side == "lower" and lower == 0) or (side == "upper" and lower >= 0 and upper == 1 and not integer)
    q = domain.arguments.get("q")
    if q:
        new = (math.floor if side == "lower" else math.ceil)(new / q) * q
    if integer:
        new = round(new)
        if "log" in domain.kind:
            new = max(1, new)
    text = str(int(new)) if integer else f"{new:.3g}"
    return None if natural or float(text) == (lower if side == "lower" else upper) else text


def _drop_values(
    row: Row, domain: Domain, trials: Sequence[ScoredTrial], best: Sequence[ScoredTrial]
) -> Iterator[Suggestion]:
    """Suggest to drop the values that no best trial has, if that is unlikely to be chance."""
    values = domain.values or []
    texts = _items(row.values)
    if len(texts) != len(values):
        return

    def count(among: Sequence[ScoredTrial], value: Any) -> int:
        return sum(row.name in trial.config and same(trial.config[row.name], value) for trial in among)

    not_best = 1 - len(best) / len(trials)  # the probability that a trial is not among the best
    poor = {
        position: number
        for position, value in enumerate(values)
        if (number := count(trials, value)) >= _MIN_TRIALS
        and not_best**number < _SIGNIFICANCE
        and not count(best, value)
    }
    if not poor or len(poor) == len(values):
        return
    remaining = [text for position, text in enumerate(texts) if position not in poor]
    dropped = ", ".join(f"{texts[position]} ({number} trials)" for position, number in poor.items())
    yield Suggestion(
        f"drop from {row.name}: {dropped}; none of these trials is among the best {len(best)}",
        {row.name: {"values": ", ".join(remaining)}},
    )


def _items(text: str) -> list[str]:
    """Return the texts of the values in a field, or an empty list if they are not written out one by one."""
    source = f"[{text}]"
    try:
        node = parse_expression(source)
    except (SyntaxError, ValueError):
        return []
    if not isinstance(node, ast.List) or any(isinstance(item, ast.Starred) for item in node.elts):
        return []
    return [ast.get_source_segment(source, item) or "" for item in node.elts]


def _new_defaults(rows: Sequence[Row], domains: Mapping[str, Any], best: ScoredTrial) -> Iterator[Suggestion]:
    changes = {}
    for row in rows:
        value = best.config.get(row.name)
        if row.kind == "require" or domains.get(row.name) is None or value is None:
            continue
        text = _value_text(value, row, domains[row.name])
        if text != row.default:
            changes[row.name] = {"default": text}
    if changes:
        shown = ", ".join(f"{name} {fields['default']}" for name, fields in changes.items())
        yield Suggestion(f"use the values of the best trial ({best.number}) as defaults: {shown}", changes)


def _value_text(value: Any, row: Row, domain: Domain) -> str:
    """Return a value as it would be typed: a float with 4 digits, unless rounding moves it out of its bounds."""
    if depends_on(domain):
        return literal(value)
    if domain.kind in ("choice", "grid_search"):
        typed = zip(_items(row.values), domain.values or [], strict=False)
        return next((text for text, one in typed if same(one, value)), literal(value))
    if not isinstance(value, float) or "lower" not in domain.arguments:
        return literal(value)
    text = f"{value:.4g}"
    return text if domain.arguments["lower"] <= float(text) <= domain.arguments["upper"] else repr(value)
