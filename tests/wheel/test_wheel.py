"""The contents of the wheel, and a sweep with the installed wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel
ROOT = Path(__file__).parents[2]
PACKAGES = (
    "anywidget",
    "ipython",
    "ipywidgets",
    "lightning",
    "numpy",
    "optuna",
    "pandas",
    "plotly",
    "psutil",
    "pyarrow",
    "pyyaml",
    "ray[train,tune]",
    "torch",
    "traitlets",
    "tsdownsample",
)

SWEEP = """
import sys
import nbtune

def train(config):
    nbtune.report(acc=config["a"], place=nbtune.__file__)

if __name__ == "__main__":
    nbtune.connect(cpus=1)
    space = {"a": nbtune.grid_search([1, 2])}
    experiment = nbtune.tune(train, space, metric="acc", mode="max", storage=sys.argv[1], wait=True)
    print(nbtune.__file__)
    print(experiment.df["place"].unique().tolist())
    print(experiment.best.metrics["acc"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_contents_of_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {name for name in names if ".dist-info/" not in name}
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "nbtune").rglob("*.py")}
    front_end = {path.relative_to(ROOT / "widgets/src") for path in (ROOT / "widgets/src").rglob("*") if path.is_file()}
    assert front_end
    expected.add("nbtune/py.typed")
    assert packaged == expected | {f"nbtune/static/{path}" for path in front_end}
    metadata = next(zipfile.ZipFile(wheel).read(name).decode() for name in names if name.endswith("METADATA"))
    for package in PACKAGES:
        assert re.search(rf"^Requires-Dist: {re.escape(package)}[^\n]*>=", metadata, re.MULTILINE), package
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which only the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, *install], check=True)
    return folder


def test_the_installed_package_finds_its_front_end(site: Path, tmp_path: Path) -> None:
    code = "from nbtune.views.base.assets import asset; print(asset('header.js')); print(asset('theme.css'))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.split() == [str(site / "nbtune/static" / name) for name in ("header.js", "theme.css")]


def test_a_sweep_runs_with_the_installed_wheel(site: Path, tmp_path: Path, ray_folder: Path) -> None:
    (tmp_path / "sweep.py").write_text(SWEEP)
    ran = subprocess.run(
        [sys.executable, "sweep.py", str(tmp_path / "results")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    place = str(site / "nbtune" / "__init__.py")
    assert ran.stdout.splitlines()[-3:] == [place, str([place]), "2"]
