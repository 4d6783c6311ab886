"""nbtune.spec.options.tokenizer: from a command line to words and arguments."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.errors import SpecError
from nbtune.spec.options.tokenizer import Argument, quote, read_arguments, split_comment, split_first, split_line

NASTY = st.text(st.sampled_from(list("ab=-# \t\\'\"()[]{},")) | st.characters(codec="utf-8"), max_size=12)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" stop  digits\t2 ", ["stop", "digits", "2"]),
        ("--storage '/data/my sweeps'", ["--storage", "/data/my sweeps"]),
        ("a='b c'd", ["a=b cd"]),
        (r'"say \"hi\" C:\x" a\ b', [r'say "hi" C:\x', "a b"]),
        (r"'C:\x'", [r"C:\x"]),
        ("'' \"\"", ["", ""]),
        ("layers=[64, 32] rate=(1, 2)", ["layers=[64, 32]", "rate=(1, 2)"]),
        ('names=["a b", "]"] more', ['names=["a b", "]"]', "more"]),
        ("model={'sizes': [1, (2, 3)]}", ["model={'sizes': [1, (2, 3)]}"]),
        ("a) ]", ["a)", "]"]),
        ("'[' \\(", ["[", "("]),
        ("digits  # the old one", ["digits"]),
        ("s3://bucket#1 '#' \\#", ["s3://bucket#1", "#", "#"]),
    ],
)
def test_a_line_is_split_into_words(line, words):
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("lr='1", "the quote ' at position 4 is not closed"),
        ('lr="1\\"', 'the quote " at position 4 is not closed'),
        ("digits [1, (2]", "the bracket [ at position 8 is not closed"),
        ("['a]", "the quote ' at position 2 is not closed"),
        ("digits \\", "nothing follows the backslash at its end"),
    ],
)
def test_an_unclosed_quote_or_bracket_is_an_error_with_line_and_position(line, reason):
    with pytest.raises(SpecError) as raised:
        split_line(line)
    assert str(raised.value) == f"cannot read the line {line!r}: {reason}"


def test_the_comment_is_returned_as_it_was_typed():
    assert split_comment("digits # it's [open ") == (["digits"], "# it's [open")
    assert split_comment("digits") == (["digits"], "")


@given(st.lists(NASTY, max_size=5))
def test_quoted_words_are_split_into_themselves(words):
    assert split_line(" ".join(map(quote, words))) == words


@given(NASTY)
def test_every_line_is_split_or_refused(line):
    try:
        words, comment = split_comment(line)
    except SpecError:
        return
    assert split_line(" ".join([*map(quote, words), comment])) == words


@given(st.text("ab=-.:/ \t'\"", max_size=20))
def test_simple_lines_are_split_like_in_a_shell(line):
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(SpecError):
            split_line(line)
    else:
        assert split_line(line) == expected


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (" stop  digits '2", ("stop", "digits '2")),
        ("'stop' a", ("stop", "a")),
        ("list", ("list", "")),
        (" ", ("", "")),
        ("# list", ("", "")),
    ],
)
def test_the_rest_after_the_first_word_is_unchanged(line, parts):
    assert split_first(line) == parts


def test_words_are_read_as_arguments():
    words = ["digits", "--samples", "4", "--mode=max", "--dry-run", "b", "--cpus", "--max-failures", "-1"]
    arguments = list(read_arguments(words, {"dry_run"}))
    assert arguments == [
        Argument("", "digits"),
        Argument("--samples", "4"),
        Argument("--mode", "max", attached=True),
        Argument("--dry-run", None),
        Argument("", "b"),
        Argument("--cpus", None),
        Argument("--max-failures", "-1"),
    ]
    assert [argument.name for argument in arguments[3:4]] == ["dry_run"]
