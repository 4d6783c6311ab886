"""nbtune.spec.plan.ingest: the CPUs that the plan leaves to Ray Data."""

import pytest

from nbtune.errors import spell
from nbtune.spec.options.options import make_spec
from nbtune.spec.plan.ingest import Ingest
from nbtune.spec.plan.plan import NodeType, Plan, make_plan
from nbtune.spec.plan.shape import Shape

ONE = Shape(({"CPU": 1},))
PAIR = Shape(({"CPU": 1}, {"CPU": 1}))


def plan(shape, nodes, trials=20, cpus=None, **around):
    return make_plan(shape, nodes, trials, ingest=Ingest(cpus), **around)


@pytest.mark.parametrize(
    ("nodes", "cpus"),
    [([{"CPU": 2}], 1), ([{"CPU": 5}], 1), ([{"CPU": 6}], 2), ([{"CPU": 8}, {"CPU": 8}], 4), ([{"GPU": 1}], 1)],
)
def test_a_fifth_of_the_cpus_in_whole_ones_is_left(nodes, cpus):
    assert Ingest().on(nodes) == cpus
    assert Ingest(0.5).on(nodes) == 0.5, "what the user says"


def test_fewer_trials_run_at_once():
    made = plan(ONE, [{"CPU": 8}])
    assert (made.concurrent, made.limited_by, made.slots, made.max_concurrent, made.data_cpus) == (6, "CPU", 6, 6, 2)
    assert made.idle == {}, "Ray Data uses them"
    assert "2 CPU left to Ray Data, whose tasks read the data sets (data_cpus=…)" in str(made)
    assert "(--data-cpus)" in made.text("line")
    assert Plan.from_json(made.to_json()) == made
    assert plan(ONE, [{"CPU": 8}], cpus=3).concurrent == 5
    assert plan(ONE, [{"CPU": 8}], 4).limited_by == "trials"
    nothing = plan(ONE, [{"CPU": 8}], cpus=0)
    assert (nothing.concurrent, nothing.data_cpus, "Ray Data" in str(nothing)) == (8, 0, False)
    assert make_plan(ONE, [{"CPU": 8}], 20).concurrent == 8, "without data sets"


def test_a_task_of_ray_data_needs_a_whole_cpu_of_one_node():
    half = Shape(({"CPU": 0.75},))
    made = plan(half, [{"CPU": 2}, {"CPU": 2}], 20, 1)
    assert made.concurrent == 3, "of the four that fit, each leaves a quarter: no task of Ray Data fits there"
    assert plan(half, [{"CPU": 2}, {"CPU": 2}], 20, 0.5).concurrent == 4


def test_gpus_leave_enough_cpus():
    made = plan(Shape(({"CPU": 4, "GPU": 1},)), [{"CPU": 64, "GPU": 8}])
    assert (made.concurrent, made.limited_by) == (8, "GPU")


def test_a_trial_that_leaves_nothing_is_refused_with_shapes_that_do():
    (problem,) = plan(PAIR, [{"CPU": 2}]).problems
    text = spell(problem, "python")
    assert "it requests 2 CPU and Ray Data, whose tasks read the data sets, needs 1 CPU beside it" in text
    assert "the node has 2 CPU" in text
    assert "the nearest shape that fits is 2 x (0.5 CPU), PACK or 1 CPU." in text
    assert not plan(Shape(({"CPU": 0.5}, {"CPU": 0.5})), [{"CPU": 2}]).problems
    (problem,) = plan(ONE, [{"CPU": 1}]).problems
    assert "Request less. Or leave Ray Data another number of CPUs with --data-cpus" in spell(problem, "line")
    (problem,) = plan(Shape(({"CPU": 3},)), [{"CPU": 2}]).problems
    assert "can never be placed" in problem, "it does not fit without data either"
    two = [{"CPU": 4}, {"CPU": 4}]
    (problem,) = plan(Shape(({"CPU": 4}, {"CPU": 4})), two).problems
    assert "the nearest shape that fits is 2 x (3 CPU), PACK" in problem


def test_a_cluster_that_grows():
    growth = [NodeType({"CPU": 4}, 1)]
    made = plan(PAIR, [{"CPU": 2}], growth=growth)
    assert (made.problems, made.slots, made.autoscaled_slots, made.data_cpus) == ((), 0, 2, 2)
    assert plan(PAIR, [{"CPU": 1}], growth=[NodeType({"CPU": 1}, 1)]).problems
    assert plan(PAIR, [{"CPU": 2}], growth=[]).problems == (), "its node types are not known"


def test_options_that_go_together():
    def problems(**options):
        return [problem.render("line") for problem in make_spec(options)[1]]

    def data():
        pass

    assert make_spec({"datasets": {"train": data}})[0].reads_data
    assert make_spec({"data_cpus": 2})[0].reads_data
    assert not make_spec({"data_cpus": 0})[0].reads_data
    assert problems(workers=2, datasets={"train": data}, dataset_config="train") == []
    assert problems(workers=2, datasets={"train": data}, dataset_config="tran") == [
        "--dataset-config: there is no data set 'tran' (did you mean 'train'?); there are train"
    ]
    assert problems(datasets={"train": data}, dataset_config="train") == [
        "--dataset-config: only for a trial with workers, which share the data sets; give --workers N"
    ]
    assert problems(workers=2, dataset_config="train") == [
        "--dataset-config: given without --dataset, which it is about; give the data sets"
    ]
