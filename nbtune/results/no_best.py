"""Why an experiment has no best trial, and what to do."""

from __future__ import annotations

from nbtune.results.store import ENDED, Store
from nbtune.results.values import value_words

__all__ = ["why_no_best"]


def why_no_best(store: Store, variable: str | None) -> str:
    """Return why there is no best trial so far.

    Args:
        store: the experiment's state.
        variable: the variable of the notebook that refers to the experiment, or None.
    """
    metadata, metric = store.metadata, store.metric
    name = metadata.get("name", "experiment")
    call, words = f"{variable}." if variable else "", value_words(store.scope)
    if len(objectives := store.objectives) > 1:
        names = ", ".join(objective.metric for objective in objectives)
        return (
            f"{name} has {len(objectives)} objectives ({names}), so that no single trial is the best one; see"
            f" {call}pareto, the trials that no other one beats in all of them"
        )
    if metric is None and metadata.get("foreign"):
        return (
            f"Ray Tune has stored the metric of {name} as a pickle, which was not loaded: give it,"
            ' nbtune.load(path, metric="…", mode="min"), or trust the folder, nbtune.load(path, trust=True)'
        )
    if metric is None:
        return f"{name} has no metric to compare its trials by: start it with a metric and a mode, or see {call}df"
    reported = store.metrics()
    if store.status not in ENDED:
        missing = f"no finite {words} of {metric} yet" if reported else "no report yet"
        return f"{missing}; wait with {call}wait()"
    state = {"lost": "is lost", "unread": "cannot be read", "failed": "has failed", "stopped": "was stopped"}
    ended = f"{name} {state.get(store.status, 'is finished')}"
    failed = [trial for trial in store.states() if trial.status == "failed" and trial.error]
    if not reported:
        text = f"{ended}, and no trial has reported anything"
    elif metric not in reported:
        text = f"{ended}, and no trial has reported {metric}; reported metrics: {', '.join(reported)}"
    elif len(failed) == len(store.trials):
        text = f"{ended}, and all {len(failed)} trials failed"
    else:
        text = f"{ended}, and no trial that did not fail has a finite {words} of {metric}"
    if metadata.get("error"):
        text += f": {metadata['error']}"
    elif failed:
        text += f". Trial {failed[0].number} failed: {failed[0].error}; see {call}trials[{failed[0].number}].error"
    if store.status in {"stopped", "lost"}:
        text += f". {call}resume() goes on"
    return text
