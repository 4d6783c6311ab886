"""nbtune.spec.forms.scaling and scaling_text: the fields of the form as options, a ScalingConfig and a cell."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtune.errors import SpecError
from nbtune.spec.forms.scaling import NEW_FORM, read_scaling
from nbtune.spec.forms.scaling_text import scaling_cell, scaling_fields
from nbtune.spec.labels import format_labels, parse_labels
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.options import make_spec

FULL = {
    "mode": "distributed",
    "workers": "2",
    "max_workers": "4",
    "resize_every": "30",
    "use_gpu": True,
    "worker_cpus": "8",
    "worker_gpus": "0.5",
    "worker_memory": "16GiB",
    "worker_resources": "fast_disk=1",
    "placement_strategy": "SPREAD",
    "accelerator_type": "A100",
    "label_selector": "zone=in(a,b), kind=!spot",
}
CONFIG = {
    "num_workers": (2, 4),
    "elastic_resize_monitor_interval_s": 30,
    "use_gpu": True,
    "resources_per_worker": {"CPU": 8, "GPU": 0.5, "memory": 16 * 1024**3, "fast_disk": 1},
    "placement_strategy": "SPREAD",
    "accelerator_type": "A100",
    "label_selector": {"zone": "in(a,b)", "kind": "!spot"},
}


def read(train_v2=True, **fields):
    value, problems = read_scaling(fields, train_v2=train_v2)
    assert problems == {}
    assert value is not None
    return value


def problems_of(train_v2=True, **fields):
    value, problems = read_scaling(fields, train_v2=train_v2)
    assert value is None
    return problems


def cell(**fields):
    return scaling_cell(read(**fields), {**NEW_FORM, **fields})


def run(text):
    """Run a cell that creates a ScalingConfig, and return its arguments."""
    globals_ = {}
    exec(text.replace("from ray.train import ScalingConfig", "ScalingConfig = dict"), globals_)
    return globals_["scaling"]


def test_a_new_form_requests_one_process_with_one_cpu():
    value = read()
    assert not value.distributed
    assert value.options == {"cpus": 1}
    assert value.samples == 10


def test_a_single_process_gives_options_of_tune():
    value = read(cpus="0", gpus="0.5", memory="2 GiB", resources="a=1, b=0.25", samples="7")
    assert value.options == {"cpus": 0, "gpus": 0.5, "memory": 2 * 1024**3, "resources": {"a": 1, "b": 0.25}}
    assert make_spec(dict(value.options))[1] == []
    assert value.samples == 7


def test_a_distributed_run_gives_arguments_of_a_scaling_config():
    assert read(**FULL).config == CONFIG
    assert read(mode="distributed", workers="3").config == {"num_workers": 3}


def test_fields_of_the_other_mode_are_ignored():
    assert read(workers="many", worker_gpus="-1").options == {"cpus": 1}
    assert read(mode="distributed", cpus="x", memory="y").config == {"num_workers": 2}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cpus", "two", "expected a number >= 0, got 'two'"),
        ("cpus", "-1", "expected a number >= 0, got '-1'"),
        ("cpus", "nan", "expected a number >= 0, got 'nan'"),
        ("gpus", "1.5", "a part of one GPU, or whole ones"),
        ("memory", "2 apples", "expected a size > 0"),
        ("resources", "a", "NAME=NUMBER"),
        ("resources", "a=-1", "the amount of a resource cannot be negative"),
        ("resources", "a=inf", "expected a finite amount of a, got inf"),
        ("resources", "a\nb=1", "characters that are not printable"),
        ("resources", "GPU=1", "give GPU in the field GPUs"),
        ("resources", "object_store_memory=1", "trials cannot request object_store_memory"),
        ("samples", "0", "expected an integer >= 1"),
        ("samples", " ", "give the number of trials"),
        ("samples", "1.5", "expected an integer >= 1"),
    ],
)
def test_problems_of_a_single_process_are_reported_at_their_field(name, text, message):
    problems = problems_of(**{name: text})
    assert list(problems) == [name]
    assert message in problems[name]


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        ({"workers": ""}, "workers", "give the number of workers"),
        ({"workers": "x"}, "workers", "expected an integer >= 0, got 'x'"),
        ({"workers": "-1"}, "workers", "expected an integer >= 0, got '-1'"),
        ({"workers": "4", "max_workers": "2"}, "max_workers", "2 is less than 4"),
        ({"max_workers": "4", "resize_every": "soon"}, "resize_every", "expected a number >= 0"),
        ({"worker_gpus": "1"}, "worker_gpus", 'select "use GPUs"'),
        ({"use_gpu": True, "worker_gpus": "0"}, "worker_gpus", "leave the field empty for 1 GPU"),
        ({"use_gpu": True, "worker_gpus": "2.5"}, "worker_gpus", "or whole ones"),
        ({"worker_cpus": "0"}, "worker_cpus", "without any resources"),
        ({"worker_resources": "memory=1"}, "worker_resources", "give memory in the field memory"),
        ({"placement_strategy": "NEAR"}, "placement_strategy", "expected one of PACK"),
        ({"label_selector": "zone"}, "label_selector", "KEY=VALUE"),
        ({"label_selector": "a=1; a=2; a=3"}, "label_selector", "expected labels for 2 workers, got labels for 3"),
        ({"use_tpu": True, "use_gpu": True, "topology": "4x4", "accelerator_type": "TPU-V6E"}, "use_tpu", "not both"),
        ({"use_tpu": True, "accelerator_type": "TPU-V6E"}, "topology", "4x4"),
        ({"use_tpu": True, "topology": "4x4"}, "accelerator_type", "an accelerator type"),
    ],
)
def test_problems_of_a_distributed_run_are_reported_at_their_field(fields, name, message):
    problems = problems_of(mode="distributed", **fields)
    assert list(problems) == [name]
    assert message in problems[name]


def test_all_problems_are_reported_at_once():
    assert set(problems_of(cpus="x", gpus="y", memory="z", resources="=", samples="")) == {
        "cpus", "gpus", "memory", "resources", "samples",
    }  # fmt: skip


def test_a_trial_without_resources_is_a_problem():
    assert "without any resources" in problems_of(cpus="0")["cpus"]
    assert read(cpus="0", gpus="1").options == {"cpus": 0, "gpus": 1}


def test_ray_train_v1_has_trainer_resources_but_no_v2_arguments():
    fields = {**FULL, "trainer_resources": "CPU=0.5", "use_tpu": True}
    config = read(train_v2=False, **fields).config
    assert config["trainer_resources"] == {"CPU": 0.5}
    assert config["num_workers"] == 2
    assert not {"label_selector", "use_tpu", "topology", "elastic_resize_monitor_interval_s"} & set(config)
    assert "trainer_resources" not in read(**{**FULL, "trainer_resources": "CPU=1"}).config


@pytest.mark.parametrize(
    "fields", [{}, {"gpus": "0.5", "memory": "1.5 GB", "resources": "a=1, b c=0.5", "samples": "3"}]
)
def test_the_cell_of_a_single_process_has_the_options_of_the_form(fields):
    first, body = cell(**fields).split("\n", 1)
    line = parse_line(first.removeprefix("%%tune"), {})
    assert not line.problems
    requested = {name: line.options[name] for name in line.options if name not in ("metric", "mode", "samples")}
    spec, problems = make_spec(requested)
    assert problems == []
    assert spec == make_spec(dict(read(**fields).options))[0]
    assert line.options["samples"] == str(read(**fields).samples)
    compile(body, "cell", "exec")


def test_memory_is_written_as_it_was_typed():
    assert "--memory 1.5GB" in cell(memory="1.5 GB")
    assert shlex.split(cell(resources="a b=1").splitlines()[0])[-3] == "a b=1"


@pytest.mark.parametrize("fields", [FULL, {"mode": "distributed"}, {"mode": "distributed", "workers": "0"}])
def test_the_cell_of_a_distributed_run_has_the_arguments_of_the_form(fields):
    assert run(cell(**fields)) == read(**fields).config


NAMES = st.text(st.characters(codec="utf-8", exclude_characters=",="), min_size=1).filter(
    lambda name: (
        name == name.strip()
        and name.isprintable()
        and name.lower() not in {"cpu", "gpu", "memory", "object_store_memory"}
    )
)
AMOUNTS = st.one_of(st.integers(1, 10**6), st.integers(1, 9999).map(lambda parts: parts / 10_000))
SIZES = st.integers(1, 2**50)


@given(
    st.fixed_dictionaries(
        {"cpus": AMOUNTS},
        optional={
            "gpus": st.integers(1, 64) | st.sampled_from([0.25, 0.5]),
            "memory": SIZES,
            "resources": st.dictionaries(NAMES, st.integers(1, 100), min_size=1).filter(lambda d: "TPU" not in d),
            "samples": st.integers(1, 10**6),
        },
    )
)
def test_options_round_trip_through_the_form_and_its_cell(options):
    fields = scaling_fields(options)
    value = read(**fields)
    requested = {name: one for name, one in options.items() if name != "samples"}
    assert value.options == requested
    line = parse_line(scaling_cell(value, fields).splitlines()[0].removeprefix("%%tune"), {})
    read_options = {name: line.options[name] for name in line.options if name not in ("metric", "mode", "samples")}
    assert make_spec(read_options)[0] == make_spec(requested)[0]


@given(
    st.fixed_dictionaries(
        {"num_workers": st.integers(1, 100)},
        optional={
            "resources_per_worker": st.fixed_dictionaries(
                {"CPU": AMOUNTS}, optional={"memory": SIZES, "disk": AMOUNTS, 'a "b"\\': AMOUNTS}
            ),
            "placement_strategy": st.sampled_from(["SPREAD", "STRICT_PACK"]),
            "accelerator_type": NAMES,
            "label_selector": st.dictionaries(
                st.sampled_from("ab"), st.sampled_from(["x", "!y", "in(x,y)"]), min_size=1
            ),
        },
    )
)
def test_a_scaling_config_round_trips_through_the_form_and_its_cell(config):
    from ray.train import ScalingConfig

    fields = scaling_fields(ScalingConfig(**config))
    value = read(**fields)
    assert value.config == config
    assert run(scaling_cell(value, fields)) == config


def test_memory_in_code_is_exact_and_readable():
    assert "16 * 1024**3" in cell(**FULL)
    assert "500 * 10**6" in cell(mode="distributed", worker_cpus="1", worker_memory="500MB")
    odd = cell(mode="distributed", worker_cpus="1", worker_memory="1234567")
    assert run(odd)["resources_per_worker"]["memory"] == 1234567


def test_names_are_quoted_in_code():
    fields = {"mode": "distributed", "worker_resources": 'a"]);boom()#=1', "accelerator_type": "'\"\\"}
    assert run(cell(**fields)) == read(**fields).config
    line = parse_line(cell(resources="$(boom); x=1").splitlines()[0].removeprefix("%%tune"), {})
    assert line.options["resources"] == "$(boom); x=1"


@pytest.mark.parametrize(
    "options", [{}, {"cpus": 2.0}, {"cpus": 0, "gpus": 0.5, "memory": 3 * 1024**3, "resources": {"a": 1}, "samples": 4}]
)
def test_fields_from_options_give_the_same_options(options):
    value = read(**scaling_fields(options))
    spec = make_spec({name: one for name, one in options.items() if name != "samples"})[0]
    assert make_spec(dict(value.options))[0] == spec
    assert value.samples == options.get("samples", 10)


def test_options_are_shown_as_they_are_typed():
    assert scaling_fields({"memory": "2GiB", "resources": "a=1"})["memory"] == "2GiB"
    assert scaling_fields({"memory": 2 * 1024**3})["memory"] == "2GiB"
    assert scaling_fields(None) == dict(NEW_FORM)


def test_invalid_initial_values_are_refused():
    with pytest.raises(SpecError, match="no option 'cpu'.*did you mean 'cpus'"):
        scaling_fields({"cpu": 1})
    with pytest.raises(SpecError, match="expects a ray.train.ScalingConfig.*got 4"):
        scaling_fields(4)
    with pytest.raises(SpecError, match="scaling: expected a ray.train.ScalingConfig, got 4"):
        scaling_fields({"scaling": 4})
    with pytest.raises(SpecError, match="resources: expected a dictionary, name -> amount, got 4"):
        scaling_fields({"resources": 4})


def test_labels_are_parsed_and_formatted():
    assert parse_labels("zone=a, kind=in(x,y)") == {"zone": "a", "kind": "in(x,y)"}
    assert parse_labels("zone=a; zone=!b") == [{"zone": "a"}, {"zone": "!b"}]
    for labels in ({"a": "1", "b": "!in(x,y)"}, [{"a": "1"}, {"a": "2", "b": "3"}]):
        assert parse_labels(format_labels(labels)) == labels
    assert format_labels(None) == ""
    for text in ("zone", "=a", "zone=", "a=1,,b"):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            parse_labels(text)
