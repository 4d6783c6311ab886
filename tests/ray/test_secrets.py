"""Secrets of a notebook do not reach an experiment's folder, the logs of the cluster, process lists, or what is shown."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import nbtune
from nbtune.testing import recorded
from tests.ray.stores import bucket

SECRETS = {
    name: f"planted-{number}-{name}-9f3a"
    for number, name in enumerate(
        (
            "used",
            "unused",
            "other_cell",
            "environ",
            "env",
            "worker_env",
            "storage",
            "endpoint",
            "stopper",
            "error",
            "address",
            "callback",
            "attribute",
            "step",
        )
    )
}
USED = SECRETS["used"]
CELLS = f"""
import os
from dataclasses import dataclass
token = "{SECRETS["used"]}"
unused = {{"password": "{SECRETS["unused"]}"}}
print(len("{SECRETS["other_cell"]}"))
os.environ["MY_PASSWORD"] = "{SECRETS["environ"]}"
from ray.tune import Stopper
@dataclass
class Sending(Stopper):
    password: str
    def __call__(self, trial_id, result):
        return False
    def stop_all(self):
        return False
stopper = Sending("{SECRETS["stopper"]}")
attribute = "{SECRETS["attribute"]}"
"""
CLASS_CELLS = f"""
from ray.tune import Callback, Trainable, grid_search
class Telling(Callback):
    def __init__(self, password):
        self.password, self.count = password, 0
    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.count += 1
        result["told"] = self.count
    def get_state(self):
        return {{"count": self.count}}
    def set_state(self, state):
        self.count = state["count"]
telling = Telling("{SECRETS["callback"]}")
class Steps(Trainable):
    password = attribute
    def setup(self, config):
        assert os.environ["MY_PASSWORD"] and os.environ["HIDDEN"]
        self.key = token
    def step(self):
        if self.config["x"] == 2 and self.iteration == 2:
            raise OSError("cannot reach https://me:{SECRETS["step"]}@127.0.0.1/data")
        return {{"a": self.config["x"] + len(self.key) + len(self.password), "done": self.iteration == 2}}
    def save_checkpoint(self, folder):
        return {{"iteration": self.iteration}}
    def load_checkpoint(self, saved):
        assert saved["iteration"]
space = {{"x": grid_search([1, 2])}}
"""
CLASS_LINE = (
    "%tune run Steps --space space --name steps --wait --metric a --mode max --stop stopper --callbacks telling"
    f" --checkpoint-frequency 1 --env HIDDEN={SECRETS['env']} --storage "
)
CELL = f"""%%tune hidden --wait --metric a --mode max --stop stopper --env HIDDEN={SECRETS["env"]} {{options}}
x: grid_search([1, 2])
import os
assert os.environ["MY_PASSWORD"] and os.environ["HIDDEN"]
report(a=x + len(token))
if x == 2:
    raise OSError("cannot reach https://me:{SECRETS["error"]}@127.0.0.1/data")
"""


@contextmanager
def watched_processes(seen: set[str]) -> Iterator[None]:
    """Collect the command lines of all processes meanwhile."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().decode("utf-8", "replace"))
                except OSError:  # it has ended
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def files_below(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.is_file():
            found[str(path)] = path.read_bytes()
    return found


def objects_below(server: pafs.FileSystem, folder: str) -> dict[str, bytes]:
    infos = server.get_file_info(pafs.FileSelector(folder, recursive=True))
    return {info.path: server.open_input_file(info.path).read() for info in infos if info.type == pafs.FileType.File}


def holders(found: dict[str, bytes]) -> dict[str, set[str]]:
    """Return name -> the secrets in it, as names."""
    result = {
        path: {name for name, secret in SECRETS.items() if secret.encode() in data} for path, data in found.items()
    }
    return {path: names for path, names in result.items() if names}


def execute(shell: InteractiveShell, options: str) -> str:
    """Run the cells, and return all that they show."""
    with capture_output() as shown:
        shell.run_cell(CELLS)
        result = shell.run_cell(CELL.replace("{options}", options))
        assert result.error_in_exec is None or "trial 1 failed" in str(result.error_in_exec), result.error_in_exec
        shell.run_cell("hidden")
        shell.run_cell("hidden.df")
        shell.run_cell("%tune")
    texts = [shown.stdout, shown.stderr, *(str(output.data) for output in shown.outputs)]
    return "\n".join([*texts, str(result.error_in_exec)])


@pytest.fixture
def shell(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("MY_PASSWORD", "")
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "nbtune")
    yield shell
    InteractiveShell.clear_instance()


def test_planted_secrets(
    shell: InteractiveShell, keys: None, store: str, tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder, only the launch has the variable that the trials use, and only this user can read it."""
    commands: set[str] = set()
    server = bucket(store, "secrets")
    with watched_processes(commands):
        shown = execute(shell, f"--storage {tmp_path}")
        local = shell.user_ns["hidden"]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{SECRETS['endpoint']}@{store}")
        url = f"s3://nbtune-test:{SECRETS['storage']}@secrets/sweeps?endpoint_override={store}&scheme=http"
        options = f"--storage '{url}' --workers 1 --cpus 1 --worker-env WORKER_HIDDEN={SECRETS['worker_env']}"
        shown += execute(shell, options)
        remote = shell.user_ns["hidden"]
        try:
            nbtune.connect(f"ray://me:{SECRETS['address']}@127.0.0.1:1")
        except nbtune.NbtuneError as error:
            shown += str(error)
    for experiment in (local, remote):
        assert experiment.df["status"].tolist() == ["finished", "failed"], experiment.df["error"].tolist()
        texts = [
            repr(experiment),
            experiment.error,
            experiment.plan,
            *(trial.error for trial in experiment.trials.values()),
        ]
        shown += "\n".join(map(str, texts))
        shown += "".join(trial.logs() for trial in experiment.trials.values())
    events = "\n".join(str(event) for chunk in recorded(local.path) for event in chunk.events())
    assert "HIDDEN" in events, "the names of variables are recorded"
    texts = {"what is shown": shown, "events": events, "the processes": "\n".join(commands)}
    assert holders({name: text.encode() for name, text in texts.items()}) == {}
    folder = Path(remote.path.partition("?")[0]).name
    launches = [f"{local.path}/nbtune/launch.bin", f"secrets/sweeps/{folder}/nbtune/launch.bin"]
    stored = files_below(Path(local.path)) | objects_below(server, "secrets") | files_below(ray_folder)
    # These have what resuming needs: variables and text of the cell, the object that is an option, and variables of the
    # environment.
    needed = {"used", "error", "stopper", "env"}
    found = holders(stored)
    assert found.pop(launches[0]) == needed
    assert found.pop(launches[1]) == needed | {"worker_env"}
    assert found == {}
    assert stat.S_IMODE(os.stat(launches[0]).st_mode) == 0o600


def test_planted_secrets_of_a_class_with_callbacks(shell: InteractiveShell, tmp_path: Path, ray_folder: Path) -> None:
    """With `--stop VAR` and `--callbacks VAR` on the line of `%tune run`, stopped and resumed in between."""
    commands: set[str] = set()
    with watched_processes(commands), capture_output() as captured:
        shell.run_cell(CELLS)
        shell.run_cell(CLASS_CELLS)
        shell.run_cell(f"{CLASS_LINE} {tmp_path}")
        for line in ("steps", "steps.df", "%tune", "steps.extend(1)", "steps.wait()", "steps"):
            result = shell.run_cell(line)
            assert result.success or "trial" in str(result.error_in_exec), result.error_in_exec
    experiment = shell.user_ns["steps"]
    assert experiment.df["status"].tolist() == ["finished", "failed"] * 2, experiment.df["error"].tolist()
    assert sorted(experiment.history["told"]) == list(range(1, len(experiment.history) + 1)), "with its state"
    shown = "".join([captured.stdout, captured.stderr, *(str(output.data) for output in captured.outputs)])
    shown += repr(experiment) + "".join(f"{trial.error}{trial.logs()}" for trial in experiment.trials.values())
    events = "\n".join(str(event) for chunk in recorded(experiment.path) for event in chunk.events())
    texts = {"what is shown": shown, "events": events, "the processes": "\n".join(commands)}
    assert holders({name: text.encode() for name, text in texts.items()}) == {}
    found = holders(files_below(Path(experiment.path)) | files_below(ray_folder))
    assert found.pop(f"{experiment.path}/nbtune/launch.bin") == {
        "used", "attribute", "step", "stopper", "callback", "env",
    }  # fmt: skip
    assert found == {}
