"""nbtune.spec.options.named: algorithms by name, with arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.spec.forms.form_line import read_line, write_line
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.named import Named, parse_named
from nbtune.spec.options.options import make_spec
from nbtune.spec.options.tokenizer import quote

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
VALUES = st.recursive(
    PLAIN,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=2),
    max_leaves=5,
)
NAMES = st.sampled_from(["sampler", "n_startup_trials", "seed_", "x"])
NAMED = st.builds(Named, st.sampled_from(["optuna", "asha"]), st.dictionaries(NAMES, VALUES, max_size=3))


@given(NAMED)
def test_the_text_is_read_back(named):
    assert parse_named(str(named)) == named


@given(NAMED)
def test_it_is_one_word_of_a_magic_line(named):
    option = "search" if named.name == "optuna" else "scheduler"
    text = str(named).replace("\n", "")
    for line in (f"x --{option} {quote(text)}", f"x --{option}={quote(text)}"):
        assert parse_line(line, {}).options[option] == text
        assert read_line(write_line(read_line(line)).removeprefix("%%tune"))[option] == text


@pytest.mark.parametrize(
    "line",
    [
        "--search \"optuna(sampler='gp', n=5)\"",
        "--search 'optuna(sampler=\"gp\", n=5)'",
        "--search optuna(sampler='gp', n=5)",
        "--search=optuna(sampler='gp', n=5)",
        "--search optuna( sampler = 'gp' , n=5 )",
    ],
)
def test_quotes_around_it_are_not_needed(line):
    spec, problems = make_spec({**parse_line(line, {}).options, "metric": "y", "mode": "min"})
    assert not problems
    assert spec.search == Named("optuna", {"sampler": "gp", "n": 5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected NAME"),
        ("a b", "expected NAME"),
        ("a.b()", "expected NAME"),
        ("a()()", "expected NAME"),
        ("optuna('gp')", "the arguments of optuna are given by name, optuna(ARGUMENT=VALUE), got \"'gp'\" without one"),
        ("optuna(*x)", "are given by name"),
        ("optuna(**x)", "are given by name, one by one"),
        ("optuna(a=1, a=2)", "a"),
        ("optuna(sampler=__import__('os'))", "sampler is a literal on this line"),
        ("optuna(sampler=gp)", "text is written in quotes, sampler='gp'"),
        ("optuna(a=1 + 1)", "a is a literal"),
        ("(" * 3000, "expected NAME"),
        ("optuna(a=" + "[" * 200 + "]" * 200 + ")", "nested"),
        ("optuna\0", "null"),
    ],
)
def test_anything_else_is_refused_and_not_evaluated(text, message):
    with pytest.raises(ValueError) as caught:
        parse_named(text)
    assert message in str(caught.value)


def test_an_object_among_the_arguments_is_shown_in_short():
    assert str(Named("optuna", {"sampler": object, "n": 1})) == "optuna(sampler=object, n=1)"
    assert len(str(Named("optuna", {"sampler": type("Long", (), {"__repr__": lambda self: "x" * 900})()}))) < 100
