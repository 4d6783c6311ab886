"""nbtune.engine.trial.checkpoint: dictionaries and folders."""

from pathlib import Path

import pyarrow.fs as pafs
import pytest
from ray.tune import Checkpoint as RayCheckpoint

from nbtune.engine.trial.checkpoint import Checkpoint, saved


def test_a_dictionary_comes_back(tmp_path):
    torch = pytest.importorskip("torch")
    with saved({"model": torch.ones(2), "epoch": 3}) as ready:
        kept = ready.to_directory(str(tmp_path / "kept"))
        temporary = ready.path
    assert not Path(temporary).exists()
    checkpoint = Checkpoint(kept)
    assert checkpoint["epoch"] == 3
    assert checkpoint["model"].tolist() == [1, 1]
    assert checkpoint.load() is checkpoint.load()
    with pytest.raises(KeyError):
        checkpoint["optimizer"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_a_folder(tmp_path, kind):
    (tmp_path / "weights.bin").write_bytes(b"abc")
    with saved(kind(tmp_path)) as ready:
        checkpoint = Checkpoint(ready.path)
    assert (Path(checkpoint) / "weights.bin").read_bytes() == b"abc"
    assert checkpoint.as_directory() == tmp_path
    assert tmp_path.exists(), "the user's own folder is left alone"
    with pytest.raises(TypeError, match="was reported as a folder; open its files"):
        checkpoint.load()


def test_a_folder_elsewhere_is_downloaded(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("b")
    storage = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    folder = Checkpoint("there", storage).as_directory()
    assert (folder / "a").read_text() == "b"
    assert folder != tmp_path / "there"


def test_rays_own_and_none_are_handed_on(tmp_path):
    own = RayCheckpoint(str(tmp_path))
    with saved(own) as ready:
        assert ready is own
    with saved(None) as ready:
        assert ready is None


def test_what_cannot_be_a_checkpoint(tmp_path):
    with pytest.raises(TypeError, match="give a dictionary"), saved(5):
        pass
    with pytest.raises(NotADirectoryError, match="is no folder"), saved(tmp_path / "missing"):
        pass


def test_the_temporary_folder_goes_even_if_saving_fails():
    pytest.importorskip("torch")
    saving = saved({"a": 1})
    folder = Path(saving.__enter__().path)
    assert folder.exists()
    assert not saving.__exit__(RuntimeError, RuntimeError("later"), None)
    assert not folder.exists()


def test_it_shows_its_path():
    assert repr(Checkpoint("/a/b")) == "Checkpoint('/a/b')"
