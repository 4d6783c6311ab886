"""nbtune.spec.cell.names and bindings: the free names of code, and the names that it binds."""

import ast
import builtins

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nbtune.spec.cell.bindings import bound_names
from nbtune.spec.cell.names import free_names


def names(source, bound=()):
    """Return needed and optional names, without Python's own names."""
    found = free_names(ast.parse(source).body, bound)
    return {name for name in found.needed if not hasattr(builtins, name)}, found.optional


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("x = 1\ny = x", ""),
        ("y = x", "x"),
        ("x = x", "x"),
        ("x += 1", "x"),
        ("x: int = x", "x"),
        ("x: Unknown", ""),
        ("x: Unknown = 1", ""),
        ("x.a = 1", "x"),
        ("x[i] = 1", "x i"),
        ("x.a: int = 1", "x"),
        ("x[0] += y", "x y"),
        ("a, (b, *c) = d\nprint(a, b, c)", "d"),
        ("del x", "x"),
        ("import a.b, c as d\nfrom e import f as g\na, d, g", ""),
        ("import a.b\nb", "b"),
        ("assert x, y", "x y"),
        ("raise x from y", "x y"),
        ("f'{x!r:{y}}'", "x y"),
        ("for i in xs:\n    i", "xs"),
        ("for o.i in xs:\n    pass", "o xs"),
        ("for d[k] in xs:\n    pass", "d k xs"),
        ("while x:\n    pass", "x"),
        ("with x as y:\n    y", "x"),
        ("with x as y.z:\n    pass", "x y"),
        ("with x as y, y as z:\n    z", "x"),
        ("try:\n    x\nexcept E as e:\n    e\nelse:\n    y\nfinally:\n    z", "x E y z"),
        ("try:\n    x = 1\nexcept:\n    raise\nx", ""),
        ("try:\n    x = 1\nexcept E:\n    x = 2\nx", "E"),
        ("try:\n    pass\nfinally:\n    x = 1\nx", ""),
        ("if x:\n    y = 1\nelse:\n    y = 2\ny", "x"),
        ("if x:\n    y = 1\nelse:\n    raise ValueError\ny", "x"),
        ("if x:\n    y = 1\nelif z:\n    y = 2\nelse:\n    return_ = 1\n    y = 3\ny", "x z"),
        ("match x:\n    case {'a': a, **r}:\n        a, r", "x"),
        ("match x:\n    case Point(a=0):\n        pass", "x Point"),
        ("match x:\n    case Color.RED:\n        pass", "x Color"),
        ("match x:\n    case [a, *b] if a > c:\n        b", "x c"),
        ("[i * k for i in xs if i > j]", "xs k j"),
        ("{k: v for k, v in d.items()}", "d"),
        ("[y for x in xs for y in x]", "xs"),
        ("[i for i in i]", "i"),
        ("lambda a, *b, c=d, **e: (a, b, c, e, f)", "d f"),
        ("if (m := f()) and m.x:\n    m", "f"),
        ("while (n := f()) > 0 and n < 9:\n    n", "f"),
        ("while (n := f()):\n    pass\nn", "f"),
        ("print(x := 1, x)", ""),
        ("print(x, x := 1)", "x"),
        ("xs[x] = (x := 0)", "xs"),
        ("[y for x in xs if (y := f(x))]", "xs f"),
        ("any((w := x) for x in xs) and w", "xs"),
        ("x = (y := 1) + y", ""),
        ("if c and (m := f()) and m.x:\n    m", "c f"),
        ("while c and (m := f()):\n    m", "c f"),
        ("m.x if c and (m := f()) else 0", "c f"),
        ("((m := 1) if c else (m := 2))\nm", "c"),
        ("async def f():\n    async with a as b:\n        await b", "a"),
    ],
)
def test_free_names_of_statements(source, needed):
    assert names(source) == (set(needed.split()), set())


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("def f(a, /, b, *c, d, **e):\n    return a, b, c, d, e, f", ""),
        ("def f(a=x, *, b=y):\n    return z", "x y z"),
        ("@x\ndef f(): pass", "x"),
        ("def f():\n    y = x\n    return y", "x"),
        ("def f():\n    def g():\n        return x\n    return g", "x"),
        ("def f():\n    x = 1\n    def g():\n        return x\n    return g", ""),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    return g", ""),
        ("x = 1\ndef f():\n    return x", ""),
        ("def f(x: np.ndarray) -> torch.Tensor: pass", "np torch"),
        ("def f(*x: A, **y: B): pass", "A B"),
        ("def f(x: 'Unknown'): pass", ""),
        ("from __future__ import annotations\ndef f(x: Unknown): pass\nclass A:\n    x: Unknown", ""),
        ("class A(B, metaclass=M):\n    x = y\n    def f(self):\n        return z", "B M y z"),
        ("@d\nclass A: pass", "d"),
        ("class A:\n    x = 1\n    y = x", ""),
        ("class A:\n    x = 1\n    def f(self):\n        return x", "x"),
        ("class A:\n    x: np.ndarray", "np"),
        ("class A:\n    x: np.ndarray = None", "np"),
        ("class A:\n    def f(self):\n        return A", ""),
        ("class A:\n    def f(self):\n        return super().f(), __class__", ""),
    ],
)
def test_free_names_of_functions_and_classes(source, needed):
    found, maybe = names(source)
    assert found == set(needed.split())
    assert maybe == set()


@pytest.mark.parametrize(
    ("source", "maybe"),
    [
        ("if c:\n    x = 1\nx", "x"),
        ("1 if c else (x := 1)\nx", "x"),
        ("c and (x := 1)\nx", "x"),
        ("if c or (x := 1):\n    x", "x"),
        ("for x in xs:\n    y = x\nx, y", "x y"),
        ("while c:\n    y = 1\ny", "y"),
        ("try:\n    x = f()\nexcept ValueError:\n    pass\nx", "x"),
        ("try:\n    x = f()\nexcept ValueError:\n    x", "x"),
        ("match c:\n    case 1:\n        x = 1\nx", "x"),
        ("def f():\n    return x\nf()\nx = 1", "x"),
        ("def f():\n    return g()\ndef g():\n    return f()", "g"),
        ("g = lambda: x\nx = 1", "x"),
        ("def f():\n    global x\n    x = 1\nf()\nx", "x"),
        ("class A:\n    def f(self):\n        global x\n        x = 1\nA().f()\nx", "x"),
        ("def f():\n    def g():\n        global x\n        x = 1\n    g()\nf()\nx", "x"),
        ("def f(x: Later): pass\nclass Later: pass", "Later"),
        ("class A:\n    if c:\n        x = 1\n    y = x", "x"),
        ("def f():\n    x = 1\n    class A:\n        x = x", "x"),
        ("try:\n    x\nexcept NameError:\n    x = None", "x"),
        ("try:\n    x\nexcept (KeyError, NameError):\n    pass", "x"),
        # Read in a later iteration of a loop than the one that binds the name.
        ("for i in xs:\n    if i:\n        print(x)\n    x = i", "x"),
        ("for i in xs:\n    if i and x:\n        pass\n    x = i", "x"),
        ("for i in xs:\n    y = x if i else 0\n    x = i", "x"),
        ("while c:\n    for j in range(i):\n        x\n    x = 1", "x"),
        ("for i in xs:\n    for j in i:\n        if j:\n            x\n    x = 1", "x"),
        ("for i in xs:\n    try:\n        f()\n    except E:\n        x\n    x = 1", "x"),
        ("for i in xs:\n    match i:\n        case 1:\n            x\n    x = 1", "x"),
    ],
)
def test_names_that_may_be_read_before_they_are_bound_are_optional(source, maybe):
    needed, found = names(source)
    assert found == set(maybe.split())
    assert not needed & found


@pytest.mark.parametrize(
    "source",
    [
        "for i in range(3):\n    print(x)\n    x = i",
        "while True:\n    x += 1",
        "for i in range(3):\n    if x:\n        pass\n    x = i",
        "for i in range(3):\n    y = x and i\n    x = i",
        "if True:\n    print(x)\nx = 1",
        "for i in range(3):\n    x = i\nelse:\n    y",
    ],
)
def test_names_read_in_the_first_iteration_of_a_loop_are_needed(source):
    with pytest.raises(NameError) as caught:
        exec(source, {})
    assert caught.value.name in names(source)[0]


def test_needed_names_have_the_line_of_their_first_use():
    found = free_names(ast.parse("a = 1\nb = x\nc = x + y\ndef f():\n    return z").body)
    assert found.needed == {"x": 2, "y": 3, "z": 5}


def test_names_bound_before_the_code_are_not_free():
    assert names("y = x\ndef f():\n    return x", ["x"]) == (set(), set())
    assert names("if c:\n    x = 1\nx", ["x", "c"]) == (set(), set())


def test_a_name_assigned_before_it_is_read_is_not_free():
    assert names("model = make(n)\nfor e in range(3):\n    model.fit()\nscore = model.score()") == (
        {"make", "n"},
        set(),
    )


@pytest.mark.parametrize("source", ["from math import *", "if x:\n    from math import *"])
def test_star_imports_are_detected(source):
    assert free_names(ast.parse(source).body).star_import


def test_an_ordinary_import_is_not_a_star_import():
    assert not free_names(ast.parse("from math import pi").body).star_import


@pytest.mark.parametrize(
    ("source", "bound"),
    [
        ("x = y = 1", "x y"),
        ("(a, [b, *c]) = d", "a b c"),
        ("x += 1", "x"),
        ("del x", "x"),
        ("import a.b, c.d as e\nfrom f import g, h as i\nfrom j import *", "a e g i"),
        ("for a in b:\n    c = 1\nelse:\n    d = 1", "a c d"),
        ("with a as b:\n    c = 1", "b c"),
        ("try:\n    a = 1\nexcept E as b:\n    c = 1\nfinally:\n    d = 1", "a b c d"),
        ("def f(a):\n    b = 1", "f"),
        ("class A:\n    b = 1", "A"),
        ("def f(a=(b := 1)): pass", "b f"),
        ("@(d := dec)\ndef f(): pass", "d f"),
        ("class A((B := object)): pass", "A B"),
        ("[x for x in y]", ""),
        ("[(z := x) for x in y]", "z"),
        ("lambda x: 1", ""),
        (
            "match a:\n    case [b, *c] | {'d': b, **c}:\n        d = 1\n    case E(f=g) as h:\n        pass",
            "b c d g h",
        ),
        ("x.a = y[0] = 1", ""),
    ],
)
def test_bound_names_of_statements(source, bound):
    assert bound_names(ast.parse(source).body) == sorted(bound.split())


# -- compared with Python itself ------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
EXPRESSIONS = st.recursive(
    NAMES | st.just("1"),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: f"({t[0]}, {t[1]})"),
        st.tuples(NAMES, inner).map(lambda t: f"({t[0]} := {t[1]})"),
        inner.map(lambda e: f"(lambda a, b={e}: [a, b])(2)"),
        NAMES.map(lambda n: f"[{n} for {n} in [1]]"),
        st.tuples(NAMES, NAMES).map(lambda t: f"[({t[0]}, {t[1]}) for {t[0]} in [1]]"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} and {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
    ),
    max_leaves=3,
)
SIMPLE = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: [f"{t[0]} = {t[1]}"]),
    EXPRESSIONS.map(lambda e: [e]),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: [f"for {t[0]} in [{t[1]}]:", f"    {t[0]}"]),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(lambda t: [f"{t[0]}: {t[1]} = {t[2]}"]),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: [f"def {t[0]}(d={t[1]}):", "    return d"]),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(lambda t: [f"class {t[0]}:", f"    {t[1]} = {t[2]}", f"    {t[1]}"]),
    NAMES.map(lambda n: [f"import math as {n}"]),
)
ANY = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.tuples(EXPRESSIONS, inner, inner).map(lambda t: [f"if {t[0]}:", *indented(t[1]), "else:", *indented(t[2])]),
        st.tuples(NAMES, inner).map(lambda t: [f"for {t[0]} in [1, 0]:", *indented(t[1])]),
        st.tuples(inner, inner).map(
            lambda t: ["try:", *indented(t[0]), "except (TypeError, ValueError):", *indented(t[1])]
        ),
        st.tuples(NAMES, inner).map(lambda t: [f"def {t[0]}():", *indented(t[1]), f"{t[0]}()"]),
        st.tuples(inner, inner).map(lambda t: [*t[0], *t[1]]),
    ),
    max_leaves=4,
)


def indented(lines):
    return [f"    {line}" for line in lines]


def missing(lines):
    """Run lines without their annotations, and return the name in the first NameError, or None."""
    tree = ast.parse("\n".join(lines))
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.copy_location(ast.Constant(0), node.annotation)
    try:
        exec(compile(tree, "<cell>", "exec"), {})
    except UnboundLocalError:
        return None
    except NameError as error:
        # A local variable of a function that a comprehension reads too early is not a free name.
        return None if "free variable" in str(error) else error.name
    except Exception:
        return None
    return None


@pytest.mark.parametrize(
    ("lines", "maybe"),
    [
        (["def f():", "    b = 1", "    class C:", "        b = b", "f()", "b = 2"], {"b"}),
        (["b = 2", "def f():", "    b = 1", "    class C:", "        b = b", "f()"], set()),
        (
            ["class D:", "    b = 2", "    def f(self):", "        b = 1", "        class C:", "            b = b"],
            {"b"},
        ),
    ],
)
def test_a_class_body_in_a_function_reads_the_globals(lines, maybe):
    found = free_names(ast.parse("\n".join(lines)).body)
    assert (found.optional, found.needed) == (maybe, {})


@settings(max_examples=100)
@given(st.lists(SIMPLE, max_size=6).map(lambda parts: [line for part in parts for line in part]))
def test_a_name_missing_in_straight_line_code_is_needed(lines):
    # An expression with a branch that binds a name is not straight-line code: the name is optional, see below.
    assume(not any(":=" in line and (" and " in line or " if " in line) for line in lines))
    assert missing(lines) in {None, *free_names(ast.parse("\n".join(lines)).body).needed}


@settings(max_examples=100)
@given(st.lists(ANY, max_size=4).map(lambda parts: [line for part in parts for line in part]))
def test_a_name_missing_in_any_code_is_needed_or_optional(lines):
    found = free_names(ast.parse("\n".join(lines)).body)
    assert missing(lines) in {None, *found.needed, *found.optional}
