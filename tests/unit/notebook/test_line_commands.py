"""nbtune.notebook.commands: the commands of %tune about an experiment."""

import math

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.commands import (
    AddTrial,
    ExtendSearch,
    PauseTrial,
    ResumeTrial,
    SetMaxConcurrent,
    StopExperiment,
    StopTrial,
)
from nbtune.engine.protocol.events import ExperimentUpdated, TrialEnded
from nbtune.errors import ExperimentError, SpecError
from nbtune.notebook.commands import COMMANDS, execute, take_code
from nbtune.results.experiment import Experiment
from nbtune.spec.options.tokenizer import split_line
from nbtune.testing import example, replay
from tests.unit.results.test_experiment import Going, until


@pytest.fixture
def digits():
    events = [event for event in example(trials=3, reports=4, failing=0) if not isinstance(event, TrialEnded)]
    events = events[:-1]  # it still runs
    source = Going(decode(encode(0, events)), speed=math.inf)  # a Replay would be lost at its end
    experiment = Experiment(source)
    until(lambda: len(experiment.trials) == 3 and all(one.status == "running" for one in experiment.trials.values()))
    return experiment, source


@pytest.mark.parametrize(
    ("command", "line", "given"),
    [
        ("stop", "digits", StopExperiment()),
        ("stop", "digits 2", StopTrial(2)),
        ("pause", "digits 0", PauseTrial(0)),
        ("resume", "digits 1", ResumeTrial(1)),
        ("add", "digits lr=0.01 hidden=64", AddTrial({"lr": 0.01, "hidden": 64})),
        ("add", "digits", AddTrial({})),
        ("add", "digits lr=rate hidden='wide'", AddTrial({"lr": 0.5, "hidden": "wide"})),
        ("extend", "digits 5", ExtendSearch(5)),
        ("limit", "digits 2", SetMaxConcurrent(2)),
        ("limit", "digits none", SetMaxConcurrent(None)),
    ],
)
def test_commands(digits, command, line, given):
    experiment, source = digits
    said = execute(command, line, {"digits": experiment, "rate": 0.5})
    assert source.commands == [given]
    assert said


def test_a_clone_has_the_other_values_of_its_trial(digits):
    experiment, source = digits
    said = execute("clone", "digits 1 --checkpoint hidden=64", {"digits": experiment})
    config = {**experiment.trials[1].config, "hidden": 64}
    assert source.commands == [AddTrial(config, start_from=1)]
    assert said == "example tries trial 1 again from its checkpoint with hidden=64 next"


@pytest.mark.parametrize(
    ("command", "line", "problem"),
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
        ("extend", "digits 0", "samples: expected an integer >= 1, got 0"),
        ("limit", "digits many", "%tune limit needs how many trials may run at once"),
        ("limit", "digits 0", "max_concurrent: expected an integer >= 1, got 0"),
    ],
)
def test_what_is_wrong_is_said(digits, command, line, problem):
    experiment, source = digits
    with pytest.raises((SpecError, ExperimentError)) as raised:
        execute(command, line, {"digits": experiment})
    assert problem in str(raised.value)
    assert source.commands == []


def test_every_command_is_on_the_help_page():
    from nbtune.spec.options.help import help_page

    page = help_page()
    for command in COMMANDS:
        assert f"%tune {command} NAME" in page


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        ("stop", "digits", "example is finished: there is nothing to stop"),
        ("stop", "digits 0", "example is finished: there is nothing to stop"),
        ("pause", "digits 0", "example is finished: there is nothing to pause"),
        ("limit", "digits 1", "example is finished: there is nothing to limit"),
    ],
)
def test_what_is_fulfilled_by_the_end_of_the_experiment_is_no_error(command, line, said):
    assert execute(command, line, {"digits": replay(example(trials=2, reports=2))}) == said


def test_what_is_fulfilled_by_the_end_of_a_trial_is_no_error():
    source = Going(decode(encode(0, list(example(trials=2, reports=2, failing=0))[:-1])))
    experiment = Experiment(source)
    until(lambda: experiment.trials and experiment.trials[1].status == "finished")
    for command in ("stop", "pause"):
        said = execute(command, "digits 1", {"digits": experiment})
        assert said == f"trial 1 of example is finished: there is nothing to {command}"
    experiment.trials[1].stop()
    experiment.trials[1].pause()
    assert source.commands == []
    experiment.stop()
    assert source.commands == [StopExperiment()]
    source._chunks += decode(
        encode(source._chunks[-1].end, [ExperimentUpdated(time=1.0, metadata={"status": "stopped"})])
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("digits", (["digits"], "stored")),
        ("digits --code new", (["digits"], "new")),
        ("--code=stored digits mine", (["digits", "mine"], "stored")),
    ],
)
def test_the_code_of_a_resumed_experiment(line, expected):
    assert take_code(split_line(line)) == expected


@pytest.mark.parametrize("line", ["digits --code", "digits --code old", "--code digits"])
def test_another_code_is_refused(line):
    with pytest.raises(SpecError, match="--code: expected new or stored, got"):
        take_code(split_line(line))
