"""nbtune.engine.trial.output and nbtune.engine.trial.printed: the output of trials is stored, limited, read back."""

import copy
import io
import logging
import os
import pickle
import sys
import threading

import pyarrow.fs as pafs
import pytest

import nbtune
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial import output
from nbtune.engine.trial.output import FOLDER, RESTART_MARKER, Output, capture, segments
from nbtune.engine.trial.printed import as_shown, printed, read_output

LOCAL = pafs.LocalFileSystem()


@pytest.fixture
def streams(monkeypatch):
    """Replaces the process's standard streams during the test, and returns the replacements."""
    replaced = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in replaced.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(output, "_streams", {})
    output._install()  # now, since pytest replaces the streams before the test begins
    return replaced


@pytest.fixture(params=["disk", "store"])
def storage(request, tmp_path):
    """A disk, and a stand-in for an object store: not a LocalFileSystem, so files are not appended to."""
    return (LOCAL, str(tmp_path)) if request.param == "disk" else (pafs.SubTreeFileSystem(str(tmp_path), LOCAL), "")


def passed_through(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()


def store(storage, folder, *texts):
    stored = Output(storage, folder)
    for text in texts:
        stored.add(text.encode())
        stored._save()
    stored.end()


def test_all_output_is_stored_and_passed_through(streams, storage):
    fs, root = storage
    with capture(fs, f"{root}/trial"):
        print("out", 1)
        print("err", file=sys.stderr)
        sys.stdout.write("no line end, and ünïcode that ascii lacks: …")
        sys.stdout.buffer.write(b" bytes\n")
        sys.stdout.writelines(["a\n", "b\n"])
    print("after")
    assert read_output(fs, f"{root}/trial") == "out 1\nerr\nno line end, and ünïcode that ascii lacks: … bytes\na\nb\n"
    assert passed_through(streams["stderr"]) == "err\n"
    assert (
        passed_through(streams["stdout"]) == "out 1\nno line end, and ünïcode that ascii lacks: … bytes\na\nb\nafter\n"
    )


def test_without_output_storage_is_not_accessed(streams, tmp_path):
    with capture(None, str(tmp_path / "trial")):  # None: any access would fail
        threads = threading.active_count()
        print(end="")
    assert threads == threading.active_count()
    assert not list(tmp_path.iterdir())
    assert passed_through(streams["stderr"]) == ""
    assert read_output(LOCAL, str(tmp_path / "trial")) == ""


def test_each_trial_has_its_own_output_even_with_an_old_reference_to_the_stream(streams, tmp_path):
    with capture(LOCAL, f"{tmp_path}/a"):
        handler = logging.StreamHandler()
        logger = logging.Logger("a")
        logger.addHandler(handler)
        logger.warning("in a")
        sys.stdout = io.StringIO()  # the trial does not restore it
        print("lost")
    logger.warning("between")
    assert output._current is None
    with capture(LOCAL, f"{tmp_path}/b"):
        logger.warning("in b")
        print("printed in b")
    assert read_output(LOCAL, f"{tmp_path}/a") == "in a\n"
    assert read_output(LOCAL, f"{tmp_path}/b") == "in b\nprinted in b\n"
    assert passed_through(streams["stderr"]) == "in a\nbetween\nin b\n"


def test_the_stream_behaves_as_libraries_expect(streams, tmp_path, monkeypatch):
    with open(tmp_path / "original", "w") as original:
        monkeypatch.setattr(sys, "stdout", original)
        output._streams.clear()
        with capture(LOCAL, f"{tmp_path}/trial"):
            assert isinstance(sys.stdout, io.TextIOWrapper)
            assert sys.stdout.fileno() == original.fileno()
            assert not sys.stdout.isatty()
            assert sys.stdout.encoding == "utf-8"
            print("\udcff")  # a file name that is not valid UTF-8
            sys.stdout.reconfigure(line_buffering=True)
            sys.stdout.close()
            print("still open")
    assert read_output(LOCAL, f"{tmp_path}/trial") == "\\udcff\nstill open\n"


def test_objects_that_refer_to_the_stream_can_be_pickled(streams, tmp_path):
    import cloudpickle

    with capture(LOCAL, f"{tmp_path}/trial"):
        assert cloudpickle.loads(cloudpickle.dumps([sys.stdout]))[0] is sys.stdout
        for copied in (pickle.dumps, copy.deepcopy):  # as for any file
            with pytest.raises(TypeError):
                copied(sys.stdout)


def test_output_before_an_error_is_stored(streams, storage):
    fs, root = storage

    def trial():
        with capture(fs, f"{root}/trial"):
            print("last words")
            sys.exit(1)

    with pytest.raises(SystemExit):
        trial()
    assert read_output(fs, f"{root}/trial") == "last words\n"


def test_lines_of_several_threads_are_complete(streams, storage):
    fs, root = storage

    def work(name):
        for number in range(1000):
            sys.stdout.write(f"{name} {number}\n")

    with capture(fs, f"{root}/trial"):
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    text = read_output(fs, f"{root}/trial")
    assert sorted(text.splitlines()) == sorted(f"{name} {number}" for name in range(4) for number in range(1000))
    assert sorted(passed_through(streams["stdout"]).splitlines()) == sorted(text.splitlines())


def test_output_is_saved_while_the_trial_runs(streams, storage):
    fs, root = storage
    with capture(fs, f"{root}/trial"):
        for text in ("one\n", "two\n"):
            saved = threading.Event()
            inner = output._current._write
            output._current._write = lambda part, inner=inner, saved=saved: (inner(part), saved.set())
            print(text, end="")
            assert saved.wait(10)
        assert read_output(fs, f"{root}/trial") == "one\ntwo\n"


def test_flush_saves_to_a_disk_at_once(streams, tmp_path):
    with capture(LOCAL, f"{tmp_path}/trial"):
        print("epoch 1")
        output.flush()
        assert read_output(LOCAL, f"{tmp_path}/trial") == "epoch 1\n"
    output.flush()  # outside a trial it does nothing


@pytest.mark.parametrize(("first", "separator"), [("one\n", RESTART_MARKER), ("one", b"\n" + RESTART_MARKER)])
def test_attempts_are_appended_with_a_marker(storage, first, separator):
    fs, root = storage
    store(fs, f"{root}/trial", first)
    store(fs, f"{root}/trial")
    store(fs, f"{root}/trial", "two\n", "three\n")
    assert read_output(fs, f"{root}/trial") == f"{first}{separator.decode()}two\nthree\n"


def test_of_long_output_the_beginning_and_the_end_are_stored(storage, monkeypatch):
    monkeypatch.setattr(output, "SEGMENT_SIZE", 1000)
    monkeypatch.setattr(output, "_TAIL_SIZE", 2000)
    fs, root = storage
    lines = [f"{number:09}\n" for number in range(2000)]
    store(fs, f"{root}/trial", *("".join(lines[at : at + 70]) for at in range(0, 2000, 70)))
    text = read_output(fs, f"{root}/trial")
    assert text.startswith("".join(lines[:100]) + "\n… ")
    assert text.endswith("".join(lines[-200:]))
    assert "… 16.0 kB left out …\n" in text
    assert sum(segment.size for segment in segments(fs, f"{root}/trial/{FOLDER}")) <= 4000
    store(fs, f"{root}/trial", "again\n")
    assert read_output(fs, f"{root}/trial").endswith(f"{lines[-1]}{RESTART_MARKER.decode()}again\n")


def test_the_buffer_for_a_slow_storage_is_limited(storage, monkeypatch):
    monkeypatch.setattr(output, "_MAX_BUFFERED", 5000)
    monkeypatch.setattr(output, "SEGMENT_SIZE", 1000)
    fs, root = storage
    buffered = Output(fs, f"{root}/trial")
    buffered._saving.acquire()
    for number in range(100_000):
        buffered.add(b"%09d\n" % number)
        assert len(buffered._buffer) <= 5000
    buffered._saving.release()
    buffered.end()
    text = read_output(fs, f"{root}/trial")
    assert text.startswith("… 1.0 MB left out …\n")
    assert text.endswith("000099998\n000099999\n")


def test_saving_is_retried_without_duplicates(storage, monkeypatch):
    fs, root = storage
    buffered = Output(fs, f"{root}/trial")
    buffered._thread = threading.Thread(target=print)  # prevents `add` from starting a thread
    buffered.add(b"one\n")
    buffered._save()
    path = f"{root}/trial/{FOLDER}/000000000000.log"
    with fs.open_output_stream(path) as stream:
        stream.write(b"one\nhalf of two")  # as after a write that failed halfway
    monkeypatch.setattr(buffered, "_write", lambda part: 1 / 0)
    buffered.add(b"two\n")
    buffered._save()
    assert buffered.error == "ZeroDivisionError: division by zero"
    monkeypatch.undo()
    monkeypatch.setattr(buffered, "_storage", None)  # an object store fails when it is written
    buffered._save()
    assert (buffered.error is None) == (fs is LOCAL)
    buffered.add(b"three\n")
    monkeypatch.undo()
    buffered._save()
    assert buffered.error is None
    assert read_output(fs, f"{root}/trial") == "one\ntwo\nthree\n"


def test_a_storage_failure_does_not_fail_the_trial(streams, tmp_path):
    (tmp_path / "file").touch()
    with capture(LOCAL, f"{tmp_path}/file/trial"):
        print("printed")
    assert passed_through(streams["stdout"]) == "printed\n"
    assert "could not be saved" in passed_through(streams["stderr"])


def test_a_hanging_storage_does_not_block_the_trial(streams, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "_END_TIMEOUT", 0.05)
    released, before = threading.Event(), threading.enumerate()
    monkeypatch.setattr(Output, "_continue_previous", lambda self: released.wait(30))
    with capture(LOCAL, f"{tmp_path}/trial"):
        print("printed")
    assert passed_through(streams["stdout"]) == "printed\n"
    assert [thread for thread in threading.enumerate() if thread.is_alive() and thread not in before], (
        "the storage did not hang"
    )
    assert not list(tmp_path.iterdir()), "the storage did not hang"
    released.set()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_output_of_a_forked_process_is_only_passed_through(streams, tmp_path):
    with capture(LOCAL, f"{tmp_path}/trial"):
        print("parent")
        with output._current._lock:  # locked in the child for good
            pid = os.fork()
            if not pid:
                threading.Timer(20, os._exit, (1,)).start()
                thread = threading.Thread(target=print, args=("child",))
                thread.start()
                thread.join()
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read_output(LOCAL, f"{tmp_path}/trial") == "parent\n"


RENDERED = [
    ("plain\nlines", "plain\nlines"),
    ("windows\r\nlines\r\n", "windows\nlines\n"),
    ("  0%\r 50%\r100%\nnext\n", "100%\nnext\n"),
    ("50%\r", "50%"),
    ("a long one\rshort     \n", "short\n"),
    ("bar\r    \rtext\n", "text\n"),
    ("a\n\rb\n", "a\nb\n"),
    ("outer 1\n\rinner 1\x1b[A\n\rinner 2\x1b[A\router 2\n\rinner 3\x1b[A\n", "outer 2\ninner 3"),
    ("\x1b[Atop\n", "top\n"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "rendered"), RENDERED)
def test_control_characters_are_applied_as_in_a_terminal(text, rendered):
    assert as_shown(text) == rendered


def test_a_progress_bar_is_one_line():
    from tqdm import tqdm

    file = io.StringIO()
    for _ in tqdm(range(3), desc="outer", file=file, mininterval=0):
        for _ in tqdm(range(10), desc="inner", file=file, mininterval=0, leave=False):
            pass
    assert file.getvalue().count("\r") > 30
    (line,) = as_shown(file.getvalue()).rstrip("\n").split("\n")
    assert line.startswith("outer: 100%")


@pytest.mark.parametrize("size", [10, 1000, 200_000])
@pytest.mark.parametrize("end", ["\n", ""])
def test_the_last_lines(storage, size, end):
    fs, root = storage
    lines = [f"line {number} ü" for number in range(size)]
    store(fs, f"{root}/trial", "\n".join(lines) + end)
    for tail in (1, 7, 999, 5000):
        assert read_output(fs, f"{root}/trial", tail) == "\n".join(lines[-tail:]) + end
    assert read_output(fs, f"{root}/trial") == "\n".join(lines) + end
    assert read_output(fs, f"{root}/trial", 0) == ""


def test_only_the_end_is_read_for_the_last_lines(tmp_path):
    class CountingStorage:
        def __init__(self):
            self.read = 0

        def get_file_info(self, selector):
            return LOCAL.get_file_info(selector)

        def open_input_file(self, path):
            outer, file = self, LOCAL.open_input_file(path)

            class File:
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    file.close()

                def seek(self, at):
                    file.seek(at)

                def read(self, count):
                    outer.read += count
                    return file.read(count)

            return File()

    store(LOCAL, f"{tmp_path}/trial", "x" * 99 + "\n", *["y" * 99_999 + "\n"] * 30, "z\n" * 100)
    counting = CountingStorage()
    assert read_output(counting, f"{tmp_path}/trial", 20) == "z\n" * 20
    assert counting.read < 100_000


def test_the_end_of_a_long_progress_bar_is_one_line(tmp_path):
    bar = "".join(f"\rstep {number:9}" for number in range(30_000))
    store(LOCAL, f"{tmp_path}/trial", f"first\nsecond\n{bar}\nlast\n")
    assert read_output(LOCAL, f"{tmp_path}/trial", 2) == "step     29999\nlast\n"
    assert read_output(LOCAL, f"{tmp_path}/trial", 3) == "second\nstep     29999\nlast\n"


def test_the_end_of_bars_below_each_other(tmp_path):
    bars = "".join(f"\n\rinner {number:9}\x1b[A\router {number}" for number in range(10_000))
    store(LOCAL, f"{tmp_path}/trial", f"first\nsecond\n{bars}\n\nlast\n")
    whole = "first\nsecond\nouter 9999\ninner      9999\nlast\n"
    assert read_output(LOCAL, f"{tmp_path}/trial") == whole
    assert read_output(LOCAL, f"{tmp_path}/trial", 4) == whole.removeprefix("first\n")


def test_a_segment_that_is_deleted_while_the_output_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "SEGMENT_SIZE", 4)
    store(LOCAL, f"{tmp_path}/trial", "aaa\nbbb\nccc\n")
    listed = segments(LOCAL, f"{tmp_path}/trial/{FOLDER}")
    assert len(listed) == 3
    monkeypatch.setattr("nbtune.engine.trial.printed.segments", lambda *args: listed)
    os.unlink(f"{tmp_path}/trial/{FOLDER}/{listed[1].name}")
    assert read_output(LOCAL, f"{tmp_path}/trial") == "aaa\n\n… 0.0 kB left out …\nccc\n"


def test_error_if_the_storage_cannot_be_read(tmp_path):
    assert printed(Storage(str(tmp_path / "nowhere")), "trial") == ""
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / FOLDER).touch()
    with pytest.raises(nbtune.ExperimentError, match="cannot be read"):
        printed(Storage(str(tmp_path)), "trial")
    with pytest.raises(nbtune.ExperimentError, match="tail: expected a number of lines >= 0, or None for all, got -1"):
        printed(Storage(str(tmp_path)), "trial", -1)
