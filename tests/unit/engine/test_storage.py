"""nbtune.engine.storage.storage and what keeps an experiment there: keeper, mend, credentials; nbtune.cluster.resources.shared."""

import errno
import os
import pickle
import resource
import signal
import threading
from contextlib import contextmanager

import pyarrow.fs as pafs
import pytest

from nbtune.cluster.resources import shared
from nbtune.engine.protocol.events import Event, decode
from nbtune.engine.protocol.failures import format_error, not_saved, unsaved
from nbtune.engine.storage import log_writer as keeper_module
from nbtune.engine.storage.credentials import object_store_variables
from nbtune.engine.storage.log import EventLog, read_log, write_whole
from nbtune.engine.storage.log_writer import Keeper
from nbtune.engine.storage.repair import mend
from nbtune.engine.storage.storage import Storage
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
    ("place", "shown"),
    [
        ("/a/key:secret@b", "/a/key:secret@b"),
        ("s3://bucket/p?region=eu", "s3://bucket/p?region=eu"),
        ("s3://ME:SECRET@bucket/p", "s3://***@bucket/p"),
        ("abfs://container@account/p", "abfs://container@account/p"),
        ("abfs://c@a/p?sas_token=SECRET&x=1", "abfs://c@a/p?sas_token=***&x=1"),
    ],
)
def test_a_storage_is_shown_without_its_secrets(place, shown):
    assert Storage(place).shown == shown


def test_what_cannot_be_opened_is_said_without_secrets():
    with pytest.raises(ExperimentError, match="cannot be opened") as error:
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
    with pytest.raises(ExperimentError, match="--storage: .*file/x' cannot be written: "):
        Storage(str(tmp_path / "file" / "x")).probe()


class Handler(pafs.FSSpecHandler):
    """A handler that cannot be pickled."""

    def __init__(self):
        self.lock = threading.Lock()


def test_a_filesystem_that_cannot_travel():
    with pytest.raises(ExperimentError, match="--storage-filesystem: PyFileSystem cannot travel"):
        Storage("x", pafs.PyFileSystem(Handler())).probe()


def test_what_the_environment_says_of_object_stores():
    plain, secret = object_store_variables({
        "AWS_PROFILE": "p", "AWS_ENDPOINT_URL": "http://x", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ACCESS_KEY_ID": "i",
        "AWS_SESSION_TOKEN": "t", "AWS_NEWER_THAN_THIS": "n", "GOOGLE_APPLICATION_CREDENTIALS": "/file",
        "AZURE_STORAGE_KEY": "k", "AWS_LAMBDA_X": "l", "HOME": "/home", "MY_AWS_": "x",
    })  # fmt: skip
    assert plain == {"AWS_PROFILE": "p", "AWS_ENDPOINT_URL": "http://x", "GOOGLE_APPLICATION_CREDENTIALS": "/file"}
    assert set(secret) == {"AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_NEWER_THAN_THIS", "AZURE_STORAGE_KEY"}  # fmt: skip


# -- writing --------------------------------------------------------------------------------------


@contextmanager
def full(size):
    """Lets a file have no more than so many bytes: what is written behind raises OSError, as on a full disk.

    All files of this process: pytest's own output, too, where it goes to a file. So it lasts no longer than needed.
    """
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_whole(LOCAL, str(path), b"before")
    with full(1000), pytest.raises(OSError):
        write_whole(LOCAL, str(path), b"x" * 5000)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_were_cut_off_are_mended(tmp_path):
    staging, there = tmp_path / "staging", tmp_path / "there"
    for folder in (staging / "trial", there):
        folder.mkdir(parents=True)
    (staging / "experiment_state-1.json").write_bytes(b"s" * 3000)
    (staging / "trial" / "result.json").write_bytes(b"r" * 10)
    (there / "experiment_state-1.json").write_bytes(b"s" * 100)
    (there / "own").write_bytes(b"o")
    with full(1000), pytest.raises(OSError):
        mend(str(staging), LOCAL, str(there))
    assert sorted(path.name for path in there.rglob("*")) == ["own", "result.json", "trial"], "half a snapshot is left"
    mend(str(staging), LOCAL, str(there))
    assert (there / "experiment_state-1.json").read_bytes() == b"s" * 3000


def test_a_failure_to_save_is_known_by_its_text():
    said = not_saved("/some/where", OSError(errno.ENOSPC, "No space left on device"))
    summary = format_error(said, {}).summary
    assert unsaved(summary) == (
        errno.ENOSPC,
        "the checkpoint could not be saved in /some/where: No space left on device",
    )
    assert unsaved("OSError: [Errno 28] No space left on device") == (0, None)


# -- the keeper -----------------------------------------------------------------------------------


class Log(EventLog):
    """A log whose storage fails while `failing`."""

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
    """Time that passes when it is told to."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

        def time(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(keeper_module, "time", clock)
    return clock


FULL, AWAY = OSError(errno.ENOSPC, "No space left on device"), OSError("nobody answers")


def told(log):
    chunks = [chunk for data in log.read(0) for chunk in decode(data)]
    return [data["error"] for chunk in chunks for data in chunk.data.values()]


def test_a_fault_that_passes_is_told_and_taken_back(log, tmp_path, clock):
    ended = []
    keeper = Keeper(log, "s3://b", lambda: ended.append(1))
    log.append(Event("started", 0))
    log.failing = AWAY
    assert not keeper.flush()
    assert not keeper.flush()
    assert told(log) == ["the storage s3://b takes nothing: nobody answers. It is tried again"]
    log.failing = None
    assert keeper.flush()
    assert told(log)[1:] == [None]
    keeper.flush()
    assert sum(map(len, read_log(LOCAL, str(tmp_path)))) == 3
    assert not ended
    assert keeper.fault is None


@pytest.mark.parametrize(("error", "patience"), [(FULL, 5), (AWAY, 60)])
def test_a_fault_that_lasts_ends_the_experiment_once(log, clock, error, patience):
    ended = []
    keeper = Keeper(log, "/disk", lambda: ended.append(clock.now))
    log.failing = error
    for _ in range(patience + 20):
        keeper.flush()
        clock.now += 1
    assert ended == [patience]
    assert "the experiment has ended since its storage /disk failed: " in keeper.fault
    assert told(log)[-1] == keeper.fault
    log.failing = None
    keeper.flush()
    assert told(log)[-1] == keeper.fault, "the reason of the end is taken back"


@pytest.mark.parametrize(
    ("error", "final", "ends"),
    [(FULL, True, True), (FULL, False, False), (AWAY, True, False), (None, True, False)],
)
def test_trials_that_cannot_save(log, clock, error, final, ends):
    ended = []
    keeper = Keeper(log, "/disk", lambda: ended.append(1))
    failure = format_error(not_saved("/disk/t", error) if error else ValueError("x"), {})
    keeper.trial_failed({"error": failure.summary}, final=final)
    assert bool(ended) == ends
    assert keeper.troubled == (error is not None)


def test_after_the_end_it_is_tried_again_for_some_minutes(log, clock):
    mended = []
    keeper = Keeper(log, "/disk", lambda: None, lambda: mended.append(clock.now))
    log.append(Event("started", 0))
    log.failing = FULL
    keeper.settle()
    assert clock.now == 5, "there is no patience, or too much"
    assert not keeper.outlast()
    assert 300 <= clock.now - 5 < 320
    log.failing = None
    assert keeper.outlast()
    assert mended


def test_what_was_cut_off_is_tried_again_too(log, clock):
    tries = []

    def mending():
        tries.append(1)
        if len(tries) < 4:
            raise FULL

    keeper = Keeper(log, "/disk", lambda: None, mending)
    assert keeper.complete()
    assert not tries, "there was no trouble"
    keeper.trial_failed({"error": format_error(not_saved("/t", FULL), {}).summary}, final=True)
    assert keeper.outlast()
    assert len(tries) == 4


# -- several nodes --------------------------------------------------------------------------------


def test_what_is_said_of_nodes_that_do_not_see_the_folder():
    fine = {"checkpoints": False, "retries": False}
    assert shared._judge("/f", [], [], checkpoints=True, retries=True) == ()
    assert shared._judge("/f", ["a"], [], **fine) == ("a does not see /f: what trials print on it stays there",)
    (late,) = shared._judge("/f", [], ["a", "b"], checkpoints=True, retries=True)
    assert late == "a, b have not said within 8 s whether /f is there"
    for why, words in [("checkpoints", "may report checkpoints"), ("retries", "--max-failures")]:
        with pytest.raises(SpecError, match=f"a, b do not see /f, and .*{words}.*s3://BUCKET"):
            shared._judge("/f", ["a", "b"], [], **{**fine, why: True})


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_there_counts_as_not_seen(tmp_path):
    (tmp_path / "marker").touch()
    assert shared._sees(str(tmp_path / "marker"))
    tmp_path.chmod(0o500)
    assert not shared._sees(str(tmp_path / "marker"))
