"""nbtune.launch.check_framework: workers are those of the framework that the code imports, or the code is refused."""

from __future__ import annotations

import sys
import textwrap
import types
from importlib.machinery import ModuleSpec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.launch.check_framework import with_framework
from nbtune.spec.cell.capture import capture, global_names
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.options.options import make_spec
from nbtune.spec.plan.frameworks import FRAMEWORKS, canonical_name

PACKAGES = [(name, package) for name, framework in FRAMEWORKS.items() for package in framework.packages]
FORMS = {
    "at the top": "import {0}\ndef train(config): return {0}.f()",
    "under another name": "import {0} as x\ndef train(config): return x.f()",
    "a function of it": "from {0} import f\ndef train(config): return f()",
    "a class of it": "from {0} import C\ndef train(config): return C()",
    "an object of it": "from {0} import C\nc = C()\ndef train(config): return c",
    "a subclass": "from {0} import C\nclass D(C): pass\ndef train(config): return D()",
    "inside": "def train(config):\n    import {0}\n    return {0}.f()",
    "a module of it inside": "def train(config):\n    from {0}.sub import f\n    return f()",
    "in a helper": "def fit():\n    import {0} as x\n    return x\ndef train(config): return fit()",
    "in a method": "class Own:\n    def fit(self):\n        from {0} import C\n        return C\ndef train(config): return Own().fit()",
    "in a closure": "def make():\n    import {0} as x\n    def train(config): return x.f()\n    return train\ntrain = make()",
    "in a partial": "import functools\nfrom {0} import f\ng = functools.partial(f, 1)\ndef train(config): return g()",
    "by its name": "import importlib\ndef train(config): return importlib.import_module('{0}').f()",
    "by the name of a module": "from importlib import import_module\ndef train(config): return import_module('{0}.sub', package=None).f()",
    "by __import__": "def train(config):\n    x = __import__('{0}')\n    return x.f()",
    "Ray's part of it": "def train(config):\n    import ray.train.{1}\n    return 1",
    "a name of Ray's part": "def train(config):\n    from ray.train.{1} import f\n    return 1",
    "Ray's part by from": "def train(config):\n    from ray.train import {1} as x\n    return 1",
}


@pytest.fixture(scope="module")
def packages():
    """Packages of the frameworks' names, which are not installed here, with a function, a class and a module each."""
    made = {}
    for _, package in [*PACKAGES, ("horovod", "horovod"), ("tensorflow", "keras")]:
        for name in (package, f"{package}.sub"):
            module = made[name] = types.ModuleType(name)
            exec("def f(*given): return 1\nclass C: pass", vars(module))
            module.__path__ = []
            module.__spec__ = ModuleSpec(name, None)
        made[package].sub = made[f"{package}.sub"]
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    yield made
    for name, module in before.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


def checked(source, **options):
    """Return the options, the notes and the problems for a function `train`."""
    namespace = {"__name__": "__main__"}
    exec(textwrap.dedent(source), namespace)
    spec, problems = make_spec({"workers": 2, **options})
    assert not problems
    names = dict.fromkeys(global_names(namespace["train"], namespace), 0)
    used = capture(FreeNames(needed={name: 0 for name in names if name in namespace}), namespace).values
    found = []
    spec, notes = with_framework(spec, [namespace["train"]], used, found)
    return spec, notes, [problem.render("python") for problem in found if problem.code != "missing"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "package"), PACKAGES)
def test_the_framework_is_recognized_and_others_are_refused(packages, name, package, form):
    source = FORMS[form].format(package, name)
    spec, notes, problems = checked(source)
    assert (spec.framework, problems) == (name, [])
    assert any(f"those of {FRAMEWORKS[name].title}, since the code imports" in note for note in notes)
    for other in FRAMEWORKS:
        spec, notes, problems = checked(source, framework=other)
        assert spec.framework == other
        if other == name:
            assert problems == []
        else:
            (problem,) = problems
            assert f"each worker would train a model of its own with {FRAMEWORKS[name].title}" in problem
            assert f'framework="{name}"' in problem


@given(st.lists(st.sampled_from(PACKAGES), min_size=1, max_size=3), st.sampled_from([None, *FRAMEWORKS]))
def test_no_package_trains_apart(imported, chosen):
    body = "".join(f"    import {package}\n" for _, package in imported)
    needed = {name for name, _ in imported}
    spec, _, problems = checked(f"def train(config):\n{body}    return 1", framework=chosen)
    assert len(problems) == len(needed - {spec.framework})
    if chosen is None:
        assert spec.framework in needed


@pytest.mark.parametrize(
    "package", ["torch", "numpy", "sklearn", "transformers", "accelerate", "lightning", "deepspeed"]
)
def test_what_needs_no_workers_of_its_own_trains_anywhere(package):
    source = f"def train(config):\n    import {package}\n    return 1"
    assert checked(source)[0].framework == "torch"
    assert checked(source, framework="xgboost")[2] == []


OWN_MODULES = {
    "a module": {"own_fit.py": "import xgboost\ndef fit(): return xgboost"},
    "a function of a module": {"own_fit.py": "def fit():\n    from xgboost import f\n    return f"},
    "a module behind it": {
        "own_fit.py": "from own_deep import fit",
        "own_deep.py": "import xgboost.sub\nfit = xgboost.sub.f",
    },
    "by its name": {"own_fit.py": "import importlib\ndef fit(): return importlib.import_module('xgboost')"},
    "a package": {
        "own_fit/__init__.py": "from .inner import fit",
        "own_fit/inner/__init__.py": "from ..other import fit",
        "own_fit/other.py": "def fit():\n    import xgboost\n    return xgboost",
    },
}


@pytest.mark.parametrize("use", ["inside", "captured", "a function of it"])
@pytest.mark.parametrize("files", OWN_MODULES)
def test_the_users_own_modules_are_searched(tmp_path, monkeypatch, packages, files, use):
    for name, text in OWN_MODULES[files].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    sources = {
        "inside": "def train(config):\n    from own_fit import fit\n    return fit()",
        "captured": "import own_fit\ndef train(config): return own_fit.fit()",
        "a function of it": "from own_fit import fit\nimport own_fit as o\ndef train(config): return o.fit()",
    }
    try:
        assert checked(sources[use])[0].framework == "xgboost"
        if use == "inside":
            assert "own_fit" not in sys.modules, "nothing is imported"
    finally:
        for name in set(sys.modules) - before:
            if name.startswith("own_"):
                del sys.modules[name]


MANY = {
    "own_many/__init__.py": """
        import xgboost
        from . import deep
        from .deep import third as renamed
        import lightgbm as lgb
        if __name__ == "__main__":
            lgb.f()
        def boost(): return xgboost.f()
        class Base:
            def fit(self): return lgb.f()
        class Light(Base): pass
        def first(config): return boost()
        def second(config): return Light().fit()
        def plain(config, train=None): return train
    """,
    "own_many/deep.py": """
        try:
            import jax
        except ImportError:
            jax = None
        def third(config):
            from . import sums
            return sums.total(jax)
        def plain(config): return 1
        def anything(config): return globals()[config["name"]](config)
    """,
    "own_many/sums.py": """
        import functools
        import lightgbm, xgboost.sub
        CASES = [lightgbm]
        def total(x): return x
        def other(x): return xgboost.sub.f(x)
        @functools.partial(map, CASES)
        def test(case): return case
    """,
    "own_folder/own_part.py": """
        import xgboost, lightgbm
        def boost(config): return xgboost.f()
        def light(config): return lightgbm.f()
    """,
    "own_table.py": """
        import xgboost, lightgbm
        TABLE = {}
        def keep(function):
            TABLE[function.__name__] = function
            return function
        @keep
        def boost(config): return xgboost.f()
        def light(config): return lightgbm.f()
    """,
}
"""Modules with code for several frameworks."""


@pytest.mark.parametrize("use", ["captured", "captured, as m", "inside", "inside, from", "a function of it"])
@pytest.mark.parametrize(
    ("module", "name", "frameworks"),
    [
        ("own_many", "first", {"xgboost"}),
        ("own_many", "second", {"lightgbm"}),
        ("own_many", "plain", set()),
        ("own_many", "renamed", {"jax"}),
        ("own_many.deep", "third", {"jax"}),
        ("own_many.deep", "plain", set()),
        ("own_many.deep", "anything", {"jax"}),
        ("own_folder.own_part", "light", {"lightgbm"}),  # a folder without __init__.py
        ("own_table", "TABLE", {"xgboost"}),
        ("own_table", "light", {"xgboost", "lightgbm"}),  # what decorators keep may be used
    ],
)
def test_of_the_users_own_modules_what_is_used_counts(tmp_path, monkeypatch, packages, module, name, frameworks, use):
    for file, text in MANY.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    source = {
        "captured": f"import {module}\ndef train(config, train=1): return {module}.{name}(config)",
        "captured, as m": f"import {module} as m\ndef train(config):\n    def inner(): return m.{name}(config)\n    return inner",
        "inside": f"def train(config):\n    import {module} as m\n    return m.{name}(config)",
        "inside, from": f"def train(config):\n    from {module} import {name} as f\n    return f(config)",
        "a function of it": f"from {module} import {name} as f\ndef train(config): return f(config)",
    }[use]
    cell = compile(f"from {module} import *\nreport(value={name}(config))", "cell", "exec")
    try:
        found = []
        spec, _ = with_framework(make_spec({"workers": 2})[0], [cell], {}, found)
        assert spec.framework in (frameworks or {"torch"})
        assert len([problem for problem in found if problem.code == "conflict"]) == max(0, len(frameworks) - 1)
        spec, _, problems = checked(source)
        assert spec.framework in (frameworks or {"torch"})
        assert len(problems) == max(0, len(frameworks) - 1)
    finally:
        for one in [one for one in sys.modules if one.partition(".")[0] in ("own_folder", "own_many", "own_table")]:
            del sys.modules[one]


@pytest.mark.parametrize(
    "code",
    [
        "getattr(own_many, config['name'])(config)",
        "use(own_many, config)",
        "[own_many][0].first(config)",
    ],
)
def test_a_module_whose_use_is_not_seen_counts_as_a_whole(tmp_path, monkeypatch, packages, code):
    (tmp_path / "own_many.py").write_text("import xgboost, lightgbm\ndef first(c): xgboost\ndef second(c): lightgbm")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        source = f"import own_many\ndef use(module, config): module.second(config)\ndef train(config): return {code}"
        assert len(checked(source)[2]) == 1
    finally:
        sys.modules.pop("own_many", None)


LOOP = "import torch\n{0}\ndef train(config):\n    import torch\n    model = torch.nn.Linear(1, 1)\n    {1}\n    model(torch.ones(1)).backward()"


@pytest.mark.parametrize(
    ("before", "line", "noted"),
    [
        ("", "pass", True),
        ("", "import ray.train.torch\n    model = ray.train.torch.prepare_model(model)", False),
        ("from ray.train.torch import prepare_model as ready", "model = ready(model)", False),
        ("from torch.nn.parallel import DistributedDataParallel as DDP", "model = DDP(model)", False),
        ("", "from torch.nn.parallel import DistributedDataParallel as DDP; model = DDP(model)", False),
        ("import torch.distributed as dist", "dist.all_reduce(torch.ones(1))", False),
        ("", "torch.distributed.barrier()", False),
        ("def wrapped(m):\n    return torch.nn.parallel.DistributedDataParallel(m)", "model = wrapped(model)", False),
        ("def wrapped(m): return m", "model = wrapped(model)", True),
        ("", "import own_wrap; model = own_wrap.ddp(model)", False),
        ("", "import own_wrap; model = own_wrap.same(model)", True),
    ],
)
def test_a_loop_that_synchronizes_nothing_is_noted(tmp_path, monkeypatch, before, line, noted):
    (tmp_path / "own_wrap.py").write_text(
        "from torch.nn.parallel import DistributedDataParallel as DDP\ndef ddp(m): return DDP(m)\ndef same(m): return m"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    notes = checked(LOOP.format(before, line))[1]
    assert any("each of them would train a model of its own" in note for note in notes) == noted
    assert checked(LOOP.format(before, line).replace("backward", "mean"))[1] == []
    assert checked(LOOP.format(before, line), workers=1)[1] == []


APART = {
    "lightning": ("import lightning", "lightning.Trainer(max_epochs=1)"),
    "tensorflow": ("import tensorflow as tf", "tf.model().fit(1)"),
    "lightgbm": ("import lightgbm as lgb", "lgb.train({}, 1)"),
    "jax": ("import jax", "jax.grad(abs)(1.0)"),
}
TOGETHER = {
    "lightning": [
        ("import lightning, ray.train.lightning as r", "lightning.Trainer(strategy=r.RayDDPStrategy())"),
        ("import lightning, nbtune", "nbtune.lightning.trainer(max_epochs=1)"),
        ("import lightning", "lightning.LightningModule()"),
    ],
    "tensorflow": [
        ("import tensorflow as tf", "with tf.distribute.MultiWorkerMirroredStrategy().scope(): tf.model().fit(1)"),
        ("from tensorflow.distribute import MultiWorkerMirroredStrategy as M", "M().model().fit(1)"),
    ],
    "lightgbm": [
        ("import lightgbm as lgb, ray.train.lightgbm as r", "lgb.train(r.get_network_params(), 1)"),
        ("import lightgbm as lgb", "lgb.Booster().predict(1)"),
    ],
    "jax": [
        ("import jax", "jax.lax.pmean(jax.grad(abs)(1.0), 'i')"),
        ("import jax; from jax.sharding import Mesh as M", "M(jax.grad(abs))"),
    ],
}


@pytest.mark.parametrize("name", APART)
def test_code_that_connects_no_workers_is_noted_in_each_framework(packages, name):
    def is_noted(imports, line):
        notes = checked(f"def train(config):\n    {imports}\n    {line}")[1]
        return any("so each of them would train a model of its own" in note for note in notes)

    assert is_noted(*APART[name])
    for code in TOGETHER[name]:
        assert not is_noted(*code), code


def test_the_code_of_ray_trains_guides_is_not_noted():
    from tests.extras.trained import CASES

    for name, case in CASES.items():
        spec, notes = with_framework(make_spec({"workers": 2})[0], [case.make(None)], {}, [])
        assert spec.framework == case.framework
        assert not any("train a model of its own" in note for note in notes), name


def test_keras_has_the_workers_of_its_backend(packages):
    source = "def train(config):\n    import keras{0}\n    return 1"
    spec, notes, _ = checked(source.format(""))
    assert spec.framework == "tensorflow"
    assert any("which is Keras 3, fail in MultiWorkerMirroredStrategy" in note for note in notes)
    assert checked(source.format(", torch"))[0].framework == "torch"
    assert checked(source.format(", jax"))[0].framework == "jax"


def test_horovod_is_refused_with_the_way_to_pytorch(packages):
    (problem,) = checked("def train(config):\n    import horovod.torch as hvd\n    return 1")[2]
    assert "ray.train.torch.prepare_model" in problem
    (problem,) = make_spec({"workers": 2, "framework": "Horovod"})[1]
    assert "Ray Train has no trainer for it any more" in problem.render("python")


def test_a_trial_without_workers_may_import_anything(packages):
    spec, _ = make_spec({})
    found = []
    assert with_framework(spec, [compile("import xgboost, jax, horovod", "x", "exec")], {}, found) == (spec, [])
    assert not found


def test_a_framework_that_is_not_installed_is_said_with_its_extra(monkeypatch):
    monkeypatch.setattr("nbtune.launch.check_framework.find_spec", lambda name: None)
    found = []
    spec, _ = make_spec({"workers": 2, "framework": "tensorflow"})
    with_framework(spec, [], {}, found)
    text = found[0].render("python")
    assert "there is no package tensorflow and tf_keras" in text
    assert "pip install 'nbtune[tensorflow]'" in text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("pytorch", "torch"),
        ("PyTorch-Lightning", "torch"),
        ("transformers", "torch"),
        ("accelerate", "torch"),
        ("deepspeed", "torch"),
        ("lightning", "torch"),
        ("keras", "tensorflow"),
        ("XGBoost", "xgboost"),
        ("LightGBM", "lightgbm"),
        ("JAX", "jax"),
    ],
)
def test_names_that_users_type(given, name):
    assert canonical_name(given) == name
    assert make_spec({"workers": 2, "framework": given})[0].framework == name
