"""From a `Launch` to Tune: a new or a restored `ray.tune.Tuner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow.fs as pafs
from ray import tune

from nbtune.engine._ray.tune import own_registry
from nbtune.engine.protocol.driver_of import DriverOf
from nbtune.engine.protocol.registry import register_filesystem, register_live
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.protocol.result import tune_name
from nbtune.engine.protocol.trust import NOTHING
from nbtune.engine.search.algorithms import Search, make_scheduler, make_search
from nbtune.engine.search.sampling import complete_config
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.repair import TUNER, repair, set_damaged_aside
from nbtune.engine.storage.segments import read_file
from nbtune.engine.storage.signatures import SignedFiles
from nbtune.engine.train.payload import Training, TrialPayload
from nbtune.engine.trial.payload import ProgramPayload
from nbtune.engine.tune.control import Control
from nbtune.engine.tune.hosting import HostingResourceManager
from nbtune.engine.tune.hosts import Hosts
from nbtune.engine.tune.recorder import Recorder, trial_folder
from nbtune.engine.tune.result_files import ResultFiles, RunFinished
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.stopping import Stopping
from nbtune.engine.tune.trainable import TrialProcess
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import Spec
from nbtune.spec.plan.shape import is_factory
from nbtune.spec.plan.workers import Workers

if TYPE_CHECKING:
    from nbtune.engine.storage.launch_spec import Launch, Resume

__all__ = ["Run", "make_run"]

_MIN_RESOURCES: dict[str, float] = {"memory": 1_000_000}
"""What a trial requests if it reserves nothing for its workers. Tune does not place a trial without any resources."""


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes:
        tuner: Tune's tuner.
        control: executes commands.
        recorder: writes events.
        scheduler: the user's scheduler, wrapped.
        failures: what the user's search algorithm, scheduler or stopper has raised.
        files: signs Tune's files.
    """

    tuner: tune.Tuner
    control: Control
    recorder: Recorder
    scheduler: SteerableScheduler
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

    def fit(self) -> None:
        """Run Tune until the experiment is over."""
        with own_registry(), suppress(RunFinished):
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
    search_alg = SteerableSearch(search, launch.slots, max_concurrent, failures)
    recorder = Recorder(log, search_alg, total, files, past, failed=failed)
    recorder.releases_groups = (workers := spec.worker_group) is not None and workers.elastic is not None
    search_alg.on_saved = files.add_all
    search_alg.on_dropped = lambda trials: recorder.on_trial_count_changed(-trials)
    scheduler = SteerableScheduler(make_scheduler(spec), recorder.on_added, recorder.stopped_by_scheduler, failures)
    search_alg.dump_scheduler, search_alg.load_scheduler = scheduler.dump_state, scheduler.load_state
    stopping = Stopping(spec.stop, spec.metric, spec.mode, spec.time_budget, failures)
    control = Control(
        scheduler,
        search_alg,
        stopping,
        recorder,
        complete=partial(_completed, launch),
        trials_per_sample=metadata.get("trials_per_sample", 1),
        past=past,
        failed=failed,
    )
    for command in resume.commands if resume is not None else ():
        control.submit(command)
    results = ResultFiles()
    register_live(search_alg, recorder, scheduler, stopping, control, results)
    payload = TrialPayload(
        ProgramPayload(launch.data, list(large), spec.seed),
        driver,
        {**launch.environment, **spec.env},
        _training(spec),
        launch.key,
    )
    if spec.reuse_actors:
        scheduler.resource_manager = manager = HostingResourceManager()
        manager.host(hosts, payload, spec.metric, payload.environment)
    if not is_factory(spec.resources) and (workers is None or workers.elastic is None):
        scheduler.resource_manager.slots = launch.slots
    trial = tune.with_parameters(TrialProcess, payload=payload, metric=spec.metric)
    trainable = tune.with_resources(trial, _resources(launch))
    trainable.__qualname__ = (
        TrialProcess.__name__
    )  # the name that Ray shows for the processes, instead of that of Tune's wrapper
    if past is not None and set_damaged_aside(filesystem, path, launch.key or NOTHING, files.earlier):
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
        tuner = _new(launch, trainable, search, search_alg, scheduler, stopping, [control, recorder, results])
        files.add(TUNER, read_file(filesystem, f"{path}/{TUNER}"))
    return Run(tuner, control, recorder, scheduler, failures, files)


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
            reuse_actors=spec.reuse_actors,
            trial_dirname_creator=trial_folder,
        ),
        run_config=_RunConfig(
            name=name,
            storage_path=parent or ("/" if path.startswith("/") else "."),
            storage_filesystem=filesystem,
            stop=stopping,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=spec.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=spec.keep_checkpoints,
                checkpoint_score_attribute=metric if spec.keep_checkpoints else None,
                checkpoint_score_order=spec.mode if spec.keep_checkpoints and spec.mode else "max",
            ),
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


def _training(spec: Spec) -> Training | None:
    """Return how a trial trains with workers; None for a trial in a single process."""
    if (workers := spec.worker_group) is None:
        return None
    return Training(workers, spec.framework, spec.backend, spec.aggregate, spec.worker_env)


def _resources(launch: Launch) -> Any:
    """Return what `ray.tune.with_resources` takes: a placement group, one bundle's resources, or a function."""
    workers = launch.spec.worker_group
    if workers is not None:
        return partial(_with_workers, workers)
    if is_factory(launch.spec.resources):
        return launch.spec.resources
    names = {"CPU": "cpu", "GPU": "gpu"}
    return {names.get(name, name): amount for name, amount in launch.spec.shape.bundles[0].items()}


def _with_workers(workers: Workers, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the bundles of a trial with workers: for its own process, which may be empty, and for each worker."""
    trial: dict[str, float] = dict(workers.trainer_resources)
    if workers.elastic is not None:  # Ray Train reserves resources for its workers
        return tune.PlacementGroupFactory([trial or _MIN_RESOURCES])
    number, labels = workers.count(config), workers.scaling_fields.get("label_selector")
    bundles = [trial, *(dict(workers.resources_per_worker) for _ in range(number))]
    if not labels:
        return tune.PlacementGroupFactory(bundles, strategy=workers.strategy)
    each = [dict(one) for one in labels[:number]] if isinstance(labels, list) else [dict(labels)] * number
    # Tune drops an empty first bundle, but not its labels.
    selectors = [{}, *each] if trial else each
    return tune.PlacementGroupFactory(bundles, strategy=workers.strategy, bundle_label_selector=selectors)
