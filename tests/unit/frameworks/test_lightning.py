"""nbtune.lightning in one process: what it reports, what it saves, and how it goes on."""

from __future__ import annotations

import copy
import shutil
import tempfile

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nbtune
from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint
from nbtune.engine.trial.session import Context, set_session
from nbtune.frameworks.lightning import _saved

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own, of small data


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch, index):
        loss = (self.layer(batch[0]) ** 2).mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", (self.layer(batch[0]) ** 2).mean())

    def on_train_epoch_end(self):
        self.log("late", 10.0 + self.current_epoch)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)]


class Kept:
    """A session that keeps what is reported."""

    context = Context()

    def __init__(self, folder, checkpoint=None):
        self.folder, self.checkpoint = folder, checkpoint
        self.metrics, self.saved = [], []

    def report(self, metrics, checkpoint):
        self.metrics.append(metrics)
        self.saved.append(None)
        if checkpoint is not None:
            self.saved[-1] = shutil.copytree(checkpoint, self.folder / str(len(self.saved)))

    def get_checkpoint(self):
        return self.checkpoint


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    before = []

    def start(name, checkpoint=None):
        session = Kept(tmp_path / name, checkpoint)
        before.append(set_session(session))
        return session

    yield start
    set_session(before[0])


@pytest.fixture
def data():
    torch.manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(32, 4)), batch_size=8)


def test_every_epoch_is_reported_with_all_that_was_logged(kept, data, tmp_path):
    session = kept("a")
    nbtune.lightning.trainer(2).fit(Model(), data, data)
    assert [set(metrics) for metrics in session.metrics] == [{"loss", "val_loss", "late", "epoch"}] * 2
    assert [(metrics["epoch"], metrics["late"]) for metrics in session.metrics] == [(0, 10.0), (1, 11.0)]
    assert session.metrics[1]["val_loss"] < session.metrics[0]["val_loss"]
    assert [[file.name for file in folder.iterdir()] for folder in session.saved] == [[nbtune.lightning.CHECKPOINT]] * 2
    assert not list((tmp_path / "tmp").iterdir()), "the folders that were reported are removed"
    assert not (tmp_path / "lightning_logs").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_it_goes_on_where_it_was(kept, data):
    model = Model()
    whole = kept("whole")
    nbtune.lightning.trainer(4).fit(copy.deepcopy(model), data, data, ckpt_path=nbtune.lightning.resume())
    rest = kept("rest", Checkpoint(str(whole.saved[1])))
    again = Model()
    nbtune.lightning.trainer(4).fit(again, data, data, ckpt_path=nbtune.lightning.resume())
    assert rest.metrics == whole.metrics[2:]
    last = torch.load(whole.saved[3] / nbtune.lightning.CHECKPOINT, weights_only=False)
    assert torch.equal(last["state_dict"]["layer.weight"], again.layer.weight)


def test_checkpoints_with_some_epochs_only(kept, data):
    session = kept("a")
    nbtune.lightning.trainer(5, checkpoint_every=2).fit(Model(), data)
    assert [folder is not None for folder in session.saved] == [False, True, False, True, False]
    session = kept("b")
    nbtune.lightning.trainer(2, checkpoint_every=0).fit(Model(), data)
    assert session.saved == [None, None]


def test_what_is_given_goes_to_the_trainer(kept):
    kept("a")
    mine = pl.callbacks.EarlyStopping("loss")
    trainer = nbtune.lightning.trainer(7, callbacks=mine, enable_checkpointing=False, accumulate_grad_batches=2)
    assert (trainer.max_epochs, trainer.accumulate_grad_batches, trainer.loggers) == (7, 2, [])
    assert mine in trainer.callbacks
    assert trainer.progress_bar_callback is None
    assert not any(isinstance(callback, ModelCheckpoint) for callback in trainer.callbacks)
    full = nbtune.lightning.trainer(enable_checkpointing=True, enable_progress_bar=True, logger=True)
    assert any(isinstance(callback, ModelCheckpoint) for callback in full.callbacks)
    assert full.progress_bar_callback is not None
    assert len(full.loggers) == 1


def test_one_process_is_one_where_slurm_has_started_several(kept, monkeypatch):
    kept("a")
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    trainer = nbtune.lightning.trainer(accelerator="cpu")
    assert (trainer.world_size, trainer.global_rank) == (1, 0)


def test_there_is_nothing_to_go_on_from(kept):
    kept("a")
    assert nbtune.lightning.resume() is None


def test_a_checkpoint_of_something_else(kept):
    with as_ray_checkpoint({"model": 1}) as ray_checkpoint:
        kept("a", Checkpoint(ray_checkpoint.path))
        with pytest.raises(FileNotFoundError, match=r"has no checkpoint\.ckpt: .* read it by get_checkpoint"):
            nbtune.lightning.resume()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "ddpp"}, "strategy='ddpp': give 'ddp' or 'fsdp', or one of"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1: give a number of epochs, or 0"),
        ({"checkpoint_every": "1"}, "checkpoint_every='1'"),
    ],
)
def test_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        nbtune.lightning.trainer(**wrong)


def test_the_file_is_called_as_rays_own_callback_calls_it():
    from ray.train.lightning import RayTrainReportCallback

    assert RayTrainReportCallback.CHECKPOINT_NAME == nbtune.lightning.CHECKPOINT


@pytest.fixture
def worker():
    """A process group of this process alone, and `ray.train`'s functions as in a worker."""
    from torch import distributed

    from nbtune.engine.train.worker import alone

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    with alone("experiment"):
        yield
    distributed.destroy_process_group()


def test_a_worker_has_rays_strategy_and_environment(kept, data, worker):
    from ray.train.lightning import RayDDPStrategy, RayFSDPStrategy, RayLightningEnvironment

    session = kept("a")
    trainer = nbtune.lightning.trainer(1)
    trainer.fit(Model(), data)
    assert type(trainer.strategy) is RayDDPStrategy
    assert isinstance(trainer.strategy.cluster_environment, RayLightningEnvironment)
    assert len(session.metrics) == 1
    assert type(nbtune.lightning.trainer(strategy="fsdp").strategy) is RayFSDPStrategy
    mine = RayDDPStrategy(find_unused_parameters=True)
    assert nbtune.lightning.trainer(strategy=mine).strategy is mine
    with pytest.raises(RuntimeError, match="Invalid strategy class"):
        nbtune.lightning.trainer(strategy=pl.strategies.DDPStrategy())


class Part:
    """A trainer of one of several processes, which saves one file or the shards of all as FSDP does."""

    current_epoch = 0

    def __init__(self, folder, rank, local_rank, shards):
        self.folder, self.shards, self.strategy = folder, shards, self
        self.is_global_zero, self.local_rank = rank == 0, local_rank

    def broadcast(self, folder):
        return str(self.folder)

    def barrier(self):
        pass

    def save_checkpoint(self, file, weights_only):
        if self.shards:
            file.mkdir(parents=True)
        elif self.is_global_zero:
            file.parent.mkdir()
            file.touch()


@pytest.mark.parametrize(
    ("shards", "rank", "local_rank", "reports"),
    [
        *((False, 0, 0, True), (False, 1, 1, False), (False, 2, 0, False)),
        *((True, 0, 0, True), (True, 1, 1, False), (True, 2, 0, True)),
    ],
)
def test_of_shards_each_node_reports_its_own(tmp_path, monkeypatch, shards, rank, local_rank, reports):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "shared"
    with _saved(Part(folder, rank, local_rank, shards), every=1) as found:
        assert found == (str(folder) if reports else None)
    assert folder.exists() == (shards and local_rank > 0), "the first process of a node removes its folder"
