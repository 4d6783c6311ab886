"""Lightning, public as `nbtune.lightning`: a `Trainer` that trains on the workers of a trial and reports metrics."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbtune.engine.trial.session import get_checkpoint, report
from nbtune.frameworks import check_interval

__all__ = ["CHECKPOINT", "resume", "trainer"]

CHECKPOINT = "checkpoint.ckpt"
"""The file of a reported checkpoint; the name is that of Ray's `RayTrainReportCallback`."""
_STRATEGIES = {"ddp": "RayDDPStrategy", "fsdp": "RayFSDPStrategy"}


def trainer(max_epochs: int = 5, *, strategy: Any = "ddp", checkpoint_every: int = 1, **given: Any) -> Any:
    """Create a `lightning.pytorch.Trainer` for the process that calls it.

    In a worker of a trial it uses Ray's strategy and cluster environment (`ray.train.lightning.prepare_trainer`).
    Elsewhere, in a trial without workers or in the notebook, it trains in one process.

    It reports after each epoch (after the validation, if there is one): all logged metrics
    (`Trainer.callback_metrics`), the metric "epoch", counted from 0, and a checkpoint folder with the file
    `CHECKPOINT`. Lightning's progress bar, loggers and own checkpoints are off unless they are passed.

    Args:
        max_epochs: the number of epochs.
        strategy: the strategy of the workers: "ddp", "fsdp", or a strategy object of `ray.train.lightning`. It is
            ignored outside a worker.
        checkpoint_every: the number of epochs between two reported checkpoints; 0 reports none.
        given: other arguments of `Trainer`. Callbacks and plugins are added to those that nbtune needs.

    Returns:
        The `Trainer`.

    Raises:
        ValueError: the name of the strategy is unknown, or `checkpoint_every` is not an integer >= 0.
    """
    if isinstance(strategy, str) and strategy not in _STRATEGIES:
        names = " or ".join(map(repr, _STRATEGIES))
        raise ValueError(f"strategy: expected {names} or a strategy of ray.train.lightning, got {strategy!r}")
    check_interval(checkpoint_every)
    import lightning.pytorch as pl
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from torch import distributed

    callbacks = _as_list(given.pop("callbacks", None))
    if given.pop("enable_checkpointing", False):
        callbacks.append(
            pl.callbacks.ModelCheckpoint()
        )  # Lightning adds it only if there is no other checkpoint callback
    arguments = {
        "logger": False,
        "enable_progress_bar": False,
        "max_epochs": max_epochs,
        "callbacks": [*callbacks, _report_callback(checkpoint_every)],
        **given,
    }
    plugins = _as_list(given.get("plugins"))
    if not (distributed.is_available() and distributed.is_initialized()):
        # Without an explicit environment, Lightning would detect that of Slurm, which may have several processes.
        return pl.Trainer(**{"devices": 1, **arguments, "plugins": [LightningEnvironment(), *plugins]})
    from ray.train import lightning as ray_lightning
    from ray.train.torch import get_device

    return ray_lightning.prepare_trainer(
        pl.Trainer(
            **{
                "devices": "auto",
                # "auto" would use GPUs of the machine that are not reserved for this worker.
                "accelerator": "cpu" if get_device().type == "cpu" else "auto",
                **arguments,
                "strategy": getattr(ray_lightning, _STRATEGIES[strategy])() if isinstance(strategy, str) else strategy,
                "plugins": [ray_lightning.RayLightningEnvironment(), *plugins],
            }
        )
    )


def resume() -> str | None:
    """Return the checkpoint file to continue training from, or None to start from scratch.

    Use it as ``trainer.fit(model, data, ckpt_path=nbtune.lightning.resume())``.

    Raises:
        FileNotFoundError: the checkpoint was not reported by `trainer` or Ray's `RayTrainReportCallback`.
    """
    checkpoint = get_checkpoint()
    if checkpoint is None:
        return None
    file = checkpoint.as_directory() / CHECKPOINT
    if not file.exists():
        raise FileNotFoundError(
            f"the checkpoint {checkpoint.path} has no file {CHECKPOINT}: it was not reported by"
            " nbtune.lightning.trainer. Read it with get_checkpoint"
        )
    return str(file)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _report_callback(every: int) -> Any:
    from lightning.pytorch.callbacks import Checkpoint

    # Lightning calls checkpoint callbacks last, after the model has logged its metrics at the end of an epoch.
    class Report(Checkpoint):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
            metrics.setdefault("epoch", trainer.current_epoch)
            with _saved(trainer, every) as folder:
                report(metrics, checkpoint=folder)

    return Report()


@contextmanager
def _saved(trainer: Any, every: int) -> Iterator[str | None]:
    """Save a checkpoint, and yield the folder that this process reports, or None if it reports none."""
    if not every or (trainer.current_epoch + 1) % every:
        yield None
        return
    # All ranks use the path of rank 0's folder. With FSDP each writes its shards there, on its own node.
    folder = trainer.strategy.broadcast(tempfile.mkdtemp(prefix="nbtune-lightning-") if trainer.is_global_zero else "")
    file = Path(folder) / CHECKPOINT
    try:
        trainer.save_checkpoint(file, weights_only=False)
        first_with_shards = trainer.local_rank == 0 and file.is_dir()
        yield folder if trainer.is_global_zero or first_with_shards else None
        trainer.strategy.barrier()  # several nodes may share the folder: wait until all have uploaded
    finally:
        if trainer.local_rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
