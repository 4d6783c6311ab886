"""Stored experiments from others: their texts are data, and lead to no file outside their folder."""

import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtune
from nbtune.engine.protocol.events import (
    CheckpointSaved,
    ExperimentUpdated,
    TrialAdded,
    TrialReconfigured,
    TrialReported,
)
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.storage.log import EventLog, read_log
from nbtune.errors import ExperimentError
from nbtune.spec.space.expression import Expression, safe_expression

LOCAL = pafs.LocalFileSystem()
SECRET = "the secret of another folder"


def experiment_with(tmp_path, folder):
    """Write an experiment of one trial with a folder of its own, beside a folder with a secret."""
    log = EventLog(LOCAL, str(tmp_path / "one"))
    log.append(ExperimentUpdated(time=1.0, metadata={"status": "running", "name": "d"}))
    log.append(TrialAdded(0, 1.0, ray_id="a", config={}, folder="t0"))
    object.__setattr__(log._tail[-1], "folder", folder)  # no nbtune writes such a name
    log.append(TrialReported(0, 2.0, 1, 1.0, metrics={"a": 1.0}))
    log.append(ExperimentUpdated(time=3.0, metadata={"status": "finished"}))
    log.flush()
    outside = tmp_path / "outside" / "output"
    outside.mkdir(parents=True)
    (outside / "000000000000.log").write_text(SECRET)
    return nbtune.load(str(tmp_path / "one"))


@pytest.mark.parametrize(
    "folder", ["../outside", "../../{tmp}/outside", "/{tmp}/outside", "..", ".", "a/../../outside", "x\0y"]
)
def test_the_name_of_a_folder_leads_nowhere_else(tmp_path, folder):
    experiment = experiment_with(tmp_path, folder.format(tmp=str(tmp_path).lstrip("/")))
    assert experiment.trials[0].logs() == ""
    (past,) = past_of(read_log(LOCAL, str(tmp_path / "one"))).trials.values()
    assert past.folder == ""


@pytest.mark.parametrize(
    "path", ["../outside/output", "/etc", "t0/../../outside/output", "t0//x", "t0/./x", "t0\\x", "t0/x\0", "..", "", 7]
)
def test_the_path_of_a_checkpoint_leads_nowhere_else(tmp_path, path):
    log = EventLog(LOCAL, str(tmp_path / "one"))
    log.append(ExperimentUpdated(time=1.0, metadata={"status": "running", "name": "d"}))
    for number in (0, 1):
        log.append(TrialAdded(number, 1.0, ray_id=f"a{number}", config={}, folder=f"t{number}"))
    log.append(CheckpointSaved(0, 2.0, 1, path="t0/checkpoint_000000"))
    log.append(CheckpointSaved(0, 2.0, 1, path="t0/x"))
    log.append(TrialReconfigured(1, 2.0, config={}, path="t0/x"))
    for event in log._tail[-2:]:
        object.__setattr__(event, "path", path)  # no nbtune writes such a path
    log.append(ExperimentUpdated(time=3.0, metadata={"status": "finished"}))
    log.flush()
    kept = f"{tmp_path}/one/t0/checkpoint_000000"
    for folder in (kept, str(tmp_path / "outside" / "output")):  # also what others lead to exists
        Path(folder).mkdir(parents=True)
    experiment = nbtune.load(str(tmp_path / "one"))
    assert [checkpoint.path for checkpoint in experiment.trials[0].checkpoints] == [kept]
    assert experiment.df["checkpoint"].dropna().tolist() == [kept]
    past = past_of(read_log(LOCAL, str(tmp_path / "one"))).trials
    assert [saved.path for saved in past["a0"].checkpoints] == ["t0/checkpoint_000000"]
    assert past["a1"].start is None


@pytest.mark.parametrize("what", ["trial", "output", "file"])
def test_a_link_leads_nowhere_else(tmp_path, what):
    experiment = experiment_with(tmp_path, "t0")
    outside, inside = tmp_path / "outside", tmp_path / "one" / "t0"
    if what != "trial":
        inside, outside = inside / "output", outside / "output"
    if what == "file":
        inside, outside = inside / "000000000000.log", outside / "000000000000.log"
    inside.parent.mkdir(exist_ok=True, parents=True)
    inside.symlink_to(outside)
    with pytest.raises(ExperimentError, match="is a link to another folder"):
        experiment.trials[0].logs()


def test_the_folder_of_the_experiment_may_be_a_link(tmp_path):
    experiment_with(tmp_path, "t0")
    output = tmp_path / "one" / "t0" / "output"
    output.mkdir(parents=True)
    (output / "000000000000.log").write_text("hello")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert nbtune.load(str(tmp_path / "link")).trials[0].logs() == "hello"


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9", "9**9**a", "a**(10**8)", "(-9)**(9**9)", "'a' * 10**10", "10**10 * 'a'", "[0] * 10**9", "(0,) * 10**9",
        "'a' * 1000 * 1000 * 1000", "1 << 10**10", "a << 10**10", "'%1000000000d' % a", "2**(2**(2**40))", "[[0] * 99999] * 99999 * 99",
        "max(9**9**9, 1)", "len('a' * 10**10)", "[1, 9**9**9][0]", "{1: 9**9**9}[1]", "9**9**9 if a else 1", "1 if a < 9**9**9 else 2",
    ],
)  # fmt: skip
def test_an_expression_from_a_file_takes_neither_long_nor_much_memory(text):
    began = time.process_time()
    with pytest.raises((ValueError, OverflowError)):
        safe_expression(text, ["a"])({"a": 7})
    assert time.process_time() - began < 5


NUMBERS = st.integers(-20, 20)
OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "|", "&", "^"])


@given(
    st.recursive(
        NUMBERS.map(lambda n: f"({n})") | st.just("a"),
        lambda inner: st.tuples(inner, OPERATORS, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        max_leaves=4,
    ),
    NUMBERS,
)
def test_a_limited_expression_has_the_value_of_the_expression(text, value):
    def outcome(expression):
        try:
            return expression({"a": value})
        except (ArithmeticError, TypeError, ValueError) as error:
            return type(error)

    limited = safe_expression(text, ["a"])
    assert limited.is_limited
    found = outcome(limited)
    if found is not ValueError:
        assert repr(found) == repr(outcome(Expression(text, frozenset({"a"}))))


def test_a_space_from_json_is_sampled_within_its_limits():
    space = nbtune.Space.from_cell("a: randint(1, 9)\nb: uniform(0, 2 ** a) = 0.5")
    again = nbtune.Space.from_json(space.to_json())
    assert again == space
    samples = again.sample(20, seed=0)
    assert (samples["b"] <= 2.0 ** samples["a"]).all()
