"""nbtune.engine.tune.searcher: how many trials are proposed, and when."""

import pytest

from nbtune.engine.search.algorithms import make_search
from nbtune.engine.tune.searcher import Proposals
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space


@pytest.fixture
def proposals():
    return Proposals(make_search(Spec(samples=100), Space()), slots=2, max_concurrent=None)


def fill(proposals, names="abcdefgh"):
    """Take what is proposed, as Tune would: until there is no more."""
    taken = []
    for name in names:
        if not proposals._has_place():
            break
        proposals.added(name)
        taken.append(name)
    return taken


def test_as_many_as_can_run_and_one_in_reserve(proposals):
    assert fill(proposals) == ["a", "b", "c"]
    for name in "ab":
        proposals.started(name)
    assert fill(proposals, "d") == []
    proposals.started("c")  # the cluster has grown
    assert fill(proposals, "de") == ["d"]
    proposals.on_trial_complete("a")
    proposals.started("d")
    assert fill(proposals, "ef") == ["e"]


def test_a_limit_counts_all_that_are_not_over(proposals):
    proposals.max_concurrent = 2
    assert fill(proposals) == ["a", "b"]
    proposals.started("a")
    assert fill(proposals, "c") == []
    proposals.on_trial_complete("a", error=True)
    assert fill(proposals, "cd") == ["c"]


def test_what_the_user_has_paused_asks_for_no_place(proposals):
    proposals.max_concurrent = 1
    assert fill(proposals) == ["a"]
    proposals.started("a")
    proposals.yielded("a")
    assert fill(proposals, "bc") == ["b"]
    proposals.returned("a")
    proposals.on_trial_complete("b")
    assert fill(proposals, "c") == []


def test_what_the_scheduler_has_paused_does_not_keep_others_from_being_proposed(proposals):
    for name in "abcdefgh":
        assert fill(proposals, name) == [name]
        proposals.started(name)
        proposals.parked(name)
