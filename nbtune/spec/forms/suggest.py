"""What the best trials of a sweep say about its space: wider bounds, values to leave out, new defaults."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.domain import Conditional, Domain, depends_on
from nbtune.spec.space.space import Space
from nbtune.spec.space.values import label, literal, same

__all__ = ["Suggestion", "Tried", "suggest"]

_BEST = 0.2  # of the trials are the best ones
_FEWEST = 3  # of them, and of the trials on a value
_EDGE = 0.05  # of a space's width lies at its bound
_CHANCE = 0.05  # what happens by chance more rarely than this says something


@dataclass(frozen=True)
class Tried:
    """A trial that has come to a value.

    Attributes:
        number: its number.
        config: its parameters, nested ones as "a/b".
        value: what it has come to; less is better.
    """

    number: int
    config: Mapping[str, Any]
    value: float


@dataclass(frozen=True)
class Suggestion:
    """A change of the rows of a form.

    Attributes:
        text: what and why.
        changes: parameter -> field -> its new text.
    """

    text: str
    changes: dict[str, dict[str, str]]


def suggest(rows: Sequence[Row], space: Space, trials: Sequence[Tried]) -> list[Suggestion]:
    """Return what to change before the next sweep.

    Args:
        rows: the rows of the sweep's space.
        space: the same as a space.
        trials: the trials that have a finite value.
    """
    ranked = sorted(trials, key=lambda trial: trial.value)
    best = ranked[: max(_FEWEST, round(_BEST * len(ranked)))]
    if len(ranked) <= _FEWEST:
        return []
    found: list[Suggestion] = []
    domains = {parameter.name: _domain(parameter.domain) for parameter in space.parameters}
    for row in rows:
        domain = domains.get(row.name)
        if domain is None or depends_on(domain):
            continue
        if "lower" in domain.arguments:
            found += _widened(row, domain, best)
        elif domain.kind in ("choice", "grid_search"):
            found += _left_out(row, domain, ranked, best)
    return [*found, *_defaults(rows, domains, ranked[0])]


def _domain(domain: Any) -> Domain | None:
    """Return the domain that a row's fields stand for."""
    domain = domain.then if isinstance(domain, Conditional) else domain
    return domain if isinstance(domain, Domain) else None


def _widened(row: Row, domain: Domain, best: Sequence[Tried]) -> Iterator[Suggestion]:
    lower, upper = (float(domain.arguments[name]) for name in ("lower", "upper"))
    log = "log" in domain.kind
    place = math.log if log else float
    width = place(upper) - place(lower)
    if "int" in domain.kind and "q" not in domain.arguments:
        upper -= 1  # the last value that is drawn
    values = [float(t.config[row.name]) for t in best if isinstance(t.config.get(row.name), (int, float))]
    for side, bound in (("lower", lower), ("upper", upper)):
        near = sum(abs(place(value) - place(bound)) <= _EDGE * width for value in values if value > 0 or not log)
        wider = _wider(domain, side)
        if near < _FEWEST or near * 2 <= len(values) or wider is None:
            continue
        way = "down" if side == "lower" else "up"
        yield Suggestion(
            f"widen {row.name} {way} to {wider}: {near} of its {len(values)} best trials lie at the {side} bound"
            f" ({label(domain.arguments[side])})",
            {row.name: {side: wider}},
        )


def _wider(domain: Domain, side: str) -> str | None:
    """Return the text of a bound further out, or None where it is a natural one."""
    lower, upper = (float(domain.arguments[name]) for name in ("lower", "upper"))
    integer = "int" in domain.kind
    if "log" in domain.kind:
        factor = min(10.0, upper / lower)
        new = lower / factor if side == "lower" else upper * factor
    elif side == "lower":
        new = lower - (upper - lower) / 2 if lower < 0 else lower / 2
    else:
        new = upper + (upper - lower) / 2
    # Of shares and probabilities 0 and 1 are the ends; nothing that begins at 0 is meant to be negative.
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


def _left_out(row: Row, domain: Domain, trials: Sequence[Tried], best: Sequence[Tried]) -> Iterator[Suggestion]:
    """Suggest to leave out what is never among the best, where that is no chance."""
    values = domain.values or []
    texts = _items(row.values)
    if len(texts) != len(values):
        return

    def count(among: Sequence[Tried], value: Any) -> int:
        return sum(row.name in trial.config and same(trial.config[row.name], value) for trial in among)

    rest = 1 - len(best) / len(trials)
    poor = {
        position: tried
        for position, value in enumerate(values)
        if (tried := count(trials, value)) >= _FEWEST and rest**tried < _CHANCE and not count(best, value)
    }
    if not poor or len(poor) == len(values):
        return
    kept = [text for position, text in enumerate(texts) if position not in poor]
    said = ", ".join(f"{texts[position]} ({tried} trials)" for position, tried in poor.items())
    yield Suggestion(
        f"leave out of {row.name}: {said}; none of them is among the best {len(best)}",
        {row.name: {"values": ", ".join(kept)}},
    )


def _items(text: str) -> list[str]:
    """Return the texts of a field's values, or none where they are not written out."""
    source = f"[{text}]"
    try:
        node = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError):
        return []
    if not isinstance(node, ast.List) or any(isinstance(item, ast.Starred) for item in node.elts):
        return []
    return [ast.get_source_segment(source, item) or "" for item in node.elts]


def _defaults(rows: Sequence[Row], domains: Mapping[str, Any], best: Tried) -> Iterator[Suggestion]:
    changes = {}
    for row in rows:
        value = best.config.get(row.name)
        if row.kind == "require" or domains.get(row.name) is None or value is None:
            continue
        text = _short(value, row, domains[row.name])
        if text != row.default:
            changes[row.name] = {"default": text}
    if changes:
        shown = ", ".join(f"{name} {fields['default']}" for name, fields in changes.items())
        yield Suggestion(f"take the best trial's values ({best.number}) as defaults: {shown}", changes)


def _short(value: Any, row: Row, domain: Domain) -> str:
    """Return a value as it is typed: of a number as many digits as are of use, if it stays within its bounds."""
    if depends_on(domain):
        return literal(value)
    if domain.kind in ("choice", "grid_search"):
        typed = zip(_items(row.values), domain.values or [], strict=False)
        return next((text for text, one in typed if same(one, value)), literal(value))
    if not isinstance(value, float) or "lower" not in domain.arguments:
        return literal(value)
    text = f"{value:.4g}"
    return text if domain.arguments["lower"] <= float(text) <= domain.arguments["upper"] else repr(value)
