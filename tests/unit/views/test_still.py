"""nbtune.views.still: the static picture and its parts."""

import itertools
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune import testing
from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import (
    AttemptFailed,
    ExperimentUpdated,
    RungReached,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialReported,
    TrialStarted,
)
from nbtune.results.lineage import Rung
from nbtune.results.store import Store
from nbtune.views.still import still_curves
from nbtune.views.still.picture import clean, cut, text_width, ticks, wrap
from nbtune.views.still.still import still
from nbtune.views.still.still_curves import collect, draw
from nbtune.views.still.still_marks import COPIED, rung_texts, spread
from nbtune.views.still.still_table import Cells, fit
from tests.unit.results.test_lineage import FAMILY

SVG = "{http://www.w3.org/2000/svg}"
MARKUP = {"svg", "title", "desc", "rect", "text", "tspan", "g", "path", "metadata"}
ANY_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["</text><script>", "\ud800", "\x00\x1b[31m", "]]>", "&amp;", "\"'", "\u202e", "\ufffe", "é" * 900, "値" * 900, " "]
)


def store_of(events):
    store = Store()
    for chunk in decode(encode(0, list(events))):
        store.apply(chunk)
    return store


def experiment(*trials, status="finished", began=100.0, took=72.0, **metadata):
    """Return the state of an experiment of trials (config, values[, status[, error]])."""
    first = {"name": "digits", "metric": "acc", "mode": "max", "trials": len(trials), "path": "/kept/here", **metadata}
    events = [ExperimentUpdated(time=began, metadata={"status": "running", **first})]
    for number, (config, values, *rest) in enumerate(trials):
        ended, error = (*rest, "finished", None)[:2] if not rest else (*rest, "E: no")[:2]
        events.append(TrialAdded(number, began, ray_id=f"x{began}", folder="f", config=config))
        if ended != "pending":
            events.append(TrialStarted(number, began))
        events += [
            TrialReported(number, began, step, 1.0, metrics={first["metric"] or "acc": value})
            for step, value in enumerate(values, 1)
        ]
        if ended == "failed":
            events.append(AttemptFailed(number, began, error=error, traceback="t", final=True))
        if ended not in {"pending", "running"}:
            events.append(TrialEnded(number, began, status=ended, reason="done"))
    if status != "running":
        events.append(ExperimentUpdated(time=began + took, metadata={"status": status}))
    return store_of(events)


def picture(store):
    svg = still(store)["image/svg+xml"]
    root = ET.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= MARKUP
    return root


def words(store):
    return [" ".join(element.itertext()) for element in picture(store).iter(f"{SVG}text")]


def says(store, text):
    return any(text in line for line in words(store))


def test_a_finished_experiment():
    store = experiment(
        ({"lr": 0.1, "opt": "sgd"}, [0.2, 0.5]),
        ({"lr": 0.01, "opt": "adam"}, [0.3, 0.75]),
        ({"lr": 1.0, "opt": "adam"}, [0.1], "stopped"),
        ({"lr": 9.0, "opt": "sgd"}, [0.1], "failed", "ValueError: <b>no</b>"),
        ({"lr": 9.5, "opt": "sgd"}, [0.1], "failed", "ValueError: nor"),
    )
    seen = words(store)
    assert seen[0] == "digits ✓ finished"
    assert seen[1] == "5 of 5 trials 2 finished, 1 stopped early, 2 failed"
    assert seen[2] == "★ best acc 0.75 trial 1, iteration 2 lr  0.01 opt  adam"
    assert seen[3] == "1:12"
    assert "trial status lr opt acc best acc iterations" in seen
    rows = seen[seen.index("trial status lr opt acc best acc iterations") + 1 :]
    assert rows[0] == "★ 1 ✓ finished 0.01 adam 0.75 0.75 2"
    assert [row.split()[0] for row in rows[1:5]] == ["0", "2", "3", "4"]  # the failed ones do not count
    assert rows[5] == "✗ trial 3: ValueError: <b>no</b> and 1 more failed"


def test_a_loss_has_its_lowest_first():
    store = experiment(({}, [3.0]), ({}, [1.0]), ({}, [2.0]), ({}, [math.nan]), mode="min")
    assert [state.number for state in store.ranked()] == [1, 2, 0, 3]
    assert says(store, "★ best acc 1")


def test_the_root_has_an_id_and_accessible_names():
    root = picture(experiment(({}, [1.0])))
    assert (root.get("id"), root.get("role"), root.get("width")) == ("nbtune-still", "img", "760")
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "digits: finished, 1 of 1 trials"
    assert root[1].tag == f"{SVG}desc"
    assert "best acc 1.0" in root[1].text or "best acc 1," in root[1].text


def test_the_picture_has_no_ids_that_others_could_have():
    svg = still(store_of(testing.example()))["image/svg+xml"]
    assert re.findall(r'\sid="[^"]*"', svg) == [' id="nbtune-still"']
    assert "<style" not in svg
    assert "url(" not in svg


def test_the_text_has_the_summary_and_the_table_without_paths():
    bundle = still(experiment(({"lr": 0.1}, [0.5]), ({"lr": 0.2}, [0.6])))
    assert "/kept/here" not in json.dumps(bundle)
    summary, table = bundle["text/plain"].split("\n\n")
    assert summary.splitlines()[1].startswith("best acc 0.6 (trial 1")
    assert table.splitlines() == [
        "trial  status       lr  acc  iterations",
        "  ★ 1  ✓ finished  0.2  0.6           1",
        "    0  ✓ finished  0.1  0.5           1",
    ]


def test_another_run_with_the_same_seed_changes_one_line():
    trials = [({"lr": 0.1 * k}, list(np.linspace(0, k, 20))) for k in range(30)]
    one = still(experiment(*trials, began=100.0, took=72.0))["image/svg+xml"].splitlines()
    two = still(experiment(*trials, began=999.0, took=95.0))["image/svg+xml"].splitlines()
    assert [(a, b) for a, b in zip(one, two, strict=True) if a != b] == [
        ('<text x="744" y="54" fill="#5c5c5c" text-anchor="end">1:12</text>',
         '<text x="744" y="54" fill="#5c5c5c" text-anchor="end">1:35</text>')
    ]  # fmt: skip


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
@settings(max_examples=150)
def test_any_text_is_text(name, metric, parameter, value, error):
    store = experiment(
        ({parameter: value, "n": {value: error}}, [1.0, 2.0]),
        ({parameter: value}, [value], "failed", error),
        name=name,
        metric=metric,
        error=error,
    )
    bundle = still(store)
    picture(store)
    json.dumps(bundle, ensure_ascii=False).encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202e]", "".join(bundle.values()))


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_blank_names_are_accepted(blank):
    trials = ({blank: blank}, [1.0], "failed", blank), ({}, [2.0])
    seen = words(experiment(*trials, name=blank, metric=blank, error=blank))
    assert "✓ finished" in seen[0]
    assert any(line.startswith("✗ trial 0") for line in seen), seen


def test_names_are_shown_literally():
    hostile = "<b>&\"'"
    store = experiment(({hostile: hostile}, [1.0], "failed", hostile), ({hostile: hostile}, [1.0]), name=hostile)
    seen = words(store)
    assert seen[0] == f"{hostile} ✓ finished"
    assert f"★ 1 ✓ finished {hostile} 1 1" in seen or f"★ 1 ✓ finished {hostile} 1.0 1" in seen
    assert f"✗ trial 0: {hostile}" in seen


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def test_a_value_without_a_repr_loses_only_its_cell():
    store = experiment(({"a": 1}, [1.0]), ({"a": 1}, [2.0], "running"))
    store.trials[0].parameters = {"a": Unshowable()}
    assert says(store, "<Unshowable,")


@pytest.mark.parametrize(
    ("store", "text"),
    [
        (experiment(status="running", trials=4), "starting the trials' processes"),
        (experiment(status="failed"), "no trial was started"),
        (experiment(({}, [], "running"), status="running"), "no report yet"),
        (experiment(({}, [math.nan], "running"), status="running"), "no finite value of acc yet"),
        (experiment(({}, [math.nan])), "no trial has a finite value of acc; reported metrics: acc"),
        (experiment(({}, ["text"])), "no trial has a finite value of acc; reported metrics: acc"),
        (experiment(({}, [1.0]), metric=None, mode=None), "no metric to compare"),
        (experiment(({}, [], "failed", "E: x"), status="failed"), "✗ trial 0: E: x"),
        (experiment(({}, [1.0]), error="RayError: gone"), "RayError: gone"),
    ],
)
def test_notes_of_experiments_without_a_best_trial(store, text):
    assert says(store, text)


def test_a_lost_experiment():
    store = experiment(({}, [1.0], "running"), status="running")
    store.set_metadata(status="lost", error="the cluster is gone")
    assert words(store)[0] == "digits ✗ lost"
    assert says(store, "the cluster is gone")


VALUES = st.one_of(
    st.floats(allow_nan=True),
    st.sampled_from([1e300, -1e308, 5e-324, 0.0, 1e-9]),
    st.integers(),
    st.booleans(),
    st.none(),
)


@given(st.lists(st.lists(VALUES, max_size=12), max_size=5), st.sampled_from(["min", "max"]))
@settings(max_examples=200)
def test_any_values_can_be_drawn(trials, mode):
    root = picture(experiment(*(({}, values) for values in trials), mode=mode))
    for path in root.iter(f"{SVG}path"):
        assert re.fullmatch(r"[MHlh\d. -]+", path.get("d"))
        assert max(abs(float(number)) for number in re.findall(r"-?[\d.]+", path.get("d"))) < 10_000


def curves_of(store):
    return collect(store, store.metric, store.ranked())


def test_kinds_of_curves_have_different_styles():
    store = experiment(
        ({}, [1.0, 5.0]), ({}, [1.0, 2.0]), ({}, [1.0, 3.0], "stopped"), ({}, [1.0, 2.5], "running"),
        ({}, [1.0, 9.0], "failed", "E"), status="running",
    )  # fmt: skip
    looks = [group.attrib for group in picture(store).iter(f"{SVG}g") if group.get("stroke")]
    assert len(looks) == len({tuple(look.items()) for look in looks} | {"failed ones end in a cross"}) == 5
    assert looks[-1]["stroke"] == "#c85200"
    assert says(store, "━  best ─  running ✗  failed ─  finished ┄  stopped early")


def test_a_curve_has_its_values_at_their_positions():
    (curve,) = curves_of(experiment(({}, [1.0, math.nan, 3.0, math.inf, 2.0]))).curves
    assert curve.x.tolist() == [1, 3, 5]
    assert curve.y.tolist() == [1, 3, 2]
    assert curve.gaps.tolist() == [0, 1, 2]
    broken = "\n".join(draw(curves_of(experiment(({}, [0.0, 1.0, math.nan, 0.0, 1.0, math.nan, 0.5]))), 0, 0, 500))
    (path,) = re.findall(r'd="(M8 [^"]+)"', broken)
    assert [part.count("l") + part.count("h") for part in path.split("M")[1:]] == [1, 1, 1]  # two lines, and a dash
    drawing = "\n".join(draw(curves_of(experiment(({}, [0.0, 1.0, 0.0]))), 0, 0, 500))
    right, up, further, down = map(int, re.search(r'd="M8 \d+l(\d+)(-\d+) (\d+) (\d+)"', drawing).groups())
    assert abs(right - further) <= 1
    assert down == -up > 100


def test_repeated_reports_are_drawn_once():
    events = [ExperimentUpdated(metadata={"status": "running", "metric": "acc", "mode": "max", "trials": 1})]
    events.append(TrialAdded(0, ray_id="a", folder="f", config={}))
    events += [TrialReported(0, 0.0, step, 1.0, metrics={"acc": value}) for step, value in
               [(1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (3, 30.0)]]  # fmt: skip
    (curve,) = curves_of(store_of(events)).curves
    assert curve.y.tolist() == [1, 20, 30]


def test_many_curves_are_sampled_with_the_best_and_running_ones():
    trials = [({}, [0.0, float(k % 100)], "running" if k in {150, 151} else "finished") for k in range(400)]
    store = experiment(*trials, status="running")
    chart = curves_of(store)
    drawn = [curve.state.number for curve in chart.curves]
    assert len(drawn) == 60
    assert drawn == sorted(drawn)
    assert {150, 151, *(state.number for state in store.ranked()[:20])} <= set(drawn)
    assert max(np.diff(drawn)) <= 25
    assert says(store, "60 of 400 curves")


def test_single_reports_are_drawn_over_the_trials():
    chart = curves_of(experiment(*(({}, [float(k)]) for k in range(9))))
    assert chart.single
    assert [curve.x.tolist() for curve in chart.curves] == [[k] for k in range(9)]


def test_extremes_do_not_flatten_the_other_curves():
    store = experiment(*(({}, [1e6, *np.linspace(3, 1, 30)]) for _ in range(5)), mode="min")
    assert says(store, "extreme values are cut off")
    assert not says(experiment(*(({}, list(np.linspace(3, 1, 30))) for _ in range(5))), "extreme")
    heights = [line for line in words(store) if re.fullmatch(r"[\d.]+", line)]
    assert "2" in heights


def test_many_parameters_and_long_ones_are_cut_to_what_fits():
    trials = [({f"parameter_{k}": "long " * 50 for k in range(50)}, [1.0 * n]) for n in range(30)]
    store = experiment(*trials, name="name " * 100, metric="metric " * 100)
    lines = still(store)["text/plain"].split("\n\n")[1].splitlines()
    assert max(map(len, lines)) <= 100
    assert re.search(r"\+ \d\d more", lines[0])
    for text in picture(store).iter(f"{SVG}text"):
        spans = list(text)
        if spans and spans[0].get("x") is None and text.get("text-anchor") is None:
            wide = sum(text_width(s.text, float(text.get("font-size", 13))) + float(s.get("dx", 0)) for s in spans)
            assert float(text.get("x")) + wide <= 744


def test_the_size_has_a_bound():
    rng = np.random.default_rng(0)
    trials = [
        ({f"<{k}>" + "&値" * 99: "'\"<" * 99 for k in range(50)}, rng.normal(size=150).tolist(), "failed", "<E>" * 999)
        if n % 4 == 0
        else ({}, rng.normal(size=150).tolist(), "stopped" if n % 3 else "finished")
        for n in range(300)
    ]
    bundle = still(experiment(*trials, name="&" * 9999, metric="<" * 99, error="値" * 9999))
    assert len(json.dumps(bundle)) < 64_000
    assert len(json.dumps(still(store_of(testing.example(trials=20))))) < 15_000


def test_the_height_has_a_bound():
    trials = [({}, [1.0, 2.0], "failed", "E")] * 30 + [({}, [1.0, 2.0])]
    assert float(picture(experiment(*trials, error="word " * 200)).get("height")) <= 482


def test_it_needs_no_slow_imports():
    code = "import sys, nbtune.views.still.still; print({'ray', 'IPython', 'plotly', 'ipywidgets', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@given(st.text(max_size=200), st.integers(5, 400))
def test_a_cut_text_fits(text, width):
    found = cut(text, width)
    assert text_width(found) <= width or found == "…"
    assert found == text if text_width(text) <= width else found.endswith("…")


@given(st.text(alphabet="ab c", max_size=300).map(clean), st.integers(30, 300), st.integers(1, 4))
def test_wrapped_lines_fit(text, width, lines):
    found = wrap(text, width, lines)
    assert len(found) <= lines
    assert all(text_width(line) <= width for line in found)
    if not found[-1].endswith("…"):
        assert "".join(found).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=20), st.integers(80, 200))
def test_as_many_columns_as_fit(widths, room):
    columns = [
        Cells("trial", ["1"], "trial"), Cells("status", ["2"], "status"),
        *(Cells("t" * title, ["c" * cell], "parameter") for title, cell in widths),
        Cells("metric", ["3"], "metric"), Cells("iterations", ["4"], "iterations"),
    ]  # fmt: skip
    found = fit(columns, room, 2, 20, len)
    assert sum(column.width + 2 for column in found) - 2 <= room
    shown = sum(column.kind == "parameter" for column in found)
    more = [column.title for column in found if column.kind == "more"]
    assert more == ([f"+ {len(widths) - shown} more"] if shown < len(widths) else [])
    assert found[-1].kind == "iterations"


@given(st.floats(-1e300, 1e300), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_and_differ(low, share, count):
    high = low + share * max(abs(low), 1e-290)
    if not math.isfinite(high):
        return
    found = ticks(low, high, count)
    span = high - low
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value, _ in found)
    assert 1 <= len(found) <= 2 * count + 2
    assert len({shown for _, shown in found}) == len(found)


def test_integer_ticks():
    assert ticks(0.5, 1.5, 6, integers=True) == [(1.0, "1")]
    assert [shown for _, shown in ticks(1, 10_000, 4, integers=True)][-1] == "10,000"


def test_paused_and_unfinished_trials_are_drawn_counted_and_named():
    for status, shown in (("running", "‖ paused"), ("stopped", "◐ unfinished")):
        store = experiment(({"lr": 0.1}, [0.5, 0.9]), ({"lr": 0.2}, [0.4, 0.3], "running"), status="running")
        events = [TrialPaused(1, 101.0, reason="user"), ExperimentUpdated(metadata={"status": status})]
        for chunk in decode(encode(store.cursor, events)):
            store.apply(chunk)
        word = shown.partition(" ")[2]
        assert any(f"1 {word}" in line for line in words(store))
        assert any(shown in line for line in words(store))
        assert shown in still(store)["text/plain"]
        states = store.ranked()
        lines = "\n".join(draw(collect(store, "acc", states), 0, 0, 700))
        assert word in lines  # the legend
        assert lines.count('<path d="M') >= 4  # both curves, beside the axes


def diamonds(svg):
    """Return the centres of the diamonds, as shares of the width and height of the plot."""
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)" fill="none"', svg).groups())
    path = re.search(rf'<path d="([^"]*)" fill="{COPIED}"', svg)[1]
    return [((int(x)) / width, (int(y) + 9) / height) for x, y in re.findall(r"M(-?\d+) (-?\d+)l9 9", path)]


def test_copies_and_rungs_are_marked_in_the_curves():
    rungs = [
        RungReached(trial, 1.0, 2, rung=2.0, unit="training_iteration", bracket=0, goes_on=trial > 0)
        for trial in range(3)
    ]
    other = [
        RungReached(0, 1.0, 2, rung=at, unit=unit, bracket=0, goes_on=True)
        for at, unit in ((2.0, "time_total_s"), (90.0, "training_iteration"))
    ]
    store = store_of([*FAMILY, *rungs, *other])
    svg = still(store)["image/svg+xml"]
    first, last = 1, max(state.iterations for state in store.states())
    chart = collect(store, "y", store.ranked())
    low, high, _ = still_curves._range(chart.curves)
    expected = [
        ((copy.iteration - first) / (last - first), (high - y) / (high - low)) for copy, y in chart.marks.copies
    ]
    assert len(expected) == 2
    for (x, y), (at, value) in zip(diamonds(svg), expected, strict=True):
        assert (x, y) == (pytest.approx(at, abs=0.02), pytest.approx(value, abs=0.02))
    shown = words(store)
    assert "2/3" in shown
    assert not {"1/1", "0/1"} & set(shown), "another unit, or beyond the curves"
    (legend,) = [line for line in shown if "copied" in line]
    assert legend.endswith("◆  copied ┊  went on/reached")
    plain = words(experiment(({}, [1.0, 2.0]), ({}, [2.0, 3.0])))
    assert not any("copied" in line or "reached" in line for line in plain)
    single = store_of([*FAMILY[:4], *rungs])
    assert "2/3" not in words(single)


def test_texts_of_rungs_do_not_overlap():
    rungs = [Rung(float(at), "training_iteration", 12, 4) for at in range(9)]
    places = [0.0, 1.0, 30.0, 31.0, 60.0, 100.0, 101.0, 200.0, 201.0]
    assert [float(ET.fromstring(line).get("x")) for line in rung_texts(places, rungs, 0)] == [0, 30, 60, 100, 200]


@given(st.lists(st.floats(-20, 150), max_size=9), st.floats(0.5, 40))
def test_labels_keep_their_distance_and_their_order(places, gap):
    low, high = 0.0, 130.0
    moved = [y for _, y in spread([(7.0, y) for y in places], 20, gap, low, high)]
    if len(places) > 1:
        assert all(low - 1e-6 <= place <= high + 1e-6 for place in moved)
    room = min(gap, (high - low) / max(len(places) - 1, 1))
    assert all(second - one >= room - 1e-6 for one, second in itertools.pairwise(sorted(moved)))
    for (one, first), (other, second) in itertools.pairwise(sorted(zip(places, moved, strict=True))):
        assert first <= second or one == other
    apart = all(b - a >= room for a, b in itertools.pairwise(sorted(places)))
    if apart and all(low <= place <= high for place in places):
        assert moved == pytest.approx(places), "none is moved without a reason"


def test_labels_that_are_not_beside_each_other_stay_where_they_are():
    places = [(40.0, 5.0), (0.0, 5.0), (70.0, 5.0), (50.0, 6.0)]
    moved = spread(places, 20, 13, 0, 130)
    assert [x for x, _ in moved] == [40, 0, 70, 50]
    assert (moved[1], moved[2]) == (places[1], places[2])
    assert moved[3][1] - moved[0][1] == 13


def test_the_best_repeats_have_their_numbers_at_the_ends_of_their_curves():
    store = store_of(
        [
            ExperimentUpdated(
                metadata={"status": "finished", "name": "demo", "metric": "acc", "mode": "max", "repeat": 4}
            ),
            *(
                event
                for number in range(4)
                for event in (
                    TrialAdded(number, ray_id=f"x{number}", folder="f", config={}, configuration=0, repeat=number),
                    *(
                        TrialReported(number, 1.0, step, 1.0, metrics={"acc": step + number / 100})
                        for step in (1, 2, 3)
                    ),
                    TrialEnded(number, 2.0, status="finished", reason="done"),
                )
            ),
        ]
    )
    labels = {
        text.text: float(text.get("y"))
        for text in picture(store).iter(f"{SVG}text")
        if text.get("paint-order") == "stroke"
    }
    assert sorted(labels, key=labels.get) == ["3", "2", "1", "0"], "the highest value is at the top"
    assert all(b - a >= 12 for a, b in itertools.pairwise(sorted(labels.values())))
