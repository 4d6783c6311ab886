"""nbtune.spec.cell.capture: the notebook variables that a cell uses, and problems of its metric."""

import builtins
import functools
import json

import pytest

from nbtune.spec.cell.capture import Capture, capture, may_report, metric_problems, unseen_reporters
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reports import Reports


def notebook(source, **values):
    """Return the namespace of a notebook after it has run a cell."""
    namespace = {"__name__": "__main__", **values}
    exec(compile(source, "<notebook>", "exec"), namespace)
    return namespace


def captured_by(cell, namespace):
    return capture(parse_cell(cell, namespace)[0].names, namespace)


def test_only_names_that_the_cell_reads_are_captured():
    namespace = notebook("X = [1]\nother = 2\nlr = 3")
    assert captured_by("y = X[0]", namespace) == Capture({"X": [1]}, set(), [])


def test_a_name_that_the_cell_binds_first_is_not_captured():
    assert captured_by("model = 1\nprint(model)", notebook("model = object()")).values == {}


def test_a_name_that_the_cell_may_read_is_optional():
    namespace = notebook("cached = 5")
    assert captured_by("if flag:\n    cached = 1\nprint(cached)", {**namespace, "flag": True}) == Capture(
        {"flag": True, "cached": 5}, {"cached"}, []
    )


def test_an_undefined_optional_name_is_not_a_problem():
    assert captured_by("for i in range(3):\n    if i:\n        print(last)\n    last = i", {}) == Capture({}, set(), [])


def test_globals_of_notebook_functions_are_captured_as_optional():
    namespace = notebook(
        "scale = 2\nunused = 3\nimport json\n"
        "def inner(x):\n    return scale * x\n"
        "def outer(x):\n    return [inner(y) for y in json.loads(x)]\n"
    )
    found = captured_by("outer('[1]')", namespace)
    assert set(found.values) == {"outer", "inner", "scale", "json"}
    assert found.optional == {"inner", "scale", "json"}
    assert found.problems == []


@pytest.mark.parametrize(
    "definition",
    [
        "class A:\n    def f(self):\n        return scale",
        "class A:\n    @staticmethod\n    def f():\n        return scale",
        "class A:\n    @classmethod\n    def f(cls):\n        return scale",
        "class A:\n    @property\n    def f(self):\n        return scale",
        "class A:\n    def f(self):\n        return [scale for _ in range(3)]",
        "def A():\n    def inner():\n        return scale\n    return inner",
        "A = lambda: scale",
        "@functools.lru_cache\ndef A():\n    return scale",
        "@functools.wraps(print)\ndef w(): pass\nA = functools.wraps(w)(lambda: 1)\nA.__wrapped__ = lambda: scale",
    ],
)
def test_globals_of_all_kinds_of_functions_are_captured(definition):
    namespace = notebook(definition, scale=2, functools=functools)
    assert captured_by("A()", namespace).values["scale"] == 2


def test_mutually_recursive_functions_are_captured():
    namespace = notebook("def f(): return g()\ndef g(): return f()")
    assert set(captured_by("f()", namespace).values) == {"f", "g"}


def test_globals_of_library_functions_are_not_captured():
    namespace = {"dumps": json.dumps, "JSONEncoder": "a variable that json's own function also names"}
    assert set(captured_by("dumps(1)", namespace).values) == {"dumps"}


def test_an_undefined_name_is_reported_with_line_and_suggestion():
    (problem,) = captured_by("x = 1\ny = learning_rat", {"learning_rate": 1, "_hidden": 2}).problems
    assert str(problem) == "line 3: 'learning_rat' is not defined (did you mean 'learning_rate'?)"


def test_a_misspelled_helper_gets_a_suggestion():
    (problem,) = captured_by("reprot(loss=1)", {}).problems
    assert "did you mean 'report'?" in problem.message


def test_helpers_and_builtins_are_defined():
    source = "report(loss=len([1]))\nget_checkpoint()\nget_context()\nx = uniform(0, 1)\nprint(__name__, ValueError)"
    assert captured_by(source, {}) == Capture({}, set(), [])


def test_a_notebook_variable_named_like_a_helper_is_captured():
    report = object()
    assert captured_by("report(loss=1)", {"report": report}).values == {"report": report}


def test_an_overridden_builtin_is_captured():
    namespace = notebook("def print(*a): pass\nfrom builtins import len\nsum = sum")
    found = captured_by("print(len([]), sum([]))", namespace)
    assert found.values == {"print": namespace["print"]}


def test_an_overridden_builtin_in_a_notebook_function_is_captured():
    namespace = notebook("max = 5\ndef f():\n    return max, min")
    assert set(captured_by("f()", namespace).values) == {"f", "max"}
    assert not hasattr(namespace["f"], "max")
    assert builtins.max is not namespace["max"]


def test_names_are_not_reported_as_undefined_after_a_star_import():
    assert captured_by("from math import *\nx = floor(2.5)", {}).problems == []


def test_notebook_variables_are_captured_despite_a_star_import():
    assert captured_by("from math import *\nx = floor(y)", {"y": 1}).values == {"y": 1}


def problems(metric, cell, namespace=None):
    parsed, _ = parse_cell(cell, namespace or {})
    found = capture(parsed.names, namespace or {})
    return [
        p.render("line")
        for p in metric_problems(
            [] if metric is None else [("metric", metric)], parsed.reports, found.values.values(), "cell"
        )
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "report(loss=1)",
        "report(accuracy=1)\nreport(loss=1)",
        "return {'loss': 1}",
        "report(**values)",
        "train(report)",
        "report({name: 1})",
    ],
)
def test_a_metric_that_is_or_may_be_reported_is_accepted(cell):
    assert problems("loss", cell) == []


def test_any_report_is_accepted_without_a_metric():
    assert problems(None, "report(x=1)") == []


def test_a_cell_without_reports_is_a_problem():
    assert problems("loss", "x = 1") == [
        "the cell never reports a metric: add report(loss=…), or end it with return {'loss': …}"
    ]
    assert "add report(accuracy=…)" in problems(None, "x = 1")[0]


def test_a_metric_that_is_never_reported_is_a_problem():
    assert problems("acuracy", "report(loss=1, accuracy=2)") == [
        "--metric: the cell never reports 'acuracy' (did you mean 'accuracy'?); it reports loss, accuracy"
    ]


@pytest.mark.parametrize("cell", ["report({'val': {'accuracy': 1}})", "report(val=scores)", "return {'val': scores}"])
def test_a_metric_in_a_reported_dictionary_is_accepted(cell):
    assert problems("val/accuracy", cell) == []
    assert problems("test/accuracy", cell) != []


def test_a_notebook_function_may_report():
    namespace = notebook("def train():\n    report(loss=1)")
    assert problems("loss", "train()", namespace) == []
    assert may_report(namespace["train"])


@pytest.mark.parametrize(
    "definition",
    [
        "class A:\n    def on_end(self):\n        session.report(loss=1)",
        "def A():\n    def inner():\n        report(loss=1)\n    return inner",
        "A = lambda: report(loss=1)",
    ],
)
def test_calls_of_report_are_found_in_all_kinds_of_functions(definition):
    assert may_report(notebook(definition)["A"])


def test_values_without_calls_of_report_do_not_report():
    assert not any(map(may_report, [5, "report", print, notebook("def f(): return 'report'")["f"]]))


def test_a_module_of_the_user_may_report_any_metric(tmp_path, monkeypatch):
    (tmp_path / "my_training.py").write_text("def fit():\n    import nbtune\n    nbtune.report(acc=1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import json

    import my_training

    nothing = Reports((), True, False)
    for own in (
        {"captured": [my_training]},
        {"captured": [my_training.fit]},
        {"captured": [], "imports": ["my_training"]},
    ):
        assert metric_problems([("metric", "acc")], nothing, kind="cell", **own) == []
    for library in ({"captured": [json, json.dumps]}, {"captured": [], "imports": ["json", "torch", "numpy"]}):
        assert len(metric_problems([("metric", "acc")], nothing, kind="cell", **library)) == 1


def test_nbtune_frameworks_may_report_any_metric():
    import nbtune

    nothing = Reports((), True, False)
    namespace = {"nbtune": nbtune}
    exec("def fit(): nbtune.lightning.trainer().fit(model)", namespace)
    for value in (nbtune.lightning, nbtune.lightning.trainer, namespace["fit"]):
        assert may_report(value)
        assert metric_problems([("metric", "loss")], nothing, [value], "cell") == []
    assert len(metric_problems([("metric", "loss")], nothing, [nbtune], "cell")) == 1


def test_ipython_builtins_are_a_problem():
    found = capture(FreeNames(needed={"display": 3}), {})
    assert found.problems[0].line == 3
    assert "'display' is a function of the notebook and not available in a trial" in found.problems[0].message


def test_a_misspelled_metric_is_found_after_a_star_import_of_nbtune():
    import nbtune

    reports = Reports(("accuracy",), True, True)
    values = unseen_reporters({"report": nbtune.report, "loguniform": nbtune.loguniform})
    misspelled, known, unknown = ("metric", "acuracy"), ("stop", "accuracy"), ("stop", "loss")
    problems = metric_problems([misspelled, known, unknown], reports, values, "cell")
    assert [problem.option for problem in problems] == ["metric", "stop"]
    assert "did you mean 'accuracy'" in problems[0].message
    assert "never reports 'loss'; it reports accuracy" in problems[1].message


ALIASES = """
import functools, nbtune
from nbtune import report as r
R = nbtune.report
table = {"log": nbtune.report, "other": 3}
listed = [(1, nbtune.report)]
part = functools.partial(nbtune.report, checkpoint=None)
got = getattr(nbtune, "report")
by_lambda = lambda v: nbtune.report(a=v)
def by_getattr(v): getattr(nbtune, "re" "port")(a=v)
def by_eval(v): eval("nbtune.report(a=1)")
def with_default(v, log=nbtune.report): log(a=v)
def make():
    log = nbtune.report
    return lambda v: log(a=v)
closed = make()
class Logger:
    def log(self, v): nbtune.report(a=v)
class Holder:
    def __init__(self, log): self.log = log
logger = Logger()
method = logger.log
holder = Holder(nbtune.report)
nested = Holder({"cb": [Holder(logger)]})
"""


@pytest.mark.parametrize(
    "use",
    [
        "R(a=1)", "r(a=1)", "table['log'](a=1)", "listed[0][1](a=1)", "part(a=1)", "got(a=1)", "by_lambda(1)",
        "by_getattr(1)", "by_eval(1)", "with_default(1)", "closed(1)", "Logger().log(1)", "logger.log(1)", "method(1)",
        "holder.log(a=1)", "nested.log['cb'][0].log.log(1)", "run(R)", "run(callback=table['log'])",
    ],
)  # fmt: skip
def test_report_is_found_under_its_other_names(use):
    from nbtune.launch.prepare import prepare_cell

    namespace = {"__name__": "__main__", "run": print}
    exec(ALIASES, namespace)
    prepare_cell(f"x: uniform(0, 1)\n{use}", {"metric": "a", "mode": "max"}, namespace)


@pytest.mark.parametrize(
    "text",
    [
        "import nbtune\nR = nbtune.report\nR(a=1)",
        "from nbtune import report as r\nr(a=1)",
        "import nbtune as nb\nnb.report(a=1)",
        "import nbtune\ngetattr(nbtune, 'report')(a=1)",
        "import functools, nbtune\nf = functools.partial(nbtune.report, a=1)\nf()",
        "import nbtune\nd = {'r': nbtune.report}\nd['r'](a=1)",
        "eval('report(a=1)')",
        "globals()['report'](a=1)",
        "from ray import tune as t\nt.report({'a': 1})",
        "from ray.tune import report as tell\ntell({'a': 1})",
        "def f(log): log(a=1)\nf(report)",
        "import importlib\nimportlib.import_module('nbtune').report(a=1)",
    ],
)
def test_report_is_found_under_other_names_in_the_cell(text):
    from nbtune.launch.prepare import prepare_cell

    prepare_cell(f"x: uniform(0, 1)\n{text}", {"metric": "a", "mode": "max"}, {"__name__": "__main__"})


@pytest.mark.parametrize("text", ["y = x", "print('a', x)", "data.sum()", "helper(x)", "thing.method()"])
def test_code_that_surely_never_reports_is_refused(text):
    from nbtune.errors import SpecError
    from nbtune.launch.prepare import prepare_cell

    namespace = {"__name__": "__main__", "data": [1, {"a": 2}]}
    exec("def helper(v): return v\nclass Thing:\n    def method(self): pass\nthing = Thing()", namespace)
    with pytest.raises(SpecError, match="never reports"):
        prepare_cell(f"x: uniform(0, 1)\n{text}", {"metric": "a", "mode": "max"}, namespace)
