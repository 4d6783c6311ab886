"""nbtune.engine.tune.searcher: how many trials are proposed, and when."""

import pytest

from nbtune.engine.search.algorithms import make_search
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
