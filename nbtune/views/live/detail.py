"""What the detail of a trial shows: its results, where it comes from, its configuration, error, log and workers."""

from __future__ import annotations

import math
import pprint
from typing import Any

import numpy as np

from nbtune.errors import NbtuneError
from nbtune.results.checkpoints import best_checkpoint
from nbtune.results.columns import ABSENT
from nbtune.results.data import read_text
from nbtune.results.store import Store
from nbtune.results.trial import Trial
from nbtune.results.values import adjective
from nbtune.spec.cell.one_trial import declared_with, plain_cell
from nbtune.spec.space.json import space_from_json
from nbtune.views.base.decimate import decimate
from nbtune.views.live.rows import cell
from nbtune.views.live.workers import workers_of

__all__ = ["detail_of"]

_LOG_LINES = 400  # lines of a trial's log, for all its workers together
_MIN_LOG_LINES = 5  # lines per worker
_MAX_METRICS = 30
_POINTS = 80  # of the curve of a metric
_MAX_STEPS = 5  # copies of other trials that are listed


def detail_of(store: Store, trial: Trial, rank: int | None) -> dict[str, Any]:
    """Return the message with the detail of a trial, as widgets/README.md describes it.

    Args:
        store: the experiment's state.
        trial: the trial.
        rank: the rank of the worker whose log is shown, None for all.

    Raises:
        NbtuneError: the storage cannot be read.
    """
    workers = workers_of(store, trial.id)
    shares = len(workers["ranks"]) if workers and rank is None else 1
    try:
        log, missing = trial._end_of_log(max(_LOG_LINES // shares, _MIN_LOG_LINES), rank)
    except NbtuneError as error:
        log, missing = str(error), 0
    checkpoints = trial.checkpoints
    name = store.metadata.get("name", "experiment")
    config = trial.config
    definition = store.metadata.get("definition")
    return {
        "type": "detail",
        "trial": trial.id,
        "config": pprint.pformat(config, sort_dicts=False),
        "lines": declared_with(space_from_json(definition, display_only=True), trial._state.parameters)
        if definition
        else "",
        "cell": plain_cell(store.metadata.get("source", ""), config, f"trial {trial.id} of {name}"),
        "checkpoint": bool(checkpoints),
        "results": _results(store, trial, checkpoints),
        "origin": _origin(store, trial.id),
        "traceback": trial.error or trial.note or None,
        "reason": trial.reason,
        "rank": rank,
        "log": log,
        "missing": missing,
        "workers": workers,
        "data": read_text(trial._state, store.metadata) or None,
    }


def _results(store: Store, trial: Trial, checkpoints: list[Any]) -> dict[str, Any] | None:
    """Return the last and the best metrics of a trial with their curves; None before its first report."""
    state, reports = trial._state, store.reports
    if not state.iterations and not state.metrics:
        return None
    rows = reports.valid_rows(trial.id)
    iteration, seconds = reports.times_at(rows)
    best_at = state.single.iteration if state.value is not None else None
    best = reports.metrics_at(trial.id, [best_at])[best_at] if best_at is not None else {}
    at_best = np.flatnonzero(iteration == best_at) if best_at is not None else np.array([], int)
    objectives = [objective.metric for objective in store.objectives]
    names = [*filter(state.metrics.__contains__, objectives), *(n for n in state.metrics if n not in objectives)]
    saved = [one.iteration for one in checkpoints]
    kept = best_checkpoint(checkpoints, state, store.metric, store.metadata.get("mode")) if checkpoints else None
    return {
        "last": [state.iterations, None if math.isnan(state.time_s) else state.time_s],
        "best": [best_at, float(seconds[at_best[-1]]) if len(at_best) else None] if best_at is not None else None,
        "label": f"{adjective(store.scope)} {store.metric}" if store.metric else "",
        "value": cell(ABSENT if state.value is None else state.value),
        "checkpoints": saved[-_MAX_METRICS:],
        "kept": kept.iteration if kept is not None else None,
        "metrics": [
            [
                name,
                cell(state.metrics[name]),
                cell(best.get(name, ABSENT)),
                *_curve(iteration, reports.values_at(name, rows)),
            ]
            for name in names[:_MAX_METRICS]
        ],
        "more": len(names[_MAX_METRICS:]),
    }


def _curve(iteration: np.ndarray, value: np.ndarray) -> tuple[list[int], list[float | None]]:
    """Return as many points of a metric as a small curve can show; null where it is no number."""
    if len(iteration) < 2 or not np.isfinite(value).any():
        return [], []
    chosen = decimate(None, value, _POINTS)
    return iteration[chosen].tolist(), [float(f"{one:.5g}") if math.isfinite(one) else None for one in value[chosen]]


def _origin(store: Store, trial: int) -> list[str]:
    """Return from which other trials a trial has been copied, the latest last, in words."""
    steps = [step for step in store.lineage.steps(trial) if step.source >= 0]
    texts = [
        f"after iteration {step.iteration} it became a copy of trial {step.source} at its iteration"
        f" {step.source_iteration}"
        for step in steps[-_MAX_STEPS:]
    ]
    earlier = len(steps) - len(texts)
    return [*([f"{earlier} earlier copies"] if earlier else []), *texts]
