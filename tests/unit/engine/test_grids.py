"""nbtune.engine.search.grids and make: grids, and the number of trials."""

from dataclasses import replace

import pytest

from nbtune import Space
from nbtune.engine.search import grids
from nbtune.engine.search.grids import trial_count
from nbtune.engine.search.make import make_search
from nbtune.errors import SpecError
from nbtune.launch.check_algorithms import check_algorithms
from nbtune.spec.options.named import Named
from nbtune.spec.options.options import Spec

CONDITIONAL = Space.from_cell('kind: choice(["a", "b"])\nn: randint(1, 4) if kind == "a" else 0\nx: uniform(0, 1)')


@pytest.mark.parametrize(
    ("text", "search", "trials"),
    [
        ("a: choice([1, 2])\nb: randint(0, 3)", "grid", 2 * 6),
        ("a: choice([1, 2])\nb: randint(0, 3)", "random", 2),
        ("a: grid_search([1, 2])\nb: uniform(0, 1)", "random", 2 * 2),
        ("a: choice([1, 2])\nb: choice([3, 4]) if a == 1 else None", "grid", 2 * 3),
        ("a: choice([1, 2])\nb: randint(0, a)", "grid", 2 * 3),
        ("a: choice([1, 2])\nb: choice([1, 2])\nrequire(a != b)", "grid", 2 * 2),
        ("a: grid_search([1, 2, 3])\nb: uniform(0, 1)\nrequire(a + b < 3)", "random", 2 * 3),
        ("a: choice([1, 2])\nb: uniform(0, a)", "optuna", 2),
    ],
)
def test_number_of_trials(text, search, trials):
    spec, space = Spec(samples=2, search=Named(search)), Space.from_cell(text)
    assert trial_count(spec, space) == trials
    if search != "optuna":
        made = make_search(spec, space)
        assert made.samples * (1 if made.grid is not None else trials // 2) == trials


def test_enumerated_points_do_not_set_sampled_parameters():
    search = make_search(Spec(search=Named("random")), Space.from_cell("a: grid_search([1, 2])\nb: uniform(0, a)"))
    assert search.grid == ({"a": 1}, {"a": 2})
    assert not search.replaces_rejected


def test_points_to_evaluate_come_before_the_grid():
    spec = Spec(search=Named("grid"), points=({"kind": "a", "n": 2},))
    space = Space(CONDITIONAL.parameters[:2])
    assert trial_count(spec, space) == 1 + 4
    assert make_search(spec, space).algorithm._points_to_evaluate[0] == {"kind": "a", "n": 2}


def test_a_grid_with_too_many_points_is_an_error(monkeypatch):
    monkeypatch.setattr(grids, "MAX_GRID_POINTS", 3)
    with pytest.raises(SpecError, match="expected a grid of at most 3 points"):
        trial_count(Spec(search=Named("grid")), Space(CONDITIONAL.parameters[:2]))


def test_a_grid_needs_a_finite_number_of_values_under_every_condition():
    check_algorithms(Spec(search=Named("grid")), CONDITIONAL, problems := [])
    (problem,) = problems
    assert problem.render(line=False).startswith(
        "x: uniform(0, 1) is not searched by grid: a grid needs a finite number of values"
    )
    space = Space.from_cell("a: choice([1, 2])\nb: uniform(0, 1) if a == 1 else None")
    check_algorithms(Spec(search=Named("grid")), space, problems := [])
    (problem,) = problems
    assert "b: uniform(0, 1) if a == 1 else None is not searched by grid: a grid needs" in str(problem)


def test_accepted_configurations():
    search = make_search(Spec(), Space.from_cell("a: choice([0, 1])\nrequire(1 / a > 0)"))
    assert search.accepts({"a": 1})
    assert not search.accepts({"a": 0}), "accepted though the constraint cannot be evaluated"
    assert search.replaces_rejected


def test_points_to_evaluate_do_not_count_per_sample():
    spec, space = Spec(search=Named("grid"), points=({"kind": "b"},) * 3), Space(CONDITIONAL.parameters[:2])
    assert trial_count(spec, space) == 3 + 4
    assert trial_count(replace(spec, samples=1, points=()), space) == 4
