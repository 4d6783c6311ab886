"""The package as a whole: its names, what importing it costs, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nbtune

ROOT = Path(nbtune.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
HEAVY = ("ray", "torch", "plotly", "pandas", "optuna", "IPython", "ipywidgets", "pyarrow", "numpy")


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Return every module that a file imports, in functions and for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module)
            found |= {
                f"{node.module}.{a.name}"
                for a in node.names
                if (ROOT.parent / node.module.replace(".", "/") / f"{a.name}.py").exists()
            }
            found |= {
                f"{node.module}.{a.name}"
                for a in node.names
                if (ROOT.parent / node.module.replace(".", "/") / a.name).is_dir()
            }
    return found - {"nbtune.spec", "nbtune.engine", "nbtune.cluster", "nbtune.views"}


def within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def in_fresh_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


PUBLIC = """
    Checkpoint ClusterError ClusterPanel Experiment ExperimentError NbtuneError ScalingForm Space SpaceForm SpecError Trial
    attach choice connect experiments get_checkpoint get_context grid_search load lograndint loguniform plan qlograndint
    qloguniform qrandint qrandn quniform randint randn report require sample_from start_cluster stop_cluster tune uniform
"""


def test_the_public_names_are_these():
    assert list(nbtune.__all__) == PUBLIC.split(), "a name that goes breaks notebooks: say so in the changelog"


@pytest.mark.parametrize("name", nbtune.__all__)
def test_every_public_name_is_there(name):
    assert getattr(nbtune, name) is getattr(nbtune, name)
    assert name in dir(nbtune)


def test_a_star_import_brings_them_all():
    namespace = {}
    exec("from nbtune import *", namespace)
    assert set(nbtune.__all__) <= set(namespace)


def test_a_framework_loads_nothing_and_does_not_hide_its_own_package():
    loaded = in_fresh_python("import sys; from nbtune import lightning as l; print(*sys.modules, *dir(l))").split()
    assert {"nbtune.frameworks.lightning", "trainer"} <= set(loaded)
    assert not {*HEAVY, "lightning"} & set(loaded)
    assert "lightning" in dir(nbtune)
    assert "lightning" not in nbtune.__all__, "a star import would hide the package of that name"


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'nbtune' has no attribute 'tuen'"):
        nbtune.tuen  # noqa: B018


@pytest.mark.parametrize("module", ["nbtune", "nbtune.spec.cell", "nbtune.spec.help", "nbtune.spec.capture"])
def test_importing_is_light(module):
    loaded = in_fresh_python(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


def test_views_and_the_store_do_not_load_ray():
    loaded = in_fresh_python("import sys, nbtune.views.dashboard, nbtune.store; print(*sys.modules)").split()
    assert "nbtune.views.dashboard" in loaded
    assert "ray" not in loaded


MAY_IMPORT = {
    "nbtune.errors": [],
    "nbtune.spec": ["nbtune.errors", "nbtune.spec"],
    "nbtune.frameworks": ["nbtune.errors", "nbtune.engine.session"],
    "nbtune.engine": ["nbtune.errors", "nbtune.spec", "nbtune.engine", "nbtune.frameworks"],
    "nbtune.cluster": ["nbtune.errors", "nbtune.spec", "nbtune.engine", "nbtune.cluster"],
    "nbtune.columns": [],
    "nbtune.state": [],
    "nbtune.listeners": [],
    "nbtune.registry": ["nbtune.experiment"],
    "nbtune.reader": ["nbtune.engine.source", "nbtune.listeners", "nbtune.store"],
    "nbtune.trial": ["nbtune.errors", "nbtune.engine", "nbtune.state", "nbtune.store", "nbtune.logs"],
    "nbtune.workers": ["nbtune.engine", "nbtune.columns"],
    "nbtune.store": [
        "nbtune.errors",
        "nbtune.spec",
        "nbtune.engine",
        "nbtune.columns",
        "nbtune.state",
        "nbtune.workers",
    ],
    "nbtune.analysis": ["nbtune.errors", "nbtune.spec", "nbtune.engine", "nbtune.state", "nbtune.store"],
    "nbtune.controls": [
        "nbtune.about",
        "nbtune.errors",
        "nbtune.spec",
        "nbtune.engine",
        "nbtune.columns",
        "nbtune.state",
        "nbtune.store",
    ],
    "nbtune.prepare": ["nbtune.errors", "nbtune.spec", "nbtune.engine", "nbtune.cluster", "nbtune.frameworks"],
    "nbtune.views": [
        "nbtune.errors",
        "nbtune.spec",
        "nbtune.columns",
        "nbtune.state",
        "nbtune.store",
        "nbtune.views",
        "nbtune.engine.events",
        "nbtune.engine.storage",
    ],
}


RESULTS = ["nbtune.about", "nbtune.listeners", "nbtune.logs", "nbtune.trial", "nbtune.reader", "nbtune.experiment"]
SURFACE = [
    f"nbtune.{name}"
    for name in [
        "api",
        "frontend",
        "magics",
        "orders",
        "panel",
        "planning",
        "prepare",
        "registry",
        "resume",
        "scaling",
        "space",
        "space_form",
        "start",
    ]
]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_comes_back_does_not_know_how_it_was_asked_for(path):
    name, found = name_of(path), imports_of(path)
    known = ["nbtune.space"] if name == "nbtune.about" else []  # an experiment's space is one
    if within(name, RESULTS):
        assert [module for module in found if within(module, SURFACE) and not within(module, known)] == []
    if name != "nbtune":
        assert "nbtune.magics" not in found, "it is the outermost"


def test_the_modules_are_found():
    assert {*MAY_IMPORT, "nbtune", "nbtune.magics"} <= {name_of(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards_only(path):
    name = name_of(path)
    own = [module for module in imports_of(path) if within(module, ["nbtune"])]
    for room, allowed in MAY_IMPORT.items():
        if within(name, [room]):
            assert [module for module in own if not within(module, allowed)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_foreign_packages_stay_in_their_rooms(path):
    name, found = name_of(path), imports_of(path)
    if name != "nbtune.magics":
        assert not [module for module in found if within(module, ["IPython"])]
    if within(name, ["nbtune.spec", "nbtune.views", "nbtune.store", "nbtune.errors"]):
        assert not [module for module in found if within(module, ["ray"])]
    if not within(name, ["nbtune.views"]):
        assert not [module for module in found if within(module, ["ipywidgets", "anywidget"])]
    if within(name, ["nbtune.spec", "nbtune.errors"]):
        assert not [module for module in found if within(module, HEAVY)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_is_read_at_one_sitting(path):
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 350
