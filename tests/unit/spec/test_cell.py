"""nbtune.spec.cell.parse: the cell language."""

import asyncio
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.spec.cell.parse import HELPERS, parse_cell
from nbtune.spec.space.domain import MISSING, SPACE_FUNCTIONS, Domain

CALLS = {
    "uniform": "0.1, 0.9",
    "quniform": "0.0, 1.0, 0.25",
    "loguniform": "1e-4, 1e-1",
    "qloguniform": "0.1, 1.0, 0.1",
    "randn": "0.0, 2.0",
    "qrandn": "0.0, 2.0, 0.5",
    "randint": "1, 9",
    "qrandint": "2, 8, 2",
    "lograndint": "1, 100",
    "qlograndint": "10, 100, 10",
    "choice": "[32, 64]",
    "grid_search": "[1, 2]",
    "sample_from": "lambda config: 1",
}


def cell_of(source, **namespace):
    cell, problems = parse_cell(source, namespace)
    assert problems == []
    return cell


def problems_of(source, **namespace):
    return [(p.line, p.render(line=False)) for p in parse_cell(source, namespace)[1]]


def run(source, **namespace):
    """Run the body of a cell as a trial does; return its namespace and its result."""
    cell = cell_of(source, **namespace)
    result = types.FunctionType(cell.code, namespace)()
    if cell.is_async:
        result = asyncio.run(result)
    namespace.pop("__builtins__", None)
    return namespace, result


# -- parameters -----------------------------------------------------------------------------------


def test_calls_covers_every_space_function():
    assert set(CALLS) == set(SPACE_FUNCTIONS)


@pytest.mark.parametrize("prefix", ["", "tune.", "ray.tune.", "nbtune."])
@pytest.mark.parametrize("kind", CALLS)
def test_every_space_function_declares_a_parameter(kind, prefix):
    cell = cell_of(f"x: {prefix}{kind}({CALLS[kind]})")
    (parameter,) = cell.space.parameters
    assert (parameter.name, parameter.line, parameter.default) == ("x", 2, MISSING)
    assert parameter.domain.kind == kind
    if kind != "sample_from":
        assert parameter.domain == Domain.call(kind, *eval(f"[{CALLS[kind]}]"))


@pytest.mark.parametrize("kind", CALLS)
def test_every_space_function_accepts_a_default(kind):
    assert cell_of(f"x: {kind}({CALLS[kind]}) = 5").space["x"].default == 5


def test_none_is_a_valid_default():
    assert cell_of("x: choice([None, 1]) = None").space["x"].default is None


def test_parameters_keep_their_order_and_lines():
    cell = cell_of("# comment\nb: uniform(0, 1) = 0.5\n\na: choice([1, 2])\nprint(a, b)")
    assert [(p.name, p.line) for p in cell.space.parameters] == [("b", 3), ("a", 5)]


def test_space_expressions_use_the_notebooks_variables():
    cell = cell_of("x: choice(sizes + [top]) = sizes[0]", sizes=[1, 2], top=3)
    assert cell.space["x"].domain == Domain.call("choice", [1, 2, 3])
    assert cell.space["x"].default == 1


def test_keyword_arguments_are_accepted():
    assert cell_of("x: loguniform(lower=1e-4, upper=1)").space["x"].domain == Domain.call("loguniform", 1e-4, 1)


def test_a_notebook_variable_called_choice_does_not_hide_the_function():
    assert cell_of("x: choice([1])", choice="something else").space["x"].domain.kind == "choice"


@pytest.mark.parametrize(
    "annotation", ["int", "'int'", "list[int]", "np.ndarray", "make(3)", "1 if 2 else 3", "uniform"]
)
def test_other_annotations_are_ordinary_python(annotation):
    cell = cell_of(f"x: {annotation} = 5\ny = x + 1", make=lambda n: n)
    assert len(cell.space) == 0
    namespace = {}
    types.FunctionType(cell.code, namespace)()
    assert (namespace["x"], namespace["y"]) == (5, 6)


def test_an_annotation_without_a_value_binds_nothing():
    assert run("x: int\ny = 1")[0] == {"y": 1}
    with pytest.raises(NameError):
        run("x: int\ny = x")


def test_only_top_level_annotations_are_parameters():
    cell = cell_of("def f():\n    x: choice([1]) = 2\n    return x\nif True:\n    y: choice([1]) = 3\nz = f()")
    assert len(cell.space) == 0


def test_annotated_attributes_and_items_are_ordinary_python():
    class Box:
        pass

    box, items = Box(), {}
    run("box.a: int = 5\nitems['k']: int = 6", box=box, items=items)
    assert (box.a, items) == (5, {"k": 6})


def test_a_parameter_declared_twice_is_a_problem():
    ((line, message),) = problems_of("x: uniform(0, 1)\nx: uniform(0, 2)")
    assert (line, message) == (3, "x: already declared in line 2")


@pytest.mark.parametrize("name", HELPERS)
def test_names_that_nbtune_defines_cannot_be_parameters(name):
    ((line, message),) = problems_of(f"{name}: choice([1])")
    assert line == 2
    assert "nbtune defines this name" in message


def test_a_misspelled_space_function_gets_a_suggestion():
    ((line, message),) = problems_of("x: logunifrom(1e-4, 1)")
    assert line == 2
    assert message.startswith("x: unknown space function logunifrom (did you mean 'loguniform'?)")


def test_a_defined_function_is_not_reported_as_misspelled():
    assert problems_of("x: Choices(1)", Choices=int) == []
    assert problems_of("def uniforms(a): return a\nx: uniforms(1) = 2") == []


def test_a_domain_that_raises_is_a_problem():
    ((line, message),) = problems_of("x: choice(sizes)")
    assert line == 2
    assert message == "x: choice(sizes) cannot be evaluated: NameError: name 'sizes' is not defined"


def test_a_default_that_raises_is_a_problem():
    ((_, message),) = problems_of("x: choice([1]) = 1 / 0")
    assert message == "x: 1 / 0 cannot be evaluated: ZeroDivisionError: division by zero"


def test_invalid_arguments_are_a_problem():
    ((_, message),) = problems_of("x: uniform(0)")
    assert "cannot be evaluated: TypeError: missing a required argument: 'upper'" in message


def test_an_invalid_domain_is_reported_with_its_line():
    ((line, message),) = problems_of("y = 1\nx: uniform(2, 1)")
    assert line == 3
    assert message.startswith("x: uniform(2, 1): lower: must be less than upper (1), got 2")


# -- shell commands and magics, syntax errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("!ls", "a shell command"),
        ("x = !ls", "a shell command"),
        ("%time f()", "a magic"),
        ("x = %who_ls", "a magic"),
        ("%%time", "a magic"),
        ("print?", "help"),
        ("?print", "help"),
    ],
)
def test_shell_commands_and_magics_are_reported_with_their_line(line, kind):
    for source, number in ((line, 2), (f"y = 1\nif y:\n    {line}\nz = 2", 4)):
        ((found, message),) = problems_of(source)
        assert found == number
        assert message.startswith(f"{kind} ({line}) cannot run in a trial")


def test_all_shell_commands_and_magics_are_reported():
    assert [line for line, _ in problems_of("!ls\nx = 1\n%time x\ny = !pwd")] == [2, 4, 5]


def test_a_syntax_error_after_a_shell_command_is_reported():
    assert [line for line, _ in problems_of("!ls\nx = = 1")] == [2, 3]


def test_shell_commands_in_strings_are_accepted():
    namespace, _ = run('x = """\n!ls\n%time\nwhat?\n"""\ny = 7 % 3\nz = 1 != 2')
    assert namespace == {"x": "\n!ls\n%time\nwhat?\n", "y": 1, "z": True}


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = = 1", 2),
        ("x = 1\nfor\n", 3),
        ("if True:\nx = 1", 3),
        ("x = 1\n\n\n)", 5),
        ("'open", 2),
        ("x = 1\nbreak", 3),
        ("continue", 2),
        ("x = 1\nnonlocal x", 3),
        ("def f():\n    x = 1\n    global x", 4),
        ("f() = 1", 2),
    ],
)
def test_a_syntax_error_has_the_line_number_of_the_notebook(source, line):
    cell, problems = parse_cell(source, {})
    assert cell is None
    assert [p.line for p in problems] == [line]


def test_a_null_byte_is_a_problem_not_an_exception():
    assert parse_cell("x = 1\n\x00", {})[0] is None


def test_an_empty_cell_is_valid():
    for source in ("", "\n\n", "# nothing"):
        assert run(source) == ({}, None)


# -- the body runs like a cell ---------------------------------------------------------------


def test_top_level_names_are_globals():
    namespace, result = run("x = 1\ny: int = x + 1\nimport math\nfrom math import pi as p")
    assert result is None
    assert (namespace["x"], namespace["y"], namespace["p"]) == (1, 2, namespace["math"].pi)


def test_a_notebook_variable_can_be_rebound():
    assert run("epochs = epochs * 2\ncount += 1", epochs=3, count=1)[0] == {"epochs": 6, "count": 2}


def test_a_parameter_can_be_rebound():
    cell = cell_of("x: uniform(0, 1)\nx = x * 2")
    namespace = {"x": 0.5}
    types.FunctionType(cell.code, namespace)()
    assert namespace["x"] == 1.0


def test_functions_and_classes_see_each_other():
    _, result = run(
        "def even(n):\n    return n == 0 or odd(n - 1)\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\n"
        "class Base:\n    def make(self):\n        return Child()\n"
        "class Child(Base):\n    scale = SCALE\n    def value(self):\n        return SCALE * factor\n"
        "factor = 2\n"
        "return {'even': even(10), 'value': Base().make().value()}",
        SCALE=10,
    )
    assert result == {"even": True, "value": 20}


def test_functions_of_the_notebook_see_what_the_cell_binds():
    namespace = {"scale": 1}
    exec("def scaled(x):\n    return x * scale", namespace)
    cell = cell_of("scale = 5\nreturn scaled(2)", **namespace)
    assert types.FunctionType(cell.code, namespace)() == 10


@pytest.mark.parametrize(
    "source",
    [
        "return {'a': 1}",
        "for i in range(9):\n    if i == 3:\n        return {'a': 1}",
        "while True:\n    return {'a': 1}",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    return {'a': 1}",
        "try:\n    return {'a': 1}\nfinally:\n    done = True",
        "import contextlib\nwith contextlib.suppress(Exception):\n    return {'a': 1}",
        "match 1:\n    case 1:\n        return {'a': 1}",
    ],
)
def test_a_top_level_return_ends_the_cell(source):
    assert run(source + "\nraise AssertionError")[1] == {"a": 1}


def test_a_return_in_a_function_ends_only_the_function():
    assert run("def f():\n    return 5\nx = f()")[1] is None


def test_a_star_import_binds_globals():
    namespace, _ = run("from math import *\nx = floor(2.5)")
    assert namespace["x"] == 2
    assert "sqrt" in namespace


def test_a_star_import_in_a_block_binds_globals():
    assert run("if True:\n    from math import *\nx = floor(pi)")[0]["x"] == 3


def test_a_top_level_global_statement_has_no_effect():
    assert run("global x\nx = 1")[0] == {"x": 1}


def test_a_function_may_bind_a_global():
    assert run("def f():\n    global x\n    x = 5\nf()\ny = x")[0]["y"] == 5


def test_a_walrus_in_a_comprehension_binds_a_global():
    namespace, _ = run("ys = [y := x * 2 for x in range(3)]\nif (z := y) > 3:\n    found = z")
    assert (namespace["ys"], namespace["y"], namespace["found"]) == ([0, 2, 4], 4, 4)
    assert "x" not in namespace


def test_comprehensions_and_lambdas_see_the_cells_names():
    namespace, _ = run("k = 3\nxs = [k * x for x in range(3)]\nf = lambda x: x + k\ny = f(1)")
    assert (namespace["xs"], namespace["y"]) == ([0, 3, 6], 4)


def test_del_deletes_globals():
    assert run("x = 1\ny = 2\ndel x, old", old=1)[0] == {"y": 2}


def test_the_name_of_an_exception_handler_is_unbound_after_it():
    assert run("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    text = str(error)")[0] == {
        "text": "division by zero"
    }


def test_patterns_bind_globals():
    namespace, _ = run("match {'a': 1, 'b': [2, 3]}:\n    case {'a': a, 'b': [b, *c], **rest}:\n        pass")
    assert namespace == {"a": 1, "b": 2, "c": [3], "rest": {}}


def test_future_annotations_are_supported():
    namespace, _ = run("from __future__ import annotations\ndef f(x: Unknown) -> Nothing:\n    return x\ny = f(1)")
    assert namespace["y"] == 1
    assert namespace["f"].__annotations__ == {"x": "Unknown", "return": "Nothing"}


def test_top_level_await_makes_the_cell_a_coroutine():
    source = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nx = await f()\nreturn {'x': x}"
    assert cell_of(source).is_async
    namespace, result = run(source)
    assert (namespace["x"], result) == (5, {"x": 5})


AGEN = "async def agen():\n    for i in range(3):\n        yield i\n"


@pytest.mark.parametrize(
    "source",
    [
        "xs = []\nasync for i in agen():\n    xs.append(i)",
        "xs = [i async for i in agen()]",
        "xs = list({i: 0 async for i in agen()})",
        "import contextlib\nasync with contextlib.aclosing(agen()) as a:\n    xs = [i async for i in a]",
    ],
)
def test_async_for_with_and_comprehensions_make_the_cell_a_coroutine(source):
    assert run(AGEN + source)[0]["xs"] == [0, 1, 2]


def test_await_in_a_function_does_not_make_the_cell_a_coroutine():
    assert not cell_of(
        "async def f():\n    await g()\nx = lambda: 1\nclass A:\n    async def m(self):\n        await g()"
    ).is_async


def test_tracebacks_have_the_line_numbers_of_the_notebook():
    cell = cell_of("x = 1\n\ndef f():\n    return 1 / 0\n\nf()")
    with pytest.raises(ZeroDivisionError) as caught:
        types.FunctionType(cell.code, {})()
    frames = [(f.name, f.lineno + 1) for f in caught.traceback[1:]]  # pytest counts from 0
    assert frames == [("<module>", 7), ("f", 5)]


def test_the_source_begins_with_the_magic_line():
    cell, _ = parse_cell("x = 1", {}, magic="%%tune digits", filename="<here>")
    assert cell.source == "%%tune digits\nx = 1"
    assert cell.filename == cell.code.co_filename == "<here>"


def test_imports_are_the_top_level_packages():
    cell = cell_of("import os.path, math as m\nfrom collections.abc import Mapping\ndef f():\n    import json")
    assert cell.imports == {"os", "math", "collections", "json"}


def test_names_and_reports_are_those_of_the_body():
    cell = cell_of("lr: uniform(0, 1)\nreport(loss=lr * X)\nreturn {'end': 1}")
    assert set(cell.names.needed) == {"report", "X"}
    assert cell.names.needed["X"] == 3
    assert cell.reports.metrics == ("loss", "end")


# -- any straight-line cell ------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])
EXPRESSIONS = st.recursive(
    NAMES | st.integers(-5, 5).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(NAMES, inner).map(lambda t: f"({t[0]} := {t[1]})"),
        inner.map(lambda e: f"(lambda d: d + {e})(1)"),
        st.tuples(NAMES, inner).map(lambda t: f"sum({t[1]} for {t[0]} in [1, 2] if {t[0]})".replace(":=", "+")),
    ),
    max_leaves=5,
)
STATEMENTS = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} = {t[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]}: int = {t[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} += {t[1]}"),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(lambda t: f"{t[0]}, {t[1]} = {t[2]}, 1"),
    NAMES.map(lambda n: f"del {n}"),
    NAMES.map(lambda n: f"{n}: int"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"def {t[0]}_f(d=2):\n    return d + {t[1]}\n{t[0]} = {t[0]}_f()"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"for {t[0]} in range(3):\n    last = {t[1]}"),
    st.tuples(EXPRESSIONS, NAMES).map(lambda t: f"if {t[0]} > 0:\n    {t[1]} = 7\nelse:\n    {t[1]} = 8"),
    st.tuples(NAMES, EXPRESSIONS).map(
        lambda t: f"class {t[0].upper()}:\n    {t[0]} = {t[1]}\n    value = {t[0]}\n{t[0]} = {t[0].upper()}.value"
    ),
    st.just("import math"),
)
STARTS = st.dictionaries(NAMES, st.integers(-3, 3))


def outcome(execute, namespace):
    """Return the globals afterwards and the exception, both in a comparable form."""
    error = None
    try:
        execute(namespace)
    except Exception as raised:
        error = (type(raised), str(raised))
    shown = {
        name: value if isinstance(value, (int, str)) else type(value)
        for name, value in namespace.items()
        if not name.startswith("__")
    }
    return shown, error


@settings(max_examples=120)
@given(st.lists(STATEMENTS, max_size=8).map("\n".join), STARTS)
def test_a_body_leaves_the_same_globals_as_plain_python(source, start):
    cell, problems = parse_cell(source, start)
    try:
        compiled = compile(source, "<cell>", "exec")
    except SyntaxError:
        assert cell is None
        return
    assert problems == []
    # `x: int` creates `__annotations__` in a module, but not in a function.
    plain = outcome(lambda namespace: exec(compiled, namespace), {"__name__": "m", **start})
    ours = outcome(
        lambda namespace: types.FunctionType(cell.code, namespace)(),
        {"__name__": "m", **start},
    )
    assert ours == plain
