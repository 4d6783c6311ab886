"""How messages write options: ``metric=…`` for a caller of Python, ``--metric`` for the magic line."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.compilerop import CachingCompiler
from IPython.core.events import EventManager, available_events

import nbtune
from nbtune.errors import ExperimentError, Problem, SpecError, option_ref, spell, spell_option, spelled
from nbtune.notebook.magics import NbTune
from nbtune.spec.options.options import OPTIONS

INVALID: dict[str, Any] = {
    "name": "2nd",
    "metric": "",
    "mode": "up",
    "scope": "first",
    "samples": 0,
    "repeat": 0,
    "search": "optona",
    "scheduler": 5,
    "mutate": 5,
    "points": [1],
    "warm_start": 5,
    "try_best": 0,
    "seed": -1,
    "cpus": "two",
    "gpus": -1,
    "memory": "much",
    "resources": 3,
    "max_concurrent": 0,
    "max_failures": -2,
    "reuse_actors": "maybe",
    "fail_fast": "soon",
    "callbacks": 5,
    "time_budget": "soon",
    "stop": 5,
    "driver_resources": "safe_node",
    "storage": "",
    "storage_filesystem": "s3",
    "keep_checkpoints": 0,
    "keep_by": "best",
    "checkpoint_frequency": -1,
    "checkpoint_at_end": "maybe",
    "trial_name_creator": 5,
    "trial_dirname_creator": 5,
    "workers": "4-2",
    "scaling": 2,
    "framework": "toch",
    "backend": 1,
    "aggregate": "avg",
    "placement_strategy": "pack",
    "accelerator_type": 1,
    "label_selector": "zone",
    "topology": 4,
    "trial_resources": "safe_node",
    "worker_env": 3,
    "env": 3,
    "datasets": 5,
    "dataset_config": 5,
    "data_cpus": -1,
    "wait": "yes",
}
COMBINATIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"metric": "loss"}, ["mode"]),
    ({"mode": "min"}, ["mode"]),
    ({"search": "optuna"}, ["metric"]),
    ({"cpus": 0}, []),
    ({"points": [{"nowhere": 1}]}, ["points"]),
    ({"storage_filesystem": None, "aggregate": "mean", "topology": "4x4"}, ["aggregate", "topology"]),
    ({"workers": "nowhere"}, ["workers"]),
    ({"workers": "a"}, ["workers"]),
    ({"workers": 2, "backend": "nncl"}, ["backend"]),
    ({"metric": "acc", "mode": "max"}, ["metric"]),
    ({"samples": 20_000}, []),
    ({"metric": "loss", "mode": "min", "samples": 4, "scheduler": "pbt", "repeat": 2}, ["repeat"]),
    ({"metric": "a,b", "mode": "min,max", "repeat": 2}, ["repeat"]),
]
FLAGS = {option.flag for option in OPTIONS.values()} | {
    "--space",
    "--dry-run",
    "--no-wait",
    "--replace",
    "--new",
    "--help",
}


def train(a: float) -> None:
    nbtune.report(loss=a)


def from_python(**options: Any) -> str:
    """Return the message that a caller of Python sees."""
    with pytest.raises(SpecError) as caught:
        nbtune.tune(train, {"a": nbtune.uniform(0, 1)}, **options)
    return str(caught.value)


def from_magic(**options: Any) -> str:
    """Return the message that the magic line gives, where each value is one of a variable, if the option allows it."""
    variables = {f"value_of_{name}": value for name, value in options.items()}
    history = SimpleNamespace(input_hist_parsed=[""])
    events = EventManager(None, available_events)
    magics = NbTune(
        SimpleNamespace(user_ns=variables, compile=CachingCompiler(), history_manager=history, events=events)
    )
    words = [
        f"--{name.replace('_', '-')}={f'value_of_{name}' if OPTIONS[name].variable else value or repr('')}"
        for name, value in options.items()
    ]
    with pytest.raises(SpecError) as caught:
        magics.tune(" ".join(words), "a: uniform(0, 1)\nreport(loss=a)")
    return str(caught.value)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def check(python: str, line: str, names: list[str]) -> None:
    for name in names:
        assert f"{name}=…: " in python
        assert f"{OPTIONS[name].flag}: " in line
    assert not flags_in(python), python
    assert flags_in(line) <= FLAGS, line
    assert "=…" not in line.replace("report(loss=…)", "")
    # A reference that nobody has written out would show as its private-use characters.
    assert not re.search("[\ue000-\uf8ff]", python + line)


def test_every_option_has_an_invalid_value_here() -> None:
    assert set(INVALID) == set(OPTIONS)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "wait"])
def test_an_invalid_value_is_reported_in_the_spelling_of_its_caller(name: str) -> None:
    more = {"metric": "loss", "mode": "min"} if name not in ("metric", "mode") else {}
    options = {**more, name: INVALID[name]}
    check(from_python(**options), from_magic(**options), [name])


def test_wait_is_a_switch_on_the_line() -> None:
    python, line = from_python(wait="yes"), from_magic(wait="yes")
    assert python == "wait=…: expected True or False, got 'yes'"
    assert line == "--wait takes no value, got 'yes'"


@pytest.mark.parametrize(("options", "names"), COMBINATIONS, ids=lambda value: str(value)[:40])
def test_options_that_do_not_go_together_are_reported_in_the_spelling_of_their_caller(
    options: dict[str, Any], names: list[str]
) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    check(from_python(**given), from_magic(**given), names)


def test_a_reference_to_an_option_is_spelled_with_its_value() -> None:
    text = f"give {option_ref('mode', 'min')}, {option_ref('max_failures')} or {option_ref('workers', 'N')}"
    assert spell(text, "line") == "give --mode min, --max-failures or --workers N"
    assert spell(text, "python") == 'give mode="min", max_failures=… or workers=N'
    assert spell_option("label_selector", None, "line") == "--label-selector"


def test_the_spelling_holds_for_every_error_of_nbtune() -> None:
    with pytest.raises(ExperimentError) as caught, spelled("line"):
        raise ExperimentError(Problem(f"cannot be used with {option_ref('gpus')}", option="storage"))
    assert str(caught.value) == "--storage: cannot be used with --gpus"


_COMMANDS = {"--failed", "--code", "--checkpoint", "--idle", "--trust"}  # of `%tune COMMAND`
_OF_RAY = {"--serialized-runtime-env-context", "--language", "--address", "--head", "--block", "--no-monitor",
           "--disable-usage-stats", "--gcs-address", "--autoscaling-config", "--execute", "--node-id"}  # fmt: skip
_OF_PIP = {"--no-deps"}


_WRITERS = ("spec/options/", "spec/forms/", "notebook/")  # that parse and write the magic line itself


def messages_of(path: Path) -> list[str]:
    """Return the texts of a module, its docstrings left out."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [node.value for node in texts if isinstance(node.value, str)]


def test_no_message_of_the_source_shows_a_flag_that_does_not_exist() -> None:
    root = Path(nbtune.__file__).parent
    options = {option.flag for option in OPTIONS.values()}
    for path in root.rglob("*.py"):
        place = path.relative_to(root).as_posix()
        for text in messages_of(path):
            flags = flags_in(text)
            assert flags <= FLAGS | _COMMANDS | _OF_RAY | _OF_PIP, f"{place}: {text!r}"
            if not place.startswith(_WRITERS):
                assert not flags & options, f"{place}: {text!r} should use option_ref"
