"""nbtune.spec.cell.origin: what is installed is a library, wherever Python finds it; everything else is the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbtune.spec.cell.imports import mentions_of
from nbtune.spec.cell.origin import is_installed, is_user_module


@pytest.mark.parametrize(
    ("folder", "own"),
    [
        (".local/lib/python3/site-packages", False),  # of `pip install --user`
        ("usr/lib/python3/dist-packages", False),  # of Debian, under a virtual environment with the system's packages
        ("project", True),
        ("my-site-packages", True),
    ],
)
def test_a_library_is_one_wherever_it_is_installed(
    folder: str, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "found_" + "".join(letter if letter.isalnum() else "_" for letter in folder)
    package = tmp_path / folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import xgboost\n")
    monkeypatch.syspath_prepend(str(package.parent))
    assert is_user_module(name) == own
    assert is_installed(str(package / "__init__.py")) != own
    code = compile(f"import {name}", "cell", "exec")
    assert ("xgboost" in mentions_of([code], {}).modules) == own, "libraries are not searched"
