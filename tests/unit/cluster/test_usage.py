"""What Ray's tables say: of nodes, and of who holds what."""

import pytest

from nbtune.cluster.resources.usage import Reservation, _nodes, _reservations, cluster_usage, total_of


def node(number, alive=True, **more):
    resources = {
        "CPU": 4.0,
        "memory": 8e9,
        "object_store_memory": 2e9,
        "node:10.0.0.1": 1.0,
        "accelerator_type:A100": 1.0,
    }
    return {
        "NodeID": f"{number:056x}",
        "Alive": alive,
        "NodeManagerAddress": "10.0.0.1",
        "NodeName": "",
        "Resources": resources if alive else {},
        **more,
    }


def facts(nodes=(), free=None, actors=(), groups=()):
    return {"nodes": list(nodes), "free": free or {}, "actors": list(actors), "groups": list(groups)}


def actor(name, worker, owner=b"kernel", namespace="nbtune"):
    return (f"actor {worker}".encode(), worker, owner, namespace, name)


def test_used_is_what_is_not_free():
    (one,) = _nodes(facts([node(1)], {f"{1:056x}": {"CPU": 1.5, "memory": 8e9, "object_store_memory": 2e9}}))
    assert one.used == {"CPU": 2.5, "memory": 0, "object_store_memory": 0}
    assert one.total == {"CPU": 4, "memory": 8e9, "object_store_memory": 2e9}
    assert one.accelerator == "A100"
    assert one.name == "10.0.0.1"
    assert not one.head


def test_what_is_not_named_as_free_is_used_up_but_not_on_a_node_that_has_just_come():
    full, new = _nodes(facts([node(1), node(2)], {f"{1:056x}": {"memory": 8e9}}))
    assert full.used["CPU"] == 4
    assert new.used == {"CPU": 0, "memory": 0, "object_store_memory": 0}


def test_a_dead_node_says_why():
    dead = node(1, alive=False, DeathReason=2, DeathReasonMessage="health check\n failed", NodeName="worker-3")
    unknown = node(2, alive=False, DeathReason=0, DeathReasonMessage="")
    first, second = _nodes(facts([dead, unknown]))
    assert (first.alive, first.name, first.why) == (False, "worker-3", "it has failed: health check failed")
    assert second.why == ""
    assert first.total == {}


def test_the_head_is_told():
    resources = {"CPU": 1.0, "node:__internal_head__": 1.0}
    (head,) = _nodes(facts([node(1, Resources=resources)]))
    assert head.head
    assert head.total == {"CPU": 1}


def test_an_experiment_holds_what_its_driver_and_its_trials_have_reserved():
    actors = [
        actor("digits_2026", b"driver"),
        actor("other_2026", b"second"),
        actor("", b"trial", owner=b"driver", namespace=""),
        actor("", b"worker", owner=b"trial", namespace=""),
        actor("_helper", b"helper"),
        actor("foreign", b"foreign", namespace="mine"),
    ]
    groups = [
        (b"actor b'driver'", [{"CPU": 1.0}, {"GPU": 0.5}]),
        (b"actor b'driver'", [{"CPU": 1.0}]),
        (b"actor b'driver'", []),  # it waits for its place
        (b"actor b'worker'", [{"CPU": 2.0, "memory": 1e9}]),
        (b"actor b'foreign'", [{"CPU": 4.0}]),
        (b"", [{"CPU": 8.0}]),
    ]
    assert _reservations(facts(actors=actors, groups=groups)) == {
        "digits_2026": Reservation(2, {"CPU": 4.0, "GPU": 0.5, "memory": 1e9}),
        "other_2026": Reservation(),
    }


def test_processes_that_own_one_another_end_nothing():
    actors = [actor("", b"one", owner=b"two"), actor("", b"two", owner=b"one")]
    assert _reservations(facts(actors=actors, groups=[(b"actor b'one'", [{"CPU": 1.0}])])) == {}


def test_sums_are_by_name():
    assert total_of([{"CPU": 1.0}, {"CPU": 2.0, "GPU": 0.5}]) == {"CPU": 3.0, "GPU": 0.5}


def test_without_a_cluster_there_is_nothing_and_ray_is_not_imported(monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert cluster_usage() is None
    assert "ray" not in sys.modules
    monkeypatch.setitem(sys.modules, "ray", type(sys)("ray"))  # as it is while another thread imports it
    assert cluster_usage() is None


@pytest.mark.parametrize("kinds", [1, 2, 3, 4])
def test_every_reason_of_rays_has_words(kinds):
    (dead,) = _nodes(facts([node(1, alive=False, DeathReason=kinds, DeathReasonMessage="")]))
    assert dead.why
