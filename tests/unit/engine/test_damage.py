"""Damaged event logs: what is readable is shown, what is missing is told, and nothing crashes.

Each damage is looked at in a process of its own, forked from this one, so that a crash is a failure and not the end.
"""

import os
import random
import struct
import traceback
import zlib
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pytest

import nbtune
from nbtune.engine.protocol.chunk import decode, decode_damaged, encode
from nbtune.engine.protocol.events import (
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.frames import _HEADER, _SIZE, FORMAT, make_frame
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.protocol.result import tune_result, user_metrics
from nbtune.engine.protocol.trust import OWN, experiment_key
from nbtune.engine.storage import log as log_module
from nbtune.engine.storage.launch_spec import Launch
from nbtune.engine.storage.log import EventLog, read_log
from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.snapshot import read_large, write_large
from nbtune.engine.storage.storage import Storage
from nbtune.errors import ExperimentError
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

LOCAL = pafs.LocalFileSystem()
TRIALS, REPORTS = 3, 30
DAMAGES = int(os.environ.get("NBTUNE_DAMAGES", "500"))


def events():
    yield ExperimentUpdated(
        time=1.0, metadata={"status": "running", "name": "d", "metric": "a", "mode": "max", "trials": 3}
    )
    for trial in range(TRIALS):
        yield TrialAdded(trial, 1.0, ray_id=f"abc_{trial}", folder=f"t{trial}", config={"lr": trial})
        yield TrialStarted(trial, 1.0)
    for step in range(1, REPORTS + 1):
        for trial in range(TRIALS):
            yield TrialReported(trial, 1.0 + step, step, float(step), metrics={"a": step / 7, "text": "x" * (step % 5)})
    for trial in range(TRIALS):
        yield TrialEnded(trial, 99.0, status="finished", reason="done")
    yield ExperimentUpdated(time=100.0, metadata={"status": "finished"})


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(log_module, "_SEGMENT_EVENTS", 40)
    monkeypatch.setattr(log_module, "_FRAME_EVENTS", 8)


def write(folder, *, drivers=1):
    """Write the log of an experiment that has finished, by several drivers one after the other."""
    every = list(events())
    parts = [every[number * len(every) // drivers : (number + 1) * len(every) // drivers] for number in range(drivers)]
    for epoch, part in enumerate(parts, 1):
        log = EventLog(LOCAL, str(folder), epoch)
        for number, event in enumerate(part):
            log.append(event)
            if number % 13 == 0:
                log.flush()
        log.flush()
    return len(every)


def segments(folder):
    return sorted((folder / FOLDER).glob("events-*.arrow"))


def look(folder):
    """Use every view of a stored experiment; return its status, its reports and what is said about damage."""
    experiment = nbtune.load(str(folder))
    frame, history = experiment.df, experiment.history
    text = repr(experiment) + str(experiment._repr_mimebundle_())
    assert len(history) <= TRIALS * REPORTS
    assert not history.duplicated(["trial", "iteration"]).any()
    for row in history.itertuples():  # whatever is shown was reported
        assert row.a == row.iteration / 7
    statuses = dict(frame["status"]) if len(frame) else {}
    is_complete = len(history) == TRIALS * REPORTS and list(statuses.values()) == ["finished"] * TRIALS
    warning = experiment._store.metadata.get("warning", "")
    assert not warning or warning in text
    return experiment.status, is_complete, warning, str(experiment.error or "")


def judge(folder, whole):
    """Return why what is shown of a damaged experiment is wrong; None if it is right."""
    try:
        status, is_complete, warning, error = look(folder)
    except ExperimentError as refused:
        return None if str(refused) else "refused without a reason"
    if status == "unread":
        return f"unread: {error}"
    if status == "finished" and not is_complete and not warning:
        return "finished, but rows are missing and nothing is said"
    if not is_complete and not (warning or error):
        return "rows are missing and nothing is said"
    if whole and (not is_complete or warning):
        return "nothing is missing, but something is said"
    return None


def in_process(check):
    """Return what a check returns in a forked process, or how that process has ended."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(receive)
            try:
                answer = check()
            except BaseException:
                answer = traceback.format_exc()
            os.write(send, (answer or "").encode()[:60_000])
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return f"the process has ended with {status}" if status else answer or None


def damage(numbers, folder):
    """Damage the log at random; return what was done, and whether no event can be lost by it."""
    files = segments(folder)
    path = numbers.choice(files)
    data = bytearray(path.read_bytes())
    kind = numbers.choice(
        [
            "flip",
            "flip",
            "bits",
            "truncate",
            "insert",
            "delete",
            "zero",
            "swap",
            "copy",
            "remove",
            "append",
            "overwrite",
        ]
    )
    start = numbers.randrange(len(data))
    size = numbers.choice([1, 4, 8, 100, 1000])
    if kind == "flip":
        for _ in range(numbers.randint(1, 4)):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
    elif kind == "bits":
        data[start] ^= 1 << numbers.randrange(8)
    elif kind == "truncate":
        del data[start:]
    elif kind == "insert":
        data[start:start] = numbers.randbytes(size)
    elif kind == "delete":
        del data[start : start + size]
    elif kind == "zero":
        data[start : start + size] = bytes(len(data[start : start + size]))
    elif kind == "append":
        data += numbers.choice([numbers.randbytes(size), bytes(size), b"\xff" * 8, bytes(data[:size])])
    elif kind == "overwrite":  # a number in the middle, as large as possible
        struct.pack_into("<q", data, min(start, len(data) - 8), numbers.choice([2**62, -1, 2**31, 2**40]))
    elif kind == "copy":
        (path.parent / path.name.replace(path.name[7:17], f"{numbers.randrange(1000):010}")).write_bytes(data)
        return f"{kind} {path.name}"
    path.write_bytes(data)
    if kind == "remove":
        path.unlink()
    elif kind == "swap" and (others := [file for file in files if file != path]):
        other = numbers.choice(others)
        content = other.read_bytes()
        other.write_bytes(data)
        path.write_bytes(content)
    return f"{kind} {path.name} at {start}, {size}"


@pytest.mark.parametrize("drivers", [1, 3])
def test_random_damage(tmp_path, small, drivers):
    write(tmp_path, drivers=drivers)
    whole = {path: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()}
    assert in_process(lambda: judge(tmp_path, whole=True)) is None

    def check(seeds):
        """Look at damages until one is shown wrongly; return which one, and how."""
        for seed in seeds:
            for path in (tmp_path / FOLDER).iterdir():
                path.unlink()
            for path, data in whole.items():
                path.write_bytes(data)
            done = damage(random.Random(seed), tmp_path)
            if (answer := judge(tmp_path, whole=False)) is not None:
                return f"damage {seed}, {done}: {answer}"
        return None

    # Several damages in a process, since a fork takes longer than a look; after a crash, each by itself.
    for first in range(0, DAMAGES // 2, 10):
        seeds = range(first, first + 10)
        if in_process(partial(check, seeds)) is not None:
            assert [answer for seed in seeds if (answer := in_process(partial(check, [seed])))] == []


def test_one_wrong_byte_loses_only_its_frame(tmp_path, small):
    total = write(tmp_path)
    path = segments(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    chunks = read_log(LOCAL, str(tmp_path))
    assert total - sum(map(len, chunks)) <= 8
    assert chunks[-1].end == total
    experiment = nbtune.load(str(tmp_path))
    assert experiment.status == "finished"
    assert "are damaged or missing" in repr(experiment)


@pytest.mark.parametrize("position", [0, 1, 2, -1])
@pytest.mark.parametrize("kind", ["missing", "empty", "a folder", "no link", "garbage"])
def test_a_lost_segment_hides_nothing_after_it(tmp_path, small, position, kind):
    total = write(tmp_path)
    path = segments(tmp_path)[position]
    lost = sum(map(len, decode(path.read_bytes())))
    content = path.read_bytes()
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "no link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind in ("empty", "garbage"):
        path.write_bytes(b"" if kind == "empty" else bytes(len(content)))
    chunks = read_log(LOCAL, str(tmp_path))
    assert sum(map(len, chunks)) == total - lost
    assert chunks[-1].end == total
    assert judge(tmp_path, whole=False) is None


def test_the_files_of_a_whole_driver_are_missing(tmp_path, small):
    total = write(tmp_path, drivers=3)
    for path in segments(tmp_path):
        if "-000002-" in path.name:
            path.unlink()
    chunks = read_log(LOCAL, str(tmp_path))
    assert (chunks[0].first, chunks[-1].end) == (0, total)
    assert judge(tmp_path, whole=False) is None


def test_the_next_driver_continues_after_the_damage_and_writes_over_nothing(tmp_path, small):
    total = write(tmp_path)
    path = segments(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-40])
    damaged = path.read_bytes()
    log = EventLog(LOCAL, str(tmp_path), 2)
    assert len(log) == total
    log.append(TrialStarted(7))
    log.flush()
    assert path.read_bytes() == damaged
    read = [chunk for data in log.read(0) for chunk in decode(data)]
    for chunks in (read, log.chunks(), read_log(LOCAL, str(tmp_path))):
        assert chunks[-1].first == total
        assert chunks[-1].trial.tolist() == [7]
        assert sum(map(len, chunks)) < total + 1


def test_a_last_segment_of_unknown_length_is_continued_after_it(tmp_path, small):
    total = write(tmp_path)
    (mark,) = (tmp_path / FOLDER).glob("end-*")
    mark.unlink()
    path = segments(tmp_path)[-1]
    first = int(path.name[7:17])
    path.write_bytes(b"garbage")
    log = EventLog(LOCAL, str(tmp_path), 2)
    assert first < len(log) <= total
    log.append(TrialStarted(7))
    log.flush()
    assert [chunk.first for chunk in read_log(LOCAL, str(tmp_path))][-1] == len(log) - 1


def test_another_format_is_told_in_one_sentence(tmp_path, small):
    write(tmp_path / "new")
    for path in segments(tmp_path / "new"):
        data = bytearray(path.read_bytes())
        header = _HEADER.pack(*[*_HEADER.unpack_from(data)[:1], FORMAT + 1, *_HEADER.unpack_from(data)[2:]])
        data[:_SIZE] = header + struct.pack("<I", zlib.crc32(header))
        path.write_bytes(data)
    (tmp_path / "old" / FOLDER).mkdir(parents=True)
    (tmp_path / "old" / FOLDER / "events-0000000000.arrow").write_bytes(b"\xff\xff\xff\xff")
    for name, number in (("new", FORMAT + 1), ("old", FORMAT - 1)):
        with pytest.raises(ExperimentError, match=f"format {number}, and this version of nbtune reads format {FORMAT}"):
            nbtune.load(str(tmp_path / name))
    frame = nbtune.experiments(str(tmp_path))
    assert len(frame) == 2
    assert frame["status"].str.contains("reads format").all()


def test_a_stream_with_a_valid_checksum_is_validated_before_it_is_used():
    """Offsets of text that point outside its buffer crash Arrow when the text is read."""
    data = encode(0, [ExperimentUpdated(time=1.0, metadata={"status": "running"}), TrialStarted(0)])
    stream = data[_SIZE:]
    length = len(b'{"status": "running"}')
    offsets = struct.pack("<3i", 0, length, length)
    assert stream.count(offsets) == 1
    hostile = make_frame(0, 2, stream.replace(offsets, struct.pack("<3i", 0, 0x7F000000, length)))
    assert in_process(lambda: str(decode_damaged(hostile))) == str(decode_damaged(b"\0")).replace("end=None", "end=2")
    assert decode(data), "the frame itself is readable"


@pytest.mark.parametrize(
    "batch",
    [
        {"kind": pa.array([1], pa.int8())},
        {name: pa.array(["x"]) for name in ("kind", "trial", "time", "iteration", "time_s", "rank", "data")},
        {"kind": pa.array([99], pa.int8())},
    ],
)
def test_a_stream_that_is_not_a_chunk_counts_as_damaged(batch):
    sink = pa.BufferOutputStream()
    table = pa.record_batch(batch)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    decoded = decode_damaged(make_frame(3, 1, sink.getvalue().to_pybytes()))
    assert decoded == ([], 4, True)


@pytest.mark.parametrize("damaged", [b"", b"\0", b"\0" * 100, b"garbage" * 50, "cut", "wrong byte"])
def test_a_damaged_file_of_the_snapshot_is_told_and_not_unpickled(tmp_path, damaged):
    (tmp_path / FOLDER).mkdir()
    values = [np.arange(1000), {"a": 1}]
    launch = Launch(Spec(), Space(), b"", len(values), "", Storage(""), None)
    write_large(LOCAL, str(tmp_path), values, experiment_key("x"))
    first, second = read_large(LOCAL, str(tmp_path), launch, OWN)
    assert (first == values[0]).all()
    assert second == values[1]
    path = tmp_path / FOLDER / "large-0-0.bin"
    data = path.read_bytes()
    if isinstance(damaged, str):
        damaged = data[:-8] if damaged == "cut" else data[:500] + bytes([data[500] ^ 1]) + data[501:]
    path.write_bytes(damaged)
    with pytest.raises(ExperimentError, match=r"large-0-0.bin is damaged, so the experiment cannot be resumed"):
        list(read_large(LOCAL, str(tmp_path), launch, OWN))


def test_what_is_known_of_trials_behind_damage():
    every = list(events())
    chunks = decode(encode(0, every[:1]) + encode(3, every[3:]))
    past = past_of(chunks)
    assert past.is_damaged
    assert not past_of(decode(encode(0, every))).is_damaged
    assert sorted(past.trials) == ["abc_1", "abc_2"]
    assert (past.unnamed[0].iterations, past.unnamed[0].status) == (REPORTS, "finished")


@pytest.mark.parametrize(
    "metrics", [{"a": 1}, {"done": 7, "config": {"x": 1}, "acc": 0.5}, {"time_total_s": 1.5, "v": {"w": 2}}]
)
def test_a_result_of_tune_has_the_metrics_that_were_reported(metrics):
    assert user_metrics(tune_result(metrics, 3, 2.5) | {"pid": 1, "config": {}, "hostname": "h"}) == metrics
