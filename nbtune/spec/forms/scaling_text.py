"""A `Scaling` as text: the cell that says it, and from options or a `ray.train.ScalingConfig` to a form's fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbtune.errors import SpecError, did_you_mean
from nbtune.spec.forms.scaling import EMPTY, Scaling
from nbtune.spec.labels import format_labels
from nbtune.spec.options.tokenizer import quote
from nbtune.spec.units import parse_size

__all__ = ["cell_of", "fields_of"]

_WIDE = 88  # characters of a line of code
_UNITS = {"GiB": 1024**3, "GB": 10**9, "MiB": 1024**2, "MB": 10**6}
_CODE = {"GiB": "1024**3", "GB": "10**9", "MiB": "1024**2", "MB": "10**6"}
_TAKEN = ("cpus", "gpus", "memory", "resources", "samples", "scaling")
_BODY = """lr: loguniform(1e-4, 1e-1) = 1e-2   # a parameter: its name, its space, its default

# What one trial does, with the resources above. Put your own training code here.
for step in range(10):
    report(loss=(lr - 0.01) ** 2 / (step + 1))
"""


def cell_of(scaling: Scaling, fields: Mapping[str, Any]) -> str:
    """Return the cell that says what a form says: a ``%%tune`` cell, or a `ScalingConfig` as code.

    Args:
        scaling: what the fields say.
        fields: the form's; a size is written as it was typed.
    """
    if scaling.distributed:
        return f"from ray.train import ScalingConfig\n\n{_assigned(scaling.config)}\n"
    options = {**scaling.options, "samples": scaling.samples}
    if "memory" in options:
        options["memory"] = "".join(str(fields["memory"]).split())
    if "resources" in options:
        options["resources"] = ",".join(f"{name}={amount!r}" for name, amount in options["resources"].items())
    flags = " ".join(f"--{name} {quote(str(value))}" for name, value in options.items())
    return f"%%tune --metric loss --mode min {flags}\n{_BODY}"


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a form that begins with a value.

    Args:
        value: a `ray.train.ScalingConfig`; a dictionary of options of `nbtune.tune`, cpus, gpus, memory, resources,
            samples or scaling; or None.

    Raises:
        SpecError: it is none of these.
    """
    fields = dict(EMPTY)
    if value is None:
        return fields
    if _is_config(value):
        return fields | _of_config(value)
    if not isinstance(value, Mapping):
        raise SpecError(
            [f"{value!r} is nothing a ScalingForm begins with: give a ray.train.ScalingConfig, a dictionary of"
             f" {', '.join(_TAKEN)}, or None"]
        )  # fmt: skip
    unknown = [name for name in value if name not in _TAKEN]
    if unknown:
        raise SpecError(
            [f"ScalingForm has no field for {name!r}{did_you_mean(str(name), _TAKEN)}; it takes {', '.join(_TAKEN)}"
             for name in unknown]
        )  # fmt: skip
    given = {name: one for name, one in value.items() if one is not None}
    if not isinstance(given.get("resources", ""), (str, Mapping)):
        raise SpecError([f"resources: {given['resources']!r} is no dictionary, name -> amount: a form has no more"])
    if scaling := given.pop("scaling", None):
        if not _is_config(scaling):
            raise SpecError([f"scaling: {scaling!r} is no ray.train.ScalingConfig"])
        fields |= _of_config(scaling)
    texts = {"memory": _size_text, "resources": _pairs_text}
    return fields | {name: texts.get(name, _text)(one) for name, one in given.items()}


def _is_config(value: Any) -> bool:
    # By its name: this module imports no Ray, and who has made one has imported it.
    return any(base.__name__ == "ScalingConfig" and base.__module__.startswith("ray.") for base in type(value).__mro__)


def _of_config(config: Any) -> dict[str, Any]:
    workers = config.num_workers
    elastic = isinstance(workers, tuple)
    per_worker = dict(config.resources_per_worker or {})
    every = getattr(config, "elastic_resize_monitor_interval_s", None)
    for name in ("num_workers", "use_gpu", "resources_per_worker", "placement_strategy"):
        if type(getattr(config, name)).__name__ == "SampleRange" or hasattr(getattr(config, name), "sample"):
            raise SpecError([f"ScalingConfig({name}={getattr(config, name)!r}): a form takes one value, no space"])
    return {
        "mode": "distributed",
        "workers": str(workers[0] if elastic else workers),
        "max_workers": str(workers[1]) if elastic else "",
        "resize_every": _text(every) if elastic and every not in (None, 60.0) else "",
        "use_gpu": bool(config.use_gpu),
        "worker_cpus": _text(per_worker.pop("CPU", "")),
        "worker_gpus": _text(per_worker.pop("GPU", "")),
        "worker_memory": _size_text(per_worker.pop("memory", "")),
        "worker_resources": _pairs_text(per_worker),
        "trainer_resources": _pairs_text(config.trainer_resources or {}),
        "placement_strategy": config.placement_strategy,
        "accelerator_type": config.accelerator_type or "",
        "label_selector": format_labels(getattr(config, "label_selector", None)),
        "use_tpu": bool(getattr(config, "use_tpu", False)),
        "topology": getattr(config, "topology", None) or "",
    }


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _size_text(value: Any) -> str:
    """Return a size as it is typed: in the largest unit that leaves no fraction."""
    if isinstance(value, str):
        return value
    unit = next((unit for unit, size in _UNITS.items() if value and value % size == 0), "")
    return f"{int(value) // _UNITS[unit]}{unit}" if unit else _text(value)


def _pairs_text(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(f"{name}={_text(amount)}" for name, amount in value.items())


def _assigned(config: Mapping[str, Any]) -> str:
    """Return ``scaling = ScalingConfig(…)``, in one line where there is room."""
    parts = [f"{name}={_code(value)}" for name, value in config.items()]
    line = f"scaling = ScalingConfig({', '.join(parts)})"
    if len(line) <= _WIDE:
        return line
    return "\n".join(["scaling = ScalingConfig(", *(f"    {part}," for part in parts), ")"])


def _code(value: Any, name: str = "") -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_code(key)}: {_code(one, str(key))}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_code, value)) + "]"
    if name == "memory":
        unit = next((unit for unit in _UNITS if _size_text(value).endswith(unit)), "")
        if unit and parse_size(_size_text(value)) == value:
            return f"{_size_text(value).removesuffix(unit)} * {_CODE[unit]}"
    return repr(value)
