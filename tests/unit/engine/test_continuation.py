"""nbtune.engine.tune.continuation: which checkpoints a resumed trial has, and which of those in storage it keeps."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.fs as pafs
import pytest
from ray.tune import CheckpointConfig

from nbtune.engine._ray.tune import CheckpointManager
from nbtune.engine.protocol.replay import PastTrial, SavedCheckpoint
from nbtune.engine.tune.continuation import catch_up


@pytest.fixture
def trial(tmp_path):
    """A trial of Tune's with five folders of checkpoints in storage."""
    for number in (3, 4, 5, 7, 8):
        (tmp_path / "t" / f"checkpoint_{number:06}").mkdir(parents=True)
    (tmp_path / "t" / "output").mkdir()
    storage = SimpleNamespace(
        storage_filesystem=pafs.LocalFileSystem(),
        experiment_fs_path=str(tmp_path),
        trial_fs_path=str(tmp_path / "t"),
        current_checkpoint_index=0,
    )
    manager = CheckpointManager(CheckpointConfig())
    run_metadata = SimpleNamespace(checkpoint_manager=manager, invalidate_cache=lambda: None)
    return SimpleNamespace(
        storage=storage, run_metadata=run_metadata, invalidate_json_state=lambda: None, set_config=lambda config: None
    )


def saved(number):
    return SavedCheckpoint(f"t/checkpoint_{number:06}", number, {}, 1.0)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_checkpoints_that_the_log_does_not_have_are_deleted_if_it_is_intact(trial, tmp_path, is_damaged):
    """They are half a checkpoint, if the driver and the trial were killed while it was saved."""
    past = PastTrial(0, folder="t", checkpoints=[saved(2), saved(3), saved(5)], is_damaged=is_damaged)
    catch_up(trial, past)
    left = sorted(path.name for path in (tmp_path / "t").iterdir())
    lost = ["checkpoint_000004", "checkpoint_000007", "checkpoint_000008"] if is_damaged else []
    assert left == sorted(["checkpoint_000003", "checkpoint_000005", "output", *lost])
    known = trial.run_metadata.checkpoint_manager.best_checkpoint_results
    assert [one.checkpoint.path for one in known] == [f"{tmp_path}/{saved(number).path}" for number in (3, 5)]
    assert trial.storage.current_checkpoint_index == 9, (
        "the number after that of the last one, which may be written yet"
    )
