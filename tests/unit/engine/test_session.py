"""nbtune.engine.trial.session outside a trial: it prints reports."""

from pathlib import Path

import numpy as np
import pytest

from nbtune.engine.trial.session import (
    Context,
    DryRunSession,
    FirstReport,
    get_checkpoint,
    get_context,
    report,
    set_session,
)


@pytest.fixture(autouse=True)
def local_session():
    previous = set_session(None)
    yield
    set_session(previous)


def test_reports_are_counted_and_printed(capsys):
    report(loss=0.123456, epoch=1)
    report({"val/acc": np.float32(0.5)}, note="a")
    report(loss=1, checkpoint={"a": 1})
    assert capsys.readouterr().out.splitlines() == [
        "report 1: loss=0.1235, epoch=1",
        "report 2: val/acc=0.5, note='a'",
        "report 3: loss=1 + checkpoint",
    ]


def test_metrics_may_be_passed_by_keyword_as_to_ray(capsys):
    report(metrics={"loss": 1})
    assert capsys.readouterr().out == "report 1: loss=1\n"


@pytest.mark.parametrize("wrong", [5, "loss", [("loss", 1)]])
def test_metrics_that_are_not_a_dictionary(wrong):
    with pytest.raises(TypeError, match="report: expected metric=value or a dictionary, metric -> value, got"):
        report(wrong)


@pytest.mark.parametrize("arguments", [(), ({},), (None,)])
def test_an_empty_report_is_an_error(arguments):
    with pytest.raises(TypeError, match="report: expected metrics or a checkpoint, got neither"):
        report(*arguments)


def test_a_checkpoint_may_be_reported_alone(capsys):
    report(checkpoint={"a": 1})
    assert "+ checkpoint" in capsys.readouterr().out


def test_there_is_no_checkpoint():
    assert get_checkpoint() is None


def test_the_context_is_local():
    context = get_context()
    assert (context.get_trial_id(), context.get_experiment_name()) == ("local", "local")
    assert Path(context.get_trial_dir()) == Path()
    assert context.get_trial_resources() == {}
    assert (context.get_world_size(), context.get_world_rank(), context.get_local_rank()) == (1, 0, 0)


def test_methods_and_fields_of_a_context_agree():
    context = Context("7", Path("/a"), "digits", {"CPU": 1})
    assert (context.get_trial_id(), context.get_trial_dir()) == ("7", "/a")
    assert context.get_trial_resources() == context.resources


def test_a_dry_run_ends_at_its_first_report():
    set_session(DryRunSession())
    with pytest.raises(FirstReport) as caught:
        report(loss=np.int64(3))
    assert caught.value.metrics == {"loss": 3}
    assert not isinstance(caught.value, Exception), "the user's `except Exception` must not catch it"


def test_set_session_returns_the_previous_session():
    session = DryRunSession()
    previous = set_session(session)
    assert set_session(previous) is session
