"""nbtune.spec.plan.plan: how many trials run at once on a cluster, and the text of the plan."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from nbtune.spec.plan.plan import NodeType, Plan, driver_problem, make_plan
from nbtune.spec.plan.shape import Shape

TWO = [{"CPU": 4.0, "GPU": 1.0, "memory": 8e9}, {"CPU": 8.0, "memory": 16e9}]


def one(**resources):
    return Shape((resources,))


def plan(request, nodes, trials, *args, **around):
    return make_plan(Shape((request,)), nodes, trials, *args, **around)


def test_cpus_limit_the_number_of_trials():
    made = plan({"CPU": 2}, TWO, 20)
    assert (made.trials, made.concurrent, made.limited_by, made.waves) == (20, 6, "CPU", 4)
    assert made.idle == {"GPU": 1.0}
    assert made.problems == ()
    assert str(made) == "20 trials, 6 at once (limited by CPU), 4 waves; idle: 1 GPU"
    assert pretty(made) == str(made), "as the last line of a cell"


def test_the_scarcest_resource_limits_the_number_of_trials():
    made = plan({"CPU": 1, "GPU": 0.25}, TWO, 20)
    assert (made.concurrent, made.limited_by) == (4, "GPU")
    assert made.idle == {"CPU": 8.0}


def test_a_trial_stays_on_one_node():
    assert plan({"CPU": 3}, [{"CPU": 4}, {"CPU": 4}], 9).concurrent == 2


def test_max_concurrent_limits_the_number_of_trials():
    made = plan({"CPU": 1}, TWO, 20, 3)
    assert (made.concurrent, made.limited_by, made.waves, made.slots) == (3, "max_concurrent", 7, 12)
    assert (made.max_concurrent, made.bottleneck) == (3, "CPU")


def test_the_number_of_trials_is_a_limit():
    made = plan({"CPU": 1}, TWO, 2, 3)
    assert (made.concurrent, made.limited_by, made.waves) == (2, "trials", 1)


def test_repeats_are_counted_as_trials_of_configurations():
    plan = replace(make_plan(Shape(({"CPU": 1},)), [{"CPU": 2}], 90), repeat=3)
    assert str(plan).startswith("30 configurations × 3 repeats = 90 trials, 2 at once (limited by CPU), 45 waves")
    assert Plan.from_json(plan.to_json()) == plan


def test_a_limit_without_effect_is_not_mentioned():
    assert plan({"CPU": 1}, TWO, 20, 12).limited_by == "CPU"
    assert plan({"CPU": 1}, TWO, 20, 50).limited_by == "CPU"


def test_tenths_of_resources_are_added_exactly():
    assert plan({"CPU": 0.1}, [{"CPU": 1}], 20).concurrent == 10
    assert plan({"CPU": 0.1}, [{"CPU": 1}], 20).idle == {}


def test_a_plan_for_no_trials():
    made = plan({"CPU": 1}, TWO, 0)
    assert (made.concurrent, made.waves, made.problems) == (0, 0, ())


def test_as_many_trials_run_as_get_all_their_workers():
    shape = Shape(({"CPU": 1},), workers=({"GPU": 1},) * 4)
    made = make_plan(shape, [{"CPU": 128, "GPU": 8}], 4)
    assert (made.concurrent, made.limited_by, made.waves, made.max_concurrent) == (2, "GPU", 2, 2)
    assert str(made) == (
        "4 trials, 2 at once (limited by GPU), 2 waves; idle: 126 CPU\n"
        "a trial needs 1 CPU, and 4 workers with 1 GPU each, PACK"
    )
    assert make_plan(shape, [{"CPU": 128, "GPU": 8}], 4, 1).max_concurrent == 1
    assert make_plan(shape, [{"CPU": 128, "GPU": 8}], 4, 9).max_concurrent == 2


@pytest.mark.parametrize(
    ("shape", "nodes", "reason", "instead"),
    [
        (one(CPU=1, GPU=8), [{"CPU": 4, "GPU": 4}], "requests 8 GPU, but the largest node has 4", "1 CPU, 4 GPU"),
        (
            one(GPU=4, CPU=9),
            [{"CPU": 4, "GPU": 2}],
            "4 GPU, but the largest node has 2; and 9 CPU, but",
            "2 GPU, 4 CPU",
        ),
        (one(CPU=1, GPU=1), [{"CPU": 4}], "requests 1 GPU, but the largest node has 0", "1 CPU"),
        (one(memory=32e9), TWO, "32.0 GB memory, but the largest node has 16.0 GB", "16.0 GB memory"),
        (one(CPU=8, GPU=1), TWO, "8 CPU, 1 GPU on one node, but none of the 2 nodes has all of that", "4 CPU, 1 GPU"),
        (one(special=1), TWO, "1 special, but the largest node has 0", None),
        (
            Shape(({"CPU": 1},), workers=({"CPU": 1},) * 2),
            [{"CPU": 2}],
            "together with its workers it requests 3 CPU, but the node has 2",
            "1 CPU, and a worker with 1 CPU",
        ),
        (
            Shape(({"CPU": 1},), workers=({"GPU": 2},) * 4),
            [{"CPU": 8, "GPU": 1}] * 3,
            "each of its workers requests 2 GPU, but the largest node has 1",
            "1 CPU, and 3 workers with 1 GPU each, PACK",
        ),
        (
            Shape(({"CPU": 1},) * 3, "STRICT_SPREAD"),
            [{"CPU": 2}] * 2,
            "its bundles together request 3 nodes, one for each (STRICT_SPREAD), but there are 2",
            "3 x (1 CPU), SPREAD",
        ),
        (
            Shape(({"CPU": 1}, {"CPU": 2}), "STRICT_PACK"),
            [{"CPU": 2}] * 2,
            "request 3 CPU on one node (STRICT_PACK), but none of the 2 nodes has all of that",
            "1 CPU + 2 CPU, PACK",
        ),
        (
            Shape(({"CPU": 1},), workers=({"CPU": 1, "GPU": 1},) * 4),
            [{"CPU": 4, "GPU": 4}, {"CPU": 1}],
            "the 2 nodes have that in total, but not where Ray would place it",
            "1 CPU, and 3 workers with 1 CPU, 1 GPU each, PACK",
        ),
    ],
)
def test_a_trial_that_never_fits_is_refused_with_the_nearest_shape_that_does(shape, nodes, reason, instead):
    made = make_plan(shape, nodes, 1)
    (problem,) = made.problems
    assert made.concurrent == made.waves == made.slots == 0
    assert str(made) == problem
    assert problem.startswith("a trial can never be placed: ")
    assert reason in problem
    assert (
        f"Request less: the nearest shape that fits is {instead}. Or connect" if instead else "Request less. Or"
    ) in problem


def test_shapes_that_ray_refuses_are_reported_before_ray_is_called():
    assert plan({"GPU": 1.5}, [{"GPU": 4}], 1).problems == (
        "1.5 GPU: Ray allocates a part of one GPU, or whole ones; request 1, 2 or less than 1",
    )
    assert "0.0001 is the smallest amount" in plan({"CPU": 0.00001}, TWO, 1).problems[0]
    assert "cannot be negative" in plan({"special": -1}, TWO, 1).problems[0]
    assert "got 'TIGHT'" in make_plan(Shape(({"CPU": 1},), "TIGHT"), TWO, 1).problems[0]


def test_a_plan_for_a_cluster_without_nodes():
    assert plan({"CPU": 1}, [], 1).problems


def test_resources_in_use_are_distinguished_from_missing_resources():
    made = plan({"CPU": 1}, [{"CPU": 4, "GPU": 2}], 9, free=[{"CPU": 1}])
    assert (made.problems, made.concurrent, made.at_first, made.in_use) == ((), 4, 1, {"CPU": 3})
    assert str(made).splitlines()[1] == "now in use: 3 CPU; 1 starts at first"
    full = plan({"CPU": 1}, [{"CPU": 4}], 9, free=[{}])
    assert str(full).splitlines()[1] == "now in use: 4 CPU; no trial starts before some of that is released"
    enough = plan({"CPU": 1}, [{"CPU": 4}], 2, free=[{"CPU": 2}])
    assert len(str(enough).splitlines()) == 1


def test_resources_that_an_autoscaling_cluster_can_add_are_not_a_problem():
    growth = (NodeType({"CPU": 4}, 3),)
    more = plan({"CPU": 2}, [{"CPU": 4}], 20, growth=growth)
    assert (more.concurrent, more.waves, more.autoscaled_slots, more.fixed_slots) == (2, 10, 8, None)
    assert more.notes == ("the cluster starts nodes when trials wait: up to 8 at once then",)
    none = plan({"CPU": 2}, [{"CPU": 1}], 20, growth=growth)
    assert (none.problems, none.slots, none.concurrent) == ((), 0, 6)
    assert none.notes == (
        "no present node fits a trial; the cluster starts nodes when trials wait: up to 6 at once then",
    )
    assert "the largest node has 4" in plan({"CPU": 9}, [{"CPU": 1}], 20, growth=growth).problems[0]
    unbounded = plan({"CPU": 2}, [{"CPU": 4}], 20, growth=(NodeType({"CPU": 4}, -1),))
    assert "up to 66 or more" in unbounded.notes[0]


def test_nothing_is_refused_if_the_node_types_of_the_autoscaler_are_unknown():
    made = plan({"GPU": 9}, [{"CPU": 1}], 20, growth=())
    assert (made.problems, made.concurrent, made.autoscaling, made.fixed_slots) == ((), 0, True, None)
    assert str(made).splitlines()[0] == "20 trials, none at once yet"
    assert "not known here" in made.notes[0]


def test_workers_wait_for_nodes_that_start():
    shape = Shape(({"CPU": 1},), workers=({"GPU": 1},) * 2)
    made = make_plan(shape, [{"CPU": 8}], 20, growth=(NodeType({"CPU": 1, "GPU": 1}, 4),))
    assert (made.slots, made.autoscaled_slots, made.max_concurrent) == (0, 2, 2)


def test_a_driver_that_fits_no_node_is_a_problem():
    assert driver_problem({}, TWO) is None
    assert driver_problem({"CPU": 8}, TWO) is None
    assert driver_problem({"safe": 1}, TWO).startswith(
        "the driver can never be placed: no node has its 1 safe; the nodes have CPU"
    )


amounts = st.sampled_from([0.1, 0.25, 0.4, 0.5, 1, 2, 3])
bundles = st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), amounts, min_size=1)
shapes = st.builds(
    Shape,
    st.lists(bundles, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]),
    st.lists(bundles, max_size=3).map(tuple),
    st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]),
)
clusters = st.lists(st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), st.integers(0, 9)), max_size=4)


@given(shapes, clusters, st.integers(1, 50), st.none() | st.integers(1, 8))
def test_a_plan_is_feasible_complete_and_round_trips_through_json(shape, nodes, trials, most):
    made = make_plan(shape, nodes, trials, most)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert str(made)
    assert bool(made.problems) == (made.concurrent == 0)
    if made.problems:
        return
    assert made.concurrent <= min(trials, most or trials, made.slots)
    assert (made.waves - 1) * made.concurrent < trials <= made.waves * made.concurrent
    for name, amount in shape.total.items():
        assert made.slots * amount <= sum(node.get(name, 0) for node in nodes) + 1e-6
    assert all(rest > 0 for rest in made.idle.values())
