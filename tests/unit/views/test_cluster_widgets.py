"""The widgets of the cluster panel and the scaling form: what they send, and how they answer."""

import time

import pytest

import nbtune
from nbtune.errors import ClusterError, SpecError
from nbtune.views.base.channel import BaseWidget, script, styles
from nbtune.views.forms.cluster import ClusterWidget


@pytest.fixture
def sent(monkeypatch):
    """Every message to the browser."""
    found = []
    monkeypatch.setattr(BaseWidget, "send", lambda self, content, buffers=None: found.append(content))
    return found


def ask(widget, **message):
    widget._received(widget, message, [])


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Cluster:
    """A cluster whose state is set by the test."""

    def __init__(self):
        self.shown = {"kind": "none"}
        self.asked = []

    def snapshot(self):
        if isinstance(self.shown, Exception):
            raise self.shown
        return self.shown

    def connect(self, address):
        self.asked.append(address)
        if address == "nowhere:1":
            raise ClusterError("nowhere:1 cannot be reached")
        self.shown = {"kind": "attached", "nodes": [node("a")]}


def node(name, used=0.0):
    return {"id": name, "amounts": [("CPU", used, 4.0)]}


def test_only_changes_are_sent(sent):
    source = Cluster()
    source.shown = {"kind": "attached", "alive": 2, "nodes": [node("a"), node("b")]}
    panel = ClusterWidget(source)
    panel._poll()
    source.shown = {"kind": "attached", "alive": 1, "nodes": [node("a", 2.0)]}
    panel._poll()
    panel._poll()
    first, second, third = sent
    assert first["cluster"] == {"kind": "attached", "alive": 2}
    assert [one["id"] for one in first["nodes"]] == ["a", "b"]
    assert second["cluster"] == {"kind": "attached", "alive": 1}
    assert (second["nodes"], second["removed"]) == ([node("a", 2.0)], ["b"])
    assert third == {"type": "cluster", "reset": False, "cluster": None, "nodes": [], "removed": []}


def test_a_new_page_gets_everything(sent):
    source = Cluster()
    source.shown = {"kind": "attached", "nodes": [node("a")]}
    panel = ClusterWidget(source)
    ask(panel, type="ready")
    assert sent == []  # nothing is known yet: it looks, and then it is told
    ask(panel, type="visible")
    until(lambda: sent)
    sent.clear()
    ask(panel, type="ready")
    assert sent[0] == {
        "type": "cluster",
        "reset": True,
        "cluster": {"kind": "attached"},
        "nodes": [node("a")],
        "removed": [],
    }


def test_a_lost_cluster_is_reported_and_its_nodes_are_removed(sent):
    source = Cluster()
    source.shown = {"kind": "attached", "nodes": [node("a")]}
    panel = ClusterWidget(source)
    panel._poll()
    source.shown = ClusterError("it is no more")
    panel._poll()
    assert sent[-1]["cluster"] == {"kind": "gone", "reason": "it is no more"}
    assert sent[-1]["removed"] == ["a"]
    assert panel.errors == []
    source.shown = KeyError("x")
    panel._poll()
    assert panel.errors == ["kernel: KeyError: 'x'"]


def test_connecting_is_answered(sent):
    source = Cluster()
    panel = ClusterWidget(source)
    ask(panel, type="connect", address="nowhere:1", id="p-1")
    until(lambda: sent)
    assert sent[0] == {"type": "refused", "message": "nowhere:1 cannot be reached", "id": "p-1"}
    ask(panel, type="connect", address="")
    until(lambda: any(message["type"] == "connected" for message in sent))
    until(lambda: sent[-1]["type"] == "cluster" and sent[-1]["nodes"])
    assert source.asked == ["nowhere:1", None]


def test_the_panel_without_a_cluster_does_not_start_one(sent):
    import sys

    panel = nbtune.ClusterPanel()
    ask(panel, type="visible")
    until(lambda: sent)
    if not getattr(sys.modules.get("ray"), "is_initialized", bool)():
        assert sent[0]["cluster"] == {"kind": "none"}
        assert repr(panel) == "ClusterPanel: no cluster is connected"


def typed(form, **fields):
    form.fields = {**form.fields, **fields}


def test_a_form_keeps_the_latest_valid_value(sent):
    form = nbtune.ScalingForm({"cpus": 2})
    seen = []
    form.observe(lambda change: seen.append(change.new), "value")
    typed(form, gpus="0.5")
    assert form.options == {"cpus": 2, "gpus": 0.5}
    assert len(seen) == 1
    before = form.text
    typed(form, cpus="two")
    assert not form.valid
    assert form.options == {"cpus": 2, "gpus": 0.5}
    assert form.text == before
    assert list(form.checked["problems"]) == ["cpus"]
    typed(form, cpus="4")
    assert form.valid
    assert form.options == {"cpus": 4, "gpus": 0.5}
    assert "--cpus 4 --gpus 0.5" in form.text
    assert form.errors == []


def test_a_form_makes_a_real_scaling_config(sent):
    from ray.train import ScalingConfig

    config = ScalingConfig(
        num_workers=(2, 4),
        use_gpu=True,
        resources_per_worker={"CPU": 8, "GPU": 0.5, "memory": 2**30, "disk": 1},
        placement_strategy="SPREAD",
        accelerator_type="A100",
        label_selector={"zone": "a"},
        elastic_resize_monitor_interval_s=30,
    )
    form = nbtune.ScalingForm(config)
    assert repr(form.scaling_config) == repr(config)
    assert repr(nbtune.ScalingForm(form.options).scaling_config) == repr(config)
    assert list(form.options) == ["scaling"]
    made = {}
    exec(form.text, made)
    assert repr(made["scaling"]) == repr(config)
    typed(form, max_workers="1")
    assert repr(form.scaling_config) == repr(config)


def test_the_scaling_config_of_one_process_has_one_worker(sent):
    form = nbtune.ScalingForm({"cpus": 2, "gpus": 0.5, "resources": {"disk": 1}})
    assert form.scaling_config.num_workers == 1
    assert form.scaling_config.total_resources == {"CPU": 2, "GPU": 0.5, "disk": 1}
    assert nbtune.ScalingForm().scaling_config.total_resources == {"CPU": 1}


def test_errors_of_rays_own_checks_are_shown(sent):
    form = nbtune.ScalingForm({"cpus": 1})
    typed(form, mode="distributed", worker_resources="TPU=1")
    assert not form.valid
    assert "use_tpu" in form.checked["problems"][""]
    assert form.options == {"cpus": 1}


def test_an_invalid_form_is_not_written(sent):
    form = nbtune.ScalingForm()
    with pytest.raises(nbtune.NbtuneError, match="requires a notebook"):
        form.write()
    typed(form, cpus="two")
    with pytest.raises(SpecError, match="cpus: expected a number >= 0, got 'two'"):
        form.write()


def test_an_invalid_initial_value_is_refused():
    with pytest.raises(SpecError, match="ScalingForm: gpus: 1.5 GPU: Ray allocates"):
        nbtune.ScalingForm({"gpus": 1.5})


@pytest.mark.parametrize("name", ["cluster", "scaling"])
def test_scripts_and_styles_are_inlined(name):
    assert "export default" in script(name)
    assert "import " not in script(name).split("// ", 1)[0]
    assert ".nbt-field" in styles(name)
    assert "@import" not in styles(name)
