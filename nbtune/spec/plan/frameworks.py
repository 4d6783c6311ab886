"""The training frameworks whose workers nbtune starts: their names, and the packages by which code is recognized.

What each of them needs of Ray Train is in the module of `nbtune.frameworks` with its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FRAMEWORKS", "NO_WORKERS", "Framework", "canonical_name", "frameworks_of"]


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
