"""From a `Launch` to Tune: a new or a restored `ray.tune.Tuner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow.fs as pafs
import ray
from ray import tune
from ray.tune.logger import JsonLoggerCallback
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from nbtune.engine._ray.loop import asking_briefly
from nbtune.engine._ray.schedulers import takes_one_trial
from nbtune.engine._ray.trainable import set_trainable_name
from nbtune.engine._ray.tune import own_registry
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.registry import register_filesystem, register_live
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.protocol.result import tune_name
from nbtune.engine.protocol.trust import NOTHING
from nbtune.engine.search.make import Search, make_scheduler, make_search
from nbtune.engine.search.sampling import complete_config
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.repair import TUNER, copy_without_trials, repair, set_damaged_aside
from nbtune.engine.storage.segments import read_file
from nbtune.engine.storage.signatures import SignedFiles
from nbtune.engine.storage.storage import local_base
from nbtune.engine.train.payload import Training, TrialPayload
from nbtune.engine.trial.payload import ProgramPayload
from nbtune.engine.tune.callbacks import UserCallbacks
from nbtune.engine.tune.continuation import in_folder
from nbtune.engine.tune.control import Control
from nbtune.engine.tune.hosted import trainable_class
from nbtune.engine.tune.hosting import HostingResourceManager
from nbtune.engine.tune.hosts import Hosts
from nbtune.engine.tune.recorder import Recorder
from nbtune.engine.tune.requested_resources import trial_resources
from nbtune.engine.tune.result_files import ResultFiles, RunFinished
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.settings import checkpoint_config, creators_of
from nbtune.engine.tune.stopping import Stopping
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.datasets import PackedDatasets
from nbtune.spec.plan.shape import is_factory

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch, Resume

__all__ = ["Run", "make_run"]


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes:
        tuner: Tune's tuner.
        control: executes commands.
        recorder: writes events.
        scheduler: the user's scheduler, wrapped.
        search_alg: the user's search algorithm, wrapped.
        failures: what the user's search algorithm, scheduler or stopper has raised.
        files: signs Tune's files.
    """

    tuner: tune.Tuner
    control: Control
    recorder: Recorder
    scheduler: SteerableScheduler
    search_alg: SteerableSearch
    failures: Failures
    files: SignedFiles

    def repair(self, filesystem: pafs.FileSystem, path: str) -> None:
        """Repair Tune's files in storage, after that has failed.

        Args:
            filesystem: the filesystem of the experiment's storage.
            path: the experiment's folder on it.

        Raises:
            OSError: a file could not be written.
        """
        if self.recorder.staging is not None:
            repair(self.recorder.staging, filesystem, path)  # even on a full disk: it deletes incomplete files
            self.files.flush()

    def needed_checkpoints(self) -> set[str]:
        """Return the paths of the checkpoints that trials start from, or may start from. Called on another thread."""
        return self.scheduler.needed_checkpoints() | self.search_alg.needed_checkpoints()

    def fit(self) -> None:
        """Run Tune until the experiment is over."""
        with own_registry(), asking_briefly(self.control.on_controller), suppress(RunFinished):
            self.tuner.fit()


def make_run(
    launch: Launch, large: Sequence[Any], log: EventLog, resume: Resume | None, hosts: Hosts, driver: DriverOf
) -> Run:
    """Return the run of an experiment.

    Args:
        launch: what to run.
        large: Ray's references to the large values of its program.
        log: the event log, with the events of the earlier run if it is resumed.
        resume: how to resume it, or None for a new experiment.
        hosts: the processes for its trials.
        driver: the driver, as trials call it.
    """
    spec, failed = launch.spec, resume is not None and resume.failed
    past = past_of(log.chunks(), launch.key or NOTHING) if resume is not None else None
    metadata = past.metadata if past else launch.metadata
    total = metadata.get("trials", 0)
    max_concurrent = past.metadata.get("max_concurrent", spec.max_concurrent) if past else spec.max_concurrent
    failures = Failures(launch.sources)
    search = make_search(spec, launch.space)
    # A path on a filesystem, since Tune takes the folder's name from a URI as it is written there: "my%20experiment".
    filesystem, path = launch.storage.join(launch.folder).open()
    register_filesystem(filesystem)
    files = SignedFiles(filesystem, path, log.epoch, launch.key)
    is_restored, snapshot = False, None
    if past is not None:
        is_restored = set_damaged_aside(filesystem, path, launch.key or NOTHING, files.earlier)
        snapshot = None if is_restored else copy_without_trials(filesystem, path)
        per_sample = metadata.get("trials_per_sample", 1)
        if total and not past.trials and snapshot is None and total % per_sample == 0:
            search = replace(search, samples=total // per_sample)  # the log has those that were added
    search_alg = SteerableSearch(search, launch.slots, max_concurrent, failures)
    search_alg.snapshot = snapshot
    recorder = Recorder(log, search_alg, total, files, past, failed=failed)
    recorder.releases_groups = (workers := spec.worker_group) is not None and workers.elastic is not None
    search_alg.on_saved = files.add_all
    search_alg.moved = partial(in_folder, filesystem=filesystem, folder=path)
    search_alg.on_dropped = lambda trials: recorder.on_trial_count_changed(-trials)
    search_alg.on_given_up = lambda proposals: recorder.write_metadata({"warning": _given_up(launch, proposals)})
    users = make_scheduler(spec, launch.space)
    scheduler = SteerableScheduler(users, recorder.on_added, recorder.ended_by_scheduler, failures)
    scheduler.on_rung = recorder.on_rung
    scheduler.on_no_progress = lambda unit: recorder.write_metadata({"warning": _no_progress(users, unit)})
    scheduler.can_always_pause = launch.entry.saves
    callbacks = UserCallbacks(
        [one for one in spec.callbacks if type(one) is not JsonLoggerCallback],  # it would write what `results` writes
        launch.sources,
        lambda text: recorder.write_metadata({"warning": text}),
    )
    search_alg.stored_with = (scheduler, callbacks)
    minimized = {objective.metric for objective in spec.objectives if objective.mode == "min"}
    stopping = Stopping(spec.stop, minimized, spec.time_budget, failures)
    recorder.ended_by_condition = stopping.reached
    control = Control(
        scheduler,
        search_alg,
        stopping,
        recorder,
        complete=partial(_completed, launch),
        entry=launch.entry,
        takes_one_trial=takes_one_trial(users),
        fail_fast=spec.fail_fast,
        trials_per_sample=metadata.get("trials_per_sample", 1),
        repeat=spec.repeat,
        past=past,
        failed=failed,
        first=resume.commands if resume is not None else (),
    )
    results = ResultFiles(writes=not any(isinstance(one, JsonLoggerCallback) for one in callbacks.callbacks))
    register_live(search_alg, recorder, scheduler, stopping, control, callbacks, results)
    creators = creators_of(spec, [known.folder for known in past.trials.values()] if past else [], failures)
    payload = TrialPayload(
        ProgramPayload(launch.data, list(large), spec.seed, spec.reads_data),
        driver,
        {**launch.environment, **spec.env},
        _training(launch),
        launch.key,
        launch.entry,
        resets=spec.reuse_actors is True,
        datasets=_datasets(launch),
        ends_at_once=type(users) in (FIFOScheduler, AsyncHyperBandScheduler) and local_base(filesystem) is not None,
    )
    metrics = [objective.metric for objective in spec.objectives]
    if spec.reuse_actors is not False:
        scheduler.resource_manager = manager = HostingResourceManager()
        manager.host(hosts, payload, metrics, payload.environment)
    scheduler.resource_manager.max_running = lambda: search_alg.max_concurrent
    if not is_factory(spec.resources) and (workers is None or workers.elastic is None):
        scheduler.resource_manager.slots = launch.slots
    kind = trainable_class(payload)
    trial = tune.with_parameters(kind, payload=payload, metrics=metrics)
    trainable = tune.with_resources(trial, trial_resources(launch))
    trainable.__qualname__ = kind.__name__  # the name of the processes, instead of that of Tune's wrapper
    set_trainable_name(trainable, launch.entry.name or kind.__name__)
    if is_restored:
        # The settings are those of the first run, except for the scheduler, the search algorithm and the callbacks
        # above.
        tuner = tune.Tuner.restore(
            path,
            trainable,
            resume_errored=failed,
            param_space=search.param_space,
            storage_filesystem=filesystem,
        )
    else:
        first = [control, callbacks] if callbacks.callbacks else [control]
        tuner = _new(launch, trainable, search, search_alg, scheduler, stopping, [*first, recorder, results], creators)
        files.add(TUNER, read_file(filesystem, f"{path}/{TUNER}"))
    return Run(tuner, control, recorder, scheduler, search_alg, failures, files)


def _datasets(launch: Launch) -> PackedDatasets | None:
    """Return the data sets for the trials. This process owns their blocks in the object store."""
    if (packed := launch.datasets) is None:
        return None
    return replace(packed, large=[ray.put(value) for value in packed.large])


def _no_progress(scheduler: Any, unit: str) -> str:
    return (
        f"the scheduler {type(scheduler).__name__} has compared no trial: no report has its time_attr, {unit!r}. Report"
        " it, or create the scheduler with another one, such as training_iteration"
    )


def _given_up(launch: Launch, proposals: int) -> str:
    violated = ", ".join(map(str, launch.space.constraints))
    why = f"violate {violated}" if violated else "are not valid"
    return f"the search has ended: its last {proposals} proposals {why}"


def _completed(launch: Launch, point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point of the user, completed with samples of the parameters that it does not set.

    Raises:
        ValueError: it is not in the space, or violates a constraint.
    """
    config = complete_config(launch.space, point)
    if (workers := launch.spec.worker_group) is not None:
        workers.check(config)
    return config


def _new(
    launch: Launch,
    trainable: Any,
    search: Search,
    search_alg: SteerableSearch,
    scheduler: SteerableScheduler,
    stopping: Stopping,
    callbacks: list[Any],
    creators: Mapping[str, Any],
) -> tune.Tuner:
    spec = launch.spec
    metric = None if spec.metric is None else tune_name(spec.metric)
    filesystem, path = launch.storage.join(launch.folder).open()
    parent, _, name = path.rpartition("/")
    return tune.Tuner(
        trainable,
        param_space=search.param_space,
        tune_config=tune.TuneConfig(
            metric=metric,
            mode=spec.mode,
            num_samples=search.samples,
            search_alg=search_alg,
            scheduler=scheduler,
            reuse_actors=spec.reuse_actors is not False,
            **creators,
        ),
        run_config=_RunConfig(
            name=name,
            storage_path=parent or ("/" if path.startswith("/") else "."),
            storage_filesystem=filesystem,
            stop=stopping,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=spec.max_failures),
            checkpoint_config=checkpoint_config(launch),
            verbose=0,
        ),
    )


class _RunConfig(tune.RunConfig):
    """Settings of a run that are pickled without the filesystem, which may have a password. A resume brings its own."""

    def __copy__(self) -> _RunConfig:
        copied = object.__new__(_RunConfig)
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _plain_config, ({**self.__dict__, "storage_filesystem": None},)


def _plain_config(fields: dict[str, Any]) -> tune.RunConfig:
    config: tune.RunConfig = object.__new__(tune.RunConfig)
    config.__dict__.update(fields)
    return config


def _training(launch: Launch) -> Training | None:
    """Return how a trial trains with workers; None for a trial in a single process."""
    spec, plan = launch.spec, launch.metadata.get("plan")
    if (workers := spec.worker_group) is None:
        return None
    framework, data_cpus = spec.framework or "torch", 0 if plan is None else plan.data_cpus
    return Training(workers, framework, spec.backend, spec.aggregate, spec.worker_env, data_cpus)
