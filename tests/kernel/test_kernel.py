"""The magics in a kernel, as a notebook frontend uses it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager

pytestmark = pytest.mark.notebooks


@dataclass
class Answer:
    """The outputs of a cell."""

    seconds: float = 0.0
    text: str = ""
    error: str = ""
    data: list[dict[str, Any]] = field(default_factory=list)


class Notebook:
    """A kernel that runs cells of an interactive user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(folder), env={**os.environ, "NO_COLOR": "1"})
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def send(self, code: str, *, interactive: bool = True) -> str:
        """Start a cell; return the id of its message."""
        return str(self._client.execute(code, allow_stdin=interactive))

    def answer(self, message: str, timeout: float = 120) -> Answer:
        """Collect the outputs of a cell until it has ended."""
        answer, began = Answer(), time.monotonic()
        while True:
            reply = self._client.get_iopub_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") != message:
                continue
            content = reply["content"]
            if reply["msg_type"] == "stream":
                answer.text += content["text"]
            elif reply["msg_type"] == "error":
                answer.error = "\n".join(content["traceback"])
            elif reply["msg_type"] in {"display_data", "execute_result"}:
                answer.data.append(content["data"])
            elif reply["msg_type"] == "status" and content["execution_state"] == "idle":
                answer.seconds = time.monotonic() - began
                return answer

    def cell(self, code: str, *, interactive: bool = True) -> Answer:
        """Run a cell to its end."""
        return self.answer(self.send(code, interactive=interactive))

    def complete(self, code: str) -> dict[str, str]:
        """Press the tab key at ``|``; return what the text becomes up to the cursor, with the types of the candidates."""
        before, _, after = code.partition("|")
        reply = self._client.complete(before + after, len(before), reply=True, timeout=60)["content"]
        assert reply["status"] == "ok"
        assert reply["cursor_end"] == len(before)
        shown = reply["metadata"]["_jupyter_types_experimental"]
        assert [one["text"] for one in shown] == reply["matches"]
        kept = before[: reply["cursor_start"]].rpartition("\n")[2]
        return {f"{kept}{one['text']}": one["type"] for one in shown}

    def inspect(self, code: str) -> str:
        """Press Shift and Tab at ``|``; return the text that is shown."""
        before, _, after = code.partition("|")
        reply = self._client.inspect(before + after, len(before), reply=True, timeout=60)["content"]
        return str(reply["data"].get("text/plain", ""))

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=False)


@pytest.fixture(scope="module")
def notebook(ray_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "helpers.py").write_text("def twice(x):\n    return 2 * x\n")
    (folder / "pyproject.toml").write_text("[tool.nbtune]\nstorage = 'kept'\n")
    opened = Notebook(folder)
    loaded = opened.cell(
        "%load_ext nbtune\nimport sys\nprint(sorted({'ray', 'torch', 'plotly', 'pandas', 'optuna'} & set(sys.modules)))"
    )
    assert loaded.text.strip() == "[]", "%load_ext imports what it should not"
    assert not opened.cell("import nbtune; nbtune.connect(cpus=2)").error
    yield opened
    opened.close()


def test_the_cell_returns_and_the_next_one_runs_meanwhile(notebook: Notebook) -> None:
    started = notebook.cell(
        "%%tune slow --metric acc --mode max --samples 2\n"
        "lr: uniform(0, 1) = 0.5\n"
        "import time\n"
        "for step in range(100):\n"
        "    report(acc=lr * step)\n"
        "    time.sleep(0.2)"
    )
    assert not started.error
    live, _, still = started.data
    assert "application/vnd.jupyter.widget-view+json" in live
    assert still["text/plain"].startswith("slow: ")
    assert 'id="nbtune-still"' in still["image/svg+xml"]
    meanwhile = notebook.cell("print(1 + 1, slow.status)")
    assert meanwhile.text.split()[0] == "2"
    assert meanwhile.text.split()[1] in {"pending", "running"}
    assert notebook.cell("while len(slow.history) < 5: time.sleep(0.1) if 'time' in globals() else None").error == ""
    assert notebook.cell("print(slow.best.config['lr'] > 0, slow.path.split('/')[-2])").text == "True kept\n"
    notebook.cell("slow.stop(); slow.wait(30)")
    assert notebook.cell("print(slow.status)").text == "stopped\n"


def test_interrupting_a_waiting_cell_only_stops_waiting(notebook: Notebook) -> None:
    message = notebook.send(
        "%%tune waited --metric acc --mode max --samples 2 --wait\n"
        "lr: uniform(0, 1) = 0.5\n"
        "import os, time\n"
        "for step in range(1000):\n"
        "    report(acc=lr * step)\n"
        "    open(os.environ['NBTUNE_NOTEBOOK_DIR'] + '/reported', 'a').write('.')\n"
        "    time.sleep(0.1)"
    )
    end = time.monotonic() + 90
    while not (notebook.folder / "reported").exists():
        assert time.monotonic() < end, "no trial reports"
        time.sleep(0.1)
    notebook.interrupt()
    answer = notebook.answer(message)
    assert answer.error == "stopped waiting; waited is still running; waited.stop() stops it"
    count = int(notebook.cell("print(len(waited.history))").text)
    notebook.cell("import time; time.sleep(2)")
    state = notebook.cell("print(waited.status, len(waited.history))").text.split()
    assert state[0] == "running"
    assert int(state[1]) > count, "the trials were interrupted with the cell"
    statuses = notebook.cell("print(*waited.df['status'])").text.split()
    assert len(statuses) == 2
    assert set(statuses) <= {"running", "pending"}
    notebook.cell("waited.stop(); waited.wait(30)")


def test_resuming_after_the_cell_or_its_helper_was_edited(notebook: Notebook) -> None:
    cell = (
        "%%tune edited --metric acc --mode max --samples 1{option}\n"
        "x: uniform(0, 1) = 0.5\n"
        "import time\n"
        "while True:\n"
        "    report(acc=helper())\n"
        "    time.sleep(0.1)"
    )
    wait = "import time\nwhile not len(edited.history) or edited.history['acc'].iloc[-1] != {value}: time.sleep(0.05)"
    notebook.cell("def helper():\n    return 1")
    assert not notebook.cell(cell.format(option="")).error
    notebook.cell(wait.format(value=1))
    notebook.cell("edited.stop(); edited.wait(60)")
    notebook.cell("def helper():\n    return 2")
    said = notebook.cell("%tune resume edited").text
    assert 'edited goes on with its stored code; changed since: helper. edited.resume(code="new") takes' in said
    assert "+    return 2" in said.splitlines()
    assert "changed since in the notebook: helper" in notebook.cell("print(repr(edited))").text
    notebook.cell("edited.stop(); edited.wait(60)")
    assert "goes on with its stored code; changed since: helper" in notebook.cell("%tune extend edited 1").text
    notebook.cell("edited.stop(); edited.wait(60)")
    edited = cell.replace("helper()", "helper() * 5")
    assert "first report" in notebook.cell(edited.format(option=" --dry-run")).text
    assert (
        "--code: expected new or stored, got nwe (did you mean 'new'?)"
        in notebook.cell("%tune resume edited --code nwe").error
    )
    said = notebook.cell("%tune resume edited --code new").text
    assert "edited goes on with its present code; changed: the cell, helper." in said
    assert "+    report(acc=helper() * 5)" in said.splitlines()
    notebook.cell(wait.format(value=10))
    assert "helper() * 5" in notebook.cell("print(edited.source)").text
    notebook.cell("edited.stop(); edited.wait(60)")
    assert "goes on" not in notebook.cell("%tune resume edited").text, "nothing has changed since"
    notebook.cell("edited.stop(); edited.wait(60)")


def test_the_tab_key(notebook: Notebook) -> None:
    assert not notebook.cell("space = {'lr': 1}\nhow_many = 3\ndef train(config):\n    return {'score': 1}").error
    body = "\nlr: loguniform(1e-4, 1e-1) = 0.01\nfor step in range(3):\n    report(acc=lr, cost=step)"
    assert notebook.complete(f"%%tune x --sch|{body}") == {"%%tune x --scheduler": "keyword"}
    assert notebook.complete(f'%%tune x --scheduler "asha(max|"{body}') == {
        '%%tune x --scheduler "asha(max_t=': "param"
    }
    metrics = {"%%tune x --metric acc": "value", "%%tune x --metric cost": "value"}
    assert notebook.complete(f"%%tune x --metric |  --mode max{body}") == metrics
    assert notebook.complete(f"%%tune x --samples how|{body}") == {"%%tune x --samples how_many": "instance"}
    assert notebook.complete(f"%%tune x --seed q|{body}") == {}
    assert notebook.complete("%tune run tra|") == {"%tune run train": "function"}
    assert notebook.complete("%tune run train --metric |") == {"%tune run train --metric score": "value"}
    assert "%tune extend" in notebook.complete("%tune |")
    stored = notebook.cell("import os; print(*os.listdir('kept')) if os.path.isdir('kept') else print()").text.split()
    names = {f"%tune attach {folder.rsplit('_', 2)[0]}" for folder in stored}
    assert names <= set(notebook.complete("%tune attach |"))
    assert notebook.complete(f"%%tune x{body}\nwd: logu|") == {"wd: loguniform": "function"}
    both = notebook.complete(f"%%tune x{body}\ny = l|")
    assert {"y = lr", "y = len", "y = loguniform"} <= set(both), "Python's own names are still offered"
    assert notebook.complete(f"%%tune x{body}\nreport(a|)").keys() >= {"report(acc="}
    assert set(notebook.complete("%config NbTune.samp|")) == {"%config NbTune.samples"}
    assert notebook.complete("%config NbTune.scope = 'av|'") == {"%config NbTune.scope = 'avg": "value"}
    assert "bit_length" in "".join(notebook.complete("how_many.bit_le|"))


def test_help_on_the_keyboard(notebook: Notebook) -> None:
    for shown in (
        notebook.inspect("%%tu|ne x\nreport(a=1)"),
        notebook.cell("%tune --help").text,
        notebook.cell("%%tune x --metric a --help\nreport(a=1)").text,
        notebook.cell("%tune help").text,
    ):
        assert "Contents. %tune help NAME explains an option" in shown
        assert "Workers of one trial       distributed training with Ray Train" in shown
    assert notebook.cell("print('x' in globals())").text == "False\n"
    assert notebook.cell("%tune resume --help").text.startswith("%tune resume NAME [--failed]")
    assert "HyperBand" in notebook.cell("%tune help --scheduler").text + notebook.cell("%tune help scheduler").text
    assert "there is no help on 'schedular' (did you mean 'scheduler'?)" in notebook.cell("%tune help schedular").error


AGAIN = "{line}\nlr: uniform(0, 1) = 0.5\nimport time\nwhile True:\n    report(acc=lr)\n    time.sleep(0.05)"


def test_the_same_cell_again_while_its_experiment_runs(notebook: Notebook) -> None:
    line = "%%tune twice --metric acc --mode max --samples 2"
    view = "application/vnd.jupyter.widget-view+json"
    first = notebook.cell(AGAIN.format(line=line))
    before = notebook.cell("print(twice.path)").text
    second = notebook.cell(AGAIN.format(line=line))
    assert not second.error
    assert second.text.startswith("twice is ")
    assert "--replace" in second.text
    assert "--new" in second.text
    assert second.data[0][view]["model_id"] == first.data[0][view]["model_id"], "the same dashboard, in the new output"
    assert second.data[2]["text/plain"].startswith("twice: ")
    assert notebook.cell("print(twice.path)").text == before
    assert "an earlier text of this cell" in notebook.cell(AGAIN.format(line=line + " --seed 3")).text
    alone = notebook.cell(AGAIN.format(line=line), interactive=False)
    assert "the variable twice is an experiment that is " in alone.error

    beside = notebook.cell(AGAIN.format(line=line + " --new"))
    assert not beside.error
    assert notebook.cell("print(twice.path)").text == before
    assert notebook.cell("print(twice_2.name, twice_2.path != twice.path, twice.over)").text == "twice_2 True False\n"
    notebook.cell("twice_2.stop()")
    replaced = notebook.cell("kept = twice\n" + "twice.stop()")  # being stopped: the next execution waits for the end
    assert not replaced.error
    assert not notebook.cell(AGAIN.format(line=line)).error
    assert notebook.cell("print(kept.status, twice is not kept)").text == "stopped True\n"
    kept = notebook.cell("kept = twice; print(kept.path)").text
    assert not notebook.cell(AGAIN.format(line=line + " --replace")).error
    assert notebook.cell("print(kept.status, twice.path != kept.path)").text == "stopped True\n", kept
    notebook.cell("twice.stop(); twice.wait(30)")
    assert notebook.cell("twice.stop()").text == "twice is stopped: there is nothing to stop\n"


def test_waiting_shows_a_line_and_an_interrupt_stops_the_waiting_only(notebook: Notebook) -> None:
    late = AGAIN.replace("while True:", "time.sleep(3)\nwhile True:")  # else a trial reports before the next cell runs
    notebook.cell(late.format(line="%%tune slowly --metric acc --mode max --samples 2"))
    assert notebook.cell("slowly.best.config").error.startswith(
        "ExperimentError: no report yet; wait with slowly.wait()"
    )
    timed = notebook.cell("slowly.wait(0.5)")
    assert timed.error.startswith("WaitTimeoutError: slowly is still ")
    assert timed.data[0]["text/plain"].startswith("slowly ")
    notebook.cell("while not len(slowly.history): time.sleep(0.05)")
    message = notebook.send("open('waits', 'w').close()\nslowly.wait()")
    while not (notebook.folder / "waits").exists():
        time.sleep(0.05)
    time.sleep(0.5)  # an interrupt at this very moment could hit the line before
    notebook.interrupt()
    answer = notebook.answer(message)
    assert answer.error == "stopped waiting; slowly is still running; slowly.stop() stops it"
    assert notebook.cell("print(slowly.status)").text == "running\n"
    notebook.cell("slowly.stop(); slowly.wait(30)")


def test_a_cell_sees_and_rebinds_the_notebook(notebook: Notebook) -> None:
    notebook.cell(
        "import numpy as np\n"
        "import helpers\n"
        "from helpers import twice\n"
        "epochs = 2\n"
        "X = np.ones((500, 1000))\n"
        "def scaled(x):\n"
        "    return twice(x) * epochs + helpers.twice(0)\n"
        "open('data.txt', 'w').write('7')\n"
    )
    ran = notebook.cell(
        "%%tune seen --metric acc --mode max --wait\n"
        "lr: uniform(0, 1) = 0.5\n"
        "from dataclasses import dataclass\n"
        "import pickle\n"
        "epochs = epochs * 2\n"
        "@dataclass\n"
        "class Net:\n"
        "    width: int\n"
        "    def forward(self):\n"
        "        return scaled(self.width) + offset()\n"
        "def offset():\n"
        "    return lr * 0\n"
        "again = pickle.loads(pickle.dumps(Net(3)))\n"
        "report(acc=again.forward(), total=X.sum(), text=open('data.txt').read(), writeable=X.flags.writeable)",
        interactive=False,
    )
    assert not ran.error
    shown = notebook.cell("print(seen.df[['acc', 'total', 'text', 'writeable']].values.tolist(), epochs)")
    assert shown.text == "[[24.0, 500000.0, '7', False]] 2\n"


def test_a_traceback_shows_the_cells_own_lines(notebook: Notebook) -> None:
    notebook.cell("def divide(a, b):\n    return a / b")
    number = int(notebook.cell("print(len(In) - 1)").text)  # of this cell
    failed = notebook.cell(
        "%%tune failing --metric acc --mode max --samples 2\n"
        "lr: uniform(0, 1) = 0.5\n"
        "report(acc=lr)\n"
        "for step in [1, 0]:\n"
        "    divide(lr, step)",
        interactive=False,
    )
    assert "ExperimentError" in failed.error
    assert "ZeroDivisionError" in failed.error
    text = notebook.cell("print(failing.trials[0].error)").text
    assert f"Cell In[{number + 1}], line 5, in <module>\n    divide(lr, step)" in text
    assert f"Cell In[{number - 1}], line 2, in divide\n    return a / b" in text
    assert text.count("Cell In[") == 2
    assert text.rstrip().endswith("ZeroDivisionError: float division by zero")


def test_every_mistake_in_one_message_and_nothing_started(notebook: Notebook) -> None:
    before = notebook.cell("import os; os.makedirs('kept', exist_ok=True); print(len(os.listdir('kept')))").text
    wrong = notebook.cell(
        "%%tune wrong --metric acuracy --serch optuna --samples 0 --cpus many\n"
        "lr: loguniform(0, 1)\n"
        "lr: uniform(2, 1)\n"
        "hidden: chioce([1, 2]) = 1\n"
        "report(accuracy=undefined_name)"
    )
    for part in (
        "SpecError", "nothing was started", "did you mean '--search'", "--mode: required with --metric",
        "--samples: expected an integer >= 1, got '0'", "--cpus: expected a number >= 0, got 'many'",
        "(did you mean 'accuracy'", "line 2: lr: ", "line 3: lr: already declared in line 2",
        ": unknown space function chioce (did you mean 'choice'", "line 5: 'undefined_name' is not defined",
    ):  # fmt: skip
        assert part in wrong.error, part
    assert "Traceback" not in wrong.error
    shell = notebook.cell("%%tune wrong\nlr: uniform(0, 1)\n!ls\nreport(a=1)")
    assert "line 3: a shell command (!ls) cannot run in a trial" in shell.error
    notebook.cell("import threading; lock = threading.Lock()")
    locked = notebook.cell("%%tune wrong\nlr: uniform(0, 1)\nwith lock:\n    report(a=lr)")
    assert "lock (_thread.lock) cannot be sent to the trials" in locked.error
    huge = notebook.cell("%%tune wrong\na: grid_search(range(1000))\nb: grid_search(range(1000))\nreport(x=a + b)")
    assert "1,000,000 trials" in huge.error
    assert notebook.cell("print(len(os.listdir('kept')), 'wrong' in globals())").text == f"{before.strip()} False\n"


def test_a_dry_run_runs_here_and_starts_nothing(notebook: Notebook) -> None:
    notebook.cell("import numpy as np; big = np.zeros(1_000_000); ran = []")
    dry = notebook.cell(
        "%%tune dry --metric acc --mode max --samples 8 --dry-run\nlr: uniform(0, 1) = 0.25\nran.append(1)\nreport(acc=lr + big[0])\nboom"
    )
    assert "'boom' is not defined" in dry.error
    dry = notebook.cell(
        "%%tune dry --metric acc --mode max --samples 8 --dry-run\nlr: uniform(0, 1) = 0.25\nran.append(1)\nreport(acc=lr + big[0])"
    )
    assert "lr=0.25" in dry.text
    assert "acc=0.25" in dry.text
    assert "big  ndarray, 8.0 MB, through the object store" in dry.text
    assert "8 trials, 2 at once (limited by CPU), 4 waves" in dry.text
    assert notebook.cell("print(ran, 'dry' in globals())").text == "[] False\n"


def test_plans_of_new_and_of_started_experiments(notebook: Notebook) -> None:
    notebook.cell(
        "import ray.train\ngrid = {'a': nbtune.grid_search([1, 2, 3])}\nworkers = ray.train.ScalingConfig(num_workers=2)"
    )
    planned = notebook.cell("%tune plan --space grid --samples 2 --cpus 0.5")
    assert planned.text == "6 trials, 4 at once (limited by CPU), 2 waves\n", planned.error
    assert notebook.cell("%tune plan --scaling workers --samples 2").text == (
        "2 trials, 1 at once (limited by CPU), 2 waves\na trial needs 2 x (1 CPU), PACK\n"
    )
    assert "requests 8 GPU, but the largest node has 0" in notebook.cell("%tune plan --gpus 8").text
    assert "--scaling: expected a ray.train.ScalingConfig" in notebook.cell("%tune plan --scaling grid").error
    assert "there is no experiment 'nowhere'" in notebook.cell("%tune plan nowhere").error
    assert (
        "takes no options; to plan a new experiment leave out 'slow'" in notebook.cell("%tune plan slow --cpus 2").error
    )
    started = notebook.cell("%tune plan slow")
    assert started.text == ("2 trials, 2 at once (limited by CPU), 1 wave\nstopped, 2 of 2 trials are over\n"), (
        started.error
    )


def test_the_same_cell_runs_without_the_magic(notebook: Notebook) -> None:
    plain = notebook.cell(
        "from nbtune import *\nlr: loguniform(1e-4, 1e-1) = 0.01\nfor i in range(2):\n    report(acc=lr * i)"
    )
    assert plain.text == "report 1: acc=0\nreport 2: acc=0.01\n"
    assert not plain.error


OF_THE_NOTEBOOK = """
import nbtune
from ray.tune import Callback, Stopper
class Noting(Callback):
    def on_trial_result(self, iteration, trials, trial, result, **info):
        result["noted"] = result["acc"] + 1
class Enough(Stopper):
    def __call__(self, trial_id, result):
        return result["acc"] >= 3
    def stop_all(self):
        return False
def good(trial_id, result):
    return result["acc"] >= 2
noting, several, enough, limits = Noting(), [Noting()], Enough(), {"acc": 1}
def train(config):
    for step in range(9):
        nbtune.report(acc=step)
space = {"x": nbtune.uniform(0, 1)}
"""


def test_callbacks_and_conditions_that_are_variables(notebook: Notebook) -> None:
    """Of classes and functions of the notebook, by their names on both kinds of lines."""
    assert not notebook.cell(OF_THE_NOTEBOOK).error
    run = "%tune run train --space space --name ran --metric acc --mode max"
    cell = "%%tune ran --metric acc --mode max {}\nx: uniform(0, 1)\nfor step in range(9):\n    report(acc=step)"
    for line in (
        f"{run} --callbacks noting --stop enough",
        f"{run} --callbacks several --stop good",
        cell.format("--callbacks several --stop limits"),
        cell.format("--callbacks noting --stop enough"),
    ):
        assert not notebook.cell(line, interactive=False).error, line
        reports = {"enough": 4, "good": 3, "limits": 2}[line.partition("\n")[0].split()[-1]]
        shown = notebook.cell("print(*ran.history.acc, *ran.history.noted, ran.trials[0].reason)").text.split(
            maxsplit=2 * reports
        )
        assert shown[:reports] == [str(step) for step in range(reports)], line
        assert [float(noted) for noted in shown[reports : 2 * reports]] == [step + 1 for step in range(reports)], line
        assert shown[-1].startswith("stop condition: "), shown
    assert "give an object, not the class" in notebook.cell(f"{run} --callbacks Noting").error
    for wrong in ("--callbacks notin", "--stop enoug"):
        assert wrong.split()[1] in notebook.cell(f"{run} {wrong}").error


def test_run_functions_defaults_and_overview(notebook: Notebook) -> None:
    notebook.cell(
        "import nbtune\ndef train(config):\n    nbtune.report(acc=config['a'])\nspace = {'a': nbtune.uniform(0, 1)}\ncount = 3"
    )
    ran = notebook.cell("%tune run train --space space --metric acc --mode max --samples count", interactive=False)
    assert not ran.error
    assert "3 of 3 trials" in ran.data[0]["text/plain"]
    assert 'id="nbtune-still"' in ran.data[0]["image/svg+xml"]
    wrong = notebook.cell("%tune run train --space space --metric accuracy --samples 0 --serch optuna").error
    for part in (
        "did you mean '--search'",
        "--samples: expected",
        "--mode: required with --metric",
        "never reports 'accuracy'",
    ):
        assert part in wrong, part
    notebook.cell("%config NbTune.samples = 2")
    refused = notebook.cell("%config NbTune.samples = 0")
    assert "expected an integer >= 1" in refused.text + refused.error
    notebook.cell("%tune run train --space space --metric acc --mode max", interactive=False)
    assert notebook.cell("print(len(experiment.df))").text == "2\n"
    overview = notebook.cell("%tune").text
    assert "embedded Ray: 1 node, 2 CPUs" in overview
    assert re.search("ready for the next experiment: [12] driver process(es)? and processes for trials", overview)
    assert "did you mean 'stop'" in notebook.cell("%tune stopp").error
    assert "expected the name of a function" not in notebook.cell("%tune list").error
    helped = notebook.cell("%tune help").text
    assert "--metric NAME" in helped
    assert "loguniform" in helped


def test_ray_starts_in_the_background_and_ends_if_it_is_not_needed(notebook: Notebook) -> None:
    holder = "from nbtune.cluster.embedded import early; holder = early._holder; print(holder.pid)"
    ended = "holder.wait(60) if holder.poll() is None else None; print(early._holder)"
    notebook.cell("import ray; ray.shutdown()")
    wrong = notebook.cell('%config NbTune.start = "lode"')
    assert "(at once, in the background)" in wrong.text + wrong.error
    assert "did you mean 'load'?" in wrong.text + wrong.error
    notebook.cell('%config NbTune.start = "load"')
    assert "in the background, as NbTune.start" in notebook.cell("%tune").text
    notebook.cell(holder)
    notebook.cell("import sklearn")
    deadline = time.monotonic() + 60
    while "it runs in the background" not in notebook.cell("%tune").text:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    code = 'x: uniform(0, 1)\nimport sys\nreport(score=x, ahead="sklearn" in sys.modules)'
    swept = notebook.cell(f"%%tune swept --samples 2\n{code}", interactive=False)
    assert not swept.error
    assert notebook.cell("print(set(swept.df['ahead']))").text == "{True}\n"
    ahead = "from nbtune.engine.client import processes; print([one.name for one in processes._kept + processes._used])"
    assert notebook.cell(ahead).text == notebook.cell("print([early._process])").text, "it has run in another process"
    assert "embedded Ray: 1 node" in notebook.cell("%tune").text
    assert (
        notebook.cell("print(ray._private.worker._global_node.is_head(), early._holder is holder)").text
        == "False True\n"
    )
    assert notebook.cell("ray.shutdown()").error == ""
    assert notebook.cell(ended).text == "None\n"

    notebook.cell("%config NbTune.start = None")
    notebook.cell('%config NbTune.start = "load"')
    assert notebook.cell(holder).text
    connected = notebook.cell("context = ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)")
    assert connected.error == "", "the Ray in the background must not hinder the user's own"
    assert notebook.cell(ended).text == "None\n"
    assert "1 node, 1 CPUs" in notebook.cell("%tune").text
