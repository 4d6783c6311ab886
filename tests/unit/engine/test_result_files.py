"""nbtune.engine.tune.result_files: which files are deleted on the driver's machine, and how a run ends."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.fs as pafs
import pytest

from nbtune.engine.tune.result_files import ResultFiles, RunFinished


class Trial(SimpleNamespace):
    """A trial of Tune's, with a folder on this machine and one in storage."""

    def __init__(self, folder: Path, syncer: Any) -> None:
        self.here, self.stored = folder / "here" / "trial", folder / "stored"
        self.here.mkdir(parents=True)
        storage = SimpleNamespace(
            experiment_driver_staging_path=str(folder / "here"),
            trial_dir_name="trial",
            trial_driver_staging_path=str(self.here),
            trial_fs_path=str(self.stored),
            storage_filesystem=pafs.LocalFileSystem(),
            syncer=syncer,
        )
        super().__init__(storage=storage, checkpoint=None, config={"a": 1}, local_path=str(self.here))

    def __hash__(self) -> int:
        return id(self)

    def init_local_path(self) -> None:
        """Tune creates the folder."""

    def copy(self) -> None:
        shutil.copytree(self.here, self.stored, dirs_exist_ok=True)


@pytest.fixture
def syncer() -> Any:
    return SimpleNamespace(_sync_process=None)


def snapshots(files: ResultFiles, number: int) -> None:
    for _ in range(number):
        files.get_state()
        if files._comparing is not None:
            files._comparing.join()


def test_files_are_deleted_once_storage_has_them(tmp_path: Path, syncer: Any) -> None:
    files = ResultFiles()
    over, running = (Trial(tmp_path / name, syncer) for name in ("over", "running"))
    for trial in (over, running):
        files.log_trial_start(trial)
        files.log_trial_result(1, trial, {"score": 1})
    files.log_trial_end(over)
    snapshots(files, 3)
    assert over.here.exists(), "storage has nothing"
    over.copy()
    running.copy()
    (over.stored / "result.json").write_text("{")
    snapshots(files, 3)
    assert over.here.exists(), "storage has a part of it"
    over.copy()
    syncer._sync_process = SimpleNamespace(is_running=True)
    snapshots(files, 3)
    assert over.here.exists(), "Tune is copying it"
    syncer._sync_process.is_running = False
    snapshots(files, 2)
    assert not over.here.exists()
    assert not (tmp_path / "over" / "here-stored").exists()
    assert running.here.exists()
    assert sorted(path.name for path in over.stored.iterdir()) == ["params.json", "params.pkl", "result.json"]


def test_the_end_of_a_trial_that_has_not_started(tmp_path: Path, syncer: Any) -> None:
    files = ResultFiles()
    files.log_trial_end(Trial(tmp_path, syncer))
    snapshots(files, 2)


def test_a_run_ends_before_its_results_are_read_back_unless_it_has_failed() -> None:
    with pytest.raises(RunFinished):
        ResultFiles().on_experiment_end([])
    try:
        raise OSError("no network")
    except OSError:
        ResultFiles().on_experiment_end([])
