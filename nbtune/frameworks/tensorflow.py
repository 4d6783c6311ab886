"""TensorFlow and Keras: the workers of a trial are one `MultiWorkerMirroredStrategy`.

That strategy trains models of Keras 2 only, so ``tf.keras`` is the package `tf_keras` in the workers, as Ray Train
has it. Ray Train's `TensorflowConfig` imports TensorFlow in the process that starts the workers, too, which takes
seconds; that process does not need it, so this module tells the workers of each other itself.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

from nbtune.frameworks import own_config

__all__ = ["WORKER_IMPORTS", "config", "environment", "reset"]

WORKER_IMPORTS = ("ray.train.tensorflow", "tensorflow")
"""Modules that a worker imports as soon as it has started."""


def config(backend: Any) -> BackendConfig:
    """Return how the workers communicate: each gets the addresses of all in ``TF_CONFIG``.

    Args:
        backend: a `ray.train.tensorflow.TensorflowConfig`, or None.

    Raises:
        ValueError: the backend is something else.
    """
    if backend is None:
        return Addresses()
    from ray.train.tensorflow import TensorflowConfig

    return own_config(backend, TensorflowConfig, "ray.train.tensorflow.TensorflowConfig")


def environment(resources: Mapping[str, float]) -> dict[str, str]:
    """Return the variables that a worker's process needs before it imports TensorFlow.

    Args:
        resources: those of the worker.
    """
    return {"TF_USE_LEGACY_KERAS": "1"}


def reset() -> bool:
    """Return that the process cannot train another trial: collective operations are configured once in a process."""
    return False


@dataclass
class Addresses(BackendConfig):
    """As `ray.train.tensorflow.TensorflowConfig`, but imports TensorFlow only in the workers."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that tells the workers the addresses."""
        return AddressesBackend


class AddressesBackend(Backend):
    """Tells each worker the addresses of all, by which TensorFlow connects them."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Set ``TF_CONFIG`` in each worker."""
        addresses = worker_group.execute(_free_address)
        ray.get(
            [
                worker_group.execute_single_async(rank, _set_addresses, addresses, rank)
                for rank in range(len(worker_group))
            ]
        )


def _free_address() -> str:
    """Return an address of this node with a port that is free at the moment."""
    host = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        return f"[{host}]:{one.getsockname()[1]}" if ":" in host else f"{host}:{one.getsockname()[1]}"


def _set_addresses(addresses: list[str], rank: int) -> None:
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
    os.environ["TF_CONFIG"] = json.dumps(task)
