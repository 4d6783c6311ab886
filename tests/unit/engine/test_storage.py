"""nbtune.engine.storage.storage and its log writer, repair and credentials; nbtune.cluster.resources.shared."""

import errno
import json
import os
import pickle
import resource
import signal
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from nbtune.cluster.resources import shared
from nbtune.engine.protocol.chunk import decode
from nbtune.engine.protocol.events import ExperimentUpdated, TrialStarted
from nbtune.engine.protocol.failures import (
    CheckpointNotSavedError,
    UnsavedCheckpoint,
    describe,
    format_error,
    unsaved_checkpoint,
)
from nbtune.engine.protocol.trust import EVERYTHING
from nbtune.engine.storage import log_writer as log_writer_module
from nbtune.engine.storage.credentials import object_store_variables
from nbtune.engine.storage.deletions import Deletions
from nbtune.engine.storage.lease import acquire
from nbtune.engine.storage.log import EventLog, read_log, write_atomically
from nbtune.engine.storage.log_writer import LogWriter
from nbtune.engine.storage.owner import this_process
from nbtune.engine.storage.repair import copy_without_trials, repair, set_damaged_aside
from nbtune.engine.storage.snapshot import write_large
from nbtune.engine.storage.storage import Storage, create_private_folder, has_credentials, write_private
from nbtune.errors import ExperimentError, SpecError

LOCAL = pafs.LocalFileSystem()


@pytest.mark.parametrize(
    ("place", "joined"),
    [
        ("/a/b", "/a/b/x"),
        ("/a/b/", "/a/b/x"),
        ("/what?/b", "/what?/b/x"),
        ("s3://bucket", "s3://bucket/x"),
        ("s3://bucket/p/?region=eu&scheme=http", "s3://bucket/p/x?region=eu&scheme=http"),
        ("s3://bucket?region=eu", "s3://bucket/x?region=eu"),
    ],
)
def test_a_folder_in_a_storage(place, joined):
    assert Storage(place).join("x") == Storage(joined)


def test_a_folder_on_a_filesystem_keeps_the_filesystem(tmp_path):
    storage = Storage("odd?name", pafs.SubTreeFileSystem(str(tmp_path), LOCAL))
    joined = storage.join("x")
    assert joined.place == "odd?name/x"
    joined.probe()
    assert (tmp_path / "odd?name" / "x").is_dir()
    assert pickle.loads(pickle.dumps(joined)).open()[1] == "odd?name/x"


@pytest.mark.parametrize(
    ("place", "redacted"),
    [
        ("/a/key:secret@b", "/a/key:secret@b"),
        ("s3://bucket/p?region=eu", "s3://bucket/p?region=eu"),
        ("s3://ME:SECRET@bucket/p", "s3://***@bucket/p"),
        ("abfs://container@account/p", "abfs://container@account/p"),
        ("abfs://c@a/p?sas_token=SECRET&x=1", "abfs://c@a/p?sas_token=***&x=1"),
    ],
)
def test_a_storage_is_shown_without_its_secrets(place, redacted):
    assert Storage(place).redacted == redacted


def test_error_on_opening_hides_secrets():
    with pytest.raises(ExperimentError, match="cannot open the storage") as error:
        Storage("nope://me:SECRET@there/x").open()
    assert "SECRET" not in str(error.value)


def test_which_storages_are_folders_of_this_machine(tmp_path):
    assert Storage(str(tmp_path)).local_path == str(tmp_path)
    assert Storage(f"file://{tmp_path}").local_path == str(tmp_path)
    assert Storage("x", pafs.SubTreeFileSystem(str(tmp_path), LOCAL)).local_path == f"{tmp_path}/x"
    assert Storage("mock://x/y").local_path is None


def test_a_probe_makes_the_folder_and_leaves_nothing(tmp_path):
    Storage(str(tmp_path / "a" / "b")).probe()
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match="storage=…: cannot write to .*file/x': "):
        Storage(str(tmp_path / "file" / "x")).probe()


class Handler(pafs.FSSpecHandler):
    """A handler that cannot be pickled."""

    def __init__(self):
        self.lock = threading.Lock()


def test_filesystem_that_cannot_be_pickled():
    with pytest.raises(ExperimentError, match="storage_filesystem=…: cannot pickle PyFileSystem"):
        Storage("x", pafs.PyFileSystem(Handler())).probe()


def test_environment_variables_of_object_stores():
    plain, secret = object_store_variables({
        "AWS_PROFILE": "p", "AWS_ENDPOINT_URL": "http://x", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ACCESS_KEY_ID": "i",
        "AWS_SESSION_TOKEN": "t", "AWS_NEWER_THAN_THIS": "n", "GOOGLE_APPLICATION_CREDENTIALS": "/file",
        "AZURE_STORAGE_KEY": "k", "AWS_LAMBDA_X": "l", "HOME": "/home", "MY_AWS_": "x",
    })  # fmt: skip
    assert plain == {"AWS_PROFILE": "p", "AWS_ENDPOINT_URL": "http://x", "GOOGLE_APPLICATION_CREDENTIALS": "/file"}
    assert set(secret) == {"AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_NEWER_THAN_THIS", "AZURE_STORAGE_KEY"}  # fmt: skip


# -- writing --------------------------------------------------------------------------------------


@contextmanager
def limited_file_size(size):
    """Limit the size of all files that this process writes, as a full disk does: longer writes raise OSError.

    pytest's own output is limited, too, if it goes to a file. Keep the block short.
    """
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_written_atomically(tmp_path):
    path = tmp_path / "file"
    write_atomically(LOCAL, str(path), b"before")
    with limited_file_size(1000), pytest.raises(OSError):
        write_atomically(LOCAL, str(path), b"x" * 5000)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_only_this_user_can_read_what_is_written(tmp_path, umask):
    before = os.umask(umask)
    try:
        if umask != 0o277:  # with which nobody can create anything in a folder
            lease = acquire(LOCAL, str(tmp_path / "one"), this_process(1))
            log = EventLog(LOCAL, str(tmp_path / "one"))
            log.append(TrialStarted(0))
            log.flush()
            lease.release()
            write_large(LOCAL, str(tmp_path / "one"), ["secret"], None)
        else:
            create_private_folder(LOCAL, str(tmp_path / "one"))
            write_private(LOCAL, str(tmp_path / "one" / "x"), b"x")
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "one", *(tmp_path / "one").rglob("*")]}
    assert {path for path, mode in found.items() if mode & 0o077} == set(), found


def test_a_folder_that_was_open_to_others_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    create_private_folder(LOCAL, str(tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("http://127.0.0.1:9000", False),
        ("http://user:password@127.0.0.1:9000", True),
        ("https://:token@host/path", True),
        ("user:password@host:9000", True),
        ("abfs://container@account", False),
        ("http://host/a:b@c", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_urls_with_a_password_are_secret(value, secret):
    assert has_credentials(value) == secret
    public, private = object_store_variables({"AWS_ENDPOINT_URL": value})
    assert ("AWS_ENDPOINT_URL" in private) == secret
    assert ("AWS_ENDPOINT_URL" in public) == (not secret)


def test_truncated_files_are_repaired(tmp_path):
    staging, stored = tmp_path / "staging", tmp_path / "stored"
    for folder in (staging / "trial", stored):
        folder.mkdir(parents=True)
    (staging / "experiment_state-1.json").write_bytes(b"s" * 3000)
    (staging / "trial" / "result.json").write_bytes(b"r" * 10)
    (stored / "experiment_state-1.json").write_bytes(b"s" * 100)
    (stored / "own").write_bytes(b"o")
    with limited_file_size(1000), pytest.raises(OSError):
        repair(str(staging), LOCAL, str(stored))
    assert sorted(path.name for path in stored.rglob("*")) == ["own", "result.json", "trial"], (
        "a truncated snapshot was kept"
    )
    repair(str(staging), LOCAL, str(stored))
    assert (stored / "experiment_state-1.json").read_bytes() == b"s" * 3000


def test_a_failed_checkpoint_is_recognized_by_its_type():
    error = CheckpointNotSavedError("/some/where", OSError(errno.ENOSPC, "No space left on device"))
    reason = "the checkpoint could not be saved in /some/where: No space left on device"
    failure = pickle.loads(pickle.dumps(format_error(error, {})))
    assert describe(failure)["error"] == f"OSError: [Errno 28] {reason}"
    assert unsaved_checkpoint(failure) == UnsavedCheckpoint(errno.ENOSPC, reason)
    assert unsaved_checkpoint(format_error(OSError(errno.ENOSPC, reason), {})) is None
    assert repr(pickle.loads(pickle.dumps(error))) == repr(OSError(errno.ENOSPC, reason))


def test_a_failed_checkpoint_is_recognized_in_the_exception_that_ray_makes_of_it():
    from ray.exceptions import RayTaskError

    failure = format_error(CheckpointNotSavedError("/t", FULL), {})
    wrapped = RayTaskError("run", "Traceback", failure).as_instanceof_cause()
    assert unsaved_checkpoint(wrapped) == failure.unsaved
    assert describe(wrapped)["error"] == failure.summary


# -- the log writer -------------------------------------------------------------------------------


class Log(EventLog):
    """A log whose `flush` raises `failing`, unless that is None."""

    failing = None

    def flush(self):
        if self.failing is not None:
            raise self.failing
        super().flush()


@pytest.fixture
def log(tmp_path):
    return Log(LOCAL, str(tmp_path))


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `sleep` and assignments to `now` advance."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

        def time(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(log_writer_module, "time", clock)
    return clock


FULL, UNREACHABLE = OSError(errno.ENOSPC, "No space left on device"), OSError("nobody answers")


def logged_errors(log):
    chunks = [chunk for data in log.read(0) for chunk in decode(data)]
    return [event.metadata["error"] for chunk in chunks for event in chunk.events_of(ExperimentUpdated)]


def test_a_temporary_failure_is_logged_and_cleared(log, tmp_path, clock):
    ended = []
    writer = LogWriter(log, "s3://b", lambda: ended.append(1))
    log.append(TrialStarted(0))
    log.failing = UNREACHABLE
    assert not writer.flush()
    assert not writer.flush()
    assert logged_errors(log) == ["cannot write to the storage s3://b: nobody answers. Retrying"]
    log.failing = None
    assert writer.flush()
    assert logged_errors(log)[1:] == [None]
    writer.flush()
    assert sum(map(len, read_log(LOCAL, str(tmp_path)))) == 3
    assert not ended
    assert writer.failure is None


@pytest.mark.parametrize(("error", "timeout"), [(FULL, 5), (UNREACHABLE, 60)])
def test_a_lasting_failure_ends_the_experiment_once(log, clock, error, timeout):
    ended = []
    writer = LogWriter(log, "/disk", lambda: ended.append(clock.now))
    log.failing = error
    for _ in range(timeout + 20):
        writer.flush()
        clock.now += 1
    assert ended == [timeout]
    assert "the experiment has ended because its storage /disk failed: " in writer.failure
    assert logged_errors(log)[-1] == writer.failure
    log.failing = None
    writer.flush()
    assert logged_errors(log)[-1] == writer.failure, "the reason of the end was cleared"


@pytest.mark.parametrize(
    ("error", "final", "ends"),
    [(FULL, True, True), (FULL, False, False), (UNREACHABLE, True, False), (None, True, False)],
)
def test_trials_that_cannot_save(log, clock, error, final, ends):
    ended = []
    writer = LogWriter(log, "/disk", lambda: ended.append(1))
    failure = format_error(CheckpointNotSavedError("/disk/t", error) if error else ValueError("x"), {})
    writer.on_trial_failure(failure.unsaved, final=final)
    assert bool(ended) == ends
    assert writer.has_failed == (error is not None)


def test_writing_is_retried_for_some_minutes_after_the_end(log, clock):
    repaired = []
    writer = LogWriter(log, "/disk", lambda: None, lambda: repaired.append(clock.now))
    log.append(TrialStarted(0))
    log.failing = FULL
    writer.flush_until_given_up()
    assert clock.now == 5, "gave up too early or too late"
    assert not writer.retry_after_end()
    assert 300 <= clock.now - 5 < 320
    log.failing = None
    assert writer.retry_after_end()
    assert repaired


def test_repair_is_retried(log, clock):
    attempts = []

    def fail_three_times():
        attempts.append(1)
        if len(attempts) < 4:
            raise FULL

    writer = LogWriter(log, "/disk", lambda: None, fail_three_times)
    assert writer.flush_and_repair()
    assert not attempts, "storage had not failed"
    writer.on_trial_failure(UnsavedCheckpoint(errno.ENOSPC, "full"), final=True)
    assert writer.retry_after_end()
    assert len(attempts) == 4


# -- several nodes --------------------------------------------------------------------------------


def test_messages_on_nodes_that_do_not_see_the_folder():
    fine = {"checkpoints": False, "retries": False}
    assert shared._notes("/f", [], [], checkpoints=True, retries=True) == ()
    assert shared._notes("/f", ["a"], [], **fine) == ("a cannot access /f: the output of trials on it stays there",)
    (late,) = shared._notes("/f", [], ["a", "b"], checkpoints=True, retries=True)
    assert late == "a, b have not answered within 8 s whether /f exists there"
    for why, words in [("checkpoints", "may report checkpoints"), ("retries", "max_failures=… may restart")]:
        with pytest.raises(SpecError, match=f"a, b cannot access /f, and .*{words}.*s3://BUCKET"):
            shared._notes("/f", ["a", "b"], [], **{**fine, why: True})


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_there_counts_as_not_seen(tmp_path):
    (tmp_path / "marker").touch()
    assert shared._can_access(str(tmp_path / "marker"))
    tmp_path.chmod(0o500)
    assert not shared._can_access(str(tmp_path / "marker"))


def snapshot_of_tune(folder, session, *, trials=("a",)):
    """Write the files of a snapshot as Tune does: the state as JSON, the others as pickles, whatever their names are."""
    (folder / f"experiment_state-{session}.json").write_text(json.dumps({"trial_data": list(trials)}))
    (folder / f"basic-variant-state-{session}.json").write_bytes(pickle.dumps({"x": 1}))
    (folder / f"callback-states-{session}.pkl").write_bytes(pickle.dumps({}))
    (folder / "tuner.pkl").write_bytes(pickle.dumps([1]))


@pytest.mark.parametrize("name", ["experiment_state-{}.json", "basic-variant-state-{}.json", "callback-states-{}.pkl"])
@pytest.mark.parametrize("damage", [b"", b"\0" * 50, "cut"])
def test_a_damaged_snapshot_of_tune_is_set_aside(tmp_path, name, damage):
    first, second = "2026-01-01_00-00-00", "2026-01-02_00-00-00"
    for session in (first, second):
        snapshot_of_tune(tmp_path, session)
    assert set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
    assert not list(tmp_path.glob("damaged-*")), "nothing is damaged"
    path = tmp_path / name.format(second)
    data = path.read_bytes()[:-3] if damage == "cut" else damage
    path.write_bytes(data)
    assert set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {}), "the earlier snapshot is intact"
    assert not [file for file in tmp_path.iterdir() if second in file.name and not file.name.startswith("damaged-")]
    assert (tmp_path / f"damaged-{path.name}.bin").read_bytes() == data
    (tmp_path / name.format(first)).write_bytes(data)
    assert not set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})


@pytest.mark.parametrize("state", [b"7", b'{"seen": 7}', b"PK\x03\x04 a ZIP archive", pickle.dumps(1) + b"more"])
def test_a_search_algorithm_may_write_its_state_in_any_format(tmp_path, state):
    session = "2026-01-01_00-00-00"
    snapshot_of_tune(tmp_path, session)
    path = tmp_path / f"searcher-state-{session}.pkl"
    path.write_bytes(state)
    assert set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
    assert path.read_bytes() == state
    for damaged in (b"", b"\0" * 50, pickle.dumps(list(range(9)))[:-3]):
        path.write_bytes(damaged)
        assert not set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
        for file in tmp_path.glob("damaged-*"):
            file.unlink()
        snapshot_of_tune(tmp_path, session)


def test_a_snapshot_without_trials_is_not_restored_by_tune_and_kept(tmp_path):
    session = "2026-01-02_00-00-00"
    snapshot_of_tune(tmp_path, session, trials=())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert not set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
    copied = {path.name: path.read_bytes() for path in Path(copy_without_trials(LOCAL, str(tmp_path))).iterdir()}
    assert copied == {name: content for name, content in before.items() if name != "tuner.pkl"}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    snapshot_of_tune(tmp_path, "2026-01-01_00-00-00")
    assert set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
    assert not (tmp_path / f"experiment_state-{session}.json").exists(), "Tune would restore it, since it is the latest"


def test_a_folder_without_a_snapshot_of_tune(tmp_path):
    assert copy_without_trials(LOCAL, str(tmp_path)) is None
    assert not set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})
    snapshot_of_tune(tmp_path, "2026-01-01_00-00-00")
    (tmp_path / "tuner.pkl").write_bytes(b"")
    assert not set_damaged_aside(LOCAL, str(tmp_path), EVERYTHING, {})


def test_a_checkpoint_is_deleted_after_the_log_has_its_successor(log, tmp_path):
    old = tmp_path / "t" / "checkpoint_000000"
    old.mkdir(parents=True)
    deletions = Deletions(log)
    writer = LogWriter(log, "/x", lambda: None, deletions=deletions)
    log.append(TrialStarted(0))
    deletions.add(LOCAL, str(old))
    deletions.run(0)
    assert old.exists()
    assert writer.flush_and_repair()
    assert not old.exists()
    deletions.add(LOCAL, str(old))  # it is gone
    assert writer.flush_and_repair()


def test_a_checkpoint_that_a_trial_starts_from_is_deleted_after_the_log_has_the_next_one(log, tmp_path):
    old, other = tmp_path / "t" / "checkpoint_000000", tmp_path / "t" / "checkpoint_000001"
    for folder in (old, other):
        folder.mkdir(parents=True)
    deletions, needed = Deletions(log), {str(old)}
    deletions.needed = lambda: needed
    log.append(TrialStarted(0))
    deletions.add(LOCAL, str(old))
    deletions.add(LOCAL, str(other))
    for _ in range(2):
        deletions.run(len(log))
        assert old.exists()
        assert not other.exists()
    stored = len(log)
    log.append(TrialStarted(1))  # stands for the checkpoint of the trial that has started from it
    needed.clear()
    for _ in range(2):
        deletions.run(stored)
        assert old.exists(), "the log in storage still says that the trial starts from it"
    deletions.run(len(log))
    assert not old.exists()
