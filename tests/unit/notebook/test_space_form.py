"""SpaceForm: what it reads, what it tells its browser half, and its values."""

import dataclasses
import threading

import optuna
import pytest
import ray

import nbtune
from nbtune.errors import NbtuneError, SpecError
from nbtune.spec.space.domain import Domain
from nbtune.testing import replay
from nbtune.views.base.channel import BaseWidget
from tests.browser.space_kernel import CELL, sweep_events

LR = {"kind": "number", "id": "n1", "name": "lr", "lower": "1e-4", "upper": "1e-1", "log": True}


@pytest.fixture
def sent(monkeypatch):
    """Every message to the browser."""
    found = []
    monkeypatch.setattr(BaseWidget, "send", lambda self, content, buffers=None: found.append(content))
    return found


def edit(form, *rows, seq=1, line=None):
    """Send what the browser would, and wait for the pictures."""
    form._received(form, {"type": "edit", "token": "t", "seq": seq, "rows": rows, "line": line or form._line}, [])
    settle()


def settle():
    for thread in threading.enumerate():
        if thread.name == "nbtune-samples":
            thread.join(60)


def of(sent, kind):
    return [message for message in sent if message["type"] == kind]


def test_an_empty_form_has_no_space_yet():
    form = nbtune.SpaceForm()
    assert (form.space, form.valid, form.text) == (None, False, "")
    assert repr(form) == "SpaceForm (empty)"
    with pytest.raises(SpecError, match="add a parameter first"):
        form.write()


def test_the_fields_become_the_space(sent):
    form = nbtune.SpaceForm()
    edit(form, LR)
    assert form.space == nbtune.Space.from_cell("lr: loguniform(1e-4, 1e-1)")
    assert isinstance(form.space, nbtune.Space)
    assert form.valid
    assert form.text.startswith("%%tune sweep --metric score --mode max --samples 10\nlr: loguniform(1e-4, 1e-1)\n")
    answer = of(sent, "checked")[0]
    assert (answer["token"], answer["seq"], answer["blocked_reason"], answer["grid"]) == ("t", 1, "", "10 trials")
    assert answer["text"] == form.text


def test_the_latest_valid_space_is_kept(sent):
    form = nbtune.SpaceForm()
    edit(form, LR)
    space, text = form.space, form.text
    edit(form, {**LR, "lower": "much"}, seq=2)
    assert (form.space, form.text, form.valid) == (space, text, False)
    answer = of(sent, "checked")[-1]
    assert list(answer["problems"]) == ["n1"]
    assert answer["text"] == text
    assert answer["blocked_reason"] == "correct the marked fields first"
    assert repr(form) == f"SpaceForm (the last valid cell):\n{text}"


def test_changes_can_be_observed(sent):
    form = nbtune.SpaceForm()
    seen = []
    form.observe(lambda change: seen.append((change.name, change.new)), ["space", "valid"])
    edit(form, LR)
    edit(form, LR, seq=2)
    edit(form, {**LR, "upper": ""}, seq=3)
    assert [name for name, _ in seen] == ["space", "valid", "valid"]
    assert [value for name, value in seen if name == "valid"] == [True, False]


def test_a_ready_message_is_answered_with_the_form(sent):
    form = nbtune.SpaceForm(CELL)
    form._received(form, {"type": "ready", "token": "t", "seq": 0}, [])
    settle()
    told, checked, pictures, _ = sent
    assert [row["name"] for row in told["rows"]][:3] == ["lr", "hidden", "optimizer"]
    assert told["line"]["more"] == "--cpus 2"
    assert told["choices"]["mode"] == ["min", "max"]
    assert checked["text"] == CELL
    assert {pictures["token"], checked["token"], told["token"]} == {"t"}


def test_each_parameter_has_a_picture_of_its_samples(sent):
    form = nbtune.SpaceForm(CELL)
    form._received(form, {"type": "ready", "token": "t", "seq": 0}, [])
    settle()
    found = of(sent, "pictures")[0]
    assert found["sampling_error"] == ""
    names = {row.id: row.name for row in form._rows}
    pictures = {names[key]: picture for key, picture in found["pictures"].items()}
    assert list(pictures) == ["lr", "hidden", "optimizer", "momentum", "epochs", "noise", "model/layers", "model/act"]
    assert sum(pictures["lr"]["counts"]) == 300
    assert "log scale" in pictures["lr"]["text"]
    assert pictures["hidden"]["labels"] == ["32", "64", "128"]
    assert 0 < pictures["momentum"]["none"] < 300
    assert "no value in" in pictures["momentum"]["text"]
    assert pictures["optimizer"]["labels"] == ["sgd", "adam"]


def test_without_a_cluster_there_is_no_plan_and_none_is_started(sent, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # an earlier test's may be there

    def starts(**options):
        raise AssertionError("this would start one")

    monkeypatch.setattr("nbtune.launch.planning.plan", starts)
    form = nbtune.SpaceForm()
    edit(form, LR)
    assert of(sent, "plan")[0]["lines"] == ["no cluster is connected, so there is no plan"]


def test_a_constraint_that_no_sample_fulfils_is_reported(sent):
    form = nbtune.SpaceForm("a: uniform(0, 1)\nrequire(a > 2)")
    form._received(form, {"type": "ready", "token": "t", "seq": 0}, [])
    settle()
    assert "require(a > 2)" in of(sent, "pictures")[0]["sampling_error"]


def test_the_number_of_trials_of_a_grid(sent):
    form = nbtune.SpaceForm("%%tune --samples 3\na: grid_search([1, 2])\nb: grid_search([1, 2])")
    edit(form, *map(dataclasses.asdict, form._rows))
    assert of(sent, "checked")[0]["grid"] == "12 trials: 3 x a grid of 4"


def test_a_form_from_a_dictionary_or_space():
    space = {"lr": nbtune.loguniform(1e-4, 1e-1), "model": {"hidden": nbtune.choice([32, 64])}}
    form = nbtune.SpaceForm(space)
    assert form.space == nbtune.Space.from_dict(space)
    assert nbtune.SpaceForm(form.space).text == form.text
    assert nbtune.SpaceForm(form).space == form.space


def test_a_form_sees_the_variables_that_it_is_given():
    form = nbtune.SpaceForm("layer: choice([Net, None])", namespace={"Net": dict})
    assert form.space["layer"].domain == Domain("choice", {"categories": [dict, None]})


def test_a_form_from_an_experiment_has_suggestions():
    form = nbtune.SpaceForm(replay(sweep_events()))
    assert form.text == CELL.rstrip("\n")
    assert form.suggestions[0].startswith("widen lr up to 1: 4 of its 4 best trials lie at the upper bound (0.1)")
    assert form.suggestions[-1].startswith("use the values of the best trial (19) as defaults: lr 0.1")


def test_a_form_from_a_study():
    study = optuna.create_study(direction="maximize")
    optuna.logging.disable_default_handler()
    study.optimize(lambda trial: trial.suggest_float("x", 2, 4), n_trials=20)
    form = nbtune.SpaceForm(study)
    assert form.space["x"].domain == Domain("uniform", {"lower": 2.0, "upper": 4.0})
    assert "--mode max" in form.text
    assert form.suggestions


def test_a_form_from_a_study_of_several_objectives():
    study = optuna.create_study(directions=["maximize", "minimize"])
    optuna.logging.disable_default_handler()
    study.optimize(lambda trial: (trial.suggest_float("x", 2, 4), 1), n_trials=20)
    form = nbtune.SpaceForm(study)
    assert "--metric score_1,score_2 --mode max,min" in form.text
    assert list(form.suggestions) == [], "no trial is the best one"
    study.set_metric_names(["acc", "latency"])
    assert "--metric acc,latency --mode max,min" in nbtune.SpaceForm(study).text


@pytest.mark.parametrize("source", [3, object()])
def test_other_sources_are_refused(source):
    with pytest.raises(SpecError, match="expected a search space"):
        nbtune.SpaceForm(source)


def test_a_cell_with_a_syntax_error_is_refused():
    with pytest.raises(SpecError, match="the cell is not valid Python"):
        nbtune.SpaceForm("a: uniform(0, 1")


def test_writing_needs_a_notebook():
    with pytest.raises(NbtuneError, match="writing a cell requires a notebook"):
        nbtune.SpaceForm(CELL).write()


def test_writing_inserts_the_cell_into_the_notebook(monkeypatch):
    written = []

    class Shell:
        def set_next_input(self, text, replace):
            written.append((text, replace))

    monkeypatch.setattr("nbtune.shell.shell", Shell)
    nbtune.SpaceForm(CELL).write()
    assert written == [(CELL, False)]


def test_the_form_is_a_space_to_the_magic():
    from nbtune.launch.check_space import as_space

    form = nbtune.SpaceForm(CELL)
    assert as_space(form, []) is form.space
