"""Columns: values of any kind, gathered as they come, as typed pandas Series."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["ABSENT", "Column", "column_of", "groups", "headings", "python_values", "still_true", "value_type"]

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()
"""Stands for no value at all, since None is one."""


class Column:
    """A column that grows: values at rows, of one type as long as they are of one type."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._values: list[Any] = []
        self._types: set[type] = set()

    def add(self, rows: np.ndarray, values: Any) -> None:
        """Add values at rows that are above all before."""
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
        """Return the rows from `since` on that have a value, and these as float64; NaN for what is no number."""
        rows: list[np.ndarray] = []
        floats: list[np.ndarray] = []
        for found, values in zip(reversed(self._rows), reversed(self._values), strict=True):
            if found[-1] < since:
                break
            start = int(np.searchsorted(found, since))
            rows.append(found[start:])
            floats.append(_floats(values[start:]))
        if not rows:
            return np.array([], np.int64), np.array([], float)
        return np.concatenate(rows[::-1]), np.concatenate(floats[::-1])

    def series(self, length: int) -> pd.Series[Any]:
        """Return the column with `length` rows; where nothing is, it is missing.

        Integers stay integers and booleans booleans, where some are missing too.
        """
        rows = np.concatenate(self._rows)
        if self._types <= {int, float} or self._types == {bool}:
            values = np.concatenate(self._values)
            if len(self._types) == 1:  # joined with fractions, whole numbers would not stay whole
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
        return pd.Series(objects).infer_objects() if _alike(objects, rows) else pd.Series(objects, dtype=object)


def headings(names: Iterable[str], prefix: str, taken: Collection[str]) -> dict[str, str]:
    """Return what columns of these names are called in a table: themselves, or PREFIX/NAME where that is taken.

    Args:
        names: metrics or parameters.
        prefix: what to put before.
        taken: the names of other columns.
    """
    names = list(dict.fromkeys(names))
    used = {*taken, *names}
    found = {}
    for name in names:
        shown = name
        if name in taken:
            while shown in used:
                shown = f"{prefix}/{shown}"
            used.add(shown)
        found[name] = shown
    return found


def python_values(values: Any) -> list[Any]:
    """Return an array's values, or a list's, as Python's own."""
    return list(values.tolist()) if isinstance(values, np.ndarray) else list(values)


def groups(numbers: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return each number with the positions at which it stands, ascending."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return list(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(found) else []


def still_true(reports: pd.DataFrame) -> pd.Series[bool]:
    """Tell which reports, rows with "trial" and "iteration", no later one of the same trial has taken back."""
    backwards = reports.iloc[::-1]
    lowest = backwards.groupby("trial")["iteration"].cummin()  # from this report on
    later = lowest.groupby(backwards["trial"]).shift(1)  # after this report
    return (backwards["iteration"] < later.fillna(np.inf)).iloc[::-1]


def _floats(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return np.full(len(values), math.nan) if values.dtype.kind == "b" else values.astype(float)
    return np.array([float(value) if value_type(value) in (int, float) else math.nan for value in values])


def _objects(values: list[Any]) -> np.ndarray:
    """Return a one-dimensional array of these very objects, lists among them left as they are."""
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return array


class _BigInt:
    """Stands for the type of an integer beyond 64 bits, which no array holds."""


def value_type(value: Any) -> type:
    """Return a value's type, and another than `int` for an integer beyond 64 bits."""
    return _BigInt if type(value) is int and not -(2**63) <= value < 2**63 else type(value)


def _alike(objects: np.ndarray, rows: np.ndarray) -> bool:
    return {type(value) for value in objects[rows]} <= {str}


def column_of(values: list[Any], index: pd.Index) -> pd.Series[Any]:
    """Return a column: numbers as numbers, whole numbers whole although some are absent, the rest as it is."""
    present = [value for value in values if value is not ABSENT]
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
        return pd.Series(objects, index).infer_objects()
    return pd.Series(objects, index, dtype=object)
