"""Transformers, public as `nbtune.transformers`: a `Trainer` that trains on the workers of a trial and reports metrics.

It runs in the workers of PyTorch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbtune.engine.trial.session import get_checkpoint, report
from nbtune.frameworks import check_interval

__all__ = ["resume", "trainer"]

_STATE = "trainer_state.json"  # the file by which Transformers recognizes a checkpoint


def trainer(
    model: Any = None,
    *,
    max_epochs: float = 3,
    checkpoint_every: int = 1,
    args: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """Create a `transformers.Trainer` for the process that calls it.

    In a worker of a trial it trains together with the other workers, and takes shards of Ray Data, too
    (`ray.train.huggingface.transformers.prepare_trainer`). Elsewhere, in a trial without workers or in the notebook, it
    trains in one process.

    It reports after each epoch, after the evaluation if there is one: what Transformers logs, such as "loss",
    "eval_loss", "learning_rate" and "epoch", and the checkpoint that Transformers has saved. The progress bar and
    the integrations with trackers are off unless they are passed.

    A stream of Ray Data, ``get_dataset_shard("train").iter_torch_batches(batch_size=8)``, is a `train_dataset`, too.
    It has no length, so the number of all batches is given, ``args={"max_steps": 100}``, in place of `max_epochs`.
    Each pass over it is an epoch, although the metric "epoch" of Transformers does not count passes. A trial that
    continues from a checkpoint begins a new pass.

    Args:
        model: the model; or None with `model_init`.
        max_epochs: the number of epochs.
        checkpoint_every: the number of epochs between two reported checkpoints; 0 reports none.
        args: arguments of `transformers.TrainingArguments`, such as ``{"learning_rate": lr}``. Those that decide when
            is logged, evaluated and saved are nbtune's.
        given: other arguments of `Trainer`, such as `train_dataset`, `eval_dataset`, `compute_metrics` and `callbacks`.

    Returns:
        The `Trainer`.

    Raises:
        ValueError: `args` has arguments that are nbtune's, or `checkpoint_every` is not an integer >= 0.
    """
    check_interval(checkpoint_every)
    own: dict[str, Any] = {
        "num_train_epochs": max_epochs,
        "eval_strategy": "no" if given.get("eval_dataset") is None else "epoch",
        "logging_strategy": "epoch",
        "save_strategy": "epoch" if checkpoint_every else "no",
    }
    if taken := sorted({*own, "output_dir"} & set(args or ())):
        raise ValueError(
            f"args: {', '.join(taken)} cannot be given: nbtune sets them, so that each epoch is reported; use"
            " max_epochs and checkpoint_every"
        )
    import torch
    import transformers
    from torch import distributed
    from transformers.trainer_utils import has_length

    has_gpu = torch.cuda.is_available()
    defaults = {
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not has_gpu,
        "dataloader_pin_memory": has_gpu,
        # Transformers would skip as many batches as were trained on, in one pass: all of them after the first epoch,
        # and the training would end there without a message.
        "ignore_data_skip": given.get("train_dataset") is not None and not has_length(given["train_dataset"]),
        "output_dir": tempfile.mkdtemp(prefix="nbtune-transformers-"),
    }
    made = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(**{**defaults, **own, **(args or {})}),
        **{**given, "callbacks": [*(given.get("callbacks") or ()), _report_callback(checkpoint_every)]},
    )
    if not (distributed.is_available() and distributed.is_initialized()):
        return made
    from ray.train.huggingface.transformers import prepare_trainer

    return prepare_trainer(made)


def resume() -> str | None:
    """Return the checkpoint folder to continue training from, or None to start from scratch.

    Use it as ``trainer.train(resume_from_checkpoint=nbtune.transformers.resume())``.

    Raises:
        FileNotFoundError: the checkpoint was not reported by `trainer` or Ray's `RayTrainReportCallback`.
    """
    checkpoint = get_checkpoint()
    if checkpoint is None:
        return None
    folder = checkpoint.as_directory()
    for one in (folder, folder / "checkpoint"):  # the second is that of Ray's callback
        if (one / _STATE).exists():
            return str(one)
    raise FileNotFoundError(
        f"the checkpoint {checkpoint.path} has no file {_STATE}: it was not reported by nbtune.transformers.trainer."
        " Read it with get_checkpoint"
    )


def _report_callback(every: int) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        """Reports after an epoch: with the last of the events for logs, evaluation and checkpoint."""

        def __init__(self) -> None:
            self._logs: dict[str, Any] = {}
            self._epoch_ended = False
            self._epochs = 0  # since the start, which is at a checkpoint; `state.epoch` counts no passes over a stream

        def on_epoch_end(self, args: Any, state: Any, control: Any, **other: Any) -> Any:
            self._epoch_ended = True
            self._epochs += 1
            control.should_save = bool(every) and self._epochs % every == 0
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **other: Any) -> None:
            self._logs.update(logs or {})
            if not control.should_evaluate and not control.should_save:
                self._report()

        def on_evaluate(self, args: Any, state: Any, control: Any, **other: Any) -> None:
            if not control.should_save:
                self._report()

        def on_save(self, args: Any, state: Any, control: Any, **other: Any) -> None:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            self._report(folder)
            if not args.load_best_model_at_end:
                shutil.rmtree(folder, ignore_errors=True)

        def on_train_end(self, args: Any, state: Any, control: Any, **other: Any) -> None:
            if not args.load_best_model_at_end:
                shutil.rmtree(args.output_dir, ignore_errors=True)

        def _report(self, folder: Path | None = None) -> None:
            if self._epoch_ended:  # Transformers also logs at the end of the training
                self._epoch_ended = False
                # Each worker has a folder of its own: all their files make the checkpoint.
                report(self._logs, checkpoint=folder)

    return Report()
