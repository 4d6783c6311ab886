"""The working directories of trials, and trials that end their own process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import nbtune


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a notebook, with a module, data, links, and files that an earlier run has written."""
    folder = tmp_path / "project" / "notebooks"
    (folder / "lightning_logs" / "version_0").mkdir(parents=True)
    (folder / "lightning_logs" / "version_0" / "metrics.csv").write_text("old")
    (folder / "model.pt").write_text("old")
    (folder / "here.txt").write_text("here")
    (folder / "beside_the_notebook.py").write_text("VALUE = 7\n")
    (tmp_path / "project" / "data").mkdir()
    (tmp_path / "project" / "data" / "x.csv").write_text("data")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("..")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def meet(folder: Path, name: int, number: int) -> None:
    """Wait until `number` trials are here."""
    (folder / f"{name}").touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < number and time.monotonic() < end:
        time.sleep(0.01)


def test_each_trial_has_a_working_directory_and_sees_the_notebooks_folder(
    run: Any, notebook: Path, tmp_path: Path
) -> None:
    """Also if it ends its process: what it leaves behind neither delays the end nor reaches the next trial."""
    gate = tmp_path / "gate"
    gate.mkdir()

    def train(config: dict[str, Any]) -> None:
        import beside_the_notebook
        import torch

        number = config["number"]
        assert Path("here.txt").read_text() == "here"
        assert Path("../data/x.csv").read_text() == "data"
        assert beside_the_notebook.VALUE == 7
        assert sorted(os.listdir("lightning_logs")) == ["version_0"]
        torch.save(number, "model.pt")
        os.makedirs("lightning_logs/version_1")
        Path("lightning_logs/version_1/metrics.csv").write_text(str(number))
        Path("own.txt").write_text(str(number))
        if number < 2:
            meet(gate, number, 2)
        found = torch.load("model.pt"), int(Path("lightning_logs/version_1/metrics.csv").read_text())
        nbtune.report(found=list(found), cwd=os.getcwd(), dir=nbtune.get_context().get_trial_dir(), pid=os.getpid())
        if number == 1:
            print("about to exit")
            os._exit(3)

    before = files(notebook)
    space = {"number": nbtune.grid_search([0, 1, 2, 3])}
    experiment = run(train, space, storage=str(tmp_path / "storage")).wait(120)
    frame = experiment.df
    assert frame["status"].tolist() == ["finished", "failed", "finished", "finished"], frame["error"].tolist()
    assert files(notebook) == before
    assert frame["found"].tolist() == [[number, number] for number in range(4)]
    assert (frame["cwd"] == frame["dir"]).all()
    assert frame["cwd"].nunique() == 4
    assert frame["pid"].nunique() < 4, "processes run several trials"
    for number in (0, 2, 3):
        kept = experiment.trials[number].files
        assert list(kept) == ["lightning_logs/version_1/metrics.csv", "model.pt", "own.txt"]
        assert Path(kept["own.txt"]).read_text() == str(number)
        assert not Path(frame["cwd"][number]).exists()
    text = experiment.trials[1].error
    assert text.startswith("the trial's process has ended itself: os._exit(3)\n")
    assert "Its last output:\nabout to exit\n" in text
    assert "os._exit(3)\n" in text.partition("Traceback")[2]
    assert experiment.trials[1].files == {}
    assert (Path(frame["cwd"][1]) / "own.txt").read_text() == "1", "they stay on its machine"


def test_a_retried_trial_continues_in_its_directory(run: Any, notebook: Path, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        with open("attempts.txt", "a") as file:
            file.write("x")
        attempts = len(Path("attempts.txt").read_text())
        nbtune.report(attempts=attempts)
        if attempts < 3:
            raise ValueError("again")

    experiment = run(train, {"a": 1}, max_failures=5).wait(120)
    assert experiment.trials[0].metrics["attempts"] == 3
    assert Path(experiment.trials[0].files["attempts.txt"]).read_text() == "xxx"


def test_the_workers_of_a_trial_share_its_directory(run: Any, notebook: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        import torch.distributed as dist

        rank, own = nbtune.get_context().get_world_rank(), str(config["a"])
        assert Path("../data/x.csv").read_text() == "data"
        if rank == 0:
            Path("shared.txt").write_text(own)
        dist.barrier()
        assert Path("shared.txt").read_text() == own
        Path(f"rank_{rank}.txt").write_text(own)
        nbtune.report(a=1)
        if config["a"] == 1 and rank == 1:
            os._exit(4)
        time.sleep(0.5 * rank)
        Path(f"late_{rank}.txt").write_text(own)

    space = {"a": nbtune.grid_search([0, 1])}
    experiment = run(train, space, workers=2, cpus=0.5).wait(240)
    frame = experiment.df
    assert frame["status"].tolist() == ["finished", "failed"], frame["error"].tolist()
    kept = experiment.trials[0].files
    assert list(kept) == ["late_0.txt", "late_1.txt", "rank_0.txt", "rank_1.txt", "shared.txt"]
    assert {Path(path).read_text() for path in kept.values()} == {"0"}
    text = experiment.trials[1].error
    assert text.startswith(
        "the process of worker 1 has ended itself: os._exit(4)\nTraceback (most recent call last):\n"
    )
    assert not list(notebook.glob("*.txt.*")) + list(notebook.glob("rank*"))
