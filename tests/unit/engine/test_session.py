"""nbtune.engine.trial.session outside a trial: reports are printed."""

from pathlib import Path

import numpy as np
import pytest

from nbtune.engine.trial.session import Context, DryRun, FirstReport, enter, get_checkpoint, get_context, report


@pytest.fixture(autouse=True)
def fresh():
    before = enter(None)
    yield
    enter(before)


def test_reports_are_counted_and_printed(capsys):
    report(loss=0.123456, epoch=1)
    report({"val/acc": np.float32(0.5)}, note="a")
    report(loss=1, checkpoint={"a": 1})
    assert capsys.readouterr().out.splitlines() == [
        "report 1: loss=0.1235, epoch=1",
        "report 2: val/acc=0.5, note='a'",
        "report 3: loss=1 + checkpoint",
    ]


def test_metrics_may_be_given_by_name_as_to_ray(capsys):
    report(metrics={"loss": 1})
    assert capsys.readouterr().out == "report 1: loss=1\n"


@pytest.mark.parametrize("wrong", [5, "loss", [("loss", 1)]])
def test_what_is_no_dictionary(wrong):
    with pytest.raises(TypeError, match=r"report takes metric=value, or a dictionary of them; it got"):
        report(wrong)


@pytest.mark.parametrize("arguments", [(), ({},), (None,)])
def test_nothing_reported(arguments):
    with pytest.raises(TypeError, match="report got nothing"):
        report(*arguments)


def test_a_checkpoint_alone_is_something(capsys):
    report(checkpoint={"a": 1})
    assert "+ checkpoint" in capsys.readouterr().out


def test_there_is_no_checkpoint_to_go_on_from():
    assert get_checkpoint() is None


def test_the_context_is_local():
    context = get_context()
    assert (context.get_trial_id(), context.get_experiment_name()) == ("local", "local")
    assert Path(context.get_trial_dir()) == Path()
    assert context.get_trial_resources() == {}
    assert (context.get_world_size(), context.get_world_rank(), context.get_local_rank()) == (1, 0, 0)


def test_a_contexts_methods_and_fields_agree():
    context = Context("7", Path("/a"), "digits", {"CPU": 1})
    assert (context.get_trial_id(), context.get_trial_dir()) == ("7", "/a")
    assert context.get_trial_resources() == context.resources


def test_a_dry_run_ends_at_its_first_report():
    enter(DryRun())
    with pytest.raises(FirstReport) as caught:
        report(loss=np.int64(3))
    assert caught.value.metrics == {"loss": 3}
    assert not isinstance(caught.value, Exception), "the user's `except Exception` must not catch it"


def test_enter_gives_the_session_before():
    session = DryRun()
    before = enter(session)
    assert enter(before) is session
