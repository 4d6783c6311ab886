"""Columns: values of any types, added one after another, as typed pandas Series."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "ABSENT",
    "Column",
    "column_of",
    "current_rows",
    "groups",
    "headings",
    "index_of",
    "python_values",
    "valid_iterations",
    "value_type",
    "with_expected",
]

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""Represents a missing value, since None is a value."""


class Column:
    """A growing column: values at rows. It has a type as long as all values have the same one."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._values: list[Any] = []
        self._types: set[type] = set()

    def add(self, rows: np.ndarray, values: Any) -> None:
        """Add values.

        Args:
            rows: the rows of the values, ascending and above all earlier ones.
            values: an array or a list.
        """
        self._rows.append(rows)
        self._values.append(values)
        if isinstance(values, np.ndarray):
            self._types.add({"i": int, "f": float, "b": bool}[values.dtype.kind])
        else:
            self._types |= {value_type(value) for value in values}

    @property
    def numeric(self) -> bool:
        """Whether any of the values is a number."""
        return bool(self._types & {int, float})

    def floats(self, since: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows with a value, and the values as float64. A value that is not a number is NaN.

        Args:
            since: the first row.
        """
        parts = [(rows, _floats(values)) for rows, values in self._since(since)]
        return _concatenate(parts) if parts else (np.array([], np.int64), np.array([], float))

    def numbers(self, since: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows with a number, among them NaN and infinity, and the numbers as float64.

        Args:
            since: the first row.
        """
        parts = []
        for rows, values in self._since(since):
            at, found = _numbers(values)
            parts.append((rows[at], found))
        return _concatenate(parts) if parts else (np.array([], np.int64), np.array([], float))

    def _since(self, since: int) -> list[tuple[np.ndarray, Any]]:
        parts = []
        for rows, values in zip(reversed(self._rows), reversed(self._values), strict=True):
            if rows[-1] < since:
                break
            start = int(np.searchsorted(rows, since))
            parts.append((rows[start:], values[start:]))
        return parts[::-1]

    def value_at(self, row: int) -> Any:
        """Return the value at a row as a Python object; `ABSENT` if there is none.

        Args:
            row: the row.
        """
        for rows, values in zip(reversed(self._rows), reversed(self._values), strict=True):
            if rows[-1] < row:
                break
            at = int(np.searchsorted(rows, row))
            if rows[at] == row:
                return values[at].item() if isinstance(values, np.ndarray) else values[at]
        return ABSENT

    def series(self, length: int) -> pd.Series[Any]:
        """Return the column as a Series. Integers and booleans keep their types even if some values are missing.

        Args:
            length: the number of rows.
        """
        rows = np.concatenate(self._rows)
        if self._types <= {int, float} or self._types == {bool}:
            values = np.concatenate(self._values)
            if len(self._types) == 1:  # concatenated with floats, integers would become floats
                self._rows, self._values = [rows], [values]
            full = len(rows) == length
            if values.dtype.kind == "f":
                column = np.full(length, np.nan)
                column[rows] = values
                return pd.Series(column)
            if full:
                return pd.Series(values)
            masked = pd.array([pd.NA] * length, dtype="boolean" if values.dtype.kind == "b" else "Int64")
            masked[rows] = values
            return pd.Series(masked)
        self._rows = [rows]
        self._values = [[value for values in self._values for value in python_values(values)]]
        objects = np.full(length, None, dtype=object)
        objects[rows] = _objects(self._values[0])
        return _of_texts(objects) if _alike(objects, rows) else pd.Series(objects, dtype=object)


def headings(names: Iterable[str], prefix: str, taken: Collection[str]) -> dict[str, str]:
    """Return name -> heading in a table: the name itself, or PREFIX/NAME if another column has the name.

    Args:
        names: metrics or parameters.
        prefix: "metrics" or "config".
        taken: the headings of other columns.
    """
    names = list(dict.fromkeys(names))
    used = {*taken, *names}
    headings_of = {}
    for name in names:
        shown = name
        if name in taken:
            while shown in used:
                shown = f"{prefix}/{shown}"
            used.add(shown)
        headings_of[name] = shown
    return headings_of


def with_expected(expected: Collection[str], reported: Collection[str]) -> list[str]:
    """Return the names of the metrics that have a column: the expected ones first, then all others.

    Args:
        expected: the metrics that the code reports, as far as that is known before it does. One that turned out to be
            a dictionary is left out, since its items are the metrics.
        reported: the metrics that were reported.
    """
    kept = [name for name in expected if name in reported or not any(r.startswith(f"{name}/") for r in reported)]
    return list(dict.fromkeys([*kept, *reported]))


def python_values(values: Any) -> list[Any]:
    """Return the values of an array or a list as Python objects.

    Args:
        values: the array or list.
    """
    return list(values.tolist()) if isinstance(values, np.ndarray) else list(values)


def groups(numbers: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return each distinct number with its positions, ascending.

    Args:
        numbers: integers, shape (n,).
    """
    order = np.argsort(numbers, kind="stable")
    unique, starts = np.unique(numbers[order], return_index=True)
    return list(zip(unique.tolist(), np.split(order, starts[1:]), strict=True)) if len(unique) else []


def current_rows(reports: pd.DataFrame) -> pd.Series[bool]:
    """Return which reports are not repeated by a later attempt of the same trial.

    Args:
        reports: rows with "trial" and "iteration", in the order of the reports.
    """
    trial, iteration = reports["trial"].to_numpy(), reports["iteration"].to_numpy()
    current = np.empty(len(reports), bool)
    for _, at in groups(trial):
        current[at] = valid_iterations(iteration[at])
    return pd.Series(current, reports.index, dtype="bool")


def valid_iterations(iterations: np.ndarray) -> np.ndarray:
    """Return which reports of one trial are valid: those that it has not repeated after a restart from a checkpoint.

    Args:
        iterations: of all its reports in their order, shape (n,).
    """
    later = np.minimum.accumulate(iterations[::-1])[::-1][1:]
    return np.append(iterations[:-1] < later, True)[: len(iterations)]


def _numbers(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the numbers, among them NaN and infinity, and the numbers as float64."""
    if isinstance(values, np.ndarray):
        values = values[:0] if values.dtype.kind == "b" else values
        return np.arange(len(values)), values.astype(float)
    at = [position for position, value in enumerate(values) if value_type(value) in (int, float)]
    return np.array(at, np.int64), np.array([values[position] for position in at], float)


def _concatenate(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([values for _, values in parts])


def _floats(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return np.full(len(values), math.nan) if values.dtype.kind == "b" else values.astype(float)
    return np.array([float(value) if value_type(value) in (int, float) else math.nan for value in values])


def _objects(values: list[Any]) -> np.ndarray:
    """Return a one-dimensional array of the objects. Lists among them are not converted."""
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return array


class _BigInt:
    """Represents the type of integers beyond 64 bits, which do not fit into an array."""


def value_type(value: Any) -> type:
    """Return the type of a value. Integers beyond 64 bits have another type than `int`.

    Args:
        value: any value.
    """
    return _BigInt if type(value) is int and not -(2**63) <= value < 2**63 else type(value)


def _of_texts(objects: np.ndarray, index: pd.Index | None = None) -> pd.Series[Any]:
    """Return a Series of pandas' type for texts, if all of them are valid Unicode: names of files may not be."""
    try:
        return pd.Series(objects, index).infer_objects()
    except UnicodeEncodeError:
        return pd.Series(objects, index, dtype=object)


def index_of(names: Iterable[str]) -> pd.Index:
    """Return an index of names, which need not be valid Unicode.

    Args:
        names: the names.
    """
    names = list(names)
    try:
        return pd.Index(names)
    except UnicodeEncodeError:
        return pd.Index(names, dtype=object)


def _alike(objects: np.ndarray, rows: np.ndarray) -> bool:
    return {type(value) for value in objects[rows]} <= {str}


def column_of(values: list[Any], index: pd.Index, empty: str = "object") -> pd.Series[Any]:
    """Return a Series of the narrowest type. Integers keep their type even if some values are absent.

    Args:
        values: the values, or `ABSENT`.
        index: the index.
        empty: the type without any value.
    """
    present = [value for value in values if value is not ABSENT]
    if not present:
        return pd.Series([None] * len(values), index, dtype=empty)
    types = {value_type(value) for value in present}
    full = len(present) == len(values)
    if types == {float} or types == {int, float}:
        return pd.Series([math.nan if value is ABSENT else value for value in values], index, dtype="float64")
    if types in ({int}, {bool}):
        masked = [pd.NA if value is ABSENT else value for value in values]
        dtype = {int: ("int64", "Int64"), bool: ("bool", "boolean")}[types.pop()][0 if full else 1]
        return pd.Series(masked, index, dtype=dtype)
    objects = _objects([None if value is ABSENT else value for value in values])
    if types <= {str, type(None)} and str in types:
        return _of_texts(objects, index)
    return pd.Series(objects, index, dtype=object)
