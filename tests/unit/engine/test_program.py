"""nbtune.engine.trial.program: how a program ends in a trial's process, and what it finds there of its notebook."""

from __future__ import annotations

import bdb
import builtins
import getpass
import linecache
import sys
import textwrap
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.engine.protocol.failures import TrialError, describe
from nbtune.engine.trial.payload import ProgramPayload
from nbtune.engine.trial.program import run_program
from nbtune.engine.trial.session import LocalSession
from nbtune.errors import SpecError
from nbtune.launch.prepare import prepare_cell
from nbtune.spec.cell.texts import names_in_texts
from nbtune.spec.cell.versions import statements_at


class Recording(LocalSession):
    """A session that keeps the reports."""

    def __init__(self):
        super().__init__()
        self.reports = []

    def report(self, metrics, checkpoint):
        self.reports.append(dict(metrics))


@pytest.fixture(autouse=True)
def own_process(monkeypatch):
    """Restores what a trial replaces in its process, which is that of all tests here."""
    for owner, name in ((builtins, "input"), (getpass, "getpass"), (sys, "breakpointhook"), (bdb.Bdb, "set_trace")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # restores it after the test
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def notebook():
    """Returns a function that runs a notebook's cell, and returns the notebook's variables."""
    namespace = {"__name__": "__main__", "__builtins__": __builtins__}
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules["__main__"].__dict__.update(namespace)
    namespace = sys.modules["__main__"].__dict__
    filenames = []

    def cell(text):
        text = textwrap.dedent(text)
        filename = f"<notebook cell {len(filenames)}>"
        filenames.append(filename)
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), namespace)
        return namespace

    yield cell
    sys.modules["__main__"] = main
    for filename in filenames:
        linecache.cache.pop(filename, None)


def trial(text, namespace, tmp_path=None, config=None):
    """Run a cell as a trial does, in a process that does not know the notebook; return its reports."""
    prepared = prepare_cell(textwrap.dedent(text), {}, namespace, filename="<tuned cell>")
    session = Recording()
    main = sys.modules["__main__"]
    known = {name: linecache.cache.pop(name) for name in list(linecache.cache) if name.startswith("<")}
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        run_program({"x": 1, **(config or {})}, ProgramPayload(prepared.packed.data, prepared.packed.large), session)
    finally:
        sys.modules["__main__"] = main
        linecache.cache.update(known)
    return session.reports


ENDS = [
    ("sys.exit('bad config')", "SystemExit: bad config"),
    ("sys.exit(3)", "SystemExit: 3"),
    ("sys.exit(0)", "SystemExit: 0"),
    ("sys.exit()", "SystemExit"),
    ("raise SystemExit", "SystemExit"),
    ("exit('by exit')", "SystemExit: by exit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise KeyboardInterrupt('now')", "KeyboardInterrupt: now"),
    ("raise GeneratorExit('g')", "GeneratorExit: g"),
    ("raise asyncio.CancelledError('c')", "asyncio.exceptions.CancelledError: c"),
    ("raise Own('mine')", "Own: mine"),
    ("raise BaseExceptionGroup('two', [Own('a'), KeyboardInterrupt()])", "BaseExceptionGroup: two (2 sub-exceptions)"),
    ("next(iter([]))", "StopIteration"),
    ("raise StopIteration('s')", "StopIteration: s"),
]


@pytest.mark.parametrize(("statement", "summary"), ENDS)
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_whatever_ends_a_trial_is_an_error_with_the_cells_line(notebook, statement, summary, is_async):
    if is_async and "StopIteration" in summary:
        pytest.skip("a coroutine cannot raise it")
    setup = "import asyncio, sys\nclass Own(BaseException): pass\n" + ("await asyncio.sleep(0)\n" if is_async else "")
    with pytest.raises(TrialError) as caught:
        trial(f"x: uniform(0, 1)\n{setup}report(a=1)\n{statement}", notebook(""))
    failure = describe(caught.value)
    # Python names a class with its module, except for built-in ones.
    assert failure["error"].removeprefix("__main__.") == summary
    assert f"    {statement}" in failure["traceback"]
    assert "<tuned cell>" in failure["traceback"]
    assert "\x1b" not in failure["traceback"]
    assert ("return ends it" in failure["traceback"]) == ("SystemExit" in summary)
    assert not caught.value.pruned


@pytest.mark.parametrize(
    ("statement", "pruned"),
    [
        ("raise optuna.TrialPruned", True),
        ("raise optuna.TrialPruned('hopeless')", True),
        ("raise optuna.exceptions.TrialPruned()", True),
        ("class Mine(optuna.TrialPruned): pass\nraise Mine", True),
        ("raise ValueError from optuna.TrialPruned()", False),
        ("class TrialPruned(Exception): pass\nraise TrialPruned", False),
    ],
)
def test_optunas_pruning_is_told_from_a_failure(notebook, statement, pruned):
    with pytest.raises(TrialError) as caught:
        trial(f"x: uniform(0, 1)\nimport optuna\nreport(a=1)\n{statement}", notebook(""))
    assert caught.value.pruned is pruned


def test_an_exit_of_tunes_session_is_not_the_users():
    from nbtune.engine._ray.tune import TrainingResult, is_end_of_trial

    def raised(source, name):
        try:
            exec(compile(source, "<x>", "exec"), {"__name__": name})
        except SystemExit as error:
            return error

    assert is_end_of_trial(raised("import sys; sys.exit(0)", TrainingResult.__module__))
    assert not is_end_of_trial(raised("import sys; sys.exit(0)", "__main__"))
    assert not is_end_of_trial(ValueError())


DEFINITIONS = """
import functools, inspect, dataclasses

def deep(kind):
    # how it was reached
    raise ValueError(kind)

def logged(f):
    @functools.wraps(f)
    def wrapper(*given):
        return f(*given)
    return wrapper

def maker():
    inner = deep
    def closure(kind):
        return inner(kind)
    return closure

class Net:
    def run(self, kind):
        return deep(kind)

class Meta:
    registry = {}
    fit = staticmethod(deep)

class Box:
    pass

table = {"f": deep}
listed = [(1, deep)]
part = functools.partial(deep)
decorated = logged(deep)
closed = maker()
net = Net()
method = Net().run
box = Box(); box.f = deep
Meta.registry["f"] = deep
cached = functools.lru_cache(maxsize=None)(deep)
anonymous = {"f": lambda kind: deep(kind)}
"""


@pytest.mark.parametrize(
    "call",
    [
        "deep('k')", "table['f']('k')", "listed[0][1]('k')", "part('k')", "decorated('k')", "closed('k')",
        "net.run('k')", "method('k')", "box.f('k')", "Meta.registry['f']('k')", "Meta.fit('k')", "cached('k')",
        "anonymous['f']('k')",
    ],
)  # fmt: skip
def test_a_traceback_shows_notebook_code_however_it_is_reached(notebook, call):
    with pytest.raises(TrialError) as caught:
        trial(f"x: uniform(0, 1)\nreport(a=1)\n{call}", notebook(DEFINITIONS))
    assert caught.value.summary == "ValueError: k"
    assert "in deep\n    raise ValueError(kind)" in caught.value.text
    assert f"line 4, in <module>\n    {call}" in caught.value.text


@pytest.mark.parametrize("reached", ["deep", "table['f']", "part.func", "box.f", "cached.__wrapped__", "Net.run"])
def test_inspect_finds_the_source_in_a_trial(notebook, reached):
    text = f"x: uniform(0, 1)\nimport inspect\nreport(text=inspect.getsource({reached}))"
    (report,) = trial(text, notebook(DEFINITIONS))
    assert "deep(kind)" in report["text"]


def test_statements_of_a_cell_that_the_trials_do_not_need_stay_in_the_notebook():
    text = "PASSWORD = 'secret'\n@wraps\ndef f():\n    return 1\nPASSWORD = 'secret'\ng = [\n    lambda: 2]\nclass A:\n    x = 1\n"
    expected = ["", "@wraps", "def f():", "    return 1", "", "g = [", "    lambda: 2]", "", "", ""]
    kept, definitions = statements_at(text, {3: "f", 7: "<lambda>"})
    assert kept.split("\n") == expected
    assert definitions == {"f": "@wraps\ndef f():\n    return 1", "g": "g = [\n    lambda: 2]"}
    assert statements_at("not python", {1: "f"}) == ("not python", {"f": "not python"})


@pytest.mark.parametrize(
    ("definition", "call", "expected"),
    [
        ("@functools.lru_cache\ndef f(n): return n + k\nk = 2", "f(3)", 5),
        ("@functools.cache\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)", "f(30)", 832040),
        (
            "class A:\n    @functools.lru_cache(maxsize=4, typed=True)\n    def f(self, n): return n\na = A()",
            "a.f(3)",
            3,
        ),
        ("g = {'f': functools.lru_cache(maxsize=7)(lambda n: n)}", "g['f'](3) + g['f'].cache_info().maxsize", 10),
        ("import math\nf = functools.lru_cache(math.sqrt)", "f(4)", 2.0),
    ],
)
def test_cached_functions_work_in_trials(notebook, definition, call, expected):
    text = f"x: uniform(0, 1)\nreport(value={call})"
    assert trial(text, notebook("import functools\n" + definition)) == [{"value": expected}]


def test_folders_that_the_notebook_imports_from_are_known_in_trials(notebook, tmp_path, monkeypatch):
    (tmp_path / "late_module.py").write_text("VALUE = 7\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    prepared = prepare_cell("x: uniform(0, 1)\nreport(a=late_module.VALUE)", {}, notebook("import late_module"))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    del sys.modules["late_module"]
    session = Recording()
    run_program({"x": 1}, ProgramPayload(prepared.packed.data), session)
    assert session.reports == [{"a": 7}]
    del sys.modules["late_module"]


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("eval('input')('?')", "input()"),
        ("eval('breakpoint')()", "breakpoint()"),
        ("import pdb; getattr(pdb, 'set_trace')()", "set_trace()"),
        ("import getpass; getattr(getpass, 'getpass')()", "getpass()"),
    ],
)
def test_code_that_asks_a_user_fails_at_run_time_where_it_was_not_found_before(notebook, call, shown):
    with pytest.raises(TrialError) as caught:
        trial(f"x: uniform(0, 1)\nreport(a=1)\n{call}", notebook(""))
    assert caught.value.summary.startswith(f"RuntimeError: {shown} waits for an answer of a user")


@pytest.mark.parametrize("call", ["breakpoint()", "ask()"])
def test_calls_that_ask_a_user_are_refused_before_the_start(notebook, call):
    with pytest.raises(SpecError, match="waits for an answer of a user"):
        prepare_cell(f"x: uniform(0, 1)\nreport(a=1)\n{call}", {}, notebook("def ask(): return input()"))


VARIABLES = """
import sys
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3]})
threshold = 1
scale = 10
expression = "a > @threshold"
def double(v): return v * scale
def selected(): return len(df.query("a > @threshold"))
def by_globals(name="scale"): return globals()["scale"]
def by_main(): return sys.modules["__main__"].scale
table = {"f": lambda: eval("double(scale)")}
unrelated = object()
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("len(df.query('a > @threshold'))", 2),
        ("len(df.query(f'a > @{\"threshold\"} and a < {3}'))", 1),
        ("len(df.query(expression))", 2),
        ("int(df.eval('a * @scale').sum())", 60),
        ("pd.eval('scale + 1')", 11),
        ("eval('scale')", 10),
        ("eval('double(2)')", 20),
        ("globals()['scale']", 10),
        ("globals().get('scale')", 10),
        ("vars()['scale']", 10),
        ("locals()['scale']", 10),
        ("[exec('made = scale + 1'), made][1]", 11),
        ("(lambda v: eval('v * scale'))(2)", 20),
        ("'{scale}'.format(**globals())", "10"),
        ("'{scale}'.format_map(globals())", "10"),
        ("f'{scale}'", "10"),
        ("sys.modules['__main__'].scale", 10),
        ("__import__('__main__').scale", 10),
        ("selected()", 2),
        ("by_globals()", 10),
        ("by_main()", 10),
        ("table['f']()", 100),
    ],
)
def test_variables_that_only_texts_name_are_sent(notebook, text, expected):
    assert trial(f"x: uniform(0, 1)\nvalue = {text}\nreport(value=value)", notebook(VARIABLES)) == [{"value": expected}]


def test_words_in_texts_send_nothing_where_no_text_is_evaluated(notebook):
    namespace = notebook(VARIABLES)
    prepared = prepare_cell("x: uniform(0, 1)\nprint('scale df unrelated')\nreport(a=1)", {}, namespace)
    assert prepared.packed.captured == []


def test_words_that_cannot_be_sent_are_left_out(notebook):
    namespace = notebook("import threading\nlock = threading.Lock()\nn = 3")
    assert trial("x: uniform(0, 1)\nprint('a lock')\nreport(a=eval('n'))", namespace) == [{"a": 3}]


def test_the_history_of_the_notebook_is_not_sent(notebook):
    namespace = notebook("In = ['secret']\nn = 3")
    prepared = prepare_cell("x: uniform(0, 1)\nprint('In')\nreport(a=eval('n'))", {}, namespace)
    assert [one.name for one in prepared.packed.captured] == ["n"]


@pytest.mark.parametrize("text", ["globals()[name]", "globals().get(f'x{x}')", "vars()['a' + name]"])
def test_computed_names_are_announced(notebook, text):
    prepared = prepare_cell(f"x: uniform(0, 1)\nreport(a={text})", {}, notebook("name = 'scale'"))
    assert len(prepared.notes) == 1
    assert prepared.notes[0].startswith("line 3: ")


@given(st.text(alphabet="ab@~.()[]'\"{} \\n%:,0", max_size=40))
def test_no_text_breaks_the_search_for_names(text):
    names = names_in_texts([compile(f"eval({text!r})", "<x>", "exec")], {"a": 1, "b": 2})
    assert names <= {"a", "b"}
