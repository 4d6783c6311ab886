"""The same small problem trained by two workers in each framework, with the code of Ray Train's own guides.

Each function trains on its part of the data, reports the loss on all data after each of `ROUNDS` rounds, saves a
checkpoint with it, and continues from a checkpoint. It prints how many processes the framework itself has counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROUNDS = 6
Train = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Case:
    """How a framework is tried.

    Attributes:
        framework: whose workers it has.
        make: returns the training function; trials are slow as long as the file does not exist.
        load: returns after how many rounds a checkpoint was saved, given its folder.
        reused: whether the next trial has the processes of the one before.
    """

    framework: str
    make: Callable[[Path | None], Train]
    load: Callable[[str], int]
    reused: bool = False


def _pace(gate: Path | None) -> Callable[[], None]:
    """Return a function that makes a trial slow as long as a file does not exist; it is pickled by value.

    It raises an exception in the second worker if the file "GATE.broken" exists.

    Args:
        gate: the file; None for a trial that is never slow.
    """
    shut = None if gate is None else str(gate)

    def pace() -> None:
        import os
        import time

        import ray.train

        if shut is not None and not os.path.exists(shut):
            time.sleep(0.4)
        if os.path.exists(f"{shut}.broken") and ray.train.get_context().get_world_rank() == 1:
            raise ValueError("no more data")

    return pace


def xgboost(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import numpy as np
        import ray.train
        import xgboost as xgb
        from ray.train.xgboost import RayTrainReportCallback

        class Pace(xgb.callback.TrainingCallback):
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                pace()
                return False

        context = ray.train.get_context()
        x = np.random.default_rng(0).normal(size=(400, 4))
        y = x @ [1.0, 2.0, 3.0, 4.0]
        rank, size = context.get_world_rank(), context.get_world_size()
        own = xgb.DMatrix(x[rank::size], y[rank::size])
        checkpoint, model = ray.train.get_checkpoint(), None
        if checkpoint:
            model = RayTrainReportCallback.get_model(checkpoint)
        done = model.num_boosted_rounds() if model else 0
        print(f"{xgb.collective.get_world_size()} processes, from round {done}, pid {os.getpid()}")
        xgb.train(
            {"eta": config["rate"], "max_depth": 3, "tree_method": "hist", "nthread": 1},
            own,
            evals=[(own, "train")],
            num_boost_round=6 - done,
            xgb_model=model,
            verbose_eval=False,
            callbacks=[RayTrainReportCallback({"loss": "train-rmse"}, frequency=1, checkpoint_at_end=False), Pace()],
        )

    return train


def _rounds_of_xgboost(folder: str) -> int:
    import xgboost

    return int(xgboost.Booster(model_file=f"{folder}/model.ubj").num_boosted_rounds())


def lightgbm(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import lightgbm as lgb
        import numpy as np
        import ray.train
        from ray.train.lightgbm import RayTrainReportCallback, get_network_params

        context = ray.train.get_context()
        x = np.random.default_rng(0).normal(size=(400, 4))
        y = x @ [1.0, 2.0, 3.0, 4.0]
        rank, size = context.get_world_rank(), context.get_world_size()
        own = lgb.Dataset(x[rank::size], y[rank::size])
        checkpoint, model = ray.train.get_checkpoint(), None
        if checkpoint:
            model = RayTrainReportCallback.get_model(checkpoint)
        done = model.current_iteration() if model else 0
        network = get_network_params()
        print(f"{network['num_machines']} processes, from round {done}, pid {os.getpid()}")
        lgb.train(
            {
                "objective": "regression",
                "learning_rate": config["rate"],
                "tree_learner": "data",
                "pre_partition": True,
                "num_threads": 1,
                "verbosity": -1,
                **network,
            },
            own,
            num_boost_round=6 - done,
            init_model=model,
            valid_sets=[own],
            valid_names=["train"],
            callbacks=[
                RayTrainReportCallback({"loss": "train-l2"}, frequency=1),
                lambda env: pace(),
            ],
        )

    return train


def _rounds_of_lightgbm(folder: str) -> int:
    import lightgbm

    return int(lightgbm.Booster(model_file=f"{folder}/model.txt").current_iteration())


def jax(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os
        import tempfile

        import jax
        import jax.numpy as jnp
        import numpy as np
        import ray.train
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        context = ray.train.get_context()
        x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
        y = x @ np.array([1.0, 2.0, 3.0, 4.0], "float32")
        rank, size = context.get_world_rank(), context.get_world_size()
        sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
        x_all, y_all = (jax.make_array_from_process_local_data(sharding, part[rank::size]) for part in (x, y))
        weights, done = jnp.zeros(4), 0
        if checkpoint := ray.train.get_checkpoint():
            with checkpoint.as_directory() as folder:
                saved = np.load(f"{folder}/state.npz")
                weights, done = jnp.array(saved["weights"]), int(saved["round"])
        print(f"{jax.process_count()} processes, from round {done}, pid {os.getpid()}")

        @jax.jit
        def step(weights: Any, x: Any, y: Any) -> Any:
            loss, gradient = jax.value_and_grad(lambda w: jnp.mean((x @ w - y) ** 2))(weights)
            return loss, weights - config["rate"] * gradient

        for number in range(done + 1, 7):
            loss, weights = step(weights, x_all, y_all)
            with tempfile.TemporaryDirectory() as folder:
                np.savez(f"{folder}/state.npz", weights=np.asarray(weights), round=number)
                given = ray.train.Checkpoint.from_directory(folder) if rank == 0 else None
                ray.train.report({"loss": float(loss)}, checkpoint=given)
            pace()

    return train


def _rounds_of_jax(folder: str) -> int:
    import numpy as np

    return int(np.load(f"{folder}/state.npz")["round"])


def tensorflow(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import numpy as np
        import ray.train
        import tensorflow as tf
        from ray.train.tensorflow.keras import ReportCheckpointCallback

        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
        y = x @ np.array([[1.0], [2.0], [3.0], [4.0]], "float32")
        done = 0
        with strategy.scope():
            if checkpoint := ray.train.get_checkpoint():
                with checkpoint.as_directory() as folder:
                    model = tf.keras.models.load_model(f"{folder}/model.keras")
                done = int(model.optimizer.iterations.numpy()) // 10
            else:
                model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(4,))])
                model.compile(optimizer=tf.keras.optimizers.SGD(config["rate"]), loss="mse")
        print(f"{strategy.num_replicas_in_sync} processes, from round {done}, pid {os.getpid()}")
        slow = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: pace())
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(40)
        model.fit(data, epochs=6, initial_epoch=done, verbose=0, callbacks=[ReportCheckpointCallback(), slow])

    return train


def _rounds_of_tensorflow(folder: str) -> int:
    import os

    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf

    return int(tf.keras.models.load_model(f"{folder}/model.keras").optimizer.iterations.numpy()) // 10


def transformers(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import accelerate
        import torch
        import transformers

        import nbtune

        class Pace(transformers.TrainerCallback):  # type: ignore[misc]
            def on_epoch_begin(self, *given: Any, **named: Any) -> None:
                pace()

        torch.manual_seed(0)
        shape = transformers.T5Config(
            vocab_size=16, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
        tokens = torch.randint(2, 16, (64, 6))
        rows = [{"input_ids": row, "labels": row} for row in tokens]
        trainer = nbtune.transformers.trainer(
            transformers.T5ForConditionalGeneration(shape),
            max_epochs=6,
            args={"learning_rate": config["rate"], "per_device_train_batch_size": 8, "lr_scheduler_type": "constant"},
            train_dataset=rows,
            callbacks=[Pace()],
        )
        start = nbtune.transformers.resume()
        done = 0 if start is None else transformers.TrainerState.load_from_json(f"{start}/trainer_state.json").epoch
        processes = accelerate.PartialState().num_processes
        print(f"{processes} processes, from round {round(done)}, pid {os.getpid()}")
        trainer.train(resume_from_checkpoint=start)

    return train


def transformers_guide(gate: Path | None) -> Train:
    """As Ray Train's guide has it, with its callback and `prepare_trainer`."""
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os
        import tempfile

        import ray.train
        import torch
        import transformers
        from ray.train.huggingface.transformers import RayTrainReportCallback, prepare_trainer

        class Pace(transformers.TrainerCallback):  # type: ignore[misc]
            def on_epoch_begin(self, *given: Any, **named: Any) -> None:
                pace()

        torch.manual_seed(0)
        shape = transformers.BertConfig(
            vocab_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
        tokens = torch.randint(2, 16, (64, 6))
        rows = [{"input_ids": row, "labels": row[0] % 2} for row in tokens]
        args = transformers.TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            num_train_epochs=6,
            learning_rate=config["rate"],
            lr_scheduler_type="constant",
            per_device_train_batch_size=8,
            save_strategy="epoch",
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(
            model=transformers.BertForSequenceClassification(shape), args=args, train_dataset=rows, callbacks=[Pace()]
        )
        trainer.add_callback(RayTrainReportCallback())
        trainer = prepare_trainer(trainer)
        checkpoint, done = ray.train.get_checkpoint(), 0
        if checkpoint is None:
            print(f"{args.world_size} processes, from round {done}, pid {os.getpid()}")
            trainer.train()
            return
        with checkpoint.as_directory() as folder:
            start = f"{folder}/checkpoint"
            done = round(transformers.TrainerState.load_from_json(f"{start}/trainer_state.json").epoch)
            print(f"{args.world_size} processes, from round {done}, pid {os.getpid()}")
            trainer.train(resume_from_checkpoint=start)

    return train


def _rounds_of_transformers(folder: str) -> int:
    import json
    from pathlib import Path

    (state,) = Path(folder).rglob("trainer_state.json")
    return round(json.loads(state.read_text())["epoch"])


def accelerate(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import torch
        from accelerate import Accelerator

        import nbtune

        accelerator = Accelerator()
        torch.manual_seed(0)
        x = torch.randn(400, 4)
        y = x @ torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        model = torch.nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=config["rate"])
        checkpoint, done = nbtune.get_checkpoint(), 0
        if checkpoint:
            model.load_state_dict(checkpoint["model"])
            done = checkpoint["round"]
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=40)
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        print(f"{accelerator.num_processes} processes, from round {done}, pid {os.getpid()}")
        for number in range(done + 1, 7):
            losses = []
            for inputs, targets in loader:
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                optimizer.zero_grad()
                accelerator.backward(loss)
                optimizer.step()
                losses.append(loss.detach())
            mean = accelerator.gather(torch.stack(losses).mean()).mean().item()
            state = {"model": accelerator.unwrap_model(model).state_dict(), "round": number}
            nbtune.report(loss=mean, checkpoint=state if accelerator.is_main_process else None)
            pace()

    return train


def _rounds_of_accelerate(folder: str) -> int:
    from nbtune import Checkpoint

    return int(Checkpoint(folder, trust=True)["round"])


def deepspeed(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os
        import tempfile

        import deepspeed
        import ray.train
        import torch

        torch.manual_seed(0)
        x = torch.randn(400, 4)
        y = x @ torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        settings = {
            "train_micro_batch_size_per_gpu": 20,
            "optimizer": {"type": "SGD", "params": {"lr": config["rate"]}},
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": 3 if config["rate"] == 0.02 else 2},
        }
        engine, *_ = deepspeed.initialize(model=torch.nn.Linear(4, 1), config=settings)
        rank, done = ray.train.get_context().get_world_rank(), 0
        if checkpoint := ray.train.get_checkpoint():
            with checkpoint.as_directory() as folder:
                done = engine.load_checkpoint(folder)[1]["round"]
        print(f"{torch.distributed.get_world_size()} processes, from round {done}, pid {os.getpid()}")
        for number in range(done + 1, 7):
            for first in range(rank * 20, 400, 40):
                loss = torch.nn.functional.mse_loss(engine(x[first : first + 20]), y[first : first + 20])
                engine.backward(loss)
                engine.step()
            with tempfile.TemporaryDirectory() as folder:  # each worker saves its shard
                engine.save_checkpoint(folder, client_state={"round": number})
                torch.save(number, f"{folder}/round.pt")
                ray.train.report({"loss": loss.item()}, checkpoint=ray.train.Checkpoint.from_directory(folder))
            pace()

    return train


def _rounds_of_deepspeed(folder: str) -> int:
    import torch

    return int(torch.load(f"{folder}/round.pt"))


def lightning(gate: Path | None) -> Train:
    pace = _pace(gate)

    def train(config: dict[str, Any]) -> None:
        import os

        import lightning.pytorch as pl
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        import nbtune

        class Model(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(4, 1)

            def on_train_epoch_start(self) -> None:
                pace()

            def training_step(self, batch: Any, index: int) -> Any:
                loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
                self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True)
                return loss

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=config["rate"])

        torch.manual_seed(0)
        x = torch.randn(400, 4)
        y = x @ torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        start = nbtune.lightning.resume()
        done = 0 if start is None else torch.load(start, weights_only=False)["epoch"] + 1
        trainer = nbtune.lightning.trainer(max_epochs=6)
        print(f"{trainer.world_size} processes, from round {done}, pid {os.getpid()}")
        trainer.fit(Model(), DataLoader(TensorDataset(x, y), batch_size=20), ckpt_path=start)

    return train


def _rounds_of_lightning(folder: str) -> int:
    import torch

    import nbtune

    return int(torch.load(f"{folder}/{nbtune.lightning.CHECKPOINT}", weights_only=False)["epoch"]) + 1


CASES = {
    "xgboost": Case("xgboost", xgboost, _rounds_of_xgboost, reused=True),
    "lightgbm": Case("lightgbm", lightgbm, _rounds_of_lightgbm, reused=True),
    "jax": Case("jax", jax, _rounds_of_jax),
    "tensorflow": Case("tensorflow", tensorflow, _rounds_of_tensorflow),
    "lightning": Case("torch", lightning, _rounds_of_lightning, reused=True),
    "transformers": Case("torch", transformers, _rounds_of_transformers, reused=True),
    "transformers_guide": Case("torch", transformers_guide, _rounds_of_transformers, reused=True),
    "accelerate": Case("torch", accelerate, _rounds_of_accelerate, reused=True),
    "deepspeed": Case("torch", deepspeed, _rounds_of_deepspeed),
}
