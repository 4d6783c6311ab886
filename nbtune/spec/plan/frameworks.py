"""The training frameworks whose workers nbtune starts: their names, and the packages by which code is recognized.

What each of them needs of Ray Train is in the module of `nbtune.frameworks` with its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FRAMEWORKS", "NO_WORKERS", "Framework", "canonical_name", "frameworks_of", "seems_apart"]


@dataclass(frozen=True)
class Framework:
    """A training framework.

    Attributes:
        title: how it is called in messages.
        packages: the packages whose code needs its workers: in those of another framework, each worker would train a
            model of its own.
        aliases: other names that users may give.
        requires: the packages that have to be installed.
    """

    title: str
    packages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Loop:
    """Code that trains in several processes together only if it says so.

    Attributes:
        trains: names that show that a model is trained.
        together: names that show that processes train it together, of functions, classes or modules.
        advice: what to do.
        packages: packages of which one must be imported; empty if that does not matter.
        others: packages that connect the processes themselves.
    """

    trains: frozenset[str]
    together: frozenset[str]
    advice: str
    packages: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


FRAMEWORKS = {
    "torch": Framework(
        "PyTorch",
        # Its code says so itself if there is no process group, so it is at home everywhere.
        aliases=("pytorch", "lightning", "pytorch_lightning", "transformers", "huggingface", "accelerate", "deepspeed"),
    ),
    "tensorflow": Framework("TensorFlow", ("tensorflow", "tf_keras"), ("tf", "keras"), ("tensorflow", "tf_keras")),
    "xgboost": Framework("XGBoost", packages=("xgboost",), aliases=("xgb",), requires=("xgboost",)),
    "lightgbm": Framework("LightGBM", packages=("lightgbm",), aliases=("lgb", "lgbm"), requires=("lightgbm",)),
    "jax": Framework("JAX", packages=("jax", "flax", "haiku", "equinox"), aliases=("flax",), requires=("jax",)),
}
"""The frameworks by their names."""
NO_WORKERS = {
    "horovod": (
        "Horovod cannot train in workers: Ray Train has no trainer for it any more (HorovodTrainer raises). Train with"
        " PyTorch's DistributedDataParallel instead: model = ray.train.torch.prepare_model(model) in place of"
        " hvd.DistributedOptimizer and hvd.broadcast_parameters"
    )
}
"""Packages that train in several processes, but in no workers that Ray Train can start -> what to do instead."""
_LOOPS = {
    "torch": (
        _Loop(
            frozenset({"backward"}),
            frozenset(
                [
                    "DistributedDataParallel",
                    "FullyShardedDataParallel",
                    "all_gather",
                    "all_reduce",
                    "distribute_module",
                    "distributed",
                    "fully_shard",
                    "parallelize_module",
                    "prepare_model",
                    "replicate",
                ]
            ),
            "wrap the model, model = ray.train.torch.prepare_model(model)",
            others=frozenset(
                ["accelerate", "deepspeed", "lightning", "lightning_fabric", "pytorch_lightning", "transformers"]
            ),
        ),
        _Loop(
            frozenset({"Trainer"}),
            frozenset(["RayDDPStrategy", "RayDeepSpeedStrategy", "RayFSDPStrategy", "RayLightningEnvironment"]),
            "make the trainer by nbtune.lightning.trainer(…), or give it strategy=RayDDPStrategy() and"
            " plugins=[RayLightningEnvironment()] of ray.train.lightning",
            packages=frozenset({"lightning", "pytorch_lightning"}),
            others=frozenset({"transformers"}),  # whose class has the same name
        ),
    ),
    "tensorflow": (
        _Loop(
            frozenset({"GradientTape", "fit"}),
            frozenset({"MultiWorkerMirroredStrategy", "ParameterServerStrategy", "dtensor"}),
            "build and compile the model within tf.distribute.MultiWorkerMirroredStrategy().scope()",
        ),
    ),
    "lightgbm": (
        _Loop(
            frozenset({"fit", "train"}),
            frozenset({"get_network_params"}),
            "add **ray.train.lightgbm.get_network_params() to the parameters",
        ),
    ),
    "jax": (
        _Loop(
            frozenset({"grad", "value_and_grad"}),
            frozenset(
                [
                    "Mesh",
                    "NamedSharding",
                    "PositionalSharding",
                    "all_gather",
                    "make_mesh",
                    "multihost_utils",
                    "pmap",
                    "pmean",
                    "process_allgather",
                    "psum",
                    "shard_map",
                ]
            ),
            "average the gradients, for instance with jax.experimental.multihost_utils, or shard the arrays over all"
            " processes",
        ),
    ),
}
"""Framework -> code of it that may train a model in each worker. XGBoost connects its processes itself."""
_KERAS_BACKENDS = {"torch", "jax", "flax"}  # packages beside which Keras does not need the workers of TensorFlow


def canonical_name(name: str) -> str:
    """Return the name of the framework that a name or alias stands for; the name itself if it is unknown.

    Args:
        name: what a user has written.
    """
    plain = name.strip().lower().replace("-", "_")
    return next((known for known, framework in FRAMEWORKS.items() if plain in (known, *framework.aliases)), name)


def frameworks_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the frameworks whose workers code needs: name -> the imported package that tells it.

    PyTorch is not among them, since all code may use it.

    Args:
        modules: the modules that the code imports, with dots.
    """
    modules = set(modules)
    roots = {name.partition(".")[0] for name in modules}
    found: dict[str, str] = {}
    for name, framework in FRAMEWORKS.items():
        own = f"ray.train.{name}"
        package = next((package for package in framework.packages if package in roots), None)
        if package is None and framework.packages and any(f"{one}.".startswith(f"{own}.") for one in modules):
            package = own
        if package is not None:
            found[name] = package
    if "keras" in roots and not roots & _KERAS_BACKENDS and "tensorflow" not in found:
        found["tensorflow"] = "keras"
    return found


def seems_apart(framework: str, modules: Iterable[str], names: Iterable[str]) -> str:
    """Return what to do about code that seems to train a model in each worker of its framework; "" for other code.

    Args:
        framework: the name of the framework.
        modules: the modules that the code imports, with dots, and what it imports from them.
        names: the names and attributes that it mentions.
    """
    modules, names = set(modules), set(names)
    roots = {name.partition(".")[0] for name in modules}
    known = names | {name.rpartition(".")[2] for name in modules}
    for loop in _LOOPS.get(framework, ()):
        is_it = not loop.packages or loop.packages & roots
        if is_it and loop.trains & names and not (loop.others & roots or loop.together & known):
            return loop.advice
    return ""
