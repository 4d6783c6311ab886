"""What nbtune uses of Ray that is not public: two rooms have it all, and the Ray that is installed has each name.

On another version of Ray this file is run first: `test_this_ray_has_all_that_is_used` lists all that is missing there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import nbtune

ROOT = Path(nbtune.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ROOMS = ("engine/_ray/", "cluster/link/_ray.py", "cluster/link/query.py")
"""Where Ray's private names are imported. The last is a program, which imports nothing of nbtune."""

REPLACED = (
    ("ray._private.ray_constants", "ENABLE_RAY_CLUSTER"),
    ("ray._private.ray_constants", "SETUP_WORKER_FILENAME"),
    ("ray._private.services", "_build_python_executable_command_memory_profileable"),
    ("ray._private.services", "start_api_server"),
    ("ray.actor", "ActorClassID"),
    ("ray.train._internal.checkpoint_manager", "_delete_fs_path"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "SynchronizationActor"),
)
"""What is replaced, see CONTRIBUTING.md: a replacement of a name that is gone would do nothing."""

CALLED = (
    # Overridden, or called by position: (module, class or function, method, parameters).
    ("ray._private.node", "Node", "start_log_monitor", 1),
    ("ray._private.node", "Node", "start_monitor", 1),
    ("ray.air.execution.resources", "AcquiredResources", "annotate_remote_entities", 2),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "acquire_resources", 2),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "cancel_resource_request", 2),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "clear", 1),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "free_resources", 2),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "get_resource_futures", 1),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "request_resources", 2),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "update_state", 1),
    ("ray.air.execution._internal.actor_manager", "RayActorManager", "_actor_task_failed", 3),
    ("ray.air.execution._internal.actor_manager", "RayActorManager", "next", 2),
    ("ray.air.execution._internal.event_manager", "RayEventManager", "get_futures", 1),
    ("ray.air.execution._internal.event_manager", "RayEventManager", "resolve_future", 2),
    ("ray.data", "Dataset", "_meta_count", 1),
    ("ray.data.context", "DataContext", "_set_current", 1),
    ("ray.data.iterator", "DataIterator", "_to_ref_bundle_iterator", 1),
    ("ray.data._internal.execution.interfaces", "RefBundle", "num_rows", 1),
    ("ray.train._internal.session", "_TrainSession", "_report_training_result", 2),
    ("ray.train.torch", "config", "_set_torch_distributed_env_vars", 0),
    ("ray.train.torch", "config", "_setup_torch_process_group", 5),
    ("ray.train.torch", "config", "_shutdown_torch", 1),
    ("ray.train.v2._internal.callbacks.datasets", "DatasetsCallback", "after_worker_group_abort", 2),
    ("ray.train.v2._internal.callbacks.datasets", "DatasetsCallback", "after_worker_group_shutdown", 2),
    ("ray.train.v2._internal.execution.scaling_policy", "ElasticScalingPolicy", "_count_possible_workers", 2),
    ("ray.train.v2._internal.execution.scaling_policy", "ElasticScalingPolicy", "_get_resize_decision", 2),
    ("ray.train.v2._internal.execution.scaling_policy", "ElasticScalingPolicy", "_get_reserved_resources", 1),
    ("ray.train.v2._internal.execution.scaling_policy", "ScalingPolicy", "_maybe_send_resource_request", 1),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_assign_worker_ranks", 4),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_create_placement_group", 3),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_create_workers", 8),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_start_impl", 2),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "poll_status", 2),
    ("ray.train.v2._internal.execution.worker_group.worker", "RayTrainWorker", "poll_status", 1),
    ("ray.train.v2._internal.execution.worker_group.worker", "RayTrainWorker", "run_train_fn", 2),
    ("ray.train.v2.api.data_parallel_trainer", "DataParallelTrainer", "_create_default_callbacks", 1),
    ("ray.tune.schedulers", "PopulationBasedTrainingReplay", "_load_policy", 2),
    ("ray.tune.registry", "_Registry", "contains", 3),
    ("ray.tune.registry", "_Registry", "get", 3),
    ("ray.tune.execution.tune_controller", "TuneController", "_schedule_trial_save", 3),
    ("ray.tune.execution.tune_controller", "TuneController", "_update_trial_queue", 3),
    ("ray.tune.trainable", "FunctionTrainable", "_trainable_func", 2),
    ("ray.tune.trainable", "Trainable", "_setup_logdir", 1),
    ("ray.tune.trainable", "FunctionTrainable", "step", 1),
)

ATTRIBUTES = (
    # Attributes of Ray's objects that are read or set: (module, class, attribute).
    ("ray.data", "Dataset", "_logical_plan"),
    ("ray.data._internal.stats", "DatasetStats", "iter_total_blocked_s"),
    ("ray.train.v2._internal.callbacks.datasets", "DatasetsCallback", "_dataset_shard_provider"),
    ("ray.train.v2._internal.callbacks.datasets", "RayDatasetShardProvider", "_dataset_manager"),
    ("ray.tune.search.ax", "AxSearch", "_ax"),
    ("ray.tune.search.ax", "AxSearch", "_live_trial_mapping"),
    ("ray.tune.search.ax", "AxSearch", "_points_to_evaluate"),
    ("ray.tune.search.bayesopt", "BayesOptSearch", "_buffered_trial_results"),
    ("ray.tune.search.bayesopt", "BayesOptSearch", "_points_to_evaluate"),
    ("ray.tune.search.bayesopt", "BayesOptSearch", "_register_result"),
    ("ray.tune.search.bayesopt", "BayesOptSearch", "_total_random_search_trials"),
    ("ray.tune.search.bohb", "TuneBOHB", "_points_to_evaluate"),
    ("ray.tune.search.bohb", "TuneBOHB", "_seed"),
    ("ray.tune.search.hebo", "HEBOSearch", "_initial_points"),
    ("ray.tune.search.hebo", "HEBOSearch", "_live_trial_mapping"),
    ("ray.tune.search.hebo", "HEBOSearch", "_opt"),
    ("ray.tune.search.hebo", "HEBOSearch", "_points_to_evaluate"),
    ("ray.tune.search.hyperopt", "HyperOptSearch", "_points_to_evaluate"),
    ("ray.tune.search.nevergrad", "NevergradSearch", "_metric_op"),
    ("ray.tune.search.nevergrad", "NevergradSearch", "_nevergrad_opt"),
    ("ray.tune.search.nevergrad", "NevergradSearch", "_points_to_evaluate"),
    ("ray.tune.search.nevergrad", "NevergradSearch", "_space"),
    ("ray.tune.search.optuna", "OptunaSearch", "_points_to_evaluate"),
    ("ray.tune.search.optuna", "OptunaSearch", "_sampler"),
    ("ray.tune.search.zoopt", "ZOOptSearch", "_points_to_evaluate"),
    ("ray.tune.schedulers", "PopulationBasedTraining", "_trial_state"),
    ("ray.tune.schedulers", "AsyncHyperBandScheduler", "_brackets"),
    ("ray.tune.schedulers", "AsyncHyperBandScheduler", "_max_t"),
    ("ray.tune.schedulers", "AsyncHyperBandScheduler", "_stop_last_trials"),
    ("ray.tune.schedulers", "AsyncHyperBandScheduler", "_time_attr"),
    ("ray.tune.schedulers", "AsyncHyperBandScheduler", "_trial_info"),
    ("ray.tune.schedulers", "HyperBandScheduler", "_hyperbands"),
    ("ray.tune.schedulers", "HyperBandScheduler", "_time_attr"),
    ("ray.tune.schedulers", "HyperBandScheduler", "_trial_info"),
    ("ray.tune.schedulers", "MedianStoppingRule", "_hard_stop"),
    ("ray.tune.schedulers", "MedianStoppingRule", "_min_time_slice"),
    ("ray.tune.schedulers", "MedianStoppingRule", "_time_attr"),
    ("ray.tune.schedulers", "PopulationBasedTraining", "_hyperparam_mutations"),
    ("ray.tune.schedulers", "PopulationBasedTrainingReplay", "_next_policy"),
    ("ray.tune.schedulers", "PopulationBasedTrainingReplay", "_policy_iter"),
    ("ray.tune.schedulers", "PopulationBasedTraining", "_time_attr"),
    ("ray.tune.schedulers", "ResourceChangingScheduler", "_base_scheduler"),
    ("ray.tune.schedulers.async_hyperband", "_Bracket", "_rungs"),
    ("ray.tune.schedulers.hyperband", "_Bracket", "_cumul_r"),
    ("ray.tune.schedulers.hyperband", "_Bracket", "_halves"),
    ("ray.tune.schedulers.hyperband", "_Bracket", "_live_trials"),
    ("ray.tune.schedulers.hyperband", "_Bracket", "is_being_processed"),
    ("ray.tune.schedulers.hyperband", "_Bracket", "stop_last_trials"),
    ("ray.tune.schedulers.pbt", "_PBTTrialState", "last_checkpoint"),
    ("ray.tune.schedulers.pbt", "_PBTTrialState", "last_result"),
    ("ray._private.state", "GlobalState", "_connect_and_get_accessor"),
    ("ray.actor", "ActorHandle", "_actor_id"),
    ("ray.air.execution._internal.actor_manager", "RayActorManager", "_actor_task_events"),
    ("ray.air.execution._internal.actor_manager", "RayActorManager", "_resource_manager"),
    ("ray.air.execution._internal.actor_manager", "RayActorManager", "_tracked_actors_to_task_futures"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_acquired_pgs"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_pg_to_request"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_pg_to_staging_future"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_request_to_ready_pgs"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_request_to_staged_pgs"),
    ("ray.air.execution.resources", "PlacementGroupResourceManager", "_staging_future_to_pg"),
    ("ray.train._internal.checkpoint_manager", "_CheckpointManager", "_latest_checkpoint_result"),
    ("ray.train.v2._internal.execution.worker_group.thread_runner", "ThreadRunner", "_thread"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_latest_poll_status"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_worker_cls"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_worker_group_context"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_worker_group_state"),
    ("ray.train.v2.api.config", "ScalingConfig", "_resources_per_worker_not_none"),
    ("ray.tune.execution.insufficient_resources_manager", "_InsufficientResourcesManager", "_no_running_trials_since"),
    ("ray.tune.execution.tune_controller", "TuneController", "_actor_manager"),
    ("ray.tune.execution.tune_controller", "TuneController", "_insufficient_resources_manager"),
    ("ray.tune.execution.tune_controller", "TuneController", "_resetting_trials"),
    ("ray.tune.execution.tune_controller", "TuneController", "_reuse_actors"),
    ("ray.tune.execution.tune_controller", "TuneController", "_storage"),
    ("ray.tune.execution.tune_controller", "TuneController", "_trial_to_actor"),
    ("ray.tune.execution.tune_controller", "TrialRunnerWrapper", "_tune_controller"),
    ("ray.train._internal.syncer", "_BackgroundSyncer", "_sync_process"),
    ("ray.train._internal.storage", "StorageContext", "_timestamp"),
    ("ray.tune.experiment.trial", "Trial", "_default_result_or_future"),
    ("ray.tune.experiment.trial", "Trial", "_restore_checkpoint_result"),
    ("ray.tune.trainable.metadata", "_TrainingRunMetadata", "metric_n_steps"),
    ("ray.tune.registry", "_Registry", "_prefix"),
    ("ray.tune.search.basic_variant", "BasicVariantGenerator", "_finished"),
    ("ray.tune.search.basic_variant", "BasicVariantGenerator", "_points_to_evaluate"),
    ("ray.tune.search.basic_variant", "BasicVariantGenerator", "_trial_iter"),
    ("ray.tune.search.basic_variant", "BasicVariantGenerator", "_uuid_prefix"),
    ("ray.tune.search.search_generator", "SearchGenerator", "_finished"),
    ("ray.tune.search.search_generator", "SearchGenerator", "_total_samples"),
    ("ray.tune.trainable", "FunctionTrainable", "_last_training_result"),
    ("ray.tune.trainable", "FunctionTrainable", "_name"),
    ("ray.tune.trainable", "Trainable", "_logdir"),
    ("ray.tune.tuner", "Tuner", "_is_ray_client"),
    ("ray.tune.tuner", "Tuner", "_local_tuner"),
    ("ray.tune.impl.tuner_internal", "TunerInternal", "_is_restored"),
    ("ray.tune.impl.tuner_internal", "TunerInternal", "_run_config"),
    ("ray.tune.impl.tuner_internal", "TunerInternal", "_tune_config"),
    ("ray.tune", "RunConfig", "_verbose"),
)
NOT_RAYS = {"_C", "_Unpickler", "_execute", "_exit", "_replace", "_store", "_trust"}
"""Private attributes that modules outside of the rooms use: of `os`, of `pickle`, of named tuples, of PyTorch, and of
nbtune's own classes.
"""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_private(module: str, name: str = "") -> bool:
    parts = [*module.split("."), name]
    return parts[0] == "ray" and any(part.startswith("_") for part in parts)


def private_imports(path: Path) -> list[tuple[str, str]]:
    """Return the private modules and names of Ray's that a file imports."""
    imported = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported += [(node.module, alias.name) for alias in node.names if is_private(node.module, alias.name)]
        elif isinstance(node, ast.Import):
            imported += [(alias.name, "") for alias in node.names if is_private(alias.name)]
    return imported


def private_attributes(path: Path) -> set[str]:
    """Return the private attributes that a file uses of other objects than `self`."""
    attributes = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            parent = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            if not own and not parent:
                attributes.add(node.attr)
    return attributes


def lookup(module: str, name: str) -> Any:
    """Return a module's attribute or submodule.

    Raises:
        ImportError: there is neither.
    """
    loaded = importlib.import_module(module)
    return getattr(loaded, name) if hasattr(loaded, name) else importlib.import_module(f"{module}.{name}")


def modules_of(cls: type) -> list[Any]:
    """Return the modules of Ray's in which a class and its bases are defined."""
    return [importlib.import_module(base.__module__) for base in cls.__mro__ if base.__module__.startswith("ray.")]


def missing() -> list[str]:
    """Return everything that is used and that this Ray has not, or has otherwise, a line each."""
    problems = []
    used = {(module, name) for path in MODULES for module, name in private_imports(path) if name}
    for module, name in sorted({*used, *REPLACED, *((module, owner) for module, owner, _ in ATTRIBUTES)}):
        try:
            lookup(module, name)
        except ImportError:
            problems.append(f"{module}.{name}")
    for module, owner, method, number in CALLED:
        try:
            function = inspect.getattr_static(lookup(module, owner), method)
        except (ImportError, AttributeError):
            problems.append(f"{module}.{owner}.{method}")
            continue
        signature = inspect.signature(getattr(function, "__func__", function))
        # Ray adds one to the methods of a class that has become an actor in this process.
        if len(signature.parameters.keys() - {"_ray_trace_ctx"}) != number:
            problems.append(f"{module}.{owner}.{method}{signature} takes another number of arguments than {number}")
    for module, owner, attribute in ATTRIBUTES:
        try:
            cls = lookup(module, owner)
        except ImportError:
            continue  # listed above
        sources = [inspect.getsource(module) for module in modules_of(cls)]
        if not hasattr(cls, attribute) and not any(f"self.{attribute}" in source for source in sources):
            problems.append(f"{module}.{owner}().{attribute}")
    return problems


def test_this_ray_has_all_that_is_used() -> None:
    import ray

    assert not (problems := missing()), f"Ray {ray.__version__} lacks:\n" + "\n".join(problems)


def test_what_wraps_a_trainable_is_taken_off() -> None:
    from ray import tune
    from ray.tune.registry import get_trainable_cls

    from nbtune.engine._ray.trainable import unwrapped

    class Trained(tune.Trainable):
        def setup(self, config: dict[str, Any], data: Any = None) -> None:
            pass

    def train(config: dict[str, Any], data: Any = None) -> None:
        pass

    for inner in (Trained, train):
        given = tune.with_parameters(inner, data=[1])
        found = unwrapped(tune.with_resources(given, {"cpu": 2}))
        assert (found.trainable, found.arguments, found.resources.bundles) == (inner, {"data": [1]}, [{"CPU": 2.0}])
        found = unwrapped(tune.with_parameters(tune.with_resources(inner, dict), data=1))
        assert (found.trainable, found.arguments, found.resources) == (inner, {"data": 1}, dict)
        tune.register_trainable("nbtune-test", given)
        found = unwrapped(get_trainable_cls("nbtune-test"))
        assert (found.trainable.__name__, found.arguments) == (inner.__name__, {"data": [1]})
    assert unwrapped(tune.with_resources(Path().glob, dict)).resources is dict, "a method"


def test_the_list_has_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.actor

    monkeypatch.delattr(ray.actor, "ActorClassID")
    monkeypatch.setitem(globals(), "CALLED", (("ray.tune.trainable", "FunctionTrainable", "step", 7),))
    monkeypatch.setitem(globals(), "ATTRIBUTES", (("ray.actor", "ActorHandle", "_no_such_attribute"),))
    assert [problem.split("(")[0] for problem in missing()] == [
        "ray.actor.ActorClassID",
        "ray.tune.trainable.FunctionTrainable.step",
        "ray.actor.ActorHandle",
    ]


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_private_names_of_ray_are_imported_in_their_rooms_only(path: Path) -> None:
    imported = private_imports(path)
    if place(path).startswith(ROOMS):
        assert imported or private_attributes(path) or path.name == "__init__.py"
        return
    assert imported == []
    if place(path).startswith(("engine/", "cluster/")):
        assert private_attributes(path) <= NOT_RAYS


def test_every_private_attribute_in_the_rooms_is_checked() -> None:
    used = {name for path in MODULES if place(path).startswith(ROOMS) for name in private_attributes(path)}
    checked = {attribute for *_, attribute in (*ATTRIBUTES, *REPLACED)} | {method for _, _, method, _ in CALLED}
    # Ray's module of the worker process, which `_global_node` is in: None until this process is connected.
    # And a name in a module that cannot be imported without LightGBM.
    assert used - checked == {"_private", "_global_node", "_exit", "_lightgbm_network_params"}
    assert hasattr(importlib.import_module("ray._private.worker"), "_global_node")
    backend = Path(importlib.import_module("ray.train").__file__ or "").parent / "lightgbm" / "config.py"
    assert "\n_lightgbm_network_params: " in backend.read_text("utf-8")


@pytest.mark.parametrize(("module", "name"), REPLACED)
def test_each_name_that_is_replaced_is_in_the_house_rules(module: str, name: str) -> None:
    assert f"`{name}`" in (ROOT.parent / "CONTRIBUTING.md").read_text("utf-8")
