"""From a `Launch` to a `ray.tune.Tuner`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray import tune
from ray.tune.logger import JsonLoggerCallback

from nbtune.engine.algorithms import make_scheduler, make_search
from nbtune.engine.control import Control, Steered, Stopping
from nbtune.engine.log import EventLog
from nbtune.engine.recorder import Recorder, trial_folder
from nbtune.engine.spaces import to_ray
from nbtune.engine.trainable import run_trial

if TYPE_CHECKING:
    from nbtune.engine.driver import Launch

__all__ = ["make_tuner"]


def make_tuner(launch: Launch, log: EventLog) -> tuple[tune.Tuner, Control, Recorder]:
    """Return the tuner of an experiment, with its control and its recorder.

    Args:
        launch: what to run.
        log: where to record it.
    """
    spec = launch.spec
    recorder = Recorder(log)
    stopping = Stopping(spec.stop, spec.metric, spec.mode, spec.time_budget)
    scheduler = Steered(make_scheduler(spec), recorder.on_added)
    control = Control(scheduler, stopping)
    recorder.scheduler, recorder.control = scheduler, control
    payload = {"data": launch.data, "large": launch.large, "seed": spec.seed, "environment": launch.environment}
    trainable = tune.with_resources(tune.with_parameters(run_trial, payload=payload), _resources(launch))
    own_search = not isinstance(spec.search, str)
    tuner = tune.Tuner(
        trainable,
        param_space=to_ray(launch.space),
        tune_config=tune.TuneConfig(
            metric=spec.metric,
            mode=spec.mode,
            num_samples=spec.samples,
            search_alg=make_search(spec),
            scheduler=scheduler,
            # Tune's basic variant generator has its own limit and does not take this one.
            max_concurrent_trials=spec.max_concurrent if own_search or spec.search == "optuna" else None,
            reuse_actors=True,
            trial_dirname_creator=trial_folder,
        ),
        run_config=tune.RunConfig(
            name=launch.folder,
            storage_path=launch.storage.place,
            storage_filesystem=launch.storage.filesystem,
            stop=stopping,
            callbacks=[control, recorder, JsonLoggerCallback()],
            failure_config=tune.FailureConfig(max_failures=spec.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=spec.keep_checkpoints,
                checkpoint_score_attribute=spec.metric if spec.keep_checkpoints else None,
                checkpoint_score_order=spec.mode if spec.keep_checkpoints and spec.mode else "max",
            ),
            verbose=0,
        ),
    )
    return tuner, control, recorder


def _resources(launch: Launch) -> dict[str, float]:
    names = {"CPU": "cpu", "GPU": "gpu"}
    return {names.get(name, name): amount for name, amount in launch.spec.request.items()}
