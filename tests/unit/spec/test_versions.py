"""nbtune.spec.cell.versions: what has changed between two versions of the code."""

import pytest

from nbtune.spec.cell.versions import CELL, CodeVersion, difference, digest_of_code, digest_of_value, without_magic


def change(old, new, **values):
    before, after = (CodeVersion({"f": text} if text else {}, values) for text in (old, new))
    return difference(before, after)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def f():\n    return 1", "def f():\n\n    # a comment\n    return 1  # one"),
        ("  def f():\n      return 1", "def f():\n    return 1"),
        ("x = (", "x = (  \n"),
    ],
)
def test_comments_and_layout_do_not_count(old, new):
    assert not change(old, new)


def test_a_change_is_named_and_shown():
    old = CodeVersion({CELL: "x = 1\nreport(x=x)", "b": "def b(): 1", "a": "def a(): 1"}, {"n": "1", "m": "1"})
    new = CodeVersion({CELL: "x = 2\nreport(x=x)", "b": "def b(): 1", "c": "def c(): 1"}, {"n": "2", "m": "1"})
    found = difference(old, new)
    assert str(found) == "the cell, a, c and the value of n"
    assert found.diff.splitlines() == [
        "--- the cell, stored",
        "+++ the cell, present",
        "@@ -1,2 +1,2 @@",
        "-x = 1",
        "+x = 2",
        " report(x=x)",
        "--- a, stored",
        "+++ a, present",
        "@@ -1 +0,0 @@",
        "-def a(): 1",
        "--- c, stored",
        "+++ c, present",
        "@@ -0,0 +1 @@",
        "+def c(): 1",
    ]


def test_a_long_diff_is_shortened():
    lines = change("def f():\n    1", "def f():\n" + "    2\n" * 500).diff.splitlines()
    assert len(lines) == 41
    assert lines[-1] == "… and 465 more lines"


def test_code_without_text_is_compared_by_its_instructions():
    def compiled(text, filename):
        scope = {}
        exec(compile(text, filename, "exec"), scope)
        return digest_of_code(scope["f"].__code__)

    first = compiled("def f(x):\n    return x in {'a', 'b', 'c'}", "one")
    assert first == compiled("\n\ndef f(x):\n    return x in {'c', 'b', 'a'}", "two")
    assert first != compiled("def f(x):\n    return x in {'a', 'b', 'd'}", "one")
    found = change(first, compiled("def f(x): return 1", "one"))
    assert found.names == ("f",)
    assert not found.diff


def test_values_are_compared_without_being_stored():
    assert digest_of_value(1) == digest_of_value(1)
    assert digest_of_value(1) != digest_of_value(1.0)
    assert digest_of_value("secret") != digest_of_value("other")
    assert "secret" not in digest_of_value("secret")
    assert digest_of_value([1, "a"]) != digest_of_value([1, "b"])
    for value in (object(), [object()], "x" * 100_000, {}, len):
        assert digest_of_value(value) is None


def test_the_magic_line_is_no_code():
    assert without_magic("%%tune a --samples 2\nx = 1") == without_magic("%%tune a\nx = 1") == "x = 1"
    assert without_magic("def f():\n    1") == "def f():\n    1"
