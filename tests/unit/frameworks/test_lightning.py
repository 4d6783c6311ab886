"""nbtune.lightning in one process: reports, checkpoints, resuming."""

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

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning warns about small data


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


class RecordingSession:
    """A session that records all reports."""

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
def record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    previous = []

    def start(name, checkpoint=None):
        session = RecordingSession(tmp_path / name, checkpoint)
        previous.append(set_session(session))
        return session

    yield start
    set_session(previous[0])


@pytest.fixture
def data():
    torch.manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(32, 4)), batch_size=8)


def test_every_epoch_reports_all_logged_metrics(record, data, tmp_path):
    session = record("a")
    nbtune.lightning.trainer(2).fit(Model(), data, data)
    assert [set(metrics) for metrics in session.metrics] == [{"loss", "val_loss", "late", "epoch"}] * 2
    assert [(metrics["epoch"], metrics["late"]) for metrics in session.metrics] == [(0, 10.0), (1, 11.0)]
    assert session.metrics[1]["val_loss"] < session.metrics[0]["val_loss"]
    assert [[file.name for file in folder.iterdir()] for folder in session.saved] == [[nbtune.lightning.CHECKPOINT]] * 2
    assert not list((tmp_path / "tmp").iterdir()), "reported folders were not deleted"
    assert not (tmp_path / "lightning_logs").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_training_continues_from_a_checkpoint(record, data):
    model = Model()
    complete = record("complete")
    nbtune.lightning.trainer(4).fit(copy.deepcopy(model), data, data, ckpt_path=nbtune.lightning.resume())
    resumed = record("resumed", Checkpoint(str(complete.saved[1])))
    resumed_model = Model()
    nbtune.lightning.trainer(4).fit(resumed_model, data, data, ckpt_path=nbtune.lightning.resume())
    assert resumed.metrics == complete.metrics[2:]
    last = torch.load(complete.saved[3] / nbtune.lightning.CHECKPOINT, weights_only=False)
    assert torch.equal(last["state_dict"]["layer.weight"], resumed_model.layer.weight)


def test_checkpoints_every_few_epochs(record, data):
    session = record("a")
    nbtune.lightning.trainer(5, checkpoint_every=2).fit(Model(), data)
    assert [folder is not None for folder in session.saved] == [False, True, False, True, False]
    session = record("b")
    nbtune.lightning.trainer(2, checkpoint_every=0).fit(Model(), data)
    assert session.saved == [None, None]


def test_arguments_are_passed_to_the_trainer(record):
    record("a")
    callback = pl.callbacks.EarlyStopping("loss")
    trainer = nbtune.lightning.trainer(7, callbacks=callback, enable_checkpointing=False, accumulate_grad_batches=2)
    assert (trainer.max_epochs, trainer.accumulate_grad_batches, trainer.loggers) == (7, 2, [])
    assert callback in trainer.callbacks
    assert trainer.progress_bar_callback is None
    assert not any(isinstance(callback, ModelCheckpoint) for callback in trainer.callbacks)
    full = nbtune.lightning.trainer(enable_checkpointing=True, enable_progress_bar=True, logger=True)
    assert any(isinstance(callback, ModelCheckpoint) for callback in full.callbacks)
    assert full.progress_bar_callback is not None
    assert len(full.loggers) == 1


def test_one_process_stays_one_under_slurm(record, monkeypatch):
    record("a")
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    trainer = nbtune.lightning.trainer(accelerator="cpu")
    assert (trainer.world_size, trainer.global_rank) == (1, 0)


def test_resume_without_a_checkpoint(record):
    record("a")
    assert nbtune.lightning.resume() is None


def test_a_checkpoint_that_lightning_has_not_reported(record):
    with as_ray_checkpoint({"model": 1}) as ray_checkpoint:
        record("a", Checkpoint(ray_checkpoint.path))
        with pytest.raises(FileNotFoundError, match=r"has no file checkpoint\.ckpt: .* Read it with get_checkpoint"):
            nbtune.lightning.resume()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "ddpp"}, "strategy: expected 'ddp' or 'fsdp' or a strategy of .*, got 'ddpp'"),
        ({"checkpoint_every": -1}, r"checkpoint_every: expected a number of epochs >= 0 .*, got -1"),
        ({"checkpoint_every": "1"}, "checkpoint_every: expected .*, got '1'"),
    ],
)
def test_invalid_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        nbtune.lightning.trainer(**wrong)


def test_the_file_name_is_that_of_rays_callback():
    from ray.train.lightning import RayTrainReportCallback

    assert RayTrainReportCallback.CHECKPOINT_NAME == nbtune.lightning.CHECKPOINT


@pytest.fixture
def worker():
    """Provides a process group of one process, and the functions of `ray.train` as in a worker."""
    from torch import distributed

    from nbtune.engine.train.alone import without_workers

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    with without_workers("experiment"):
        yield
    distributed.destroy_process_group()


def test_a_worker_has_rays_strategy_and_environment(record, data, worker):
    from ray.train.lightning import RayDDPStrategy, RayFSDPStrategy, RayLightningEnvironment

    session = record("a")
    trainer = nbtune.lightning.trainer(1)
    trainer.fit(Model(), data)
    assert type(trainer.strategy) is RayDDPStrategy
    assert isinstance(trainer.strategy.cluster_environment, RayLightningEnvironment)
    assert len(session.metrics) == 1
    assert type(nbtune.lightning.trainer(strategy="fsdp").strategy) is RayFSDPStrategy
    strategy = RayDDPStrategy(find_unused_parameters=True)
    assert nbtune.lightning.trainer(strategy=strategy).strategy is strategy
    with pytest.raises(RuntimeError, match="Invalid strategy class"):
        nbtune.lightning.trainer(strategy=pl.strategies.DDPStrategy())


class FakeTrainer:
    """The trainer of one of several processes, which saves one file, or shards as FSDP does."""

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
def test_each_node_reports_its_shards(tmp_path, monkeypatch, shards, rank, local_rank, reports):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "shared"
    with _saved(FakeTrainer(folder, rank, local_rank, shards), every=1) as reported:
        assert reported == (str(folder) if reports else None)
    assert folder.exists() == (shards and local_rank > 0), "the first process of each node deletes the folder"
