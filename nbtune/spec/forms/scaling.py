"""What a trial asks for, as a form has it: from the texts of its fields to a checked `Scaling`, and what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.spec.labels import parse_labels
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.plan.shape import STRATEGIES, Shape
from nbtune.spec.units import parse_pairs

__all__ = ["EMPTY", "Scaling", "read_scaling"]

EMPTY: Mapping[str, Any] = {
    "mode": "one",
    "samples": "10",
    "cpus": "1",
    "gpus": "",
    "memory": "",
    "resources": "",
    "workers": "2",
    "max_workers": "",
    "resize_every": "",
    "use_gpu": False,
    "worker_cpus": "",
    "worker_gpus": "",
    "worker_memory": "",
    "worker_resources": "",
    "trainer_resources": "",
    "placement_strategy": "PACK",
    "accelerator_type": "",
    "label_selector": "",
    "use_tpu": False,
    "topology": "",
}
"""Every field with what it holds in a new form: text, or whether it is ticked. `mode` is "one" or "distributed"."""

_OWN = {"cpu": "CPUs", "gpu": "GPUs", "memory": "memory", "object_store_memory": ""}


@dataclass(frozen=True)
class Scaling:
    """What a trial asks for.

    Attributes:
        distributed: whether it is a run of Ray Train with workers, or one process.
        options: of one process: the options of `nbtune.tune` that say its resources.
        config: of a distributed one: the arguments of `ray.train.ScalingConfig`, those that are not its defaults.
        samples: how many trials are planned for.
    """

    distributed: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 10


def read_scaling(fields: Mapping[str, Any], *, train_v2: bool = True) -> tuple[Scaling | None, dict[str, str]]:
    """Read the fields of a form.

    Args:
        fields: as `EMPTY` has them; those that are missing are as they are there.
        train_v2: whether Ray Train is its version 2, which takes other fields than version 1.

    Returns:
        What they say, or None where something is wrong; and for each field that is wrong, why.
    """
    form = _Form({**EMPTY, **fields})
    samples = form.read("samples", OPTIONS["samples"].read, 1)
    if form.texts["mode"] == "distributed":
        made = Scaling(distributed=True, config=_config(form, train_v2=train_v2), samples=samples)
    else:
        made = Scaling(distributed=False, options=_options(form), samples=samples)
    return (None if form.problems else made), form.problems


class _Form:
    """Fields as they are read, and what is wrong with them."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self.texts = texts
        self.problems: dict[str, str] = {}

    def read(self, name: str, reader: Callable[[Any], Any], missing: Any = None) -> Any:
        """Return what a field says, `missing` where it is empty or wrong; an empty one is wrong if it must not be."""
        text = str(self.texts[name]).strip()
        try:
            if text:
                return reader(text)
            if name in _NEEDED:
                raise ValueError(_NEEDED[name])
        except ValueError as error:
            self.problems[name] = str(error)
        return missing

    def wrong(self, name: str, why: str) -> None:
        self.problems.setdefault(name, why)


_NEEDED = {"samples": "how many trials? Give 1 or more", "workers": "how many workers? Give a whole number"}


def _options(form: _Form) -> dict[str, Any]:
    options = {
        "cpus": form.read("cpus", _amount("CPU"), 0),
        "gpus": form.read("gpus", _amount("GPU"), 0),
        "memory": form.read("memory", OPTIONS["memory"].read),
        "resources": form.read("resources", _custom, {}),
    }
    if not form.problems and not any(options.values()):
        form.wrong("cpus", "a trial that asks for nothing cannot be placed; give 1, or a part of one")
    return {name: value for name, value in options.items() if value or name == "cpus"}


def _config(form: _Form, *, train_v2: bool) -> dict[str, Any]:
    least = form.read("workers", _whole, 1)
    config: dict[str, Any] = {"num_workers": least}
    most = form.read("max_workers", _whole) if train_v2 else None
    if most is not None:
        if most < least:
            form.wrong("max_workers", f"{most} is less than {least}, the least number of workers")
        config["num_workers"] = (least, most)
        every = form.read("resize_every", OPTIONS["cpus"].read)
        if every is not None:
            config["elastic_resize_monitor_interval_s"] = every
    if form.texts["use_gpu"]:
        config["use_gpu"] = True
    config |= _per_worker(form)
    if not train_v2 and (trainer := form.read("trainer_resources", _pairs)):
        config["trainer_resources"] = trainer
    strategy = str(form.texts["placement_strategy"])
    if strategy not in STRATEGIES:
        form.wrong("placement_strategy", f"{strategy!r} is none of {', '.join(STRATEGIES)}")
    elif strategy != "PACK":
        config["placement_strategy"] = strategy
    if kind := str(form.texts["accelerator_type"]).strip():
        config["accelerator_type"] = kind
    if train_v2:
        config |= _only_v2(form, most or least)
    if not form.problems and _asks_nothing(config):
        form.wrong("worker_cpus", "a worker that asks for nothing cannot be placed; give 1, or a part of one")
    return config


def _per_worker(form: _Form) -> dict[str, Any]:
    amounts = {
        "CPU": form.read("worker_cpus", _amount("CPU")),
        "GPU": form.read("worker_gpus", _amount("GPU")),
        "memory": form.read("worker_memory", OPTIONS["memory"].read),
        **form.read("worker_resources", _custom, {}),
    }
    given = {name: amount for name, amount in amounts.items() if amount is not None}
    if given.get("GPU") and not form.texts["use_gpu"]:
        form.wrong("worker_gpus", 'GPUs need "use GPUs" to be ticked')
    if given.get("GPU") == 0 and form.texts["use_gpu"]:
        form.wrong("worker_gpus", '0 GPUs do not go with "use GPUs"; leave it empty for 1')
    return {"resources_per_worker": given} if given else {}


def _only_v2(form: _Form, workers: int) -> dict[str, Any]:
    config: dict[str, Any] = {}
    labels = form.read("label_selector", parse_labels)
    if labels:
        config["label_selector"] = labels
        if isinstance(labels, list) and len(labels) != workers:
            form.wrong("label_selector", f"there are labels for {len(labels)} workers, and {workers} workers")
    if form.texts["use_tpu"]:
        config["use_tpu"] = True
        if form.texts["use_gpu"]:
            form.wrong("use_tpu", "a worker has GPUs or TPUs, not both")
        if workers > 1 and not str(form.texts["topology"]).strip():
            form.wrong("topology", "more than one TPU worker needs a topology, 4x4 for instance")
        if workers > 1 and "accelerator_type" not in form.problems and not str(form.texts["accelerator_type"]).strip():
            form.wrong(
                "accelerator_type", "more than one TPU worker needs the accelerator's type, TPU-V6E for instance"
            )
    if topology := str(form.texts["topology"]).strip():
        config["topology"] = topology
    return config


def _asks_nothing(config: Mapping[str, Any]) -> bool:
    given = config.get("resources_per_worker")
    kinds = ("use_gpu", "use_tpu", "accelerator_type")
    return given is not None and not any(given.values()) and not any(config.get(name) for name in kinds)


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"{text!r} is no whole number of 0 or more")
    return number


def _amount(name: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        amount: float = OPTIONS["cpus"].read(text)
        _placeable(name, amount)
        return amount

    return read


def _placeable(name: str, amount: float) -> None:
    """Refuse an amount that Ray gives nowhere."""
    if not math.isfinite(amount):
        raise ValueError(f"{name}={amount:g} is no amount")
    for problem in Shape(({name: amount},) if amount else ()).problems():
        raise ValueError(problem)


def _pairs(text: str) -> dict[str, float]:
    pairs = parse_pairs(text)
    for name, amount in pairs.items():
        if not name.isprintable():
            raise ValueError(f"{name!r} is no name of a resource: it has more than letters, digits and signs")
        _placeable(name, amount)
    return pairs


def _custom(text: str) -> dict[str, float]:
    pairs = _pairs(text)
    for name in pairs:
        if name.lower() in _OWN:
            place = _OWN[name.lower()]
            raise ValueError(f"{name} has a field of its own: {place}" if place else f"{name} is not given by trials")
    return pairs
