"""`nbtune.ScalingForm`: what a trial asks for, as a form, with the plan on the connected cluster beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtune.cluster.resources.usage import look
from nbtune.errors import SpecError
from nbtune.shell import insert_cell_below
from nbtune.spec.forms.scaling import Scaling, read_scaling
from nbtune.spec.forms.scaling_text import scaling_cell, scaling_fields
from nbtune.views.forms.scaling import Form

if TYPE_CHECKING:
    from ray.train import ScalingConfig

    from nbtune.spec.plan.plan import Plan

__all__ = ["ScalingForm"]


class ScalingForm(Form):
    """A form for what a trial asks for: one process with its resources, or a distributed run of Ray Train.

    Display it in a cell. `value` is what it says, the latest that was valid, and can be observed:
    ``form.observe(function, "value")``.

    Args:
        value: what it begins with: a `ray.train.ScalingConfig`; options of `nbtune.tune` as a dictionary (cpus, gpus,
            memory, resources, samples, scaling); or None for one process with one CPU.

    Attributes:
        valid: whether what is typed now is valid.
        errors: what went wrong in the browser's half, the latest last.

    Raises:
        SpecError: the value is none of these, or says what cannot be.
    """

    def __init__(self, value: Any = None) -> None:
        fields, source = scaling_fields(value), _Source()
        read, problems = source.read(fields)
        if read is None:
            raise SpecError([f"ScalingForm: {name}: {why}" if name else why for name, why in problems.items()])
        super().__init__(source, fields)

    def __repr__(self) -> str:
        return f"ScalingForm({self.options!r})"

    @property
    def options(self) -> dict[str, Any]:
        """What it says, as options of `nbtune.tune`: ``nbtune.tune(train, space, **form.options)``.

        Of one process cpus, gpus, memory (bytes) and resources, as far as they are asked for; of a distributed run
        `scaling`, a `ray.train.ScalingConfig`.
        """
        value: Scaling = self.value
        return {"scaling": _scaling_config(value)} if value.distributed else dict(value.options)

    @property
    def scaling_config(self) -> ScalingConfig:
        """What it says, as a `ray.train.ScalingConfig`: of one process one worker with the same resources."""
        return _scaling_config(self.value)

    @property
    def samples(self) -> int:
        """How many trials it plans for."""
        return int(self.value.samples)

    @property
    def text(self) -> str:
        """The cell that "Write cell" writes."""
        return str(self.checked["cell"])

    def write(self) -> None:
        """Put the cell below the one that runs.

        Raises:
            SpecError: something is wrong with what is typed.
            NbtuneError: no notebook is there.
        """
        if not self.valid:
            raise SpecError([f"{name}: {why}" if name else why for name, why in self.checked["problems"].items()])
        insert_cell_below(self.text)


class _Source:
    """Checks and plans; see `nbtune.views.forms.scaling.Source`."""

    @property
    def train_v2(self) -> bool:
        """Tell which Ray Train there is: what was imported, or what the environment says will be."""
        config = getattr(sys.modules.get("ray.train"), "ScalingConfig", None)
        if config is not None:
            return hasattr(config, "min_workers")
        return os.environ.get("RAY_TRAIN_V2_ENABLED", "1").lower() not in {"0", "false"}

    def read(self, fields: Mapping[str, Any]) -> tuple[Scaling | None, dict[str, str]]:
        value, problems = read_scaling(fields, train_v2=self.train_v2)
        if value is not None and value.distributed:
            try:
                _scaling_config(value)
            except ValueError as error:  # what only Ray itself knows to be wrong
                return None, {"": str(error)}
        return value, problems

    def cell(self, value: Scaling, fields: Mapping[str, Any]) -> str:
        return scaling_cell(value, fields)

    def plan(self, value: Scaling) -> Mapping[str, Any]:
        from nbtune.cluster.connect import connect

        if look() is None:  # a form starts no cluster by itself
            return {"state": "none", "lines": [], "cluster": ""}
        there = connect()
        planned = _plan(value)
        state = "impossible" if planned.problems else "planned"
        return {"state": state, "lines": str(planned).splitlines(), "cluster": str(there)}

    def connect(self) -> None:
        from nbtune.cluster.connect import connect

        connect()


def _plan(value: Scaling) -> Plan:
    """Return the plan on the connected cluster: the one place that asks for it."""
    options = {"scaling": _scaling_config(value)} if value.distributed else value.options
    from nbtune.launch.planning import plan

    return plan(samples=value.samples, **options)


def _scaling_config(value: Scaling) -> Any:
    from nbtune.cluster.connect import import_ray

    import_ray()
    from ray.train import ScalingConfig

    if value.distributed:
        return ScalingConfig(**value.config)
    asked = {"CPU": value.options.get("cpus"), "GPU": value.options.get("gpus"), "memory": value.options.get("memory")}
    per_worker = {name: amount for name, amount in asked.items() if amount} | value.options.get("resources", {})
    return ScalingConfig(num_workers=1, use_gpu="GPU" in per_worker, resources_per_worker=per_worker)
