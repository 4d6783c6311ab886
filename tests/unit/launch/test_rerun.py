"""nbtune.launch.rerun: the same cell again while its experiment runs, and other experiments of the same name."""

import types

import pytest

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.commands import StopExperiment
from nbtune.engine.protocol.events import ExperimentUpdated
from nbtune.errors import ExperimentError
from nbtune.launch import rerun
from nbtune.launch.prepare import prepare_cell, prepare_function
from nbtune.launch.registry import register
from nbtune.launch.rerun import find_running, free_name, namesake_note, remember_cell
from nbtune.launch.start import recorded_options
from nbtune.results.experiment import Experiment
from nbtune.spec.options.line import parse_line
from nbtune.spec.space.json import space_to_json
from tests.unit.results.test_experiment import Going, until

CELL = "lr: uniform(0, 1)\nreport(acc=lr)"


def prepared(line="digits --metric acc --mode max", cell=CELL):
    parsed = parse_line(line, {})
    assert not parsed.problems
    return prepare_cell(cell, parsed.options, {}, magic=f"%%tune {line}")


class Stoppable(Going):
    """It ends when it is stopped."""

    def send(self, command):
        super().send(command)
        if isinstance(command, StopExperiment):
            end = ExperimentUpdated(time=2.0, metadata={"status": "stopped"})
            self._chunks += decode(encode(self._chunks[-1].end, [end]))


def started(request=None, **metadata):
    """An experiment that runs, as `launch_prepared` starts it."""
    request = request or prepared()
    recorded = {
        "name": request.spec.name,
        "status": "running",
        "trials": 20,
        "source": request.source,
        "options": recorded_options(request.spec),
        "definition": space_to_json(request.space, keep_names=True),
        **metadata,
    }
    experiment = Experiment(Stoppable(decode(encode(0, [ExperimentUpdated(time=1.0, metadata=recorded)]))))
    until(lambda: experiment._store.cursor)
    return experiment


@pytest.fixture
def notebook(monkeypatch):
    """A notebook whose user reads what is printed; `cell` is the id of the cell that runs."""
    state = types.SimpleNamespace(cell="one", interactive=True, notebook="", said=[])
    monkeypatch.setattr(rerun, "cell_id", lambda: state.cell)
    monkeypatch.setattr(rerun, "can_interact", lambda: state.interactive)
    monkeypatch.setattr(rerun, "notebook_id", lambda: state.notebook)
    monkeypatch.setattr(rerun, "say", state.said.append)
    return state


def test_the_same_cell_shows_the_running_experiment_and_names_both_options(notebook):
    experiment = started()
    remember_cell(experiment)
    for cell in ("one", "two"):  # a copy of the cell is the same text
        notebook.cell = cell
        again = prepared("digits --mode max --metric acc --wait")  # the order of options and --wait do not matter
        assert find_running(again, {"digits": experiment}, replaced=False) is experiment
    assert notebook.said[0] == (
        "digits is running, 0 of 20 trials. It was started by this cell; nothing new was started. To stop it and to"
        " start this cell, add --replace; to start this cell beside it under another name, add --new."
    )
    experiment.stop()


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ("digits --metric acc --mode max --samples 9", CELL),
        ("digits --metric acc --mode max", CELL.replace("acc=lr", "acc=-lr")),
        ("digits --metric acc --mode max", CELL.replace("0, 1", "0, 2")),
    ],
)
def test_an_edited_cell_shows_it_as_the_older_text_and_another_cell_is_refused(notebook, line, cell):
    experiment = started()
    remember_cell(experiment)
    variables = {"digits": experiment}
    assert find_running(prepared(line, cell), variables, replaced=False) is experiment
    assert "started by an earlier text of this cell, so its changes are not part of it" in notebook.said[0]
    notebook.cell = "two"
    with pytest.raises(ExperimentError, match="the variable digits is an experiment that is running") as raised:
        find_running(prepared(line, cell), variables, replaced=False)
    assert "add --replace" in raised.value.render("line")
    notebook.cell = None  # a frontend that does not tell: the text may have been edited
    assert find_running(prepared(line, cell), variables, replaced=False) is experiment
    experiment.stop()


def test_where_nobody_reads_the_notice_it_is_an_error(notebook):
    experiment, notebook.interactive = started(), False
    with pytest.raises(ExperimentError, match="the variable digits is an experiment that is running"):
        find_running(prepared(), {"digits": experiment}, replaced=False)
    experiment.stop()


def test_with_replace_it_is_stopped_first_and_one_that_is_stopping_is_waited_for(notebook):
    experiment = started()
    assert find_running(prepared(), {"digits": experiment}, replaced=True) is None
    assert experiment.over
    assert experiment._source.commands == [StopExperiment()]
    experiment = started()
    experiment.stop()
    assert find_running(prepared(), {"digits": experiment}, replaced=False) is None
    assert experiment.over
    assert experiment._source.commands == [StopExperiment()], "it is stopped once"
    assert find_running(prepared(), {"digits": experiment}, replaced=False) is None, "it is over"
    assert notebook.said == []


@pytest.mark.parametrize(
    ("own", "cell", "attached"),
    [("mine", CELL, True), ("other", CELL, False), ("", CELL, False), ("mine", CELL + "\nlr", False)],
)
def test_after_a_restart_of_the_kernel_the_same_cell_of_the_same_notebook_is_found(
    notebook, monkeypatch, own, cell, attached
):
    experiment = started(notebook="mine")
    monkeypatch.setattr(rerun, "_on_cluster", lambda name: [experiment] if name == "digits" else [])
    notebook.notebook = own
    found = find_running(prepared(cell=cell), {}, replaced=False)
    assert found is (experiment if attached else None)
    assert len(notebook.said) == attached
    experiment.stop()


def test_a_function_is_the_same_with_the_same_options(notebook):
    def train(config):
        return {"acc": config["lr"]}

    def request(**options):
        return prepare_function(train, {"lr": 0.5}, {"name": "f", "metric": "acc", "mode": "max", **options})

    experiment = started(request())
    assert find_running(request(), {"f": experiment}, replaced=False) is experiment
    assert "by this cell" in notebook.said[0]
    find_running(request(cpus=2), {"f": experiment}, replaced=False)
    assert "by an earlier text" in notebook.said[1]
    experiment.stop()


def test_the_next_free_name():
    assert free_name("digits", {}) == "digits"
    assert free_name("digits", {"digits": 1, "digits_2": 2}) == "digits_3"


def test_a_note_on_another_running_experiment_of_the_same_name(tmp_path):
    experiment = started(path=str(tmp_path / "digits_2026-11-29_05-00-00-000"))
    register(experiment)
    assert namesake_note("digits") == (
        "another experiment named digits is running: nbtune.attach('digits_2026-11-29_05-00-00-000') returns it"
    )
    assert namesake_note("other") is None
    experiment.stop()
    experiment.wait(10)
    assert namesake_note("digits") is None


def test_replace_and_new_exclude_each_other():
    parsed = parse_line("digits --replace --new", {})
    assert [problem.code for problem in parsed.problems] == ["conflict"]
    assert parse_line("digits --new", {}).new
    assert parse_line("digits --replace", {}).replace
    assert parse_line("digits --replace=yes", {}).problems


def test_the_metrics_that_a_cell_reports_are_known():
    request = prepare_cell("lr: uniform(0, 1)\nif lr > 2:\n    report(a=1)\nreport({'b': 1, **more})", {}, {"more": {}})
    assert request.metrics == ("a", "b")


def test_a_cell_knows_the_metrics_of_the_functions_that_it_calls():
    def helper(value):
        report(inner=value)  # noqa: F821 - a notebook's name
        return {"not": "reported"}

    request = prepare_cell("lr: uniform(0, 1)\nhelper(lr)\nreport(outer=lr)", {}, {"helper": helper})
    assert request.metrics == ("outer", "inner")
