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
    checkpoint = Checkpoint(stored, trust=True)
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


CLASSES = """
import dataclasses, enum, collections, functools, torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.layer = torch.nn.Linear(2, 2)
@dataclasses.dataclass
class Config:
    lr: float = 1.0
@dataclasses.dataclass(slots=True)
class Slots:
    lr: float = 1.0
class Color(enum.Enum):
    RED = 1
class Table(dict): pass
class Rows(list): pass
Point = collections.namedtuple("Point", "x y", module=__name__)
class Holder:
    def __init__(self, value): self.value = value
    def __reduce__(self): return rebuilt, (self.value,)
def rebuilt(value): return Holder(value)
class Inner:
    class Deep: pass
"""
VALUES = {
    "module": "Net()",
    "dataclass": "Config()",
    "slots": "Slots()",
    "enum": "Color.RED",
    "dict": "Table(a=1)",
    "list": "Rows([1, 2])",
    "namedtuple": "Point(1, 2)",
    "reduce": "Holder(3)",
    "class": "Net",
    "deep": "Inner.Deep()",
    "in a list": "[1, [Config()]]",
    "as a key": "{Color.RED: 1}",
    "in a tuple": "(1, {'a': Config()})",
    "in a set": "{Color.RED}",
    "in a module": "torch.nn.Sequential(Net())",
    "in a partial": "functools.partial(int, Config())",
    "in an attribute": "(lambda m: (setattr(m, 'config', Config()), m)[1])(torch.nn.Linear(1, 1))",
}


@pytest.fixture(params=["__main__", "gone_module"])
def saved_elsewhere(request, tmp_path, monkeypatch):
    """Returns a function: a value's text -> a checkpoint with that value, read where its classes are unknown."""
    import sys
    import types

    def save(**texts):
        module = types.ModuleType(request.param)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, request.param, module)
            exec(CLASSES, module.__dict__)
            state = {key: eval(text, module.__dict__) for key, text in texts.items()}
            with as_ray_checkpoint(state) as ray_checkpoint:
                stored = ray_checkpoint.to_directory(str(tmp_path / "stored"))
        if request.param == "__main__":
            monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        return Checkpoint(stored, trust=True), module

    save.module = request.param
    return save


@pytest.mark.parametrize("kind", VALUES)
def test_an_entry_can_be_read_though_another_needs_a_missing_class(saved_elsewhere, kind, monkeypatch):
    import sys

    checkpoint, module = saved_elsewhere(first="torch.ones(2)", e="3", model=VALUES[kind], last="{'a': [1.5]}")
    assert checkpoint["e"] == 3
    assert checkpoint["last"] == {"a": [1.5]}
    assert checkpoint["first"].tolist() == [1, 1]
    with pytest.raises(KeyError):
        checkpoint["other"]
    with pytest.raises(
        AttributeError, match=f"checkpoint\\['model'\\] cannot be read: .*{saved_elsewhere.module}"
    ) as e:
        checkpoint["model"]
    advice = "run the cell that defines" if saved_elsewhere.module == "__main__" else "importable here"
    assert advice in str(e.value)
    readable = r"Other entries can be read: checkpoint\['first'\], checkpoint\['e'\], checkpoint\['last'\]"
    with pytest.raises(AttributeError, match=readable):
        checkpoint.load()
    monkeypatch.setitem(sys.modules, saved_elsewhere.module, module)  # its cell has been run
    value = checkpoint["model"]
    assert type(value) is type(eval(VALUES[kind], module.__dict__))
    assert checkpoint.load()["e"] == 3


def test_entries_share_objects_where_all_classes_are_known(tmp_path):
    shared = [1]
    with as_ray_checkpoint({"a": shared, "b": shared}) as ray_checkpoint:
        checkpoint = Checkpoint(ray_checkpoint.to_directory(str(tmp_path / "stored")), trust=True)
    assert checkpoint["a"] is checkpoint["b"]
