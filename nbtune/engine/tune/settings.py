"""Settings of Tune that follow from the options: checkpoints, and the names of trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ray import tune

from nbtune.engine.protocol.registry import register_live
from nbtune.engine.protocol.result import TUNE_ENTRIES, tune_name
from nbtune.engine.tune.names import TrialFolders, TrialNames, trial_folder
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.checkpoints import kept_by
from nbtune.spec.options.options import Spec

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch

__all__ = ["checkpoint_config", "creators_of"]


def checkpoint_config(launch: Launch) -> tune.CheckpointConfig:
    """Return when trials are checkpointed, and which checkpoints are kept.

    Args:
        launch: what to run.
    """
    spec, entry = launch.spec, launch.entry
    metric, order = kept_by(spec)
    if metric is not None and (metric == spec.metric or metric not in TUNE_ENTRIES):
        metric = tune_name(metric)
    at_end = entry.saves if spec.checkpoint_at_end is None else spec.checkpoint_at_end
    return tune.CheckpointConfig(
        num_to_keep=spec.keep_checkpoints,
        checkpoint_score_attribute=metric,
        checkpoint_score_order=order,
        # A function reports its checkpoints.
        checkpoint_frequency=spec.checkpoint_frequency if entry.is_class else 0,
        checkpoint_at_end=at_end if entry.is_class else False,
    )


def creators_of(spec: Spec, folders: Sequence[str], failures: Failures) -> dict[str, Any]:
    """Return what names trials and their folders, as arguments of `ray.tune.TuneConfig`.

    Args:
        spec: the options.
        folders: the names of the folders of an earlier run's trials.
        failures: receives what functions of the user raise.
    """
    creators: dict[str, Any] = {"trial_dirname_creator": trial_folder}
    if spec.trial_name_creator is not None:
        register_live(names := TrialNames(spec.trial_name_creator, failures))
        creators["trial_name_creator"] = names
    if spec.trial_dirname_creator is not None:
        register_live(named := TrialFolders(spec.trial_dirname_creator, folders, failures))
        creators["trial_dirname_creator"] = named
    return creators
