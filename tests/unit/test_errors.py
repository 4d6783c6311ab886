"""nbtune.errors: what is shown, collected and sent between processes."""

import pickle

import pytest

from nbtune.errors import ClusterError, ExperimentError, NbtuneError, Problem, SpecError, did_you_mean


def test_problem_names_its_line_where_it_has_one():
    assert str(Problem("it is wrong", 3)) == "line 3: it is wrong"
    assert str(Problem("it is wrong")) == "it is wrong"


def test_one_problem_is_the_message_itself():
    assert str(SpecError(["only this"])) == "only this"


def test_several_problems_are_listed_by_line_and_once_each():
    error = SpecError([Problem("b", 7), Problem("a", 2), "about the whole", Problem("b", 7)])
    assert error.problems == [Problem("about the whole"), Problem("a", 2), Problem("b", 7)]
    assert str(error) == "3 problems, nothing was started:\n  - about the whole\n  - line 2: a\n  - line 7: b"


def test_spec_error_survives_pickling():
    error = pickle.loads(pickle.dumps(SpecError([Problem("b", 7), "a"])))
    assert error.problems == [Problem("a"), Problem("b", 7)]
    assert str(error).startswith("2 problems")


@pytest.mark.parametrize("kind", [ClusterError, ExperimentError, NbtuneError])
def test_an_error_shows_in_a_notebook_as_its_message_alone(kind):
    assert kind("no way")._render_traceback_() == [f"{kind.__name__}: no way"]
    assert isinstance(kind("no way"), NbtuneError)


def test_spec_error_shows_in_a_notebook_as_its_message_alone():
    assert SpecError(["no way"])._render_traceback_() == ["SpecError: no way"]


def test_did_you_mean_suggests_the_nearest_or_nothing():
    assert did_you_mean("metrik", ["mode", "metric"]) == " (did you mean 'metric'?)"
    assert did_you_mean("zzz", ["mode", "metric"]) == ""
    assert did_you_mean("x", []) == ""
