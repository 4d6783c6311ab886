"""nbtune.engine.tune.searcher: how many trials are proposed, and when."""

from functools import partial

import pytest
from pyarrow.fs import LocalFileSystem
from ray import tune
from ray.tune import Checkpoint
from ray.tune.experiment import Experiment

from nbtune.engine._ray.tune import TrainingResult
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.search.make import make_search
from nbtune.engine.tune.continuation import in_folder
from nbtune.engine.tune.requested import RequestedTrial, RequestState
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space


@pytest.fixture
def search_alg():
    return SteerableSearch(make_search(Spec(samples=100), Space()), slots=2, max_concurrent=None, failures=Failures())


def fill(search_alg, names="abcdefgh"):
    """Add trials as Tune does, until none is proposed."""
    taken = []
    for name in names:
        if not search_alg._has_capacity():
            break
        search_alg.on_added(name)
        taken.append(name)
    return taken


def test_as_many_trials_as_can_run_and_one_in_reserve_are_proposed(search_alg):
    assert fill(search_alg) == ["a", "b", "c"]
    for name in "ab":
        search_alg.on_started(name)
    assert fill(search_alg, "d") == []
    search_alg.on_started("c")  # the cluster has grown
    assert fill(search_alg, "de") == ["d"]
    search_alg.on_trial_complete("a")
    search_alg.on_started("d")
    assert fill(search_alg, "ef") == ["e"]


def test_the_limit_counts_all_trials_that_are_not_over(search_alg):
    search_alg.max_concurrent = 2
    assert fill(search_alg) == ["a", "b"]
    search_alg.on_started("a")
    assert fill(search_alg, "c") == []
    search_alg.on_trial_complete("a", error=True)
    assert fill(search_alg, "cd") == ["c"]


def test_trials_paused_by_the_user_do_not_count(search_alg):
    search_alg.max_concurrent = 1
    assert fill(search_alg) == ["a"]
    search_alg.on_started("a")
    search_alg.on_paused_by_user("a")
    assert fill(search_alg, "bc") == ["b"]
    search_alg.on_queued("a")
    search_alg.on_trial_complete("b")
    assert fill(search_alg, "c") == []


def test_trials_paused_by_the_scheduler_do_not_prevent_proposals(search_alg):
    for name in "abcdefgh":
        assert fill(search_alg, name) == [name]
        search_alg.on_started(name)
        search_alg.on_paused_by_scheduler(name)


def test_requests_of_which_trials_were_created_after_the_snapshot_are_not_made_again():
    first, second, earlier = (RequestedTrial({"a": number}) for number in range(3))
    state = RequestState(user_trials={"old"})
    state.requested.extend([first, second, earlier])
    state.forget_created(["old", "new", "newer"], {"old", "new", "newer"})
    assert [one.config["a"] for one in state.requested] == [2]
    assert state.added == 2
    state.forget_created(["old", "new", "newer"], {"old", "new", "newer"})
    assert len(state.requested) == 1, "once"


def test_what_was_requested_before_the_first_trial_of_a_grid_survives(tmp_path):
    """Tune restores no snapshot without trials, so that the search does it by itself when a new run begins."""

    def make():
        search = make_search(Spec(samples=2), Space.from_dict({"x": tune.grid_search([1, 2])}))
        made = SteerableSearch(search, slots=None, max_concurrent=None, failures=Failures())
        made.set_search_properties(None, None, {})
        return made, [Experiment("grid", tune.Trainable, config=search.param_space, storage_path=str(tmp_path))]

    first, experiments = make()
    first.add_configurations(experiments)
    first.extend(1)
    first.request(RequestedTrial({"x": 7}))
    (folder := tmp_path / "snapshot").mkdir()
    first.save_to_dir(str(folder), session_str="2026")
    second, experiments = make()
    second.snapshot = str(folder)
    second.add_configurations(experiments)
    trials = []
    while (trial := second.next_trial()) is not None:
        trials.append(trial)
    assert [trial.config["x"] for trial in trials] == [7, 1, 2, 1, 2, 1, 2]
    assert second.failures.first is None
    assert not folder.exists()


def test_queued_trials_keep_the_checkpoints_that_they_start_from(search_alg):
    def start(path):
        return TrainingResult(Checkpoint(path, filesystem=LocalFileSystem()), {})

    search_alg.request(RequestedTrial({}, start=start("/old/e/a/checkpoint_000001")))
    search_alg.request(RequestedTrial({}))
    search_alg._state.note_start("failed", start("/old/e/b/checkpoint_000002"))
    search_alg._state.note_start("runs", start("/old/e/c/checkpoint_000003"))  # Tune's trial has it
    search_alg._state.over["failed"] = True
    assert search_alg.needed_checkpoints() == {"/old/e/a/checkpoint_000001", "/old/e/b/checkpoint_000002"}
    search_alg._state.move(partial(in_folder, filesystem=LocalFileSystem(), folder="/new"))
    assert search_alg.needed_checkpoints() == {"/new/a/checkpoint_000001", "/new/b/checkpoint_000002"}


def test_requests_for_trials_of_an_earlier_run_are_made_by_the_log_alone():
    state = RequestState()
    names = ["in the log", "in Tune's list", "lost"]
    requests = [RequestedTrial({}, past=PastTrial(number, name)) for number, name in enumerate(names)]
    state.requested.extend([*requests, RequestedTrial({"a": 9})])
    state.forget_created([], {"in the log", "in Tune's list"})
    (lost, new) = state.requested
    assert (lost.past.ray_id, lost.past.is_damaged, new.config) == ("lost", True, {"a": 9})
    assert state.added == 0


def test_trials_of_an_earlier_run_come_before_those_that_were_never_created(search_alg):
    for number, past in enumerate([None, PastTrial(0), None, PastTrial(1)]):
        search_alg.request(RequestedTrial({"a": number}, past=past))
    assert [one.config["a"] for one in search_alg._state.requested] == [1, 3, 0, 2]
