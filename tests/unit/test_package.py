"""The package as a whole: public names, cost of importing, and the direction of imports between rooms."""

import ast
import re
import subprocess
import sys
import tomllib
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
            folder = ROOT.parent / node.module.replace(".", "/")
            for alias in node.names:
                is_module = (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


def within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def in_fresh_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


PUBLIC = """
    Checkpoint ClusterError ClusterPanel Experiment ExperimentError NbtuneError ScalingForm Space SpaceForm SpecError Trial
    attach choice connect experiments get_checkpoint get_context get_dataset_shard grid_search load lograndint loguniform plan qlograndint
    qloguniform qrandint qrandn quniform randint randn report require sample_from start_cluster stop_cluster tune uniform
"""


def test_the_list_of_public_names():
    assert list(nbtune.__all__) == PUBLIC.split(), "removing a name breaks notebooks: mention it in the changelog"


@pytest.mark.parametrize("name", nbtune.__all__)
def test_every_public_name_can_be_loaded(name):
    assert getattr(nbtune, name) is getattr(nbtune, name)
    assert name in dir(nbtune)


def test_a_star_import_defines_all_public_names():
    namespace = {}
    exec("from nbtune import *", namespace)
    assert set(nbtune.__all__) <= set(namespace)


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_importing_a_framework_module_is_light_and_does_not_hide_its_package(name):
    loaded = in_fresh_python(f"import sys; from nbtune import {name} as l; print(*sys.modules, *dir(l))").split()
    assert {f"nbtune.frameworks.{name}", "trainer"} <= set(loaded)
    assert not {*HEAVY, name} & set(loaded)
    assert name in dir(nbtune)
    assert name not in nbtune.__all__, "a star import would hide the package of that name"


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="module 'nbtune' has no attribute 'tuen'"):
        nbtune.tuen  # noqa: B018


@pytest.mark.parametrize(
    "module", ["nbtune", "nbtune.spec.cell.parse", "nbtune.spec.options.help", "nbtune.spec.cell.capture"]
)
def test_importing_loads_no_heavy_package(module):
    loaded = in_fresh_python(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


def test_views_and_the_store_do_not_load_ray():
    loaded = in_fresh_python(
        "import sys, nbtune.views.live.dashboard, nbtune.results.store; print(*sys.modules)"
    ).split()
    assert "nbtune.views.live.dashboard" in loaded
    assert "ray" not in loaded


ROOMS = (
    "nbtune.shown",
    "nbtune.passwords",
    "nbtune.errors",
    "nbtune.bad_input",
    "nbtune.shell",
    "nbtune.spec.space",
    "nbtune.spec",
    "nbtune.spec.cell",
    "nbtune.spec.plan",
    "nbtune.spec.options",
    "nbtune.spec.forms",
    "nbtune.engine",
    "nbtune.engine._ray",
    "nbtune.engine.protocol",
    "nbtune.engine.storage",
    "nbtune.engine.search",
    "nbtune.engine.search.libraries",
    "nbtune.engine.search.algorithms",
    "nbtune.engine.search.schedulers",
    "nbtune.engine.search.registry",
    "nbtune.engine.search.make",
    "nbtune.engine.trial",
    "nbtune.frameworks",
    "nbtune.engine.train",
    "nbtune.engine.tune",
    "nbtune.engine.driver",
    "nbtune.engine.client",
    "nbtune.cluster.link",
    "nbtune.cluster.forkserver",
    "nbtune.cluster.embedded",
    "nbtune.cluster.local",
    "nbtune.cluster",
    "nbtune.cluster.resources",
    "nbtune.space",
    "nbtune.results",
    "nbtune.views.base",
    "nbtune.views",
    "nbtune.views.still",
    "nbtune.views.live",
    "nbtune.views.forms",
    "nbtune.testing",
    "nbtune.launch",
    "nbtune.notebook",
    "nbtune.notebook.completion",
    "nbtune.notebook.magics",
    "nbtune",
)
"""The rooms from the lowest to the highest: a module imports only from its own room and from those before it."""
DISPLAY = {"nbtune.results.experiment": {"nbtune.views", "nbtune.views.still", "nbtune.views.live"}}
"""The only upward imports: an experiment imports its display when it is displayed."""


def room_of(name):
    if within(name, ["nbtune.cluster.embedded.lazy"]):  # a folder on the import path, not a package
        return "nbtune.cluster.embedded"
    path = ROOT.parent / name.replace(".", "/")
    return name if name in ROOMS or path.is_dir() else name.rpartition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards_only(path):
    name = name_of(path)
    position = ROOMS.index(room_of(name))
    upwards = set()
    for imported in imports_of(path):
        if within(imported, ["nbtune"]) and ROOMS.index(room_of(imported)) > position:
            upwards.add(room_of(imported))
    assert upwards == DISPLAY.get(name, set())


def test_every_room_exists_and_has_a_docstring():
    assert {room_of(name_of(path)) for path in MODULES} == set(ROOMS)
    for room in ROOMS:
        if (package := ROOT.parent / room.replace(".", "/")).is_dir():
            assert ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))), room


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_foreign_packages_stay_in_their_rooms(path):
    name, found = name_of(path), imports_of(path)
    if name != "nbtune.notebook.magics":
        assert not [module for module in found if within(module, ["IPython"])]
    if within(name, ["nbtune.spec", "nbtune.views", "nbtune.results.store", "nbtune.errors"]):
        assert not [module for module in found if within(module, ["ray"])]
    if not within(name, ["nbtune.views"]):
        assert not [module for module in found if within(module, ["ipywidgets", "anywidget"])]
    if within(name, ["nbtune.spec", "nbtune.errors"]):
        assert not [module for module in found if within(module, HEAVY)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_a_docstring_and_at_most_350_lines(path):
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 350


def test_the_map_in_contributing_lists_every_module():
    text = (ROOT.parent / "CONTRIBUTING.md").read_text("utf-8")
    parts = re.split(r"^\*\*`(nbtune/[\w/]*)`\*\*", text, flags=re.MULTILINE)
    listed = {
        room.rstrip("/"): set(re.findall(r"^\| `(\w+\.py)` \|", part, re.MULTILINE))
        for room, part in zip(parts[1::2], parts[2::2], strict=True)
    }
    existing = {}
    for path in MODULES:
        if path.name != "__init__.py" and "lazy" not in path.parts:
            existing.setdefault(path.parent.relative_to(ROOT.parent).as_posix(), set()).add(path.name)
    assert {room: names - {"__init__.py"} for room, names in listed.items()} == existing


def test_every_imported_package_is_a_declared_dependency():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["project"]
    declared = project["dependencies"]
    names = {re.split(r"[\[<>=]", entry)[0] for entry in declared}
    names |= {"ax", "nevergrad", "zoopt"} & set(project["optional-dependencies"])  # imported with their search only
    distribution_names = {"yaml": "pyyaml", "IPython": "ipython"}
    imported = {name.partition(".")[0] for path in MODULES for name in imports_of(path)}
    foreign = imported - sys.stdlib_module_names - {"nbtune", "rfc3987_syntax"}
    # transformers is what the user's code imports; grpc comes with the extra `client`, ipykernel with a kernel, and hebo is
    # installed without its dependencies: they are imported only if they are installed.
    others = {"deepspeed", "grpc", "hebo", "ipykernel", "transformers"}
    assert {distribution_names.get(name, name) for name in foreign} - names <= others


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["project"]
    allowed = dict(re.match(r"([\w-]+)(?:\[.*\])?>=([\d.]+)", entry).groups() for entry in project["dependencies"])
    lines = (ROOT.parent / "constraints-floor.txt").read_text("utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert set(tested) == {"anywidget", "ipywidgets", "optuna", "pandas", "plotly", "ray"}
    for name, version in tested.items():
        shortest = re.sub(r"(\.0)+$", "", version)
        assert re.sub(r"(\.0)+$", "", allowed[name]) == shortest, name


def test_rays_next_minor_version_is_not_allowed():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["project"]
    (ray,) = (entry for entry in project["dependencies"] if entry.startswith("ray["))
    assert re.fullmatch(r"ray\[train,tune\]>=[\d.]+,<[\d.]+", ray)
