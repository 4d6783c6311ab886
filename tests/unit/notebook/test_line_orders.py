"""nbtune.notebook.orders: what is written behind %tune, and what comes of it."""

import math

import pytest

from nbtune.engine.protocol.events import decode, encode
from nbtune.errors import ExperimentError, SpecError
from nbtune.notebook.orders import ORDERS, carry_out
from nbtune.results.experiment import Experiment
from nbtune.testing import Replay, example


@pytest.fixture
def digits():
    events = list(example(trials=3, reports=4, failing=0))[:-1]  # it still runs
    source = Replay(decode(encode(0, events)), speed=math.inf)
    experiment = Experiment(source)
    experiment.arrive()
    return experiment, source


@pytest.mark.parametrize(
    ("order", "line", "given"),
    [
        ("stop", "digits", ("stop", {})),
        ("stop", "digits 2", ("stop_trial", {"trial": 2})),
        ("pause", "digits 0", ("pause_trial", {"trial": 0})),
        ("resume", "digits 1", ("resume_trial", {"trial": 1})),
        ("add", "digits lr=0.01 hidden=64", ("add", {"config": {"lr": 0.01, "hidden": 64}})),
        ("add", "digits", ("add", {"config": {}})),
        ("add", "digits lr=rate hidden='wide'", ("add", {"config": {"lr": 0.5, "hidden": "wide"}})),
        ("extend", "digits 5", ("extend", {"samples": 5, "trials": 5})),
        ("limit", "digits 2", ("limit", {"number": 2})),
        ("limit", "digits none", ("limit", {"number": None})),
    ],
)
def test_orders(digits, order, line, given):
    experiment, source = digits
    said = carry_out(order, line, {"digits": experiment, "rate": 0.5})
    assert source.commands == [given]
    assert said


def test_a_clone_takes_the_rest_from_its_trial(digits):
    experiment, source = digits
    said = carry_out("clone", "digits 1 --checkpoint hidden=64", {"digits": experiment})
    config = {**experiment.trials[1].config, "hidden": 64}
    assert source.commands == [("add", {"config": config, "start": 1})]
    assert said == "example tries trial 1 again from its checkpoint with hidden=64 next"


@pytest.mark.parametrize(
    ("order", "line", "problem"),
    [
        ("stop", "", "%tune stop needs an experiment: %tune stop NAME [TRIAL]"),
        ("stop", "digits x", "%tune stop needs a trial's number"),
        ("pause", "digits", "%tune pause needs a trial's number: %tune pause NAME TRIAL"),
        ("pause", "digits 9", "has no trial 9; it has 3, numbered from 0"),
        ("pause", "digis 0", "there is no experiment 'digis' in this notebook (did you mean 'digits'?)"),
        ("add", "digits lr", "'lr' is not NAME=VALUE"),
        ("add", "digits hiden=1", "has no parameter 'hiden' (did you mean 'hidden'?); it has lr, hidden"),
        ("add", "digits lr='1", "the quote ' at position 11 is not closed"),
        ("extend", "digits", "%tune extend needs how many samples"),
        ("extend", "digits 0", "samples=0 is no whole number of 1 or more"),
        ("limit", "digits many", "%tune limit needs how many trials may run at once"),
        ("limit", "digits 0", "max_concurrent=0 is no whole number of 1 or more"),
    ],
)
def test_what_is_wrong_is_said(digits, order, line, problem):
    experiment, source = digits
    with pytest.raises((SpecError, ExperimentError)) as raised:
        carry_out(order, line, {"digits": experiment})
    assert problem in str(raised.value)
    assert source.commands == []


def test_every_order_is_on_the_help_page():
    from nbtune.spec.options.help import help_page

    page = help_page()
    for order in ORDERS:
        assert f"%tune {order} NAME" in page
