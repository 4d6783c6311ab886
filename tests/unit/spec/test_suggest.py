"""nbtune.spec.forms.suggest: suggested changes of a space from the best trials."""

import pytest

from nbtune.spec.forms.form import Form
from nbtune.spec.forms.suggest import ScoredTrial, suggest


def suggestions(text, configs):
    """Return the suggestions for configurations that are given from best to worst."""
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
        ("uniform(0, 1)", 0.99, None),  # 1 is the natural limit of a share
        ("uniform(0, 4)", 0.01, None),  # 0 is a natural limit
        ("uniform(2, 4)", 3.5, None),
        ("loguniform(1e-4, 1e-1)", 0.09, {"upper": "1"}),
        ("loguniform(1e-4, 1e-1)", 1.1e-4, {"lower": "1e-05"}),
        ("quniform(0, 4, 0.5)", 4.0, {"upper": "6"}),
        ("randint(10, 30)", 29, {"upper": "40"}),
        ("lograndint(1, 100)", 1, None),
    ],
)
def test_a_bound_near_the_best_trials_is_widened(domain, best, change):
    configs = [{"a": best}] * 4 + [{"a": 3 if "int" not in domain else 15}] * 16
    assert changes(f"a: {domain}", configs) == ([{"a": change}] if change else [])


def test_a_suggestion_states_its_reason():
    text = suggestions("a: uniform(2, 4)", [{"a": 3.95}] * 4 + spread(2, 4, 16))[0].text
    assert text == "widen a up to 5: 4 of its 4 best trials lie at the upper bound (4)"


def test_a_single_trial_at_a_bound_suggests_nothing():
    assert changes("a: uniform(2, 4)", [{"a": 3.95}, {"a": 3}, {"a": 2.5}, {"a": 3.2}, *spread(2, 4, 16)]) == []


def test_few_trials_suggest_nothing():
    assert suggestions("a: uniform(2, 4)", [{"a": 3.95}] * 3) == []


def test_a_value_without_good_trials_is_dropped():
    configs = [{"a": "x"}] * 10 + [{"a": "y"}] * 20 + [{"a": "z"}]
    found = suggestions('a: choice(["x", "y", "z"])', configs)[0]
    assert found.changes == {"a": {"values": '"x", "z"'}}  # too few trials have z
    assert found.text == 'drop from a: "y" (20 trials); none of these trials is among the best 6'


def test_values_that_are_not_literals_are_not_dropped():
    assert changes("a: choice(list(range(2)))", [{"a": 0}] * 10 + [{"a": 1}] * 20) == []


def test_the_values_of_the_best_trial_become_defaults():
    found = suggestions(
        'a: uniform(0, 9) = 1\nb: choice(["x", "y"])', [{"a": 3.14159, "b": "x"}] + [{"a": 5.0, "b": "y"}] * 5
    )
    assert found[-1].changes == {"a": {"default": "3.142"}, "b": {"default": '"x"'}}
    assert found[-1].text == 'use the values of the best trial (0) as defaults: a 3.142, b "x"'


def test_a_suggested_default_stays_within_the_bounds():
    found = suggestions("a: uniform(0, 0.99996)", [{"a": 0.99996}] + [{"a": 0.5}] * 5)
    assert found[-1].changes == {"a": {"default": "0.99996"}}


def test_a_conditional_parameter_is_judged_by_the_trials_that_have_it():
    configs = [{"a": 3.95, "b": 1}] * 3 + [{"a": None, "b": 2}] * 12
    assert changes("a: uniform(2, 4) if b == 1 else None\nb: choice([1, 2])", configs)[0] == {"a": {"upper": "5"}}
