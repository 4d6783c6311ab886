"""nbtune.spec.cell.capture: what of the notebook a cell takes along, and what is wrong with its metric."""

import builtins
import functools
import json
import linecache

import pytest

from nbtune.spec.cell.capture import Capture, capture, may_report, metric_problems, notebook_sources
from nbtune.spec.cell.names import FreeNames
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reports import Reports


def notebook(source, **values):
    """Return the namespace after a notebook's cell was run."""
    namespace = {"__name__": "__main__", **values}
    exec(compile(source, "<notebook>", "exec"), namespace)
    return namespace


def taken(cell, namespace):
    return capture(parse_cell(cell, namespace)[0].names, namespace)


def test_what_the_cell_reads_is_taken_and_nothing_else():
    namespace = notebook("X = [1]\nother = 2\nlr = 3")
    assert taken("y = X[0]", namespace) == Capture({"X": [1]}, set(), [])


def test_what_the_cell_makes_itself_stays_at_home():
    assert taken("model = 1\nprint(model)", notebook("model = object()")).values == {}


def test_what_the_cell_perhaps_reads_is_optional():
    namespace = notebook("cached = 5")
    assert taken("if flag:\n    cached = 1\nprint(cached)", {**namespace, "flag": True}) == Capture(
        {"flag": True, "cached": 5}, {"cached"}, []
    )


def test_what_it_perhaps_reads_and_is_nowhere_is_no_problem():
    assert taken("for i in range(3):\n    if i:\n        print(last)\n    last = i", {}) == Capture({}, set(), [])


def test_functions_of_the_notebook_bring_what_they_use_as_optional():
    namespace = notebook(
        "scale = 2\nunused = 3\nimport json\n"
        "def inner(x):\n    return scale * x\n"
        "def outer(x):\n    return [inner(y) for y in json.loads(x)]\n"
    )
    found = taken("outer('[1]')", namespace)
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
def test_names_are_found_in_all_kinds_of_functions(definition):
    namespace = notebook(definition, scale=2, functools=functools)
    assert taken("A()", namespace).values["scale"] == 2


def test_functions_that_call_each_other_end():
    namespace = notebook("def f(): return g()\ndef g(): return f()")
    assert set(taken("f()", namespace).values) == {"f", "g"}


def test_functions_of_modules_bring_nothing():
    namespace = {"dumps": json.dumps, "JSONEncoder": "a variable that json's own function also names"}
    assert set(taken("dumps(1)", namespace).values) == {"dumps"}


def test_an_undefined_name_is_a_problem_with_its_line_and_a_hint():
    (problem,) = taken("x = 1\ny = learning_rat", {"learning_rate": 1, "_hidden": 2}).problems
    assert str(problem) == "line 3: 'learning_rat' is not defined (did you mean 'learning_rate'?)"


def test_a_misspelt_helper_has_a_hint():
    (problem,) = taken("reprot(loss=1)", {}).problems
    assert "did you mean 'report'?" in problem.message


def test_helpers_and_builtins_are_there():
    source = "report(loss=len([1]))\nget_checkpoint()\nget_context()\nx = uniform(0, 1)\nprint(__name__, ValueError)"
    assert taken(source, {}) == Capture({}, set(), [])


def test_a_helper_that_the_notebook_has_goes_along():
    report = object()
    assert taken("report(loss=1)", {"report": report}).values == {"report": report}


def test_a_builtin_that_the_notebook_has_overridden_goes_along():
    namespace = notebook("def print(*a): pass\nfrom builtins import len\nsum = sum")
    found = taken("print(len([]), sum([]))", namespace)
    assert found.values == {"print": namespace["print"]}


def test_a_builtin_that_a_function_of_the_notebook_uses_overridden():
    namespace = notebook("max = 5\ndef f():\n    return max, min")
    assert set(taken("f()", namespace).values) == {"f", "max"}
    assert not hasattr(namespace["f"], "max")
    assert builtins.max is not namespace["max"]


def test_a_star_import_may_define_anything():
    assert taken("from math import *\nx = floor(2.5)", {}).problems == []


def test_a_star_import_does_not_hide_the_notebooks_variables():
    assert taken("from math import *\nx = floor(y)", {"y": 1}).values == {"y": 1}


def problems(metric, cell, namespace=None):
    parsed, _ = parse_cell(cell, namespace or {})
    found = capture(parsed.names, namespace or {})
    return [p.render("line") for p in metric_problems(metric, parsed.reports, found.values.values(), "cell")]


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
def test_a_metric_that_is_or_may_be_reported(cell):
    assert problems("loss", cell) == []


def test_without_a_metric_any_report_will_do():
    assert problems(None, "report(x=1)") == []


def test_a_cell_that_never_reports():
    assert problems("loss", "x = 1") == [
        "the cell never reports a metric: add report(loss=…), or end it with return {'loss': …}"
    ]
    assert "add report(accuracy=…)" in problems(None, "x = 1")[0]


def test_a_metric_that_is_never_reported():
    assert problems("acuracy", "report(loss=1, accuracy=2)") == [
        "--metric: the cell never reports 'acuracy' (did you mean 'accuracy'?); it reports loss, accuracy"
    ]


@pytest.mark.parametrize("cell", ["report({'val': {'accuracy': 1}})", "report(val=scores)", "return {'val': scores}"])
def test_a_metric_inside_a_reported_dictionary(cell):
    assert problems("val/accuracy", cell) == []
    assert problems("test/accuracy", cell) != []


def test_a_function_of_the_notebook_may_report():
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
def test_reports_are_found_in_all_kinds_of_functions(definition):
    assert may_report(notebook(definition)["A"])


def test_other_values_do_not_report():
    assert not any(map(may_report, [5, "report", print, notebook("def f(): return 'report'")["f"]]))


def test_sources_are_the_cells_and_the_notebooks(monkeypatch):
    text = "def helper():\n    return 1\n"
    monkeypatch.setitem(linecache.cache, "<cell 3>", (len(text), None, text.splitlines(keepends=True), "<cell 3>"))
    namespace = {}
    exec(compile(text, "<cell 3>", "exec"), namespace)
    cell, _ = parse_cell("helper()", namespace, filename="<cell 5>", magic="%%tune x")
    names = {"<cell 3>": "Cell In[3]", "<cell 5>": "Cell In[5]"}
    found = notebook_sources(cell, [namespace["helper"], json.dumps, 5], names.get)
    assert found == {"<cell 3>": ("Cell In[3]", text), "<cell 5>": ("Cell In[5]", "%%tune x\nhelper()")}


def test_a_cell_without_a_name_is_called_by_its_file():
    cell, _ = parse_cell("x = 1", {}, filename="<cell 5>")
    assert notebook_sources(cell, [], lambda filename: None)["<cell 5>"][0] == 'File "<cell 5>"'


def test_a_module_of_the_users_own_may_report_anything(tmp_path, monkeypatch):
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
        assert metric_problems("acc", nothing, kind="cell", **own) == []
    for library in ({"captured": [json, json.dumps]}, {"captured": [], "imports": ["json", "torch", "numpy"]}):
        assert len(metric_problems("acc", nothing, kind="cell", **library)) == 1


def test_a_framework_of_nbtunes_reports_on_its_own():
    import nbtune

    nothing = Reports((), True, False)
    namespace = {"nbtune": nbtune}
    exec("def fit(): nbtune.lightning.trainer().fit(model)", namespace)
    for value in (nbtune.lightning, nbtune.lightning.trainer, namespace["fit"]):
        assert may_report(value)
        assert metric_problems("loss", nothing, [value], "cell") == []
    assert len(metric_problems("loss", nothing, [nbtune], "cell")) == 1


def test_what_ipython_puts_among_the_builtins_is_refused():
    found = capture(FreeNames(needed={"display": 3}), {})
    assert found.problems[0].line == 3
    assert "'display' is a function of the notebook and not available in a trial" in found.problems[0].message


def test_nbtunes_own_names_in_the_notebook_do_not_hide_a_misspelt_metric():
    import nbtune

    reports = Reports(("accuracy",), True, True)
    (problem,) = metric_problems("acuracy", reports, [nbtune.report, nbtune.loguniform], "cell")
    assert "did you mean 'accuracy'" in problem.message
