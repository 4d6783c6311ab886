"""The contract of sources of events: the same tests for a driver, a stored log, a folder of Ray Tune and a replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nbtune
from nbtune import testing
from nbtune.engine.client.drivers import find
from nbtune.engine.client.stored import events_since, open_experiment
from nbtune.engine.protocol.chunk import Chunk
from nbtune.engine.protocol.commands import StopTrial
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.engine.protocol.events import Event, TrialAdded, TrialReported
from nbtune.engine.protocol.source import RefusedError, Source, SourceLostError
from nbtune.engine.storage.storage import Storage

SOURCES = ("driver", "stored", "foreign", "replay")
PATIENCE = 0.3  # seconds that a read waits for news


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def finished(cluster: Any, folder: Path) -> Any:
    """A finished experiment with its log in storage."""

    def train(config: dict[str, Any]) -> None:
        for step in range(5):
            nbtune.report(acc=config["a"] * step)

    space = {"a": nbtune.grid_search([1, 2, 3])}
    return nbtune.tune(train, space, metric="acc", mode="max", storage=str(folder), wait=False).wait(120)


@pytest.fixture(scope="module")
def foreign(cluster: Any, folder: Path) -> Path:
    """The folder of an experiment of Ray Tune without nbtune."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        for step in range(5):
            tune.report({"acc": config["a"] * step})

    space = {"a": tune.grid_search([1, 2])}
    tune.Tuner(train, param_space=space, run_config=tune.RunConfig(name="foreign", storage_path=str(folder))).fit()
    return folder / "foreign"


@pytest.fixture(scope="module")
def running(cluster: Any, folder: Path) -> Iterator[Any]:
    """An experiment that runs until all tests of this file have finished."""
    gate = str(folder / "gate")

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        for step in range(5):
            nbtune.report(acc=step)
        while not os.path.exists(gate):
            time.sleep(0.05)

    space = {"a": nbtune.grid_search([1, 2])}
    experiment = nbtune.tune(train, space, metric="acc", mode="max", cpus=0.25, storage=str(folder), wait=False)
    yield experiment
    Path(gate).touch()
    experiment.wait(60)


@pytest.fixture
def source(request: pytest.FixtureRequest, until: Callable[..., None]) -> Source:
    kind = request.param
    if kind == "driver":
        running = request.getfixturevalue("running")
        until(lambda: len(running.history) == 10, "all reports")
        (found,) = find(NAMESPACE, events_since, lambda info: info.where.place == running.path).drivers
        return found[0]
    if kind == "replay":
        return testing.Replay(testing.recorded(request.getfixturevalue("finished").path))
    path = request.getfixturevalue("foreign") if kind == "foreign" else request.getfixturevalue("finished").path
    return open_experiment(Storage(str(path)))


def all_of(source: Source, since: int = 0) -> list[Chunk]:
    """Read until there are no more events."""
    chunks: list[Chunk] = []
    while True:
        try:
            more = source.read(since, PATIENCE)
        except SourceLostError:
            return chunks
        if not more:
            return chunks
        chunks += more
        since = more[-1].end


def events(chunks: list[Chunk]) -> list[tuple[int, type[Event], int, int]]:
    """Return number, kind, trial and iteration of every event."""
    return [
        (chunk.first + row, type(event), event.trial, event.iteration)
        for chunk in chunks
        for row, event in enumerate(chunk.events())
    ]


each = pytest.mark.parametrize("source", SOURCES, indirect=True)


@each
def test_events_are_numbered_from_0_without_a_gap(source: Source) -> None:
    read = events(all_of(source))
    assert len(read) > 10
    assert [number for number, *_ in read] == list(range(len(read)))


@each
def test_a_read_returns_the_events_from_a_number(source: Source) -> None:
    whole = events(all_of(source))
    for since in (1, 2, len(whole) // 2, len(whole) - 1):
        assert events(all_of(source, since)) == whole[since:], since


@each
def test_events_of_a_trial_are_in_order(source: Source) -> None:
    added: set[int] = set()
    made: dict[int, list[int]] = {}
    for _, kind, trial, iteration in events(all_of(source)):
        if kind is TrialAdded:
            added.add(trial)
        elif kind is TrialReported:
            assert trial in added
            made.setdefault(trial, []).append(iteration)
    assert len(made) > 1
    assert all(iterations == [1, 2, 3, 4, 5] for iterations in made.values()), made


@each
def test_chunks_do_not_change_when_more_is_read(source: Source) -> None:
    first = all_of(source)
    before = events(first)
    all_of(source)
    assert events(first) == before


@each
def test_a_read_without_new_events_times_out(source: Source) -> None:
    end = all_of(source)[-1].end
    began = time.monotonic()
    with suppress(SourceLostError):
        assert source.read(end, PATIENCE) == []
    assert time.monotonic() - began < 30 + PATIENCE


@each
def test_a_command_is_executed_or_rejected_with_a_reason(source: Source) -> None:
    if isinstance(source, testing.Replay):
        source.send(StopTrial(10_000))
        assert source.commands == [StopTrial(10_000)]
        return
    with pytest.raises((RefusedError, SourceLostError), match=r"\w+"):
        source.send(StopTrial(10_000))


@each
def test_closing_twice_and_without_reading(source: Source) -> None:
    source.close()
    source.close()
