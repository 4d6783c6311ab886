"""nbtune.spec.plan: how trials fit on nodes."""

from hypothesis import given
from hypothesis import strategies as st

from nbtune.spec.plan import make_plan

TWO = [{"CPU": 4.0, "GPU": 1.0, "memory": 8e9}, {"CPU": 8.0, "memory": 16e9}]


def test_cpus_limit():
    plan = make_plan({"CPU": 2}, TWO, 20)
    assert (plan.trials, plan.concurrent, plan.limited_by, plan.waves) == (20, 6, "CPU", 4)
    assert plan.idle == {"GPU": 1.0}
    assert plan.problems == ()
    assert str(plan) == "20 trials, 6 at once (limited by CPU), 4 waves; idle: 1 GPU"


def test_the_scarcest_resource_limits():
    plan = make_plan({"CPU": 1, "GPU": 0.25}, TWO, 20)
    assert (plan.concurrent, plan.limited_by) == (4, "GPU")
    assert plan.idle == {"CPU": 8.0}


def test_a_trial_stays_on_one_node():
    assert make_plan({"CPU": 3}, [{"CPU": 4}, {"CPU": 4}], 9).concurrent == 2


def test_max_concurrent_limits():
    plan = make_plan({"CPU": 1}, TWO, 20, 3)
    assert (plan.concurrent, plan.limited_by, plan.waves) == (3, "max_concurrent", 7)


def test_few_trials_limit():
    plan = make_plan({"CPU": 1}, TWO, 2, 3)
    assert (plan.concurrent, plan.limited_by, plan.waves) == (2, "trials", 1)


def test_a_limit_that_changes_nothing_is_not_named():
    assert make_plan({"CPU": 1}, TWO, 20, 12).limited_by == "CPU"
    assert make_plan({"CPU": 1}, TWO, 20, 50).limited_by == "CPU"


def test_tenths_add_up():
    assert make_plan({"CPU": 0.1}, [{"CPU": 1}], 20).concurrent == 10
    assert make_plan({"CPU": 0.1}, [{"CPU": 1}], 20).idle == {}


def test_no_trials():
    plan = make_plan({"CPU": 1}, TWO, 0)
    assert (plan.concurrent, plan.waves, plan.problems) == (0, 0, ())


def test_too_big_for_any_node_shows_the_arithmetic():
    plan = make_plan({"CPU": 1, "GPU": 8}, [{"CPU": 4, "GPU": 4}], 1)
    assert plan.concurrent == 0
    (problem,) = plan.problems
    assert "8 GPU, but the largest node has 4" in problem
    assert str(plan) == problem


def test_sizes_are_shown_as_sizes():
    (problem,) = make_plan({"memory": 32e9}, TWO, 1).problems
    assert "32.0 GB memory, but the largest node has 16.0 GB" in problem


def test_each_fits_somewhere_but_not_together():
    (problem,) = make_plan({"CPU": 8, "GPU": 1}, TWO, 1).problems
    assert "8 CPU, 1 GPU on one node, which none of the 2 nodes has together" in problem


def test_no_nodes():
    assert make_plan({"CPU": 1}, [], 1).problems


amounts = st.sampled_from([0.1, 0.25, 0.5, 1, 2, 3])


@given(
    st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), amounts, min_size=1),
    st.lists(st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), st.integers(0, 9)), max_size=4),
    st.integers(1, 50),
    st.none() | st.integers(1, 8),
)
def test_a_plan_is_possible_and_complete(request_, nodes, trials, most):
    plan = make_plan(request_, nodes, trials, most)
    assert bool(plan.problems) == (plan.concurrent == 0)
    if plan.problems:
        return
    assert plan.concurrent <= min(trials, most or trials)
    assert (plan.waves - 1) * plan.concurrent < trials <= plan.waves * plan.concurrent
    for name, amount in request_.items():
        assert plan.concurrent * amount <= sum(node.get(name, 0) for node in nodes) + 1e-6
    assert all(rest > 0 for rest in plan.idle.values())
