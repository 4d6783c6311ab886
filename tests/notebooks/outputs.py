"""What the outputs of an executed tutorial have to be, in comparison with those that are stored in its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat


def read(path: Path) -> list[Any]:
    """Return the code cells of a notebook's file."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def is_tagged(cell: Any, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def texts(cell: Any) -> str:
    """Return the outputs of a cell as text."""
    return "\n".join(
        "".join(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in cell.outputs
    )


def headings(cell: Any) -> list[list[str]]:
    """Return the column headings of a cell's tables, each of which has rows."""
    tables = [
        output.data["text/html"] for output in cell.outputs if "<thead>" in output.get("data", {}).get("text/html", "")
    ]
    assert all("<td" in table for table in tables), "a table without rows"
    return [re.findall("<th[^>]*>([^<]*)</th>", table.partition("</thead>")[0]) for table in tables]


def has_picture(cell: Any) -> bool:
    return any("image/svg+xml" in output.get("data", {}) for output in cell.outputs)


def check_outputs(cells: list[Any], stored: list[Any]) -> None:
    """Check that the cells have the outputs of those in the repository, apart from numbers."""
    for number, (cell, before) in enumerate(zip(cells, stored, strict=False)):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        assert bool(errors) == is_tagged(cell, "raises-exception"), f"cell {number}: {errors}"
        assert not [output.text for output in cell.outputs if output.get("name") == "stderr"], f"cell {number}"
        assert bool(texts(cell)) == bool(texts(before)) or has_picture(cell), f"cell {number}: {texts(cell)!r}"
        assert headings(cell) == headings(before), f"cell {number}"


def check_pictures(cells: list[Any], sweeps: dict[str, int]) -> None:
    """Check that the pictures in the file show the last states of the sweeps."""
    svgs = [
        output.data["image/svg+xml"]
        for cell in cells
        for output in cell.outputs
        if "image/svg+xml" in output.get("data", {})
    ]
    titles = {re.search("<title>(.*)</title>", svg)[1] for svg in svgs}  # type: ignore[index]
    assert titles == {f"{name}: finished, {trials} of {trials} trials" for name, trials in sweeps.items()}
    failed = {
        svg.partition("<title>")[2].partition(":")[0]
        for svg in svgs
        if " failed" in svg.partition("<desc>")[2].partition("<")[0]
    }
    assert failed == ({"reduced"} & set(sweeps)), "trials of other sweeps have failed"
