"""The dashboard: what it sends to the browser, and how it answers."""

import json
import math
import threading
import time

import pytest

from nbtune.engine.protocol.events import ExperimentUpdated, TrialAdded, TrialReconfigured, TrialReported
from nbtune.errors import ExperimentError
from nbtune.results.experiment import Experiment
from nbtune.results.progress import time_left
from nbtune.results.store import Store
from nbtune.testing import Replay, example, replay
from nbtune.views.base.channel import BaseWidget, script
from nbtune.views.live.state import header_state


@pytest.fixture
def sent(monkeypatch):
    """Every message to the browser: (widget's class, message, buffers)."""
    found = []
    monkeypatch.setattr(
        BaseWidget, "send", lambda self, content, buffers=None: found.append((type(self).__name__, content, buffers))
    )
    return found


def running(trials=4, reports=5):
    """Return an experiment that has not ended."""
    from nbtune.engine.protocol.chunk import decode, encode

    class Held(Replay):
        def read(self, since, timeout):
            if since >= self._chunks[-1].end:
                time.sleep(0.02)
                return []
            return super().read(since, timeout)

        def end(self):
            self._chunks = decode(encode(0, events))

    events = list(example(trials, reports, failing=1))
    source = Held(decode(encode(0, events[:-1])))
    experiment = Experiment(source)
    while experiment._store.cursor < len(events) - 1:
        time.sleep(0.01)
    return experiment, source


def parts(dashboard):
    return [dashboard._header, dashboard._curves, dashboard._trials, dashboard._parallel]


def part(dashboard, name):
    return next(widget for widget in parts(dashboard) if type(widget).__name__ == name)


def ask(widget, **message):
    widget._received(widget, message, [])


def test_a_ready_message_is_answered_with_everything(sent):
    dashboard = replay(example(trials=5, reports=3)).dashboard
    sent.clear()
    for widget in parts(dashboard):
        ask(widget, type="ready")
    tables = [(name, message) for name, message, _ in sent if message["type"] == "table"]
    assert {name for name, _ in tables} == {"Trials", "Parallel"}
    assert all(message["reset"] and len(message["rows"]) == 5 for _, message in tables)
    (update, buffers), *more = [(message, buffers) for _, message, buffers in sent if message["type"] == "update"]
    assert not more
    assert update["reset"]
    assert [trial for trial, _, _ in update["trials"]] == [0, 1, 2, 3, 4]
    assert sum(count for _, count, _ in update["segments"]) * 8 == len(buffers[1]) == len(buffers[2])
    assert part(dashboard, "Header").state["status"] == "finished"


def test_updates_have_consecutive_numbers(sent):
    dashboard = replay(example(trials=3, reports=3)).dashboard
    for _ in range(3):
        ask(part(dashboard, "Curves"), type="ready")
    numbers = [message["seq"] for _, message, _ in sent if message["type"] == "update"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == 4


def test_another_metric_sends_its_points(sent):
    dashboard = replay(example(trials=2, reports=3)).dashboard
    curves = part(dashboard, "Curves")
    assert curves.metrics == ["accuracy", "loss"]
    sent.clear()
    curves.metric = "loss"
    ((_, message, _),) = [one for one in sent if one[1]["type"] == "update"]
    assert message["reset"]
    assert message["metric"] == "loss"


def test_the_selection_is_shared_by_browser_and_python(sent):
    experiment = replay(example(trials=5, reports=2))
    trials = part(experiment.dashboard, "Trials")
    trials.selection = [1, 3]
    assert list(experiment.selected.index) == [1, 3]
    experiment.selected = experiment.df.query("hidden > 0").tail(2)
    assert list(experiment.selected.index) == [3, 4]
    assert trials.selection == part(experiment.dashboard, "Curves").selection == [3, 4]
    with pytest.raises(ExperimentError, match="example has no trial 9; it has 5"):
        experiment.selected = [9]
    assert list(experiment.selected.index) == [3, 4]
    experiment.selected = []
    assert experiment.selected.empty


def test_the_detail_of_a_failed_trial(sent):
    dashboard = replay(example(trials=3, reports=4, failing=1)).dashboard
    ask(part(dashboard, "Trials"), type="detail", trial=2)
    ((_, detail, _),) = [one for one in sent if one[1]["type"] == "detail"]
    assert detail["trial"] == 2
    assert "Cell In[3], line 7" in detail["traceback"]
    assert eval(detail["config"])["hidden"] in (32, 64, 128)
    assert not detail["log"]
    assert (detail["workers"], detail["data"]) == (None, None)
    assert detail["checkpoint"] is False
    results = detail["results"]
    history = dashboard._experiment.trials[2].history
    assert results["last"] == [2, pytest.approx(history.time_s.iloc[-1])]
    top = history.accuracy.idxmax()
    assert results["best"] == [top + 1, pytest.approx(history.time_s[top])]
    assert [(name, last, best) for name, last, best, *_ in results["metrics"]] == [
        (name, history[name].iloc[-1], history[name][top]) for name in ("accuracy", "loss")
    ]
    assert results["metrics"][0][3] == [1, 2]
    assert results["metrics"][0][4] == pytest.approx(history.accuracy.tolist(), rel=1e-4)
    assert (results["checkpoints"], results["kept"], detail["origin"], detail["missing"]) == ([], None, [], 0)
    assert detail["cell"] == "", "the code of the example is not known"


def test_the_curves_of_a_detail_have_gaps_and_few_points(sent):
    events = [
        ExperimentUpdated(metadata={"status": "running", "metric": "loss", "mode": "min", "name": "x"}),
        *(TrialAdded(trial, 1.0, ray_id=f"t_{trial}", config={"lr": 1}, folder="") for trial in (0, 1)),
        *(
            TrialReported(trial, 2.0, i, float(i), metrics={"loss": math.nan if i == 5 else 1 / i, "note": "text"})
            for i in range(1, 2001)
            for trial in (0, 1)
        ),
        TrialReconfigured(1, 3.0, 2000, config={"lr": 2}, source=0, source_iteration=1990),
        ExperimentUpdated(metadata={"status": "finished"}),
    ]
    dashboard = replay(events).dashboard
    ask(part(dashboard, "Trials"), type="detail", trial=1)
    ((_, detail, _),) = [one for one in sent if one[1]["type"] == "detail"]
    json.dumps(detail, allow_nan=False)
    loss, note = detail["results"]["metrics"]
    assert len(loss[3]) == len(loss[4]) <= 82
    assert (loss[3][0], loss[3][-1], loss[4][0]) == (1, 2000, 1.0)
    assert note[1:] == ["text", "text", [], []]
    assert detail["results"]["best"] == [2000, 2000.0]
    assert detail["origin"] == ["after iteration 2000 it became a copy of trial 0 at its iteration 1990"]
    few = replay([*events[:3], *events[3:23], events[-1]]).dashboard
    sent.clear()
    ask(part(few, "Trials"), type="detail", trial=0)
    ((_, detail, _),) = [one for one in sent if one[1]["type"] == "detail"]
    assert detail["results"]["metrics"][0][4][4] is None


def test_errors_of_the_browser_reach_python(sent):
    dashboard = replay(example(trials=1, reports=1)).dashboard
    ask(part(dashboard, "Curves"), type="error", where="drawing", message="TypeError: x", stack="")
    assert dashboard.errors == ["drawing: TypeError: x"]


def test_plotly_is_sent_on_request(sent):
    import gzip

    dashboard = replay(example(trials=1, reports=1)).dashboard
    ask(part(dashboard, "Parallel"), type="plotly")
    ((_, message, (packed,)),) = [one for one in sent if one[1]["type"] == "plotly"]
    assert message["version"]
    assert b"plotly.js" in gzip.decompress(packed)[:200]


def test_its_thread_ends_with_the_experiment(sent):
    experiment, source = running()
    before = set(threading.enumerate())
    dashboard = experiment.dashboard
    (thread,) = [one for one in set(threading.enumerate()) - before if one.name == "nbtune-view"]
    source.end()
    experiment.wait(60)
    thread.join(20)
    assert not thread.is_alive()
    assert part(dashboard, "Header").state["status"] == "finished"
    assert part(dashboard, "Header").state["live"] is False


def test_a_script_has_each_import_once():
    text = script("curves")
    assert "import {" not in text
    assert text.count("export function guard(") == 1
    assert text.count("export default") == 1


def test_the_header_at_the_beginning_and_at_the_end():
    empty = header_state(Store())
    assert (empty["over"], empty["total"], empty["best"], empty["live"]) == (0, 0, None, True)
    assert "starting" in empty["hint"]
    experiment = replay(example(trials=5, reports=10, failing=2))
    state = header_state(experiment._store)
    assert state["best"]["label"] == "best accuracy"
    assert state["best"]["iteration"] == experiment.best.value_iteration
    assert state["best"]["trial"] == experiment.best.id
    assert state["hint"] == "trial 3 failed: ValueError: the loss is not finite, and 1 more failed"
    assert state["remaining"] is None


def test_the_remaining_time_is_estimated_from_ended_trials():
    experiment, _ = running(trials=4, reports=10)
    store = experiment._store
    assert time_left(store) is None  # all are over
    store._metadata["trials"] = 8
    states = store.states()
    for state in states:
        state.started, state.ended = 100.0, 110.0
    assert time_left(store, now=200.0).likely == pytest.approx(40, rel=0.1)
    store._metadata["concurrent"] = 2
    assert time_left(store, now=200.0).likely == pytest.approx(20, rel=0.1)
    states[3].status, states[3].started, states[3].ended = "running", 196.0, None
    store.counts.update(running=1, failed=-1)
    left = time_left(store, now=200.0)  # 4 more of 10 s and 6 s of the one that runs, on 2
    assert left.low < 26 < left.high
    assert header_state(store)["remaining"] is not None
    store._metadata.update(options={"time_budget": 1.0}, started=100.0, ended=200.0)
    assert time_left(store, now=200.0).high == 0


def test_the_detail_of_a_distributed_trial(sent, tmp_path):
    from nbtune.engine.storage.storage import Storage
    from nbtune.engine.trial.output import Output

    filesystem, root = Storage(str(tmp_path)).open()
    for rank in (0, 1):
        output = Output(filesystem, f"{root}/trial_0/rank_{rank}")
        output.add(f"epoch 1 of {rank}\n".encode() * 300)
        output.end()
    experiment = replay([*distributed(tmp_path)])
    trials = part(experiment.dashboard, "Trials")

    def detail(**message):
        sent.clear()
        ask(trials, type="detail", trial=0, **message)
        ((_, found, _),) = [one for one in sent if one[1]["type"] == "detail"]
        return found

    found = detail()
    assert found["rank"] is None
    assert found["log"].splitlines() == [
        line for rank in (0, 1) for line in [f"--- rank {rank} ---", *[f"epoch 1 of {rank}"] * 200]
    ]
    above = 2 * 100 * len("epoch 1 of 0\n")
    assert above - 40 < found["missing"] <= above  # less the lines with the ranks
    assert found["workers"] == {
        "ranks": [0, 1],
        "metric": "accuracy",
        "rows": [
            [0, "10.0.0.1", "0, 1", 3, 0.25, 0.5, None, 0.5, False],
            [1, "10.0.0.2", "", 3, 0.75, None, 0.125, "NaN", True],
        ],
    }
    found = detail(rank=1)
    assert (found["rank"], found["log"]) == (1, "epoch 1 of 1\n" * 300)
    assert found["missing"] == 0
    assert "the ranks of this trial are 0 to 1" in detail(rank=2)["log"]


def distributed(folder):
    """Yield the events of one trial of two workers, the second of which is slow."""
    from nbtune.engine.protocol.events import (
        CPU,
        SECONDS,
        WAITED,
        ExperimentUpdated,
        TrialAdded,
        TrialReported,
        WorkerReported,
        WorkersStarted,
    )

    yield ExperimentUpdated(metadata={"status": "running", "metric": "accuracy", "mode": "max", "path": str(folder)})
    yield TrialAdded(0, ray_id="a", config={}, folder="trial_0")
    workers = [
        {"rank": rank, "node": f"10.0.0.{rank + 1}", "node_id": "ab", "pid": 7, "gpus": gpus}
        for rank, gpus in enumerate([["0", "1"], []])
    ]
    yield WorkersStarted(0, workers=workers)
    for step in (1, 2, 3):
        yield TrialReported(0, 0.0, step, 1.0, metrics={"accuracy": 0.5})
        yield WorkerReported(0, 0.0, step, 1.0, metrics={"accuracy": 0.5}, rank=0, took={SECONDS: 0.25, WAITED: 0.5})
        yield WorkerReported(
            0, 0.0, step, 1.0, metrics={"accuracy": math.nan}, rank=1, took={SECONDS: 0.75, CPU: 0.125}
        )
    yield ExperimentUpdated(metadata={"status": "finished"})
