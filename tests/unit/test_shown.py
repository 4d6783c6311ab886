"""nbtune.shown: what is shown of texts from others."""

import unicodedata

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nbtune
from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.errors import ExperimentError, SpecError
from nbtune.results.store import Store
from nbtune.shown import shown, shown_lines
from nbtune.spec.space.values import label
from nbtune.testing import replay
from nbtune.views.still.still import still
from nbtune.views.text import shown_table
from nbtune.views.waiting import progress_line

HOSTILE = [
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "nu\0ll", "back\b\b\b\bspace", "over\rwritten", "\u202eback", "\u2066in\u2069", "\u200fmark",
    "zero\u200bwidth", "join\u200ded", "byte\ufeffmark", "soft\xadhyphen", "two\nlines", "para\u2029graph", "\ud800", "\ufffe", "\U000e0041tag",
]  # fmt: skip
TEXT = st.text(st.characters(), min_size=1, max_size=20) | st.sampled_from(HOSTILE)


def hidden(text, allowed=""):
    """Return the characters of a text that must not be shown."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in text if unicodedata.category(c) in kinds and c not in allowed} - {"\u200c", "\u200d"}


@given(TEXT)
def test_nothing_hidden_is_shown_and_nothing_else_changes(text):
    assert not hidden(shown(text))
    assert not hidden(shown_lines(text), "\n\t")
    assert len(shown(text)) == len(text)
    if not hidden(text):
        assert shown(text) == text or "\u200c" in text or "\u200d" in text or "\ufffd" in shown(text)
    assert shown(shown(text)) == shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "lr",
        "Lernrate größer 1 €",
        "学習率",
        "شبکه عصبی",
        "می‌خواهم",
        "שלום",
        "👨‍👩‍👧",
        "❤️",
        "e\u0301",
        "\ue000",
        "",
        "a  b",
    ],
)
def test_what_people_write_is_shown_as_it_is(text):
    assert shown(text) == shown_lines(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_examples(text):
    assert shown(text) != text
    assert text.isascii() or "\ufffd" in shown(text) or " " in shown(text)


def test_lines_are_kept_only_where_there_may_be_several():
    assert shown("a\nb\tc\r\nd") == "a b c  d"
    assert shown_lines("a\nb\tc\r\nd") == "a\nb\tc\nd"
    assert "\r" not in shown_lines("progress\rhidden")


def events(text):
    """Return an experiment that has a text everywhere where one may come from others."""
    metadata = {"name": text, "metric": text, "mode": "max", "trials": 2, "warning": text, "path": f"/kept/{text}"}
    return [
        ExperimentUpdated(time=1.0, metadata={"status": "running", **metadata}),
        TrialAdded(0, 1.0, ray_id="a", folder="f", config={text: text, "n": 1}),
        TrialStarted(0, 1.0),
        TrialReported(0, 2.0, 1, 1.0, metrics={text: 0.5, f"{text}2": text}),
        TrialEnded(0, 3.0, status="finished", reason="done"),
        TrialAdded(1, 1.0, ray_id="b", folder="g", config={text: text, "n": 2}),
        TrialStarted(1, 1.0),
        AttemptFailed(1, 2.0, error=f"E: {text}", traceback=text, final=True),
        TrialEnded(1, 3.0, status="failed", reason="error"),
        ExperimentUpdated(time=4.0, metadata={"status": "finished", "error": text}),
    ]


@given(TEXT)
@example("\x1b[31mred\x1b[0m\u202e\u200b\0")
def test_nothing_hidden_of_an_experiment_is_shown(text):
    store = Store()
    for chunk in decode(encode(0, events(text))):
        store.apply(chunk)
    for picture in still(store).values():
        assert not hidden(picture, "\n")
    assert not hidden(progress_line(store, 1000))


@pytest.mark.parametrize("text", HOSTILE)
def test_the_handles_of_an_experiment_show_nothing_hidden(text):
    experiment = replay(events(text))
    assert not hidden(repr(experiment), "\n")
    assert len(repr(experiment).splitlines()) == 6, "a text forges no line"
    assert not hidden("".join(map(repr, experiment.trials.values())))
    assert not hidden(repr(experiment.dashboard))
    assert experiment.df[f"config/{text}"].tolist() == [text, text], "values stay as they are"
    with pytest.raises(ExperimentError) as raised:
        experiment.selected = [9]
    assert not hidden(str(raised.value), "\n")
    assert not hidden("".join(raised.value._render_traceback_()), "\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_values_and_tables_and_spaces_show_nothing_hidden(text):
    raw = type("Raw", (), {"__repr__": lambda self: text})()
    assert not hidden(label(raw))
    index = pd.Index([text], name="path", dtype=object)
    table = shown_table(pd.DataFrame({"name": pd.Series([text], index, dtype=object), "n": [1.5]}, index))
    assert not hidden(table.to_string() + table.to_html(), "\n")
    assert table["n"].tolist() == [1.5]
    space = nbtune.Space.from_dict({"a": nbtune.choice([raw, text])})
    assert not hidden(repr(space) + space._repr_html_(), "\n")
    assert not hidden(str(SpecError([text])), "\n\t")
