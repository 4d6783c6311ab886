"""A `ray.tune.Tuner` as it was built: its trainable, its space, and its settings as options."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from nbtune.engine._ray.trainable import TunerParts, tuner_parts
from nbtune.errors import Problem, SpecError
from nbtune.launch.prepare import Prepared, prepare_function
from nbtune.launch.run_config import keep_checkpoints, name_of, storage_of
from nbtune.spec.options.options import Spec
from nbtune.spec.options.repeat import repeats_of

__all__ = ["prepare_tuner"]

_ENDLESS = 1_000_000
"""The number of samples of a tuner that has no limit of its own, ``num_samples=-1``."""


def prepare_tuner(
    tuner: Any,
    options: Mapping[str, Any] | Spec,
    namespace: Mapping[str, Any] | None = None,
    *,
    space: Any = None,
    problems: list[Problem] | None = None,
) -> Prepared:
    """Check a tuner, and pack its trainable.

    Args:
        tuner: a `ray.tune.Tuner` that was not run.
        options: option -> value; they replace settings of the tuner. Or the options of a stored experiment.
        namespace: as for `prepare_function`.
        space: a space in place of the tuner's, or None.
        problems: problems that were found before.

    Raises:
        SpecError: with every mistake.
    """
    problems = list(problems or [])
    parts = _parts(tuner, problems)
    given = _trainable(parts, problems)
    own, notes = _settings(parts)
    if not isinstance(options, Spec):
        options = {**own, **{name: value for name, value in options.items() if value is not None}}
    present = space if space is not None else (parts.space or {})
    return prepare_function(given, present, options, namespace, problems=problems, of_tuner=True, notes=notes)


def _parts(tuner: Any, problems: list[Problem]) -> TunerParts:
    """Return what a tuner was given.

    Raises:
        SpecError: it is not accessible, or not a new one.
    """
    parts = tuner_parts(tuner)
    if parts is None:
        text = (
            "this Tuner was made while this process was connected through Ray Client (ray://), and its parts are in"
            " another process. Make it before connecting, or give its parts: nbtune.tune(train, space, …)"
        )
        raise SpecError([*problems, Problem(text, code="unsupported")])
    if parts.is_restored:
        text = (
            f"a restored Tuner continues the experiment of its folder, {parts.run_config.storage_path}/"
            f"{parts.run_config.name}; run it with Ray Tune, or give a new Tuner"
        )
        raise SpecError([*problems, Problem(text, code="unsupported")])
    return parts


def _trainable(parts: TunerParts, problems: list[Problem]) -> Any:
    """Return the function or class of a tuner.

    Raises:
        SpecError: there is none, or it is a trainer of Ray Train.
    """
    if isinstance(parts.trainable, str):
        from ray.tune.registry import get_trainable_cls

        try:
            return get_trainable_cls(parts.trainable)
        except Exception as error:  # of Ray, depending on the library that the name belongs to
            text = f"no trainable is registered as {parts.trainable!r}: {error}"
            raise SpecError([*problems, Problem(text, code="unknown")]) from None
    if hasattr(parts.trainable, "as_trainable"):
        text = (
            f"a Tuner does not take a {type(parts.trainable).__name__} of Ray Train any more, as Ray says; give the"
            " trainer itself: nbtune.tune(trainer, space, …)"
        )
        raise SpecError([*problems, Problem(text, code="unsupported")])
    return parts.trainable


def _settings(parts: TunerParts) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a tuner as options, and notes on those that have no meaning here."""
    tune, run, notes = parts.tune_config, parts.run_config, list[str]()
    budget = tune.time_budget_s
    options: dict[str, Any] = {
        "metric": tune.metric,
        "mode": tune.mode if tune.metric is not None else None,
        "samples": tune.num_samples,
        "search": _by_name(tune.search_alg, "search"),
        "scheduler": _by_name(tune.scheduler, "scheduler"),
        "max_concurrent": tune.max_concurrent_trials or None,
        "time_budget": budget.total_seconds() if isinstance(budget, timedelta) else budget,
        # Not given, Ray starts a process for each trial; nbtune's processes run several, with an object for each.
        "reuse_actors": True if tune.reuse_actors else None,
        "trial_name_creator": tune.trial_name_creator,
        "trial_dirname_creator": tune.trial_dirname_creator,
        "name": name_of(run.name, notes),
        "stop": _stop(run.stop),
        "callbacks": run.callbacks or None,
    }
    if tune.num_samples == -1:
        options["samples"] = _ENDLESS
        notes.append(f"num_samples=-1: trials are added until it is stopped, at most {_ENDLESS:,}")
    repeat = repeats_of(tune.search_alg)
    if repeat is not None and repeat > 1 and tune.num_samples > 0:
        options["samples"] = max(1, tune.num_samples // repeat)
        notes.append(
            f"num_samples={tune.num_samples} of the TuneConfig counts trials, of which the Repeater makes {repeat} for"
            f" each configuration: {options['samples']} configurations"
        )
    options |= storage_of(run)
    options |= _failures(run.failure_config, notes)
    options |= keep_checkpoints(run.checkpoint_config)
    options["checkpoint_frequency"] = run.checkpoint_config.checkpoint_frequency or None
    options["checkpoint_at_end"] = run.checkpoint_config.checkpoint_at_end
    without = {
        "verbose": parts.verbose is not None,
        "progress_reporter": run.progress_reporter is not None,
        "log_to_file": bool(run.log_to_file),
        "sync_config": run.sync_config is not None and run.sync_config != type(run.sync_config)(),
    }
    if ignored := [name for name, is_set in without.items() if is_set]:
        notes.append(
            f"{', '.join(ignored)} of the RunConfig {'have' if len(ignored) > 1 else 'has'} no effect: the dashboard"
            " shows the progress, and the output and files of each trial are kept"
        )
    return {name: value for name, value in options.items() if value is not None}, notes


def _by_name(given: Any, kind: str) -> Any:
    """Return a search algorithm or scheduler; that of one of Ray's own names, which are not nbtune's, as an object."""
    if not isinstance(given, str):
        return given
    from ray import tune

    try:
        return tune.create_searcher(given) if kind == "search" else tune.create_scheduler(given)
    except (ImportError, ValueError):  # its package is missing, or there is no such name: nbtune has a message
        return given


def _stop(stop: Any) -> Any:
    """Return the stop condition. Ray's dictionaries and lists mean something else than nbtune's."""
    if not stop:
        return None
    if isinstance(stop, (Mapping, list)):
        from nbtune.engine.tune.ray_stop import RayStop

        return RayStop(stop)
    return stop


def _failures(config: Any, notes: list[str]) -> dict[str, Any]:
    if isinstance(config.fail_fast, str):
        notes.append(f"fail_fast={config.fail_fast!r} is True here: the experiment ends, and the trial has the error")
    return {"max_failures": config.max_failures, "fail_fast": True if config.fail_fast else None}
