"""nbtune.testing: experiments from recorded events, without Ray."""

import math

import pyarrow.fs as pafs
import pytest

from nbtune import testing
from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.commands import StopExperiment, StopTrial
from nbtune.engine.protocol.events import TrialStarted
from nbtune.engine.protocol.source import SourceLostError
from nbtune.engine.storage.log import EventLog


def test_an_example_is_an_experiment():
    experiment = testing.replay(testing.example(trials=6, reports=5, failing=2))
    assert experiment.status == "finished"
    assert len(experiment.df) == 6
    assert experiment.df["status"].tolist()[-2:] == ["failed", "failed"]
    assert set(experiment.history.columns) == {"trial", "iteration", "time_s", "accuracy", "loss"}
    assert experiment.best.metrics["accuracy"] == experiment.df.query("status != 'failed'")["accuracy"].max()


def test_the_same_seed_gives_the_same_events():
    first, second, other = (list(testing.example(3, 4, seed=seed)) for seed in (5, 5, 6))
    assert repr(first) == repr(second) != repr(other)


def test_a_stored_experiment_replays(tmp_path):
    events = list(testing.example(3, 4))
    log = EventLog(pafs.LocalFileSystem(), str(tmp_path))
    for event in events:
        log.append(event)
    log.flush()
    assert testing.replay(tmp_path).df.equals(testing.replay(events).df)


def test_a_replay_reads_from_anywhere_and_ends():
    events = [TrialStarted(number, time=float(number)) for number in range(6)]
    source = testing.Replay(decode(encode(0, events[:4]) + encode(4, events[4:])))
    for since in range(6):
        assert [row for chunk in source.read(since, 0) for row in chunk.trial] == list(range(since, 6))
    with pytest.raises(SourceLostError):
        source.read(6, 0)


def test_a_slow_replay_returns_only_due_events():
    events = [TrialStarted(0, time=0.0), TrialStarted(1, time=1e9)]
    source = testing.Replay(decode(encode(0, events)), speed=1.0)
    assert [row for chunk in source.read(0, 0) for row in chunk.trial] == [0]
    assert source.read(1, 0) == []


def test_a_replay_records_commands():
    source = testing.Replay([], speed=math.inf)
    source.send(StopTrial(3))
    source.send(StopExperiment())
    assert source.commands == [StopTrial(3), StopExperiment()]
