"""nbtune.engine.trial.tidy: a process brings nothing of one experiment to the next. The cases have processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BEFORE = """
import numpy, pandas, sys
from nbtune.engine.trial import tidy
tidy.remember()
"""

CHANGES = {
    "variable": ("import os; os.environ['MODE'] = 'x'; os.environ.pop('HOME', None)",
                 "'MODE' not in os.environ and 'HOME' in os.environ"),
    "folder": ("import os; before = os.getcwd(); os.chdir('/')", "os.getcwd() == before"),
    "path": ("sys.path.insert(0, '/nowhere')", "'/nowhere' not in sys.path"),
    "arguments": ("sys.argv.append('--x')", "'--x' not in sys.argv"),
    "builtin": ("import builtins; builtins.print = None; builtins.mine = 1",
                "builtins.print is not None and not hasattr(builtins, 'mine')"),
    "hook": ("sys.excepthook = None", "sys.excepthook is not None"),
    "warnings": ("import warnings; warnings.simplefilter('error')", "warnings.warn('x') is None"),
    "logging": ("import logging; logging.disable(); logging.getLogger().setLevel(5); logging.getLogger().handlers.clear()",
                "logging.getLogger().level == 30 and logging.root.manager.disable == 0"),
    "recursion": ("sys.setrecursionlimit(77777)", "sys.getrecursionlimit() == 1000"),
    "locale": ("import locale; first = locale.setlocale(locale.LC_ALL); locale.setlocale(locale.LC_ALL, 'C')",
               "locale.setlocale(locale.LC_ALL) == first"),
    "gc": ("import gc; gc.disable()", "gc.isenabled()"),
    "timeout": ("import socket; socket.setdefaulttimeout(1)", "socket.getdefaulttimeout() is None"),
    "decimal": ("import decimal; decimal.getcontext().prec = 3", "decimal.getcontext().prec == 28"),
    "random": ("import random; random.seed(1); first = random.Random(1).random()", "random.random() != first"),
    "numpy random": ("numpy.random.seed(1); first = numpy.random.RandomState(1).rand()", "numpy.random.rand() != first"),
    "numpy errors": ("numpy.seterr(all='raise')", "numpy.geterr()['over'] == 'warn'"),
    "numpy printing": ("numpy.set_printoptions(precision=2)", "numpy.get_printoptions()['precision'] == 8"),
    "pandas": ("pandas.set_option('display.max_rows', 3)", "pandas.get_option('display.max_rows') == 60"),
    "torch": ("import torch; torch.set_default_dtype(torch.float64); torch.use_deterministic_algorithms(True)",
              "torch.get_default_dtype() is torch.float32 and not torch.are_deterministic_algorithms_enabled()"),
    "sklearn": ("import sklearn; sklearn.set_config(transform_output='pandas')",
                "sklearn.get_config()['transform_output'] == 'default'"),
    "thread that ends": ("import threading; threading.Timer(0.3, print).start()", "True"),
}  # fmt: skip
"""What is changed -> the change, and what is true again afterwards."""

REMAINS = {
    "thread": ("import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True, name='mine').start()",
               "has the thread 'mine', which has not ended"),
    "child": ("import subprocess; child = subprocess.Popen(['sleep', '60'])", "has the child process"),
    "module": ("import helper", "has imported the user's module 'helper'"),
    "signal": ("import signal; signal.signal(signal.SIGALRM, lambda *_: None)", "handles signals"),
    "memory": ("kept = bytearray(3 << 30); kept[::4096] = b'x' * len(kept[::4096])", "more memory than before"),
}  # fmt: skip
"""What remains -> the code, and a part of the reason."""


def run(code: str, folder: Path) -> str:
    (folder / "helper.py").write_text("value = 1\n")
    program = BEFORE + f"sys.path.insert(0, {str(folder)!r})\n" + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_changes_are_undone(tmp_path: Path) -> None:
    steps = "\n".join(
        f"{change}\nfound[{what!r}] = tidy.tidy() or bool({expected})" for what, (change, expected) in CHANGES.items()
    )
    found = json.loads(run(f"import json\nfound = {{}}\n{steps}\nsys.stdout.write(json.dumps(found))", tmp_path))
    assert found == dict.fromkeys(CHANGES, True)


@pytest.mark.parametrize("what", REMAINS)
def test_what_cannot_be_undone_is_the_reason_to_end(what: str, tmp_path: Path) -> None:
    code, reason = REMAINS[what]
    end = "\nif 'child' in globals():\n    child.kill()"
    assert reason in run(f"{code}\nprint(tidy.tidy()){end}", tmp_path)


def test_a_process_that_does_not_know_its_first_state_is_not_used_again() -> None:
    code = "from nbtune.engine.trial import tidy; print(tidy.tidy())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "does not know its first state"


def test_installed_packages_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    code = f"""
import os
sys.path.append({str(folder)!r})
tidy.remember()
before = tidy.packages_changed()
os.mkdir({str(folder / "new-1.0.dist-info")!r})
print(before, tidy.packages_changed())
"""
    assert run(code, tmp_path) == "False True"
