"""Lightning in distributed trials: with nbtune's trainer, and with the code of Ray's guide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbtune

METRICS = ["loss", "val_loss", "epoch"]
HALF = {"workers": 2, "cpus": 0.5, "metric": "loss", "mode": "min"}


@pytest.fixture
def make_model() -> Any:
    """Returns a function that creates a model class and its data; workers call it, so that each defines its own class."""

    def make() -> Any:
        import lightning.pytorch as pl
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        class Model(pl.LightningModule):
            def __init__(self, lr: float = 0.1) -> None:
                super().__init__()
                self.save_hyperparameters()
                self.layer = torch.nn.Linear(4, 1)

            def training_step(self, batch: Any, index: int) -> Any:
                loss = (self.layer(batch[0]) ** 2).mean()
                self.log("loss", loss, on_epoch=True, on_step=False, sync_dist=True)
                return loss

            def validation_step(self, batch: Any, index: int) -> None:
                self.log("val_loss", (self.layer(batch[0]) ** 2).mean(), sync_dist=True)

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])

        torch.set_num_threads(1)
        torch.manual_seed(0)
        data = TensorDataset(torch.randn(32, 4))
        return Model, DataLoader(data, batch_size=4, shuffle=True)

    return make


def test_each_epoch_is_reported_and_the_best_model_can_be_loaded(run: Any, make_model: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        kind, data = make_model()
        trainer = nbtune.lightning.trainer(2)
        model = kind(config["lr"])
        trainer.fit(model, data, data, ckpt_path=nbtune.lightning.resume())
        assert trainer.world_size == 2
        assert trainer.num_training_batches == 4, "a worker must have half of the data"
        print("weights", model.layer.weight.tolist())

    experiment = run(train, {"lr": 0.1}, **HALF).wait()
    trial = experiment.best
    assert trial.error is None
    assert list(trial.history["epoch"]) == [0, 1]
    assert trial.history[METRICS].notna().all(axis=None)
    assert trial.metrics["loss"] < trial.history["loss"][0]
    assert list(trial.workers["epoch"]) == [1, 1]
    assert len(trial.checkpoints) == 2
    kind, _ = make_model()
    model = kind.load_from_checkpoint(Path(trial.checkpoint) / nbtune.lightning.CHECKPOINT)
    for rank in (0, 1):
        assert f"weights {model.layer.weight.tolist()}" in trial.logs(rank=rank)


def test_a_failed_trial_continues_from_its_last_epoch(run: Any, make_model: Any, tmp_path: Path) -> None:
    failed = tmp_path / "failed"

    def train(config: dict[str, Any]) -> None:
        import lightning.pytorch as pl

        class Fails(pl.Callback):
            def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
                if trainer.current_epoch == 2 and not failed.exists():
                    trainer.strategy.barrier()
                    failed.touch()
                    raise RuntimeError("once")

        kind, data = make_model()
        trainer = nbtune.lightning.trainer(4, callbacks=[Fails()])
        trainer.fit(kind(), data, ckpt_path=nbtune.lightning.resume())

    trial = run(train, {"lr": 0.1}, max_failures=1, **HALF).wait().best
    assert trial.error is None
    assert failed.exists()
    assert list(trial.history["epoch"]) == [0, 1, 2, 3]


def test_the_code_of_rays_guide_works(run: Any, make_model: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        import lightning.pytorch as pl
        from ray.train.lightning import (
            RayDDPStrategy,
            RayLightningEnvironment,
            RayTrainReportCallback,
            prepare_trainer,
        )

        kind, data = make_model()
        trainer = pl.Trainer(
            max_epochs=2,
            devices="auto",
            accelerator="auto",
            strategy=RayDDPStrategy(),
            plugins=[RayLightningEnvironment()],
            callbacks=[RayTrainReportCallback()],
            enable_checkpointing=False,
            logger=False,
            enable_progress_bar=False,
        )
        trainer = prepare_trainer(trainer)
        trainer.fit(kind(), data, data)

    trial = run(train, {"lr": 0.1}, **HALF).wait().best
    assert trial.error is None
    assert list(trial.history["epoch"]) == [0, 1]
    assert trial.history[METRICS].notna().all(axis=None)
    kind, _ = make_model()
    kind.load_from_checkpoint(Path(trial.checkpoint) / nbtune.lightning.CHECKPOINT)


def test_a_trial_without_workers_trains_in_one_process(run: Any, make_model: Any) -> None:
    def train(config: dict[str, Any]) -> None:
        kind, data = make_model()
        nbtune.lightning.trainer(2, checkpoint_every=0).fit(kind(), data)

    trial = run(train, {"lr": 0.1}, metric="loss", mode="min").wait().best
    assert list(trial.history["epoch"]) == [0, 1]
    assert trial.checkpoint is None
