"""nbtune.engine.trial.checkpoint: dictionaries and folders."""

from pathlib import Path

import pyarrow.fs as pafs
import pytest
from ray.tune import Checkpoint as RayCheckpoint

from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint


def test_a_dictionary_comes_back(tmp_path):
    torch = pytest.importorskip("torch")
    with as_ray_checkpoint({"model": torch.ones(2), "epoch": 3}) as ray_checkpoint:
        stored = ray_checkpoint.to_directory(str(tmp_path / "stored"))
        temporary = ray_checkpoint.path
    assert not Path(temporary).exists()
    checkpoint = Checkpoint(stored)
    assert checkpoint["epoch"] == 3
    assert checkpoint["model"].tolist() == [1, 1]
    assert checkpoint.load() is checkpoint.load()
    with pytest.raises(KeyError):
        checkpoint["optimizer"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_comes_back_as_a_path(tmp_path, kind):
    (tmp_path / "weights.bin").write_bytes(b"abc")
    with as_ray_checkpoint(kind(tmp_path)) as ray_checkpoint:
        checkpoint = Checkpoint(ray_checkpoint.path)
    assert (Path(checkpoint) / "weights.bin").read_bytes() == b"abc"
    assert checkpoint.as_directory() == tmp_path
    assert tmp_path.exists(), "the user's own folder was deleted"
    with pytest.raises(TypeError, match="was reported as a folder, not as a dictionary; open its files"):
        checkpoint.load()


def test_a_folder_on_another_filesystem_is_downloaded(tmp_path):
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / "a").write_text("b")
    storage = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    folder = Checkpoint("remote", storage).as_directory()
    assert (folder / "a").read_text() == "b"
    assert folder != tmp_path / "remote"


def test_ray_checkpoints_and_none_are_returned_as_they_are(tmp_path):
    given = RayCheckpoint(str(tmp_path))
    with as_ray_checkpoint(given) as ray_checkpoint:
        assert ray_checkpoint is given
    with as_ray_checkpoint(None) as ray_checkpoint:
        assert ray_checkpoint is None


def test_values_that_are_not_checkpoints(tmp_path):
    with (
        pytest.raises(TypeError, match="checkpoint: expected a dictionary .* or a folder, got 5"),
        as_ray_checkpoint(5),
    ):
        pass
    with (
        pytest.raises(NotADirectoryError, match="checkpoint: expected an existing folder"),
        as_ray_checkpoint(tmp_path / "missing"),
    ):
        pass


def test_the_temporary_folder_is_deleted_even_if_saving_fails():
    pytest.importorskip("torch")
    saving = as_ray_checkpoint({"a": 1})
    folder = Path(saving.__enter__().path)
    assert folder.exists()
    assert not saving.__exit__(RuntimeError, RuntimeError("later"), None)
    assert not folder.exists()


def test_repr_shows_the_path():
    assert repr(Checkpoint("/a/b")) == "Checkpoint('/a/b')"
