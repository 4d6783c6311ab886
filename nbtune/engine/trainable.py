"""The trial: what runs in one of Tune's processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from nbtune.engine import output, session
from nbtune.engine.program import run_program

__all__ = ["run_trial"]


def run_trial(config: dict[str, Any], payload: dict[str, Any]) -> None:
    """Run one trial: Tune's training function.

    Args:
        config: the trial's parameters.
        payload: "data", references to the "large" values of `nbtune.engine.payload.Packed`, the "seed", the
            "environment": what the kernel's says of object stores, "training": the
            `nbtune.engine.distributed.Training` of a trial that is a Ray Train run, else None, and the "driver".

    Raises:
        TrialError: the program raised.
    """
    os.environ.update(payload["environment"])
    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        # Ray shows a process that has asked for no GPU all of them, those of other trials too.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    context = tune.get_context()
    storage = context.get_storage()
    place = session.Context(
        context.get_trial_id(),
        Path(context.get_trial_dir()),
        context.get_experiment_name(),
        dict(context.get_trial_resources().required_resources),
    )
    with output.kept(storage.storage_filesystem, storage.trial_fs_path):
        if payload["training"] is None:
            run_program(config, payload, session.InTrial(place))
        else:
            from nbtune.engine.distributed import run_workers

            run_workers(config, payload, place, storage)
