"""The scaling form: from the texts of its fields to a validated `Scaling`, or to problems at the fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtune.spec.labels import parse_labels
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.plan.shape import STRATEGIES, Shape
from nbtune.spec.units import parse_pairs

__all__ = ["NEW_FORM", "Scaling", "read_scaling"]

NEW_FORM: Mapping[str, Any] = {
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
"""The fields with their values in a new form: a text, or the state of a check box. `mode` is "one" or "distributed"."""

# Names that custom resources cannot have -> the label of the field for them, empty if trials cannot request them.
_RESERVED_RESOURCES = {"cpu": "CPUs", "gpu": "GPUs", "memory": "memory", "object_store_memory": ""}


@dataclass(frozen=True)
class Scaling:
    """The resources that a trial requests.

    Attributes:
        distributed: whether the trial is a Ray Train run with several workers, not a single process.
        options: for a single process, the resource options of `nbtune.tune`.
        config: for a Ray Train run, the arguments of `ray.train.ScalingConfig` that differ from its defaults.
        samples: the number of trials that the plan is made for.
    """

    distributed: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 10


def read_scaling(fields: Mapping[str, Any], *, train_v2: bool = True) -> tuple[Scaling | None, dict[str, str]]:
    """Validate the fields of a form.

    Args:
        fields: field -> its value; missing fields have their value in `NEW_FORM`.
        train_v2: whether Ray Train is version 2, whose `ScalingConfig` has other arguments than that of version 1.

    Returns:
        The scaling, or None if a field is invalid; and field -> what is wrong with it, for the invalid fields.
    """
    form = _FieldReader({**NEW_FORM, **fields})
    samples = form.read("samples", OPTIONS["samples"].read, 1)
    if form.texts["mode"] == "distributed":
        scaling = Scaling(distributed=True, config=_config(form, train_v2=train_v2), samples=samples)
    else:
        scaling = Scaling(distributed=False, options=_options(form), samples=samples)
    return (None if form.problems else scaling), form.problems


class _FieldReader:
    """Reads fields and collects their problems."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self.texts = texts
        self.problems: dict[str, str] = {}

    def read(self, name: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        """Return the parsed value of a field, or `default` if the field is empty or invalid."""
        text = str(self.texts[name]).strip()
        try:
            if text:
                return parse(text)
            if name in _REQUIRED:
                raise ValueError(_REQUIRED[name])
        except ValueError as error:
            self.problems[name] = str(error)
        return default

    def add_problem(self, name: str, problem: str) -> None:
        self.problems.setdefault(name, problem)


_REQUIRED = {
    "samples": "give the number of trials, an integer >= 1",
    "workers": "give the number of workers, an integer >= 0",
}


def _options(form: _FieldReader) -> dict[str, Any]:
    options = {
        "cpus": form.read("cpus", _amount("CPU"), 0),
        "gpus": form.read("gpus", _amount("GPU"), 0),
        "memory": form.read("memory", OPTIONS["memory"].read),
        "resources": form.read("resources", _custom, {}),
    }
    if not form.problems and not any(options.values()):
        form.add_problem("cpus", "a trial without any resources cannot be scheduled; give 1 CPU or a fraction of one")
    return {name: value for name, value in options.items() if value or name == "cpus"}


def _config(form: _FieldReader, *, train_v2: bool) -> dict[str, Any]:
    min_workers = form.read("workers", _non_negative_int, 1)
    config: dict[str, Any] = {"num_workers": min_workers}
    max_workers = form.read("max_workers", _non_negative_int) if train_v2 else None
    if max_workers is not None:
        if max_workers < min_workers:
            form.add_problem("max_workers", f"{max_workers} is less than {min_workers}, the minimum number of workers")
        config["num_workers"] = (min_workers, max_workers)
        interval = form.read("resize_every", OPTIONS["cpus"].read)
        if interval is not None:
            config["elastic_resize_monitor_interval_s"] = interval
    if form.texts["use_gpu"]:
        config["use_gpu"] = True
    config |= _per_worker(form)
    if not train_v2 and (trainer := form.read("trainer_resources", _pairs)):
        config["trainer_resources"] = trainer
    strategy = str(form.texts["placement_strategy"])
    if strategy not in STRATEGIES:
        form.add_problem("placement_strategy", f"expected one of {', '.join(STRATEGIES)}, got {strategy!r}")
    elif strategy != "PACK":
        config["placement_strategy"] = strategy
    if kind := str(form.texts["accelerator_type"]).strip():
        config["accelerator_type"] = kind
    if train_v2:
        config |= _v2_arguments(form, max_workers or min_workers)
    if not form.problems and _requests_nothing(config):
        form.add_problem(
            "worker_cpus", "a worker without any resources cannot be scheduled; give 1 CPU or a fraction of one"
        )
    return config


def _per_worker(form: _FieldReader) -> dict[str, Any]:
    amounts = {
        "CPU": form.read("worker_cpus", _amount("CPU")),
        "GPU": form.read("worker_gpus", _amount("GPU")),
        "memory": form.read("worker_memory", OPTIONS["memory"].read),
        **form.read("worker_resources", _custom, {}),
    }
    requested = {name: amount for name, amount in amounts.items() if amount is not None}
    if requested.get("GPU") and not form.texts["use_gpu"]:
        form.add_problem("worker_gpus", 'select "use GPUs" to give workers GPUs')
    if requested.get("GPU") == 0 and form.texts["use_gpu"]:
        form.add_problem("worker_gpus", '0 GPUs contradict "use GPUs"; leave the field empty for 1 GPU')
    return {"resources_per_worker": requested} if requested else {}


def _v2_arguments(form: _FieldReader, workers: int) -> dict[str, Any]:
    config: dict[str, Any] = {}
    labels = form.read("label_selector", parse_labels)
    if labels:
        config["label_selector"] = labels
        if isinstance(labels, list) and len(labels) != workers:
            form.add_problem("label_selector", f"expected labels for {workers} workers, got labels for {len(labels)}")
    if form.texts["use_tpu"]:
        config["use_tpu"] = True
        if form.texts["use_gpu"]:
            form.add_problem("use_tpu", "a worker can have GPUs or TPUs, not both")
        if workers > 1 and not str(form.texts["topology"]).strip():
            form.add_problem("topology", "several TPU workers need a topology, for instance 4x4")
        if workers > 1 and "accelerator_type" not in form.problems and not str(form.texts["accelerator_type"]).strip():
            form.add_problem("accelerator_type", "several TPU workers need an accelerator type, for instance TPU-V6E")
    if topology := str(form.texts["topology"]).strip():
        config["topology"] = topology
    return config


def _requests_nothing(config: Mapping[str, Any]) -> bool:
    resources = config.get("resources_per_worker")
    kinds = ("use_gpu", "use_tpu", "accelerator_type")
    return resources is not None and not any(resources.values()) and not any(config.get(name) for name in kinds)


def _non_negative_int(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"expected an integer >= 0, got {text!r}")
    return number


def _amount(name: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        amount: float = OPTIONS["cpus"].read(text)
        _check_amount(name, amount)
        return amount

    return read


def _check_amount(name: str, amount: float) -> None:
    """Raise ValueError for an amount that no node can provide."""
    if not math.isfinite(amount):
        raise ValueError(f"expected a finite amount of {name}, got {amount:g}")
    for problem in Shape(({name: amount},) if amount else ()).problems():
        raise ValueError(problem)


def _pairs(text: str) -> dict[str, float]:
    pairs = parse_pairs(text)
    for name, amount in pairs.items():
        if not name.isprintable():
            raise ValueError(f"the resource name {name!r} contains characters that are not printable")
        _check_amount(name, amount)
    return pairs


def _custom(text: str) -> dict[str, float]:
    pairs = _pairs(text)
    for name in pairs:
        if name.lower() in _RESERVED_RESOURCES:
            label = _RESERVED_RESOURCES[name.lower()]
            raise ValueError(f"give {name} in the field {label}" if label else f"trials cannot request {name}")
    return pairs
