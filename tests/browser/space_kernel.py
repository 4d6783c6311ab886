"""The kernel's part of the preview page of the form on a space: the Python widget without Jupyter."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

from nbtune.engine.protocol.events import Event, ExperimentUpdated, TrialAdded, TrialEnded, TrialReported, TrialStarted
from nbtune.engine.protocol.metadata import Metadata
from nbtune.notebook.space_form import SpaceForm
from nbtune.testing import replay

CELL = """%%tune digits --metric accuracy --mode max --samples 20 --scheduler asha --cpus 2
# how fast it learns
lr: loguniform(1e-4, 1e-1) = 1e-2
hidden: choice([32, 64, 128]) = 64
optimizer: choice(["sgd", "adam"]) = "sgd"
momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9
epochs: randint(5, 20) = 10
noise: randn(0, 0.1)
model: {"layers": randint(1, 4), "act": choice(["relu", "tanh"])} = {"layers": 2, "act": "relu"}
require(hidden * epochs <= 1024)

model = make_model(hidden)
for epoch in range(epochs):
    report(accuracy=train(model, lr))
"""
WRONG = """%%tune wrong --metric accuracy --samples none
lr: loguniform(0, abc) = 1e-2
steps: uniform(10, 1)
lr: choice([])
size: choice([small, 2])
momentum: uniform(0.8, 0.99) if optimzer == "sgd" else None
text: choice(["<img src=x onerror=alert(1)>", "<b>bold</b>"])

report(accuracy=lr)
"""
MANY = "\n".join(
    f"p{i}: {('uniform(0, %d)', 'loguniform(1e-%d, 1)', 'randint(0, %d)', 'choice(list(range(%d)))')[i % 4] % (i + 2)}"
    for i in range(30)
)


def sweep_events(trials: int = 20) -> Iterator[Event]:
    """Yield the events of a sweep whose best trials are at the upper bound of lr."""
    metadata: Metadata = {
        "name": "digits",
        "metric": "accuracy",
        "mode": "max",
        "trials": trials,
        "source": CELL,
        "status": "running",
    }
    yield ExperimentUpdated(time=0.0, metadata=metadata)
    for trial in range(trials):
        lr = 10 ** (-4 + 3 * min(1, (trial + 1) / 17))
        config = {
            "lr": lr,
            "hidden": [32, 64, 128][trial % 3],
            "optimizer": "adam",
            "momentum": None,
            "epochs": 7,
            "noise": 0.0,
            "model": {"layers": 2, "act": "relu"},
        }
        yield TrialAdded(trial, 1.0, ray_id=f"t{trial}", config=config, folder=f"t{trial}")
        yield TrialStarted(trial, 1.0)
        yield TrialReported(trial, 2.0, 1, 1.0, metrics={"accuracy": trial / trials})
        yield TrialEnded(trial, 2.0, 1, status="finished", reason="done")
    yield ExperimentUpdated(time=3.0, metadata={"status": "finished"})


def _source(scenario: str) -> Any:
    if scenario == "experiment":
        return replay(sweep_events())
    return {"empty": None, "cell": CELL, "errors": WRONG, "many": MANY}[scenario]


class SpaceKernel:
    """Answers the messages of pages; each page has its own form."""

    def __init__(self) -> None:
        self._forms: dict[str, tuple[SpaceForm, queue.Queue[Any]]] = {}

    def answers(self, scenario: str, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the kernel's messages after a message of the browser."""
        if message["type"] not in ("ready", "edit"):
            return
        token = message["token"]
        if token not in self._forms:
            form = SpaceForm(_source(scenario), namespace={})
            sent: queue.Queue[dict[str, Any]] = queue.Queue()
            form.send = lambda content, buffers=None: sent.put(content)
            self._forms[token] = (form, sent)
        form, sent = self._forms[token]
        form._received(form, message, [])
        while not form._background.idle or not sent.empty():
            try:
                yield sent.get(timeout=0.05)
            except queue.Empty:
                continue
