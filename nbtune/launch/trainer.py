"""A trainer of Ray Train as it was built: its training function, its space, and its settings as options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nbtune.engine._ray.trainable import framework_of_trainer
from nbtune.errors import Problem, SpecError
from nbtune.launch.check_space import as_space
from nbtune.launch.prepare import Prepared, prepare_function
from nbtune.launch.run_config import keep_checkpoints, name_of, storage_of
from nbtune.spec.options.options import Spec

__all__ = ["prepare_trainer"]


def prepare_trainer(
    trainer: Any,
    space: Any,
    options: Mapping[str, Any] | Spec,
    namespace: Mapping[str, Any] | None = None,
    *,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a trainer, and pack its training function.

    Args:
        trainer: a trainer of Ray Train with workers.
        space: domains and constants, which are added to those of its ``train_loop_config`` or replace them. Or None.
        options: option -> value; they replace settings of the trainer. Or the options of a stored experiment.
        namespace: as for `prepare_function`.
        problems: problems that were found before.

    Raises:
        SpecError: with every mistake.
    """
    problems = list(problems or [])
    own, notes = _settings(trainer, problems)
    if not isinstance(options, Spec):  # those of a stored experiment have the trainer's, and so has its space
        options = {**own, **{name: value for name, value in options.items() if value is not None}}
        given = trainer.train_loop_config or {}
        space = given if space is None else as_space(given, problems).merged(as_space(space, problems))
    function = trainer.train_loop_per_worker
    return prepare_function(function, space, options, namespace, problems=problems, notes=notes)


def _settings(trainer: Any, problems: list[Problem]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a trainer as options, and notes on those that have no meaning here."""
    run, notes = trainer.run_config, list[str]()
    if trainer.scaling_config.num_workers == 0:
        text = "num_workers=0 of the ScalingConfig trains in this process; a trial needs 1 worker or more"
        raise SpecError([*problems, Problem(text, code="unsupported")])
    framework, backend = framework_of_trainer(trainer), trainer.backend_config
    for_devices = "nccl" if trainer.scaling_config.use_gpu else "gloo"  # what PyTorch's trainer fills in
    if trainer.validation_config is not None:
        text = (
            "a validation_config of Ray Train has no effect in a trial: validate in the training function, and report"
            " the metrics; leave it out"
        )
        problems.append(Problem(text, code="unsupported"))
    environment = dict(run.worker_runtime_env or {})
    variables = environment.pop("env_vars", None)
    if environment:
        text = (
            f"worker_runtime_env of the RunConfig may have env_vars only, got {', '.join(sorted(environment))}: the"
            " trials run in the environment of the cluster"
        )
        problems.append(Problem(text, code="unsupported"))
    options: dict[str, Any] = {
        "scaling": trainer.scaling_config,
        "framework": framework,
        "backend": None if _is_default(backend, backend=for_devices) else backend,
        "name": name_of(run.name, notes),
        "max_failures": run.failure_config.max_failures,
        "worker_env": variables,
        "datasets": trainer.datasets or None,
        "dataset_config": trainer.data_config if trainer.datasets and not _is_default(trainer.data_config) else None,
        **storage_of(run),
        **keep_checkpoints(run.checkpoint_config),
    }
    without = {
        "callbacks": bool(run.callbacks),
        "logging_config": not _is_default(run.logging_config),
    }
    if ignored := [name for name, is_set in without.items() if is_set]:
        notes.append(f"{' and '.join(ignored)} of the RunConfig of Ray Train: no effect in a trial")
    given = _changed(run.failure_config) - {"max_failures"}
    if given:
        notes.append(f"{', '.join(sorted(given))} of the FailureConfig: no effect, a trial is tried again as a whole")
    return {name: value for name, value in options.items() if value is not None}, notes


def _is_default(config: Any, **filled: Any) -> bool:
    """Tell whether a configuration of Ray Train has its default values.

    Args:
        config: the configuration.
        filled: what a trainer fills in where nothing was given, by the names of the fields.
    """
    try:
        default = vars(type(config)())
    except TypeError:  # it cannot be made without arguments
        return False
    return all(value in (default[name], filled.get(name, default[name])) for name, value in vars(config).items())


def _changed(config: Any) -> set[str]:
    """Return the names of the fields of a configuration that do not have their default values."""
    return {field.name for field in fields(config) if getattr(config, field.name) != field.default}
