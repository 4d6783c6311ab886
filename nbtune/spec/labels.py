"""Label selectors of Ray, as a person writes them: ``region=us-west, kind=in(a,b); region=us-east``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["format_labels", "parse_labels"]

Labels = dict[str, str]


def parse_labels(text: str) -> Labels | list[Labels]:
    """Return the labels for every worker, or a list with those of each worker where ``;`` parts them.

    Raises:
        ValueError: a part is not KEY=VALUE.
    """
    workers = [_labels(part) for part in text.split(";")]
    return workers[0] if len(workers) == 1 else workers


def format_labels(labels: Any) -> str:
    """Return the text that `parse_labels` reads as these labels; an empty one for none."""
    if not labels:
        return ""
    workers: Sequence[Mapping[str, str]] = [labels] if isinstance(labels, Mapping) else labels
    return "; ".join(", ".join(f"{key}={value}" for key, value in worker.items()) for worker in workers)


def _labels(text: str) -> Labels:
    labels: Labels = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise ValueError(
                f"{part.strip()!r} is not KEY=VALUE, KEY=!VALUE or KEY=in(A,B); several are joined by commas"
            )
        labels[key.strip()] = value.strip()
    return labels


def _parts(text: str) -> list[str]:
    """Split at commas, but not at those in parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]
