"""nbtune.engine.client.variables: which environment variables of the kernel trials are given."""

from __future__ import annotations

import os
import subprocess
import sys

from nbtune.engine.client.variables import changed_variables
from nbtune.engine.protocol.environment import set_variables

PROGRAM = """
import os
os.environ["ADDED"] = "new"
os.environ["CHANGED"] = "after"
os.environ["SAME"] = "same"
del os.environ["DELETED"]
os.environ["RAY_ADDRESS"] = os.environ["CUDA_VISIBLE_DEVICES"] = os.environ["MPLBACKEND"] = "0"
os.environ["PATH"] += ":/opt/tool"
os.putenv("NOT_IN_OS_ENVIRON", "x")
from nbtune.engine.client.variables import changed_variables
print(repr([changed_variables(same_machine=same) for same in (True, False)]))
"""


def test_what_code_has_changed_since_the_start_of_the_process():
    """Also what it has changed before nbtune was imported."""
    given = {**os.environ, "CHANGED": "before", "SAME": "same", "DELETED": "x", "PATH": "/usr/bin"}
    result = subprocess.run([sys.executable, "-c", PROGRAM], env=given, capture_output=True, text=True, check=True)
    here, elsewhere = eval(result.stdout)
    assert elsewhere == {"ADDED": "new", "CHANGED": "after", "DELETED": None}
    assert here == {**elsewhere, "PATH": "/usr/bin:/opt/tool"}


def test_nothing_has_changed_in_a_fresh_process():
    program = (
        "from nbtune.engine.client.variables import changed_variables\nprint(changed_variables(same_machine=True))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert eval(result.stdout) == {}


def test_variables_are_set_and_deleted(monkeypatch):
    monkeypatch.setenv("DELETED", "x")
    monkeypatch.setenv("CHANGED", "before")
    set_variables({"DELETED": None, "CHANGED": "after", "NEVER_THERE": None})
    assert "DELETED" not in os.environ
    assert os.environ["CHANGED"] == "after"


def test_variables_that_name_no_change_are_left_out(monkeypatch):
    monkeypatch.setattr(os, "environ", {"A": "1", "B": "2"})
    assert changed_variables(same_machine=True, start={"A": "1", "C": "3"}) == {"B": "2", "C": None}
