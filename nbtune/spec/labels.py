"""Ray's label selectors as text: ``region=us-west, kind=in(a,b); region=us-east``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["format_labels", "parse_labels"]

Labels = dict[str, str]


def parse_labels(text: str) -> Labels | list[Labels]:
    """Return the labels for every worker, or a list with the labels of each worker.

    Args:
        text: ``KEY=VALUE,…``; a ``;`` separates the labels of one worker from those of the next.

    Raises:
        ValueError: a part is not KEY=VALUE.
    """
    workers = [_labels(part) for part in text.split(";")]
    return workers[0] if len(workers) == 1 else workers


def format_labels(labels: Any) -> str:
    """Return the text that `parse_labels` reads as these labels.

    Args:
        labels: a dictionary, or a list with one for each worker; anything empty gives an empty text.
    """
    if not labels:
        return ""
    workers: Sequence[Mapping[str, str]] = [labels] if isinstance(labels, Mapping) else labels
    return "; ".join(", ".join(f"{key}={value}" for key, value in worker.items()) for worker in workers)


def _labels(text: str) -> Labels:
    labels: Labels = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise ValueError(f"expected KEY=VALUE, KEY=!VALUE or KEY=in(A,B), joined by commas, got {part.strip()!r}")
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
