"""nbtune.spec.plan.shape, placement and fit: the resources of a trial, its placement, and how many trials fit."""

import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune import PlacementGroupFactory

from nbtune.spec.plan.fit import bottleneck, count_fitting, nearest_fitting
from nbtune.spec.plan.placement import place, to_nodes, to_units
from nbtune.spec.plan.shape import Shape, format_factory, is_factory, to_shape


def one(**resources):
    return Shape((resources,))


@pytest.mark.parametrize(
    ("gpus", "nodes", "at_once"),
    [
        (0.4, [4], 8),  # two on each GPU, not 4 / 0.4
        (0.6, [4], 4),
        (0.25, [1, 2], 12),
        (0.3333, [1], 3),
        (0.34, [1], 2),
        (1, [2, 3], 5),
        (2, [3, 3], 2),
        # The first node then has 0.8 GPU in total, but no device with 0.4. Ray, which sees the sum, may still choose it.
        (0.4, [4, 1], 9),
    ],
)
def test_a_fraction_of_a_gpu_comes_from_one_device(gpus, nodes, at_once):
    assert count_fitting(one(GPU=gpus), [{"GPU": number} for number in nodes]) == at_once


def test_whole_gpus_are_not_assembled_from_fractions():
    nodes = to_nodes([{"GPU": 2}])
    assert place(nodes, [to_units({"GPU": 0.5})], "PACK")
    assert place(nodes, [to_units({"GPU": 1})], "PACK")
    assert not place(nodes, [to_units({"GPU": 1})], "PACK")
    assert place(nodes, [to_units({"GPU": 0.5})], "PACK")


def test_bundles_are_placed_all_or_none():
    nodes = to_nodes([{"CPU": 2, "GPU": 1}, {"CPU": 1}])
    before = [(dict(node.free), copy.deepcopy(node.devices)) for node in nodes]
    assert not place(nodes, [to_units({"CPU": 2, "GPU": 0.5}), to_units({"GPU": 0.6})], "PACK")
    assert not place(nodes, [to_units({"CPU": 2}), to_units({"CPU": 2})], "SPREAD")
    assert [(node.free, node.devices) for node in nodes] == before


def test_placement_strategies():
    pair, nodes = ({"CPU": 1}, {"CPU": 1}), [{"CPU": 3}, {"CPU": 2}]
    assert count_fitting(Shape(pair, "STRICT_PACK"), nodes) == 2
    assert count_fitting(Shape(pair, "STRICT_SPREAD"), nodes) == 2
    assert count_fitting(Shape(pair, "PACK"), nodes) == 2
    assert count_fitting(Shape(pair, "SPREAD"), [{"CPU": 4}]) == 2
    assert count_fitting(Shape(pair, "STRICT_SPREAD"), [{"CPU": 4}]) == 0
    assert count_fitting(Shape(({"CPU": 2}, {"CPU": 1}), "PACK"), nodes) == 1
    assert count_fitting(Shape(({"GPU": 1}, {"GPU": 0.4}), "STRICT_PACK"), [{"GPU": 2}]) == 1


def test_workers_compete_with_trials_for_resources():
    workers = ({"CPU": 1},) * 2
    # Four trials would start, and leave no CPU for any worker.
    assert count_fitting(Shape(({"CPU": 1},), workers=workers), [{"CPU": 4}]) == 1
    assert count_fitting(Shape(({"CPU": 1},), workers=workers), [{"CPU": 6}]) == 2
    # Ray places the trial on the node with more free resources, where its four workers then no longer fit.
    assert (
        count_fitting(Shape(({"CPU": 1},), workers=({"CPU": 1, "GPU": 1},) * 4), [{"CPU": 4, "GPU": 4}, {"CPU": 1}])
        == 0
    )
    assert count_fitting(Shape((), workers=workers), [{"CPU": 4}]) == 2


def test_a_shape_without_resources_fits_no_trials():
    assert count_fitting(Shape(()), [{"CPU": 1}]) == 0


def test_the_scarcest_resource_is_the_one_that_fits_the_fewest_trials():
    assert bottleneck(one(CPU=1, GPU=0.5), [{"CPU": 4, "GPU": 1}]) == "GPU"
    assert bottleneck(Shape(({"CPU": 1},), workers=({"GPU": 1},)), [{"CPU": 1, "GPU": 8}]) == "CPU"


def test_a_placement_group_factory_is_a_shape():
    factory = PlacementGroupFactory([{"CPU": 1, "GPU": 0.5, "none": 0}, {"CPU": 2}, {"CPU": 2}], strategy="SPREAD")
    assert is_factory(factory)
    assert not is_factory({"CPU": 1})
    assert to_shape(factory) == Shape(({"CPU": 1, "GPU": 0.5}, {"CPU": 2}, {"CPU": 2}), "SPREAD")
    assert str(to_shape(factory)) == "1 CPU, 0.5 GPU + 2 x (2 CPU), SPREAD"
    assert eval(format_factory(factory)) == factory
    assert to_shape(PlacementGroupFactory([{}, {"CPU": 2}])) == Shape(({"CPU": 2},))
    (note,) = to_shape(PlacementGroupFactory([{"CPU": 1}], bundle_label_selector=[{"zone": "a"}])).notes
    assert "ignores bundle_label_selector" in note


amounts = st.sampled_from([0.1, 0.3, 0.4, 0.5, 0.75, 1, 2, 3])
bundles = st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), amounts, min_size=1)
strategies = st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"])
lists = st.lists(bundles, min_size=1, max_size=3).map(tuple)
nodes_ = st.dictionaries(st.sampled_from(["CPU", "GPU", "special"]), st.integers(0, 6))
clusters = st.lists(nodes_, max_size=3)


@given(lists, strategies, st.just(()) | lists, strategies, clusters)
def test_placements_never_exceed_the_resources_of_the_nodes(trial, strategy, workers, apart, nodes):
    shape = Shape(trial, strategy, workers, apart)
    number = count_fitting(shape, nodes)
    for name, amount in shape.total.items():
        assert number * amount <= sum(node.get(name, 0) for node in nodes) + 1e-6
    for bundle in (*trial, *workers):
        assert not number or any(all(node.get(name, 0) >= bundle[name] for name in bundle) for node in nodes)


@given(bundles, clusters, nodes_)
def test_more_nodes_never_fit_fewer_trials(bundle, nodes, another):
    whole = {name: max(1, math.ceil(amount)) for name, amount in bundle.items()}
    assert count_fitting(Shape((whole,)), nodes) <= count_fitting(Shape((whole,)), [*nodes, another])


@given(bundles, clusters)
def test_every_strategy_places_a_single_bundle_alike(bundle, nodes):
    assert (
        len({count_fitting(Shape((bundle,), how), nodes) for how in ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")})
        == 1
    )


@given(lists, strategies, st.just(()) | lists, strategies, clusters)
def test_the_nearest_shape_fits_and_requests_no_more(trial, strategy, workers, apart, nodes):
    shape = Shape(trial, strategy, workers, apart)
    if count_fitting(shape, nodes):
        return
    found = nearest_fitting(shape, nodes)
    if found is not None:
        assert count_fitting(found, nodes)
        assert all(amount <= shape.total[name] + 1e-9 for name, amount in found.total.items())
