"""nbtune.spec.cell.interaction and reached: calls that wait for a user are found before the start."""

from __future__ import annotations

import linecache
import textwrap

import pytest

from nbtune.spec.cell.interaction import interaction_problems
from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.cell.reached import reached_functions


@pytest.fixture
def problems(monkeypatch):
    """Returns a function: the notebook's code and a cell -> the texts of the problems."""

    def find(cell_text, notebook_text=""):
        namespace = {"__name__": "__main__"}
        text = textwrap.dedent(notebook_text)
        lines = text.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, "<cell 1>", (len(text), None, lines, "<cell 1>"))
        exec(compile(text, "<cell 1>", "exec"), namespace)
        cell, found = parse_cell(textwrap.dedent(cell_text), namespace)
        assert not found
        functions = reached_functions(cell.code, namespace)
        label = {"<cell 1>": "Cell In[1]"}.get
        return [str(problem) for problem in interaction_problems(cell.body, functions, namespace, label)]

    return find


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("breakpoint()", "breakpoint()"),
        ("answer = input('go on? ')", "input()"),
        ("import builtins\nbuiltins.input()", "builtins.input()"),
        ("import pdb; pdb.set_trace()", "pdb.set_trace()"),
        ("import pdb as p; p.set_trace()", "p.set_trace()"),
        ("from pdb import set_trace\nset_trace()", "set_trace()"),
        ("import ipdb; ipdb.set_trace()", "ipdb.set_trace()"),
        ("from IPython.core.debugger import set_trace; set_trace()", "set_trace()"),
        ("import IPython; IPython.embed()", "IPython.embed()"),
        ("import code; code.interact()", "code.interact()"),
        ("import getpass\nkey = getpass.getpass()", "getpass.getpass()"),
        ("from getpass import getpass\nkey = getpass('key')", "getpass()"),
        ("for i in range(3):\n    if i > 1: breakpoint()", "breakpoint()"),
        ("def f():\n    return [input() for _ in range(2)]\nf()", "input()"),
        ("g = lambda: input()", "input()"),
        ("print(f'{input()}')", "input()"),
        ("class A:\n    def f(self): breakpoint()", "breakpoint()"),
        ("if False:\n    pass\nelse:\n    breakpoint()", "breakpoint()"),
    ],
)
def test_a_call_in_the_cell_is_refused_with_its_line(problems, call, shown):
    (text,) = problems(f"x: uniform(0, 1)\n{call}")
    assert text.startswith("line ")
    where = next(n for n, line in enumerate(f"\nx\n{call}".splitlines(), 1) if shown.split(".")[-1][:-1] in line
                 and "import" not in line.split(";")[-1])  # fmt: skip
    assert text == f"line {where}: {shown} waits for an answer of a user, whom a trial cannot ask; remove the call"


@pytest.mark.parametrize(
    "text",
    [
        "report(a=len('breakpoint()'))  # input()",
        "def f(input):\n    return input(3)\nf(abs)",
        "input = abs\ninput(3)",
        "def g():\n    input = abs\n    return input(3)\ng()",
        "(lambda input: input(1))(abs)",
        "if False:\n    breakpoint()",
        "DEBUG = 0",
        "import getpass\ngetpass.getuser()",
        "import torch.nn as nn\nfrom torch.nn import Embedding as embed\nembed(3, 4)",
        "class C:\n    def input(self): return 1\nC().input()",
    ],
)
def test_other_code_is_not_refused(problems, text):
    assert problems(f"x: uniform(0, 1)\n{text}") == []


def test_a_variable_that_switches_debugging_off_is_respected(problems):
    text = "x: uniform(0, 1)\nif DEBUG:\n    breakpoint()"
    assert problems(text, "DEBUG = False") == []
    assert len(problems(text, "DEBUG = True")) == 1


def test_pythons_own_switch_is_respected(problems, monkeypatch):
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert problems("x: uniform(0, 1)\nbreakpoint()") == []


NOTEBOOK = """
import functools
from getpass import getpass

def ask():
    return input("?")

def through(n):
    return ask()

def unused():
    breakpoint()

def input_name(input):
    return input(1)

class Net:
    def __init__(self):
        self.hook = ask
    def forward(self):
        getpass()
    def show(self):
        breakpoint()

class Plain:
    def show(self):
        breakpoint()

def closed():
    inner = ask
    return lambda: inner()

table = {"a": [ask]}
part = functools.partial(ask)
cached = functools.lru_cache(ask)
net = Net()
plain = Plain()
closure = closed()
"""


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("ask()", ["line 6 of Cell In[1], in ask()"]),
        ("through(1)", ["line 6 of Cell In[1], in ask()"]),
        ("table['a'][0]()", ["line 6 of Cell In[1], in ask()"]),
        ("part()", ["line 6 of Cell In[1], in ask()"]),
        ("cached()", ["line 6 of Cell In[1], in ask()"]),
        ("closure()", ["line 6 of Cell In[1], in ask()"]),
        ("net.hook()", ["line 6 of Cell In[1], in ask()", "line 21 of Cell In[1], in forward()"]),
        ("Plain().show()", ["line 27 of Cell In[1], in show()"]),
        ("plain.show()", ["line 27 of Cell In[1], in show()"]),
        ("plain", []),
        ("input_name(abs)", []),
        ("x.unused", []),
    ],
)
def test_a_call_in_a_function_that_the_cell_reaches_is_refused(problems, use, expected):
    found = problems(f"x: uniform(0, 1)\n{use}", NOTEBOOK)
    assert sorted(text.split(": ")[0] for text in found) == sorted(expected)
