"""Lightning: a `Trainer` that trains with the workers of a trial and reports for it; public as `nbtune.lightning`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbtune.engine.trial.session import get_checkpoint, report

__all__ = ["CHECKPOINT", "resume", "trainer"]

CHECKPOINT = "checkpoint.ckpt"
"""The file of a reported checkpoint, as Ray's own `RayTrainReportCallback` calls it."""
_STRATEGIES = {"ddp": "RayDDPStrategy", "fsdp": "RayFSDPStrategy"}


def trainer(max_epochs: int = 5, *, strategy: Any = "ddp", checkpoint_every: int = 1, **given: Any) -> Any:
    """Return a `lightning.pytorch.Trainer` for where it is called.

    In the worker of a trial that is Ray's strategy and environment, prepared by `ray.train.lightning.prepare_trainer`.
    Anywhere else, in a trial without workers or in the notebook, it trains in this one process.

    It reports after each epoch, once the validation is over, where there is one: all that was logged
    (`Trainer.callback_metrics`), the number of the epoch, from 0 on, and a checkpoint, the folder of a `CHECKPOINT`.
    Lightning's progress bar, its loggers and its own checkpoints are off unless they are given.

    Args:
        max_epochs: how many epochs.
        strategy: how workers train together: "ddp", "fsdp", or one of `ray.train.lightning`'s strategies. One process
            has no use for it.
        checkpoint_every: report a checkpoint with every so many epochs; 0 for none.
        given: whatever else `Trainer` takes. Callbacks and plugins are added to those that are needed.

    Raises:
        ValueError: the strategy's name is unknown, or `checkpoint_every` is no number of epochs.
    """
    if isinstance(strategy, str) and strategy not in _STRATEGIES:
        names = " or ".join(map(repr, _STRATEGIES))
        raise ValueError(f"strategy={strategy!r}: give {names}, or one of ray.train.lightning's strategies")
    if not isinstance(checkpoint_every, int) or checkpoint_every < 0:
        raise ValueError(f"checkpoint_every={checkpoint_every!r}: give a number of epochs, or 0 for no checkpoints")
    import lightning.pytorch as pl
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from torch import distributed

    callbacks = _listed(given.pop("callbacks", None))
    if given.pop("enable_checkpointing", False):
        callbacks.append(pl.callbacks.ModelCheckpoint())  # Lightning adds its own only where there is no other
    arguments = {
        "logger": False,
        "enable_progress_bar": False,
        "max_epochs": max_epochs,
        "callbacks": [*callbacks, _report_callback(checkpoint_every)],
        **given,
    }
    plugins = _listed(given.get("plugins"))
    if not (distributed.is_available() and distributed.is_initialized()):
        # The environment is said, since Lightning would find that of Slurm, which may be of several processes.
        return pl.Trainer(**{"devices": 1, **arguments, "plugins": [LightningEnvironment(), *plugins]})
    from ray.train import lightning as of_ray
    from ray.train.torch import get_device

    return of_ray.prepare_trainer(
        pl.Trainer(
            **{
                "devices": "auto",
                # A worker has the devices that it has asked for, the machine perhaps others, which "auto" would take.
                "accelerator": "cpu" if get_device().type == "cpu" else "auto",
                **arguments,
                "strategy": getattr(of_ray, _STRATEGIES[strategy])() if isinstance(strategy, str) else strategy,
                "plugins": [of_ray.RayLightningEnvironment(), *plugins],
            }
        )
    )


def resume() -> str | None:
    """Return the file that a trial goes on from after a failure, or None for a fresh start.

    It is for ``trainer.fit(model, data, ckpt_path=nbtune.lightning.resume())``.

    Raises:
        FileNotFoundError: the checkpoint was reported by something else than `trainer` or Ray's own callback.
    """
    found = get_checkpoint()
    if found is None:
        return None
    file = found.as_directory() / CHECKPOINT
    if not file.exists():
        raise FileNotFoundError(
            f"{found.path} has no {CHECKPOINT}: nbtune.lightning.trainer has not reported it; read it by get_checkpoint"
        )
    return str(file)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _report_callback(every: int) -> Any:
    from lightning.pytorch.callbacks import Checkpoint

    class Report(Checkpoint):  # these are called last, after what a model logs at the end of an epoch itself
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
            metrics.setdefault("epoch", trainer.current_epoch)
            with _saved(trainer, every) as folder:
                report(metrics, checkpoint=folder)

    return Report()


@contextmanager
def _saved(trainer: Any, every: int) -> Iterator[str | None]:
    """Give this process's part of a checkpoint as a folder; None where it has none."""
    if not every or (trainer.current_epoch + 1) % every:
        yield None
        return
    # All write into rank 0's folder: of FSDP each its own shards, there or under the same name on its own node.
    folder = trainer.strategy.broadcast(tempfile.mkdtemp(prefix="nbtune-lightning-") if trainer.is_global_zero else "")
    file = Path(folder) / CHECKPOINT
    try:
        trainer.save_checkpoint(file, weights_only=False)
        first_with_shards = trainer.local_rank == 0 and file.is_dir()
        yield folder if trainer.is_global_zero or first_with_shards else None
        trainer.strategy.barrier()  # nodes may share the folder: nobody removes what another one still uploads
    finally:
        if trainer.local_rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
