"""nbtune.engine.storage.log: numbered, stored, and never lost."""

import threading

import pyarrow.fs as pafs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtune.engine.protocol.chunk import decode
from nbtune.engine.protocol.events import TrialReported, TrialStarted
from nbtune.engine.storage import log as log_module
from nbtune.engine.storage.log import EventLog, read_log
from nbtune.engine.storage.segments import FOLDER, has_log

LOCAL = pafs.LocalFileSystem()


@pytest.fixture
def log(tmp_path):
    return EventLog(LOCAL, str(tmp_path))


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(log_module, "_SEGMENT_EVENTS", 10)


def add(log, count):
    for _ in range(count):
        log.append(TrialReported(len(log), iteration=len(log), metrics={"x": len(log)}))


def numbers(chunks):
    """Return the events' numbers, each checked against the number in the event itself."""
    result = []
    for chunk in chunks:
        assert chunk.trial.tolist() == list(range(chunk.first, chunk.end))
        result += range(chunk.first, chunk.end)
    return result


def read(log, since):
    return numbers([chunk.since(since) for data in log.read(since) for chunk in decode(data)])


def stored(path):
    return numbers(read_log(LOCAL, str(path)))


def test_events_are_numbered_from_zero(log):
    assert len(log) == 0
    assert log.read(0) == []
    add(log, 3)
    assert len(log) == 3
    assert read(log, 0) == [0, 1, 2]


@pytest.mark.parametrize("flushed", [False, True])
def test_reading_from_anywhere(log, small_segments, flushed):
    add(log, 35)
    if flushed:
        log.flush()
    for since in range(38):
        assert read(log, since) == list(range(since, 35))


def test_a_segment_is_sealed_when_it_is_full(log, tmp_path, small_segments):
    add(log, 25)
    log.flush()
    names = sorted(path.name for path in (tmp_path / FOLDER).iterdir())
    assert names == [f"events-00000000{first}0-000001-000000.arrow" for first in range(3)]
    before = (tmp_path / FOLDER / names[0]).stat().st_mtime_ns
    add(log, 25)
    log.flush()
    assert (tmp_path / FOLDER / names[0]).stat().st_mtime_ns == before
    assert stored(tmp_path) == list(range(50))


def test_segments_have_their_real_size(log, tmp_path):
    add(log, log_module._SEGMENT_EVENTS + 1)
    log.flush()
    sizes = [sum(map(len, decode(file.read_bytes()))) for file in sorted((tmp_path / FOLDER).iterdir())]
    assert sizes == [log_module._SEGMENT_EVENTS, 1]
    assert max(map(len, read_log(LOCAL, str(tmp_path)))) == log_module._FRAME_EVENTS


def test_storage_holds_the_events_of_the_last_flush(log, tmp_path, small_segments):
    for count in range(1, 30):
        add(log, 1)
        if count % 7 == 0:
            log.flush()
            assert stored(tmp_path) == list(range(count))
    assert stored(tmp_path) == list(range(28))


def test_a_log_is_found_once_it_is_flushed(log, tmp_path):
    assert not has_log(LOCAL, str(tmp_path))
    add(log, 1)
    log.flush()
    assert has_log(LOCAL, str(tmp_path))
    assert not has_log(LOCAL, str(tmp_path / "elsewhere"))


def test_a_flush_without_new_events_writes_nothing(log, tmp_path):
    add(log, 1)
    log.flush()
    (file,) = (tmp_path / FOLDER).iterdir()
    file.unlink()
    log.flush()
    assert not file.exists()


def test_a_truncated_segment_loses_only_its_own_events(log, tmp_path, small_segments):
    add(log, 15)
    log.flush()
    last = tmp_path / FOLDER / "events-0000000010-000001-000000.arrow"
    last.write_bytes(last.read_bytes()[:-200])
    *chunks, lost = read_log(LOCAL, str(tmp_path))
    assert numbers(chunks) == list(range(10))
    assert (len(lost), lost.end) == (0, 15)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writers=st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), max_size=5), min_size=2, max_size=5))
def test_late_events_of_earlier_drivers_do_not_count(tmp_path_factory, monkeypatch, writers):
    """Drivers take over from each other while the earlier ones go on writing: each event is of the highest epoch."""
    monkeypatch.setattr(log_module, "_SEGMENT_EVENTS", 4)
    folder = str(tmp_path_factory.mktemp("log"))
    logs, views, own, expected = [], [], [], []
    for epoch, writes in enumerate(writers, 1):
        logs.append(EventLog(LOCAL, folder, epoch))
        views.append(expected)
        assert len(logs[-1]) == len(expected)
        own.append([])
        for writer, count in writes:
            writer %= epoch
            for _ in range(count):
                own[writer].append(len(own[writer]) + 1000 * writer)
                logs[writer].append(TrialReported(own[writer][-1], metrics={"x": 1}))
            logs[writer].flush()
        counting = max((index for index in range(epoch) if own[index]), default=0)
        expected = views[counting] + own[counting]
        assert [trial for chunk in read_log(LOCAL, folder) for trial in chunk.trial.tolist()] == expected
        mine = views[-1] + own[-1]
        for since in range(0, len(mine) + 1, 3):
            read = [chunk.since(since) for data in logs[-1].read(since) for chunk in decode(data)]
            assert [trial for chunk in read for trial in chunk.trial.tolist()] == mine[since:]


def test_a_partial_file_is_not_read(log, tmp_path):
    add(log, 2)
    log.flush()
    (tmp_path / FOLDER / "events-0000000002-000001-000000.arrow.part").write_bytes(b"half")
    assert stored(tmp_path) == [0, 1]


def test_on_append_is_called_for_every_event(log):
    seen = []
    log.on_append = lambda: seen.append(len(log))
    add(log, 3)
    assert seen == [1, 2, 3]


class Failing(pafs.FileSystemHandler):
    """A disk on which writes fail while `full`."""

    def __init__(self, inner):
        self.inner, self.full = inner, False

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)

    def open_output_stream(self, path, metadata):
        if self.full:
            raise OSError(28, "No space left on device")
        return self.inner.open_output_stream(path)

    def get_file_info(self, paths):
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector):
        return self.inner.get_file_info(selector)

    def create_dir(self, path, recursive):
        self.inner.create_dir(path, recursive=recursive)

    def move(self, source, target):
        self.inner.move(source, target)

    def open_input_stream(self, path):
        return self.inner.open_input_stream(path)

    def _not_implemented(self, *args):
        raise NotImplementedError

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__
    get_type_name = lambda self: "failing"  # noqa: E731
    normalize_path = lambda self, path: path  # noqa: E731
    delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _not_implemented
    copy_file = open_input_file = open_append_stream = _not_implemented


@pytest.fixture
def disk():
    return Failing(LOCAL)


def test_storage_that_fails_and_recovers_loses_nothing(tmp_path, disk, small_segments):
    log = EventLog(pafs.PyFileSystem(disk), str(tmp_path))
    add(log, 5)
    log.flush()
    disk.full = True
    add(log, 30)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            log.flush()
    assert read(log, 0) == list(range(35)), "unwritten events were lost from memory"
    assert stored(tmp_path) == list(range(5))
    add(log, 3)
    disk.full = False
    log.flush()
    assert stored(tmp_path) == list(range(38))
    assert read(log, 0) == list(range(38))


def test_writers_and_readers_at_once(log, tmp_path, small_segments):
    def write():
        for _ in range(200):
            log.append(TrialStarted(0))

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        log.flush()
        for data in log.read(seen):
            for chunk in decode(data):
                assert chunk.first <= seen
                seen = max(seen, chunk.end)
    for writer in writers:
        writer.join()
    log.flush()
    assert len(log) == 600
    assert sum(map(len, read_log(LOCAL, str(tmp_path)))) == 600
