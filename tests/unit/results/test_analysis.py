"""nbtune.results.analysis: Optuna's studies and figures have every trial with a value."""

import optuna
import pytest

from nbtune.engine.protocol.events import ExperimentUpdated, TrialAdded, TrialEnded, TrialReported, TrialStarted
from nbtune.errors import ExperimentError
from nbtune.results.analysis import PLOTS, plot
from nbtune.results.store import Store
from nbtune.results.study import to_study
from tests.unit.feed import feed

States = optuna.trial.TrialState
STATUSES = ["finished", "stopped", "failed", "running", "pending", "stopped"]


def store(values=(0.5, 0.7, 0.9, 0.6, None, None)):
    """Return an experiment with one trial of each status; two have reported nothing."""
    space = {
        "x": {"kind": "uniform", "text": "uniform(0, 1)", "lower": 0.0, "upper": 1.0},
        "kind": {"kind": "choice", "text": "choice(['a', 'b'])", "values": ["a", "b"]},
    }
    events = [ExperimentUpdated(metadata={"status": "running", "metric": "acc", "mode": "max", "space": space})]
    for trial, (status, value) in enumerate(zip(STATUSES, values, strict=True)):
        config = {"x": trial / 10, "kind": "ab"[trial % 2]}
        events.append(TrialAdded(trial, ray_id=f"t{trial}", folder=f"t{trial}", config=config))
        if status != "pending":
            events.append(TrialStarted(trial, 1.0))
        if value is not None:
            events += [TrialReported(trial, 2.0, step, metrics={"acc": value * step / 2}) for step in (1, 2)]
        if status not in {"running", "pending"}:
            events.append(TrialEnded(trial, 3.0, status=status, reason=""))
    return feed(Store(), *events)


def test_a_study_has_all_trials_with_their_states_and_values():
    trials = to_study(store()).trials
    expected = [States.COMPLETE, States.PRUNED, States.FAIL, States.RUNNING, States.WAITING, States.PRUNED]
    assert [trial.state for trial in trials] == expected
    assert [trial.value for trial in trials] == [0.5, 0.7, None, None, None, None]
    assert [trial.user_attrs["status"] for trial in trials] == STATUSES
    assert trials[1].intermediate_values == {1: 0.35, 2: 0.7}


def test_figures_have_every_trial_with_a_value_that_has_not_failed():
    study = to_study(store(), for_figures=True)
    assert [trial.number for trial in study.get_trials(states=(States.COMPLETE,))] == [0, 1, 3]


@pytest.mark.parametrize("kind", [kind for kind in PLOTS if kind not in {"pareto", "hypervolume"}])
def test_each_figure_is_drawn(kind):
    figure = plot(store(), kind, {})
    title = figure.layout.title.text
    is_marked = kind in {"history", "slice", "rank"}
    counts = "■ 1 stopped early, ▲ 1 still running" if is_marked else "1 stopped early, 1 still running"
    assert (counts in title) == (kind not in {"curves", "timeline"})
    if is_marked:
        points = [trace for trace in figure.data if trace.mode == "markers" and len(trace.x) == 3]
        assert points
        # Slices of a categorical parameter are sorted by its values.
        assert {tuple(sorted(trace.marker.symbol)) for trace in points} == {("circle", "square", "triangle-up")}
    if kind == "history":
        assert list(figure.data[0].y) == [0.5, 0.7, 0.6]
    if kind == "slice":
        categories = {value.strip("'") for trace in figure.data for value in trace.x if isinstance(value, str)}
        assert categories == {"a", "b"}, "a category whose trials were all stopped early is missing"


def test_a_figure_without_values():
    empty = store([None] * 6)
    with pytest.raises(ExperimentError, match="needs at least one trial with a finite value of acc"):
        plot(empty, "history", {})
