"""One training in TensorFlow, XGBoost and Transformers on two workers, with nbtune and without it, in turns.

``python -m tests.bench.framework_turns NAME SETTINGS RANK FILE`` is one worker of the side without nbtune.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.ray.parity import take_turns

__all__ = ["TRAININGS", "start_workers", "trial_of"]

Report = Callable[[float], None]
Training = Callable[[], tuple[list[float], float]]
NICENESS = "15"  # Ray's default for its workers


def _timed(train: Callable[[Report], Any], report: Report) -> Training:
    """Return a function that trains once and returns the reported losses, and the seconds."""

    def once() -> tuple[list[float], float]:
        losses: list[float] = []

        def note(loss: float) -> None:
            losses.append(loss)
            report(loss)

        began = time.perf_counter()
        train(note)
        return losses, time.perf_counter() - began

    once()  # imports, traces and compiles
    return once


def tensorflow(rank: int, report: Report) -> Training:
    """A convolutional network on digits, in one `MultiWorkerMirroredStrategy`; 4 epochs, a report after each."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    tf.config.threading.set_intra_op_parallelism_threads(1)
    images, labels = load_digits(return_X_y=True)
    tf.keras.utils.set_random_seed(7)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        model = tf.keras.Sequential(
            [
                tf.keras.layers.Conv2D(96, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
                tf.keras.layers.MaxPool2D(),
                tf.keras.layers.Conv2D(192, 3, padding="same", activation="relu"),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(10),
            ]
        )
        model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    initial = model.get_weights()
    data = tf.data.Dataset.from_tensor_slices((images.reshape(-1, 8, 8, 1).astype("float32") / 16, labels)).batch(64)

    def train(report: Report) -> None:
        model.set_weights(initial)
        tell = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(float(logs["loss"])))
        model.fit(data, epochs=4, verbose=0, callbacks=[tell])

    return _timed(train, report)


def xgboost(rank: int, report: Report) -> Training:
    """60 rounds on 100,000 rows of 40 numbers, half of them in each worker, and a report after each round."""
    import numpy as np
    import xgboost as xgb

    class Tell(xgb.callback.TrainingCallback):
        def __init__(self, report: Report) -> None:
            self._report = report

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            self._report(float(evals_log["train"]["rmse"][-1]))
            return False

    x = np.random.default_rng(0).normal(size=(100_000, 40)).astype("float32")
    y = x @ np.arange(40) + x[:, 0] * x[:, 1] * 10
    own = xgb.DMatrix(x[rank::2], y[rank::2], nthread=1)

    def train(report: Report) -> None:
        settings = {"eta": 0.1, "max_depth": 6, "tree_method": "hist", "nthread": 1}
        evals = [(own, "train")]
        xgb.train(settings, own, num_boost_round=60, evals=evals, verbose_eval=False, callbacks=[Tell(report)])

    return _timed(train, report)


def transformers(rank: int, report: Report) -> Training:
    """A small vision transformer on digits by `transformers.Trainer`; 2 epochs, a report after each."""
    import tempfile

    import torch
    import transformers as hf
    from sklearn.datasets import load_digits

    class Tell(hf.TrainerCallback):
        def __init__(self, report: Report) -> None:
            self._report = report

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **other: Any) -> None:
            if "loss" in logs:
                self._report(float(logs["loss"]))

    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    rows = [{"pixel_values": x, "labels": int(y)} for x, y in zip(pixels, labels, strict=True)]
    shape = hf.ViTConfig(
        image_size=8, patch_size=2, num_channels=1, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, num_labels=10,
    )  # fmt: skip
    folder = tempfile.mkdtemp()

    def train(report: Report) -> None:
        torch.manual_seed(7)
        args = hf.TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=32,
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        model = hf.ViTForImageClassification(shape)
        hf.Trainer(model=model, args=args, train_dataset=rows, callbacks=[Tell(report)]).train()

    return _timed(train, report)


TRAININGS: dict[str, Callable[[int, Report], Training]] = {
    "tensorflow": tensorflow,
    "xgboost": xgboost,
    "transformers": transformers,
}


def trial_of(make: Callable[[int, Report], Training]) -> Callable[[dict[str, Any]], None]:
    """Return the training function of trials, which train in turns and report each loss at once.

    Args:
        make: one of `TRAININGS`.
    """

    def trial(config: dict[str, Any]) -> None:
        import nbtune

        rank = nbtune.get_context().get_world_rank()
        for loss, seconds in take_turns(0, config, rank, make(rank, lambda loss: nbtune.report(loss=loss))):
            nbtune.report(loss=loss, seconds=seconds)

    return trial


def start_workers(name: str, settings: dict[str, Any], file: Path) -> list[subprocess.Popen[bytes]]:
    """Start the two workers of the side without nbtune, as the documentation of the framework has it.

    Args:
        name: the framework.
        settings: those of `take_turns`.
        file: receives the losses and seconds of rank 0.
    """
    # With the niceness and the number of threads of Ray's workers, so that both sides have the same.
    nice, own = ["nice", "-n", NICENESS], ["-m", __name__, name, json.dumps(settings)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if name == "transformers":
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
        return [subprocess.Popen([*nice, *torchrun, *own, "", str(file)], env=environment)]
    if name == "tensorflow":
        environment["TF_USE_LEGACY_KERAS"] = "1"
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
        variables = [
            {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})}
            for rank in range(2)
        ]
    else:
        import threading

        from xgboost.tracker import RabitTracker

        tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1", sortby="task")
        tracker.start()
        threading.Thread(target=tracker.wait_for, daemon=True).start()
        variables = [{"TRACKER": json.dumps({**tracker.worker_args(), "dmlc_task_id": str(rank)})} for rank in range(2)]
    return [
        subprocess.Popen([*nice, sys.executable, *own, str(rank), str(file)], env={**environment, **variables[rank]})
        for rank in range(2)
    ]


def _free_ports(number: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _work(name: str, settings: dict[str, Any], rank: int, file: Path) -> None:
    communicator: Any = nullcontext()
    if name == "xgboost":
        from xgboost.collective import CommunicatorContext

        communicator = CommunicatorContext(**json.loads(os.environ["TRACKER"]))
    with communicator:
        results = take_turns(1, settings, rank, TRAININGS[name](rank, lambda loss: None))
    if rank == 0:
        columns = list(zip(*results, strict=True))
        file.write_text(json.dumps({"loss": columns[0], "seconds": columns[1]}))


if __name__ == "__main__":
    _work(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3] or os.environ["RANK"]), Path(sys.argv[4]))
