"""The scaling form as a cell, and its fields from options or a `ray.train.ScalingConfig`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbtune.errors import SpecError, did_you_mean
from nbtune.spec.forms.scaling import NEW_FORM, Scaling
from nbtune.spec.labels import format_labels
from nbtune.spec.options.tokenizer import quote
from nbtune.spec.units import parse_size

__all__ = ["scaling_cell", "scaling_fields"]

_LINE_LENGTH = 88  # characters of a line of code
_UNITS = {"GiB": 1024**3, "GB": 10**9, "MiB": 1024**2, "MB": 10**6}
_CODE = {"GiB": "1024**3", "GB": "10**9", "MiB": "1024**2", "MB": "10**6"}
_OPTIONS = ("cpus", "gpus", "memory", "resources", "samples", "scaling")
_BODY = """lr: loguniform(1e-4, 1e-1) = 1e-2   # a parameter: its name, its space, its default

# What one trial does, with the resources above. Put your own training code here.
for step in range(10):
    report(loss=(lr - 0.01) ** 2 / (step + 1))
"""


def scaling_cell(scaling: Scaling, fields: Mapping[str, Any]) -> str:
    """Return the code for a form: a ``%%tune`` cell for a single process, or a `ScalingConfig` for several workers.

    Args:
        scaling: the validated fields.
        fields: the texts of the fields; an amount of memory is written as it was typed.
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


def scaling_fields(value: Any) -> dict[str, Any]:
    """Return the initial fields of a form.

    Args:
        value: a `ray.train.ScalingConfig`; a dictionary with options of `nbtune.tune`: cpus, gpus, memory, resources,
            samples, scaling; or None for a new form.

    Raises:
        SpecError: the value has another type, an unknown option, or an option whose value the form cannot show.
    """
    fields = dict(NEW_FORM)
    if value is None:
        return fields
    if _is_config(value):
        return fields | _config_fields(value)
    if not isinstance(value, Mapping):
        raise SpecError(
            [f"ScalingForm expects a ray.train.ScalingConfig, a dictionary with {', '.join(_OPTIONS)}, or None,"
             f" got {value!r}"]
        )  # fmt: skip
    unknown = [name for name in value if name not in _OPTIONS]
    if unknown:
        allowed = ", ".join(_OPTIONS)
        raise SpecError(
            [f"ScalingForm has no option {name!r}{did_you_mean(str(name), _OPTIONS)}; expected one of {allowed}"
             for name in unknown]
        )  # fmt: skip
    given = {name: one for name, one in value.items() if one is not None}
    if not isinstance(given.get("resources", ""), (str, Mapping)):
        raise SpecError([f"resources: expected a dictionary, name -> amount, got {given['resources']!r}"])
    if scaling := given.pop("scaling", None):
        if not _is_config(scaling):
            raise SpecError([f"scaling: expected a ray.train.ScalingConfig, got {scaling!r}"])
        fields |= _config_fields(scaling)
    texts = {"memory": _size_text, "resources": _pairs_text}
    return fields | {name: texts.get(name, _text)(one) for name, one in given.items()}


def _is_config(value: Any) -> bool:
    # By class name, because this module must not import Ray.
    return any(base.__name__ == "ScalingConfig" and base.__module__.startswith("ray.") for base in type(value).__mro__)


def _config_fields(config: Any) -> dict[str, Any]:
    workers = config.num_workers
    elastic = isinstance(workers, tuple)
    per_worker = dict(config.resources_per_worker or {})
    interval = getattr(config, "elastic_resize_monitor_interval_s", None)
    for name in ("num_workers", "use_gpu", "resources_per_worker", "placement_strategy"):
        if type(getattr(config, name)).__name__ == "SampleRange" or hasattr(getattr(config, name), "sample"):
            raise SpecError(
                [f"ScalingConfig({name}={getattr(config, name)!r}): the form takes a single value, not a search space"]
            )
    return {
        "mode": "distributed",
        "workers": str(workers[0] if elastic else workers),
        "max_workers": str(workers[1]) if elastic else "",
        "resize_every": _text(interval) if elastic and interval not in (None, 60.0) else "",
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
    """Return a number of bytes in the largest unit that leaves no fraction; a text is returned unchanged."""
    if isinstance(value, str):
        return value
    unit = next((unit for unit, size in _UNITS.items() if value and value % size == 0), "")
    return f"{int(value) // _UNITS[unit]}{unit}" if unit else _text(value)


def _pairs_text(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(f"{name}={_text(amount)}" for name, amount in value.items())


def _assigned(config: Mapping[str, Any]) -> str:
    """Return ``scaling = ScalingConfig(…)``, in one line if it is short enough."""
    parts = [f"{name}={_code(value)}" for name, value in config.items()]
    line = f"scaling = ScalingConfig({', '.join(parts)})"
    if len(line) <= _LINE_LENGTH:
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
