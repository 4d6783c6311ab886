"""Several objectives are checked before the start."""

from __future__ import annotations

import pytest
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch

from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.errors import SpecError
from nbtune.launch.check_objectives import check_objectives
from nbtune.launch.prepare import prepare_cell
from nbtune.spec.options.named import Named
from nbtune.spec.options.objectives import Objective
from nbtune.spec.options.options import Spec

CELL = "lr: uniform(0, 1)\nreport(acc=lr, loss=1)"
BOTH = {"metric": "acc,loss", "mode": "max,min"}
SEVERAL = (Objective("acc", "max"), Objective("loss", "min"))


def problems(**options):
    with pytest.raises(SpecError) as caught:
        prepare_cell(CELL, {**BOTH, **options}, {})
    return caught.value.render("line")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_of_one_metric_is_refused_with_those_that_take_several(name):
    entry = ALGORITHMS[name]
    found = [problem.message for problem in check_objectives(Spec(several=SEVERAL, search=Named(name)), entry, None)]
    if entry.needs_metric and entry.objectives == 1:
        assert len(found) == 1
        assert found[0].startswith(
            f"{name} optimises one metric, and there are 2: acc, loss. Algorithms that take several: "
        )
        assert "random, grid, optuna" in found[0]
    else:
        assert found == []


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_that_compares_trials_is_told_by_which_metric(name):
    entry = SCHEDULERS[name]
    spec = Spec(several=SEVERAL, scheduler=Named(name))
    found = [problem.render("line") for problem in check_objectives(spec, None, entry)]
    if not entry.needs_metric:
        assert found == []
        return
    assert found == [
        f"--scheduler: {name} compares trials by one metric; give it one of acc, loss, with its mode: --scheduler"
        f" {name}(metric='acc', mode='max')"
    ]
    told = Spec(several=SEVERAL, scheduler=Named(name, {"metric": "loss", "mode": "min"}))
    assert list(check_objectives(told, None, entry)) == []


def test_what_is_accepted():
    for options in (
        {},
        {"search": "grid", "scheduler": "asha(metric='loss', mode='min', max_t=9)"},
        {"scheduler": ASHAScheduler(metric="acc", mode="max")},
        {"search": OptunaSearch(metric=["acc", "loss"], mode=["max", "min"])},
        {"search": BasicVariantGenerator()},
    ):
        cell = CELL.replace("uniform(0, 1)", "choice([1, 2])")
        assert prepare_cell(cell, {**BOTH, **options}, {}).spec.several == SEVERAL
    own = prepare_cell(CELL, {"search": OptunaSearch(metric=["acc", "loss"], mode=["max", "min"])}, {}).spec
    assert (own.several, own.scope) == (SEVERAL, "last")


def test_what_is_refused():
    assert "--metric: the cell never reports 'time'" in problems(metric="acc,time")
    assert "asha has no argument 'max'" in problems(scheduler="asha(metric='acc', mode='max', max=3)")
    assert "expected mode='min' or mode='max', got 'best'" in problems(scheduler="asha(metric='acc', mode='best')")
    assert "AsyncHyperBandScheduler compares trials by one metric: create it with metric=… (of acc, loss)" in problems(
        scheduler=ASHAScheduler()
    )
    created = "create OptunaSearch with the objectives, metric=['acc', 'loss'] and mode=['max', 'min']"
    assert created in problems(search=OptunaSearch())
    text = problems(search=OptunaSearch(metric=["loss", "acc"], mode=["max", "min"]))
    assert "OptunaSearch was created with metric=['loss', 'acc'], but --metric is ['acc', 'loss']" in text
    with pytest.raises(SpecError, match="asha uses the experiment's own metric: leave it out here"):
        prepare_cell(CELL, {"metric": "acc", "mode": "max", "scheduler": "asha(metric='acc', mode='max')"}, {})
