"""nbtune.engine.trial.workspace, writes and directory: the working directory of a trial is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from nbtune.engine.trial.directory import FILES_FOLDER, NOTEBOOK_VARIABLE, own_folder, working_directory
from nbtune.engine.trial.payload import Surroundings

LOCAL = pafs.LocalFileSystem()


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook's folder with files, beside a folder with data."""
    folder = tmp_path / "home" / "project" / "note books ü"
    (folder / "logs" / "version_0").mkdir(parents=True)
    (folder / "logs" / "version_0" / "log.csv").write_text("old\n")
    (folder / "logs" / "all.csv").write_text("old\n")
    (folder / "table.csv").write_text("first\n")
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "x.csv").write_text("data\n")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(".")
    (folder / "dangling").symlink_to("/does/not/exist")
    monkeypatch.delenv(NOTEBOOK_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def entered(tmp_path, notebook):
    """Returns a context manager: the working directory of a trial, whose code has a given text."""

    @contextlib.contextmanager
    def enter(name="trial_0", text=""):
        around = Surroundings(str(notebook), [], {"<cell>": ("Cell In[1]", text)})
        folder = own_folder(str(tmp_path / "session" / "working_dirs" / name), around)
        with working_directory(folder, around, LOCAL, str(tmp_path / "stored" / name)):
            yield folder

    return enter


def contents(folder):
    """Return all files below a folder, without following links."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = os.readlink(path)
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def stored(tmp_path, name="trial_0"):
    return {path: data.decode() for path, data in contents(tmp_path / "stored" / name / FILES_FOLDER).items()}


def test_the_folder_of_the_notebook_and_those_above_it_are_read_by_relative_paths(notebook, entered, tmp_path):
    before = os.getcwd()
    with entered() as folder:
        assert os.getcwd() == str(folder)
        assert os.environ[NOTEBOOK_VARIABLE] == str(notebook)
        assert Path("table.csv").read_text() == "first\n"
        assert Path("logs/version_0/log.csv").read_text() == "old\n"
        assert Path("loop/loop/table.csv").read_text() == "first\n"
        assert Path("../data/x.csv").read_text() == "data\n"
        assert Path("../../project/data/x.csv").read_text() == "data\n"
        assert Path(f"../{notebook.name}/table.csv").read_text() == "first\n"
        up = "/".join([".."] * (len(notebook.parts) - 1))
        assert os.path.samefile(f"{up}/dev/null", os.devnull)
        assert set(os.listdir(".")) == set(os.listdir(notebook))
    assert os.getcwd() == before
    assert not folder.exists()
    assert not (tmp_path / "stored").exists(), "a trial that writes nothing leaves nothing"


def append_csv():
    with open("table.csv", "a") as file:
        file.write("more\n")


def replace_csv():
    Path("table.csv").write_text("new\n")


def write_in_place():
    with open("table.csv", "r+b") as file:
        file.write(b"F")


def write_by_descriptor():
    os.close(os.open("table.csv", os.O_WRONLY | os.O_TRUNC))


def write_into_a_folder():
    os.makedirs("logs/version_1")
    Path("logs/version_1/log.csv").write_text("new\n")
    with open(Path("logs", "version_0", "log.csv"), "a") as file:
        file.write("more\n")


def write_into_an_existing_folder():
    os.makedirs("logs", exist_ok=True)
    Path("logs/new.csv").write_text("new\n")


def remove_folder():
    shutil.rmtree("logs")


def remove_files():
    os.remove("table.csv")
    os.remove("logs/all.csv")


def rename_files():
    os.rename("table.csv", "other.csv")
    os.replace("logs/all.csv", "logs/other.csv")


def use_database():
    with contextlib.closing(sqlite3.connect("table.csv")) as database, contextlib.suppress(sqlite3.Error):
        database.execute("create table a (b)")


def truncate():
    os.truncate("table.csv", 0)


def change_mode():
    os.chmod("table.csv", 0o600)


def by_way_of_the_parent():
    with open(f"../{Path.cwd().name}/table.csv", "a") as file:
        file.write("more\n")


WRITES = {
    append_csv: {"table.csv": "first\nmore\n"},
    replace_csv: {"table.csv": "new\n"},
    write_in_place: {"table.csv": "First\n"},
    write_by_descriptor: {"table.csv": ""},
    write_into_a_folder: {"logs/version_0/log.csv": "old\nmore\n", "logs/version_1/log.csv": "new\n"},
    write_into_an_existing_folder: {"logs/new.csv": "new\n"},
    remove_folder: {},
    remove_files: {},
    rename_files: {},
    use_database: None,
    truncate: {"table.csv": ""},
    change_mode: {},
    by_way_of_the_parent: {"table.csv": "first\nmore\n"},
}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_trial_that_writes_to_a_name_of_the_notebooks_folder_has_its_own_file(write, notebook, entered, tmp_path):
    before, modes = contents(notebook), os.stat(notebook / "table.csv").st_mode
    with entered():
        write()
    assert contents(notebook) == before
    assert os.stat(notebook / "table.csv").st_mode == modes
    if WRITES[write] is not None:
        assert stored(tmp_path) == WRITES[write]
    with entered("trial_1"):
        assert Path("table.csv").read_text() == "first\n", "the next trial in this process"
        assert Path("logs/version_0/log.csv").read_text() == "old\n"


def test_the_next_trial_sees_what_has_changed_in_the_notebooks_folder(notebook, entered):
    text = "read('table.csv')"
    with entered("trial_0", text):
        os.symlink("/dev/null", "mine")
    (notebook / "table.csv").write_text("changed\n")
    (notebook / "new.csv").write_text("new\n")
    shutil.rmtree(notebook / "logs")
    with entered("trial_1", text) as folder:
        assert (
            set(os.listdir(folder)) == set(os.listdir(notebook)) == {"table.csv", "new.csv", "pipe", "loop", "dangling"}
        )
        assert Path("table.csv").read_text() == "changed\n"
        assert Path("new.csv").read_text() == "new\n"


COMPILED = ["sh", "-c", 'echo new > "$0"']  # like code that Python does not know of


def wait_for(path):
    until = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < until, f"{path} does not appear"
        time.sleep(0.02)


def test_what_is_created_in_the_notebooks_folder_while_a_trial_runs_appears(notebook, entered):
    with entered() as folder:
        Path("own.csv").write_text("own\n")
        os.unlink("table.csv")
        for number in range(3):
            (notebook / f"stop{number}").write_text("now\n")
            wait_for(f"stop{number}")
        (notebook / "own.csv").write_text("the notebook's\n")
        (notebook / "last").mkdir()
        wait_for("last")
        assert Path("own.csv").read_text() == "own\n"
        assert not os.path.lexists("table.csv"), "the trial has deleted it"
        Path("stop0").write_text("changed\n")
        (notebook / "stop1").unlink()
        assert not os.path.exists("stop1")
    assert (notebook / "stop0").read_text() == "now\n"
    assert not folder.exists()


@pytest.mark.parametrize("name", ["table.csv", "logs/all.csv"])
def test_what_the_code_names_is_a_copy_from_the_start(notebook, entered, tmp_path, name):
    before = contents(notebook)
    with entered(text=f"torch.save(model, 'logs')\ntorch.save(model, f'{{where}}/{Path(name).name}')"):
        subprocess.run([*COMPILED, name], check=True)
    assert contents(notebook) == before
    assert stored(tmp_path) == {name: "new\n"}


def test_a_large_file_that_the_code_names_is_not_copied_before_it_is_changed(notebook, entered, tmp_path):
    with open(notebook / "large.bin", "wb") as file:
        file.truncate(17 << 20)
    with entered(text="open('large.bin')") as folder:
        assert (folder / "large.bin").is_symlink()
        with open("large.bin", "r+b") as file:
            file.write(b"x")
        assert (folder / "large.bin").stat().st_size == 17 << 20
    assert (notebook / "large.bin").read_bytes()[:1] == b"\0"


def test_new_files_above_the_folder_are_where_they_would_be_without_it(notebook, entered, tmp_path):
    with entered():
        Path("../result.txt").write_text("mine")
        Path("../data/result.txt").write_text("mine")
    assert (notebook.parent / "result.txt").read_text() == "mine"
    assert (notebook.parent / "data" / "result.txt").read_text() == "mine"
    assert stored(tmp_path) == {}


def test_files_of_trials_that_run_at_once_do_not_collide(entered, tmp_path):
    code = "import os, sys; open('model.pt', 'w').write(sys.argv[1])"
    with entered("trial_0") as first:
        subprocess.run([sys.executable, "-c", code, "0"], cwd=first, check=True)
        with entered("trial_1") as second:
            subprocess.run([sys.executable, "-c", code, "1"], cwd=second, check=True)
        assert Path(first, "model.pt").read_text() == "0"
    assert stored(tmp_path, "trial_0") == {"model.pt": "0"}
    assert stored(tmp_path, "trial_1") == {"model.pt": "1"}


def test_a_trial_that_goes_on_finds_its_files_and_a_finished_one_leaves_none(entered, tmp_path):
    with contextlib.suppress(ValueError), entered():
        append_csv()
        Path("mine").mkdir()
        Path("mine/log").write_text("1")
        raise ValueError
    assert stored(tmp_path) == {"table.csv": "first\nmore\n", "mine/log": "1"}
    with entered() as folder:
        append_csv()
        assert Path("mine/log").read_text() == "1"
        Path("mine/log").write_text("22")
    assert stored(tmp_path) == {"table.csv": "first\nmore\nmore\n", "mine/log": "22"}
    assert not folder.exists()


def test_workers_share_the_folder_until_the_last_has_ended(entered, tmp_path):
    with entered() as folder:
        with entered():
            Path("first").write_text("1")
        assert (folder / "first").read_text() == "1", "another worker still runs"
        Path("second").write_text("2")
    assert stored(tmp_path) == {"first": "1", "second": "2"}
    assert not folder.exists()


def test_a_folder_of_the_notebook_that_does_not_exist_here(entered, notebook, tmp_path):
    shutil.rmtree(notebook.parent)
    with entered() as folder:
        assert os.listdir(folder) == []
        Path("model.pt").write_text("1")
    assert stored(tmp_path) == {"model.pt": "1"}


def test_without_a_folder_of_its_own_a_trial_says_so_and_runs_in_that_of_the_notebook(
    entered, notebook, tmp_path, capsys
):
    (tmp_path / "session").write_text("a file")
    with entered():
        assert os.getcwd() == str(notebook)
    assert "the trial has no working directory of its own" in capsys.readouterr().err


def test_a_folder_that_contains_the_folders_of_trials_has_no_link_into_itself(tmp_path, monkeypatch):
    around = Surroundings(str(tmp_path), [], {})
    monkeypatch.chdir(tmp_path)
    folder = own_folder(str(tmp_path / "session" / "working_dirs" / "trial"), around)
    with working_directory(folder, around, LOCAL, str(tmp_path / "stored")):
        assert os.listdir(".") == []


def test_a_failure_to_keep_files_is_said_and_they_stay(entered, tmp_path, capsys):
    (tmp_path / "stored").write_text("a file")
    with entered() as folder:
        Path("model.pt").write_text("1")
    assert "files of the trial could not be saved" in capsys.readouterr().err
    assert (folder / "model.pt").read_text() == "1"
