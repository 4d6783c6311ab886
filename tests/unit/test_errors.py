"""nbtune.errors: texts of errors, several problems in one error, and pickling."""

import pickle

import pytest

from nbtune.errors import ClusterError, ExperimentError, NbtuneError, Problem, SpecError, did_you_mean, option_ref


def test_the_text_of_a_problem_includes_its_line():
    assert str(Problem("it is wrong", 3)) == "line 3: it is wrong"
    assert str(Problem("it is wrong")) == "it is wrong"


def test_the_parts_of_a_problem_are_rendered_on_request():
    problem = Problem(
        f"must be less than upper, see {option_ref('samples')}", 3, "invalid", parameter="lr", field="lower"
    )
    assert str(problem) == "line 3: lr: must be less than upper, see samples=…"
    assert problem.render("line", line=False) == "lr: must be less than upper, see --samples"
    assert problem.render("line", subject=False, line=False) == "must be less than upper, see --samples"
    assert Problem("expected a value", option="time_budget").render("line") == "--time-budget: expected a value"


def test_the_spelling_of_an_error_is_kept_when_it_is_pickled():
    error = SpecError([Problem("invalid", option="gpus")])
    error.spelling = "line"
    assert str(pickle.loads(pickle.dumps(error))) == "--gpus: invalid"


def test_the_text_of_a_single_problem():
    assert str(SpecError(["only this"])) == "only this"


def test_several_problems_are_sorted_by_line_without_duplicates():
    error = SpecError([Problem("b", 7), Problem("a", 2), "about the whole", Problem("b", 7)])
    assert error.problems == [Problem("about the whole"), Problem("a", 2), Problem("b", 7)]
    assert str(error) == "3 problems, nothing was started:\n  - about the whole\n  - line 2: a\n  - line 7: b"


def test_a_spec_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(SpecError([Problem("b", 7), "a"])))
    assert error.problems == [Problem("a"), Problem("b", 7)]
    assert str(error).startswith("2 problems")


@pytest.mark.parametrize("kind", [ClusterError, ExperimentError, NbtuneError])
def test_a_notebook_shows_only_the_message_of_an_error(kind):
    assert kind("no way")._render_traceback_() == [f"{kind.__name__}: no way"]
    assert isinstance(kind("no way"), NbtuneError)


def test_a_notebook_shows_only_the_message_of_a_spec_error():
    assert SpecError(["no way"])._render_traceback_() == ["SpecError: no way"]


def test_did_you_mean_suggests_the_nearest_name_or_nothing():
    assert did_you_mean("metrik", ["mode", "metric"]) == " (did you mean 'metric'?)"
    assert did_you_mean("zzz", ["mode", "metric"]) == ""
    assert did_you_mean("x", []) == ""
