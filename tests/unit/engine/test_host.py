"""nbtune.engine.tune.host: what a process of trials answers to Tune."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nbtune.engine.tune.host import TrialHost

RESULT, END = {"y": 1}, {"__duplicate__": True}


class Returned:
    """A trial whose function has returned a result, and that ends with its next answer."""

    has_returned = True

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def train(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> TrialHost:
    monkeypatch.setattr("os.environ", {})
    return TrialHost()


def test_a_result_that_is_returned_comes_with_the_end_of_the_trial(host: TrialHost) -> None:
    host._trial = Returned(RESULT, END)  # type: ignore[assignment]
    assert host.train() == [RESULT, END]


def test_an_error_at_the_end_does_not_keep_the_result_back(host: TrialHost) -> None:
    host._trial = Returned(RESULT, ValueError("at the end"))  # type: ignore[assignment]
    assert host.train() == RESULT
    with pytest.raises(ValueError, match="at the end"):
        host.train()
    assert host.tidy() == "has run a trial that failed"


def test_a_package_that_exits_leaves_the_environment_as_it_was(
    host: TrialHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Environment(dict[str, str]):
        def clear(self) -> None:
            raise AssertionError("threads of libraries read it at any time")

        def __setitem__(self, name: str, value: str) -> None:
            changed.append(name)
            super().__setitem__(name, value)

    changed: list[str] = []
    monkeypatch.setattr("os.environ", Environment(KEPT="1", MODE="old"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "exits_when_imported.py").write_text(
        "import os, sys\nos.environ['ADDED'] = os.environ['MODE']\ndel os.environ['KEPT']\nsys.exit(1)\n"
    )
    (tmp_path / "comes_after_it.py").write_text("")
    host.import_ahead(["exits_when_imported", "comes_after_it"], {"MODE": "new"})
    assert "comes_after_it" in sys.modules
    assert os.environ == {"KEPT": "1", "MODE": "old"}
    assert sorted(changed) == ["ADDED", "KEPT", "MODE"]
