"""nbtune.spec.cell.reports: the metrics that code reports, as far as its source shows."""

import ast
import importlib
from pkgutil import iter_modules

import pytest

from nbtune import frameworks
from nbtune.spec.cell.reports import Reports, find_reports


def reports(source, *, returns=True):
    body = ast.parse(f"def cell():\n{''.join(f'    {line}{chr(10)}' for line in source.splitlines())}").body[0].body
    return find_reports(body, returns=returns)


@pytest.mark.parametrize(
    ("source", "metrics"),
    [
        ("report(loss=1)", ("loss",)),
        ("report(loss=1, accuracy=2)\nreport(epoch=3)", ("loss", "accuracy", "epoch")),
        ("report({'loss': 1, 'val/acc': 2})", ("loss", "val/acc")),
        ("report({'loss': 1}, epoch=2)", ("epoch", "loss")),
        ("report(metrics={'loss': 1})", ("loss",)),
        ("report(loss=1, checkpoint=path)", ("loss",)),
        ("tune.report({'loss': 1})", ("loss",)),
        ("ray.train.report({'loss': 1}, checkpoint=c)", ("loss",)),
        ("nbtune.report(loss=1)", ("loss",)),
        ("for e in range(3):\n    if e:\n        report(loss=1)", ("loss",)),
        ("def f():\n    report(loss=1)", ("loss",)),
        ("class C:\n    def on_end(self):\n        report(loss=1)", ("loss",)),
        ("return {'loss': 1}", ("loss",)),
        ("report(a=1)\nreturn {'loss': 1}", ("a", "loss")),
        ("if x:\n    return {'loss': 1}\nreport(a=1)", ("a", "loss")),
        ("report(loss=1)\nreport(loss=2)\nreturn", ("loss",)),
    ],
)
def test_reports_with_literal_names_are_complete(source, metrics):
    assert reports(source) == Reports(metrics, True, True)


@pytest.mark.parametrize(
    ("source", "metrics"),
    [
        ("report(**values)", ()),
        ("report(loss=1, **values)", ("loss",)),
        ("report(values)", ()),
        ("report(*values)", ()),
        ("report({**values, 'loss': 1})", ("loss",)),
        ("report({name: 1})", ()),
        ("report(metrics=values)", ()),
        ("train(callback=report)", ()),
        ("r = report\nr(loss=1)", ()),
        ("train(on_epoch=tune.report)", ()),
        ("return values", ()),
        ("return {**values}", ()),
    ],
)
def test_reports_without_literal_names_are_incomplete(source, metrics):
    assert reports(source) == Reports(metrics, False, True)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "return",
        "report = 5",
        "def f():\n    return {'loss': 1}",
        "f = lambda: {'loss': 1}",
    ],
)
def test_code_without_reports(source):
    assert reports(source) == Reports((), True, False)


def test_a_return_is_a_report_only_on_request():
    assert reports("return {'loss': 1}", returns=False) == Reports((), True, False)


@pytest.mark.parametrize(
    "source",
    [
        "reporter(loss=1)",
        "from ray.tune.integration.lightning import TuneReportCheckpointCallback as Callback",
        "trainer.fit(callbacks=[RayTrainReportCallback()])",
        "nbtune.lightning.trainer(max_epochs=2).fit(model)",
        "from nbtune import lightning as nl\nnl.trainer().fit(model)",
        "nbtune.transformers.trainer(model, train_dataset=rows).train()",
    ],
)
def test_code_with_report_in_a_name_may_report_any_metric(source):
    assert reports(source) == Reports((), False, True)


def test_every_framework_with_a_trainer_of_its_own_may_report_any_metric():
    modules = [importlib.import_module(f"nbtune.frameworks.{one.name}") for one in iter_modules(frameworks.__path__)]
    names = [module.__name__.rpartition(".")[2] for module in modules if "trainer" in module.__all__]
    assert len(names) >= 2
    for name in names:
        assert reports(f"nbtune.{name}.trainer()") == Reports((), False, True), name


@pytest.mark.parametrize(
    ("code", "may"),
    [
        ("report(a=1)", False),
        ("report({'a': 1})", False),
        ("report(a=1, checkpoint=None)", False),
        ("return {'a': 1}", False),
        ("report(a=1, checkpoint=state)", True),
        ("tune.report({'a': 1}, checkpoint)", True),
        ("report(**values)", True),
        ("report(*values)", True),
        ("fit(report)", True),
        ("fit(callbacks=[TuneReportCheckpointCallback()])", True),
    ],
)
def test_reports_that_may_include_checkpoints(code, may):
    assert find_reports(ast.parse(code).body, returns=True).checkpoints == may
