"""`nbtune.ScalingForm`: a form on the resources of a trial, with the plan on the connected cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtune.cluster.resources.usage import cluster_usage
from nbtune.errors import SpecError
from nbtune.shell import insert_cell_below
from nbtune.spec.forms.scaling import Scaling, read_scaling
from nbtune.spec.forms.scaling_text import scaling_cell, scaling_fields
from nbtune.views.forms.scaling import ScalingWidget

if TYPE_CHECKING:
    from ray.train import ScalingConfig

    from nbtune.spec.plan.plan import Plan

__all__ = ["ScalingForm"]


class ScalingForm(ScalingWidget):
    """A form on the resources of a trial: one process, or a distributed run of Ray Train.

    Display it in a cell. `value` is the latest valid value of the form, and can be observed:
    ``form.observe(function, "value")``.

    Args:
        value: the initial value: a `ray.train.ScalingConfig`; a dictionary of options of `nbtune.tune` (cpus, gpus,
            memory, resources, samples, scaling); or None for one process with one CPU.

    Attributes:
        valid: whether the current fields are valid.

    Raises:
        SpecError: the value has another type, or is not valid.
    """

    def __init__(self, value: Any = None) -> None:
        fields, source = scaling_fields(value), _Source()
        read, problems = source.read(fields)
        if read is None:
            raise SpecError([f"ScalingForm: {name}: {error}" if name else error for name, error in problems.items()])
        super().__init__(source, fields)

    def __repr__(self) -> str:
        return f"ScalingForm({self.options!r})"

    @property
    def options(self) -> dict[str, Any]:
        """The options of `nbtune.tune` that the form requests: ``nbtune.tune(train, space, **form.options)``.

        For one process those of cpus, gpus, memory (bytes) and resources that are given; for a distributed run
        `scaling`, a `ray.train.ScalingConfig`.
        """
        value: Scaling = self.value
        return {"scaling": _scaling_config(value)} if value.distributed else dict(value.options)

    @property
    def scaling_config(self) -> ScalingConfig:
        """The same as a `ray.train.ScalingConfig`; one process becomes one worker with the same resources."""
        config: ScalingConfig = _scaling_config(self.value)
        return config

    @property
    def samples(self) -> int:
        """The number of trials in the plan."""
        return int(self.value.samples)

    @property
    def text(self) -> str:
        """The text of the cell that the button "Write cell" writes."""
        return str(self.checked["cell"])

    def write(self) -> None:
        """Write `text` into a new cell below the running one.

        Raises:
            SpecError: the form is not valid.
            NbtuneError: there is no notebook.
        """
        if not self.valid:
            raise SpecError([f"{name}: {error}" if name else error for name, error in self.checked["problems"].items()])
        insert_cell_below(self.text)


class _Source:
    """Checks the fields and plans; see `nbtune.views.forms.scaling.ScalingSource`."""

    @property
    def train_v2(self) -> bool:
        """Whether Ray Train V2 is in use: the imported one, or the one that the environment selects."""
        config = getattr(sys.modules.get("ray.train"), "ScalingConfig", None)
        if config is not None:
            return hasattr(config, "min_workers")
        return os.environ.get("RAY_TRAIN_V2_ENABLED", "1").lower() not in {"0", "false"}

    def read(self, fields: Mapping[str, Any]) -> tuple[Scaling | None, dict[str, str]]:
        value, problems = read_scaling(fields, train_v2=self.train_v2)
        if value is not None and value.distributed:
            try:
                _scaling_config(value)
            except ValueError as error:  # a check that only Ray does
                return None, {"": str(error)}
        return value, problems

    def cell(self, value: Scaling, fields: Mapping[str, Any]) -> str:
        return scaling_cell(value, fields)

    def plan(self, value: Scaling) -> Mapping[str, Any]:
        from nbtune.cluster.connect import connect

        if cluster_usage() is None:  # only the user's click on Connect starts a cluster
            return {"state": "none", "lines": [], "cluster": ""}
        cluster = connect()
        planned = _plan(value)
        state = "impossible" if planned.problems else "planned"
        return {"state": state, "lines": str(planned).splitlines(), "cluster": str(cluster)}

    def connect(self) -> None:
        from nbtune.cluster.connect import connect

        connect()


def _plan(value: Scaling) -> Plan:
    """Return the plan on the connected cluster."""
    options = {"scaling": _scaling_config(value)} if value.distributed else value.options
    from nbtune.launch.planning import plan

    return plan(samples=value.samples, **options)


def _scaling_config(value: Scaling) -> Any:
    from nbtune.cluster.connect import import_ray

    import_ray()
    from ray.train import ScalingConfig

    if value.distributed:
        return ScalingConfig(**value.config)
    requested = {
        "CPU": value.options.get("cpus"),
        "GPU": value.options.get("gpus"),
        "memory": value.options.get("memory"),
    }
    per_worker = {name: amount for name, amount in requested.items() if amount} | value.options.get("resources", {})
    return ScalingConfig(num_workers=1, use_gpu="GPU" in per_worker, resources_per_worker=per_worker)
