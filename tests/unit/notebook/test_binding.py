"""Which variables of the notebook an experiment can become: those that replace nothing else."""

import builtins

import pyarrow.fs as pafs
import pytest
from IPython.core.interactiveshell import InteractiveShell

import nbtune
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.engine.storage.log import EventLog
from nbtune.errors import SpecError
from nbtune.notebook.binding import reserved
from nbtune.results.experiment import Experiment

TAKEN = [
    "list",
    "open",
    "print",
    "__import__",
    "In",
    "Out",
    "get_ipython",
    "exit",
    "quit",
    "_",
    "__",
    "_1",
    "_i2",
    "_oh",
]
OURS = ["nbtune", "report", "choice", "tune", "load"]


@pytest.fixture(scope="module")
def one_shell():
    shell = InteractiveShell()  # no singleton: it does not become the process's shell
    nbtune.load_ipython_extension(shell)
    return shell


@pytest.fixture
def shell(one_shell):
    before = dict(one_shell.user_ns)
    one_shell.user_ns["theirs"] = 7
    yield one_shell
    one_shell.user_ns.clear()
    one_shell.user_ns.update(before)


def stored(tmp_path, name):
    log = EventLog(pafs.LocalFileSystem(), str(tmp_path / "folder"))
    log.append(ExperimentUpdated(time=1.0, metadata={"status": "finished", "name": name}))
    log.flush()
    return tmp_path / "folder"


@pytest.mark.parametrize(
    "name",
    [
        *TAKEN,
        *OURS,
        "theirs",
        "class",
        "None",
        "../x",
        "a.b",
        "a b",
        "",
        "_hidden",
        "x\x1b[31m",
        "ﬁt",
        "lіst",
        3,
        ["x"],
    ],
)
def test_a_stored_name_replaces_nothing(shell, tmp_path, name, caplog, capsys):
    path = stored(tmp_path, name)
    before = dict(shell.user_ns)
    with caplog.at_level("INFO", "nbtune"):
        experiment = shell.run_line_magic("tune", f"load {path}")
    assert isinstance(experiment, Experiment)
    assert shell.user_ns == before
    said = caplog.text + capsys.readouterr().out
    assert "name one: %tune load PATH VARIABLE" in said
    assert "\x1b" not in said


def test_a_free_name_and_an_experiment_are_bound(shell, tmp_path):
    path = stored(tmp_path, "digits")
    first = shell.run_line_magic("tune", f"load {path}")
    assert shell.user_ns["digits"] is first
    second = shell.run_line_magic("tune", f"load {path}")
    assert shell.user_ns["digits"] is second is not first
    assert shell.run_line_magic("tune", f"load {path} theirs") is shell.user_ns["theirs"]  # the user says so


@pytest.mark.parametrize("name", [*TAKEN, *OURS])
def test_the_user_is_told_that_a_name_is_reserved(shell, tmp_path, name):
    path, before = stored(tmp_path, "digits"), dict(shell.user_ns)
    assert reserved(name)
    for call in (
        lambda: shell.run_cell_magic("tune", f"{name} --metric loss --mode min", "x: uniform(0, 1)\nreport(loss=x)"),
        lambda: shell.run_line_magic("tune", f"load {path} {name}"),
    ):
        with pytest.raises(SpecError, match=rf"{name} is a name of (IPython|Python|nbtune)"):
            call()
    assert shell.user_ns == before


def test_no_builtin_is_free():
    assert all(reserved(name) for name in dir(builtins))
    assert not any(map(reserved, ["digits", "sweep", "x", "i", "metric", "model_2", "_mine"]))
