"""nbtune.spec.forms.suggest: what the best trials say about the space."""

import pytest

from nbtune.spec.forms.form import Form
from nbtune.spec.forms.suggest import ScoredTrial, suggest


def suggestions(text, configs):
    """Suggest for a space whose first configurations were the best."""
    form = Form.read(text, {})
    space = form.check(form.layout.rows, form.line).space
    return suggest(form.layout.rows, space, [ScoredTrial(n, config, float(n)) for n, config in enumerate(configs)])


def changes(text, configs):
    return [one.changes for one in suggestions(text, configs) if "default" not in next(iter(one.changes.values()))]


def spread(low, high, count=20):
    return [{"a": low + (high - low) * position / (count - 1)} for position in range(count)]


@pytest.mark.parametrize(
    ("domain", "best", "change"),
    [
        ("uniform(2, 4)", 3.95, {"upper": "5"}),
        ("uniform(2, 4)", 2.02, {"lower": "1"}),
        ("uniform(-1, 1)", -0.99, {"lower": "-2"}),
        ("uniform(0, 1)", 0.99, None),  # a share
        ("uniform(0, 4)", 0.01, None),  # nothing that begins at 0 is meant to be negative
        ("uniform(2, 4)", 3.5, None),
        ("loguniform(1e-4, 1e-1)", 0.09, {"upper": "1"}),
        ("loguniform(1e-4, 1e-1)", 1.1e-4, {"lower": "1e-05"}),
        ("quniform(0, 4, 0.5)", 4.0, {"upper": "6"}),
        ("randint(10, 30)", 29, {"upper": "40"}),
        ("lograndint(1, 100)", 1, None),
    ],
)
def test_a_bound_that_the_best_lie_at_is_moved(domain, best, change):
    configs = [{"a": best}] * 4 + [{"a": 3 if "int" not in domain else 15}] * 16
    assert changes(f"a: {domain}", configs) == ([{"a": change}] if change else [])


def test_why_is_said():
    text = suggestions("a: uniform(2, 4)", [{"a": 3.95}] * 4 + spread(2, 4, 16))[0].text
    assert text == "widen a up to 5: 4 of its 4 best trials lie at the upper bound (4)"


def test_one_at_the_bound_is_chance():
    assert changes("a: uniform(2, 4)", [{"a": 3.95}, {"a": 3}, {"a": 2.5}, {"a": 3.2}, *spread(2, 4, 16)]) == []


def test_of_few_trials_nothing_is_said():
    assert suggestions("a: uniform(2, 4)", [{"a": 3.95}] * 3) == []


def test_a_value_that_is_never_among_the_best_is_left_out():
    configs = [{"a": "x"}] * 10 + [{"a": "y"}] * 20 + [{"a": "z"}]
    found = suggestions('a: choice(["x", "y", "z"])', configs)[0]
    assert found.changes == {"a": {"values": '"x", "z"'}}  # z was tried too rarely to say
    assert found.text == 'drop from a: "y" (20 trials); none of these trials is among the best 6'


def test_values_that_are_not_written_out_are_left_alone():
    assert changes("a: choice(list(range(2)))", [{"a": 0}] * 10 + [{"a": 1}] * 20) == []


def test_the_best_trials_values_become_defaults():
    found = suggestions(
        'a: uniform(0, 9) = 1\nb: choice(["x", "y"])', [{"a": 3.14159, "b": "x"}] + [{"a": 5.0, "b": "y"}] * 5
    )
    assert found[-1].changes == {"a": {"default": "3.142"}, "b": {"default": '"x"'}}
    assert found[-1].text == 'use the values of the best trial (0) as defaults: a 3.142, b "x"'


def test_a_default_stays_within_its_bounds():
    found = suggestions("a: uniform(0, 0.99996)", [{"a": 0.99996}] + [{"a": 0.5}] * 5)
    assert found[-1].changes == {"a": {"default": "0.99996"}}


def test_what_has_a_condition_is_judged_by_the_trials_that_have_it():
    configs = [{"a": 3.95, "b": 1}] * 3 + [{"a": None, "b": 2}] * 12
    assert changes("a: uniform(2, 4) if b == 1 else None\nb: choice([1, 2])", configs)[0] == {"a": {"upper": "5"}}
