"""A sweep through everything that a user can do to a running experiment, and what has to be true afterwards."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs as pafs

import nbtune
from nbtune.engine.protocol.events import (
    AttemptFailed,
    Event,
    ExperimentUpdated,
    RungReached,
    TrialAdded,
    TrialEnded,
    TrialPaused,
    TrialQueued,
    TrialReconfigured,
    TrialStarted,
)
from nbtune.engine.storage.log import read_log
from tests.ray.test_resume import driver_of

REPORTS = 10
"""How often a trial reports that nobody stops."""
SAMPLES = 4
_ATTACHED = """
import json, sys
from contextlib import suppress
import nbtune
nbtune.connect(sys.argv[1])
print(json.dumps(["connected", {}]), flush=True)
for line in sys.stdin:
    path, verb, *arguments = json.loads(line)
    experiment = nbtune.attach(path)
    if verb == "stop":
        with suppress(nbtune.ExperimentError):  # it has ended a moment ago
            experiment.trials[arguments[0]].stop()
    elif verb == "wait":
        experiment.wait(arguments[0])
    statuses = {number: trial.status for number, trial in experiment.trials.items()}
    print(json.dumps([experiment.status, statuses]), flush=True)
    del experiment
"""


def saving(gate: Path | None = None) -> Callable[[dict[str, Any]], None]:
    """Return a training function whose weights are the list of the values of `a` that they were trained with.

    Args:
        gate: a trial reports slowly as long as this file does not exist; None for a steady pace.
    """
    shut = None if gate is None else str(gate)

    def train(config: dict[str, Any]) -> None:
        import os
        import time

        checkpoint = nbtune.get_checkpoint()
        weights = checkpoint["weights"] if checkpoint else []
        while len(weights) < config.get("steps", 10):
            weights = [*weights, config["a"]]
            nbtune.report(acc=sum(weights), used=config["a"], weights=str(weights), checkpoint={"weights": weights})
            if shut is None:
                time.sleep(0.05)
                continue
            until = time.monotonic() + (0.1 if len(weights) < 5 else 2)
            while not os.path.exists(shut) and time.monotonic() < until:
                time.sleep(0.02)

    return train


class Attached:
    """Another kernel on the same cluster, with handles of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, path: str, verb: str, *arguments: Any) -> tuple[str, dict[int, str]]:
        """Attach to an experiment and do something there.

        Args:
            path: the experiment's folder.
            verb: "look", "stop" (a trial) or "wait" (that many seconds).
            arguments: the number of the trial, or the seconds.

        Returns:
            The status of the experiment, and those of its trials.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([path, verb, *arguments]) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> tuple[str, dict[int, str]]:
        """Return its next answer; the first one comes when it is connected."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("["):  # else a message for a user
                status, trials = json.loads(line)
                return status, {int(number): trial for number, trial in trials.items()}
        raise AssertionError("the other kernel has ended; its messages are on stderr")


@contextmanager
def attached_kernel(address: str) -> Iterator[Attached]:
    """Start another kernel on a cluster.

    Args:
        address: the cluster's address.
    """
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", _ATTACHED, address],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        kernel = Attached(process)
        assert kernel.answer()[0] == "connected"
        yield kernel
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Steered:
    """An experiment that has gone through everything, and is over.

    Attributes:
        experiment: the handle that has resumed it.
        resumed: the number of the trial that was paused and resumed.
        stopped: that of the one that was stopped.
        paused: that of the one that was paused when the driver was killed.
        extensions: how often it was extended by one sample.
    """

    experiment: Any
    resumed: int
    stopped: int
    paused: int
    extensions: int


def steer(
    run: Callable[..., Any], until: Callable[..., None], other: Attached, gate: Path, space: Any, **options: Any
) -> Steered:
    """Start an experiment, pause, resume, stop, limit, add, clone, kill, load, resume, extend; return when it is over.

    Args:
        run: the fixture.
        until: the fixture.
        other: another kernel, which attaches to it.
        gate: a file that does not exist yet.
        space: a space with the parameter `a`.
        options: the experiment's options.
    """
    given = {"metric": "acc", "mode": "max", "samples": SAMPLES, "seed": 1, "cpus": 0.5, "max_concurrent": 2}
    experiment = run(saving(gate), space, **{**given, **options})
    until(lambda: len(experiment.history), "it reports")
    extensions = 0

    def extend(but: int = -1) -> None:
        """Extend the experiment by a sample if its scheduler has stopped all trials, or all others."""
        nonlocal extensions
        others = [trial.status for trial in experiment.trials.values() if trial.id != but]
        are_created = len(experiment.trials) == experiment._store.metadata["trials"]
        if are_created and all(status in ("finished", "stopped") for status in others):
            experiment.extend(1)
            extensions += 1

    resumed = pause_one(experiment, until, extend)
    experiment.trials[resumed].resume()
    until(lambda: experiment.trials[resumed].status != "paused" or _waits(experiment, resumed), "it goes on")

    stopped = _stop_one(experiment, until, other, extend, but=resumed)

    experiment.max_concurrent = 3
    paused = pause_one(experiment, until, extend)
    experiment.add(a=0.6)
    experiment.trials[paused].clone(a=0.4, checkpoint=True)
    driver_of(experiment).kill()
    experiment.wait(60)
    assert experiment.status == "lost"

    experiment = nbtune.load(experiment.path)
    assert experiment.trials[paused].status == "paused"
    experiment.resume()
    experiment.extend(1)
    until(lambda: experiment.status == "running", "it runs again")
    if experiment.trials[paused].status == "paused":
        with suppress(nbtune.ExperimentError):  # it goes on by itself
            experiment.trials[paused].resume()
    gate.touch()
    status, trials = other.do(experiment.path, "wait", 120)
    assert status == "finished", experiment.error
    experiment.wait(60)
    assert trials == {number: trial.status for number, trial in experiment.trials.items()}
    return Steered(experiment, resumed, stopped, paused, extensions + 1)


def _waits(experiment: Any, number: int) -> bool:
    """Return whether a trial is paused by its scheduler, and not by the user."""
    return bool(experiment.trials[number].reason == "paused by the scheduler")


def pause_one(experiment: Any, until: Callable[..., None], if_none: Callable[[], None] = lambda: None) -> int:
    """Pause a trial that runs and has saved a checkpoint; return its number when it is paused.

    Args:
        experiment: the experiment.
        until: the fixture.
        if_none: called again and again while there is none.
    """
    asked: list[int] = []

    def is_paused() -> bool:
        if asked and (trial := experiment.trials[asked[-1]]).status in ("running", "pending"):
            return False  # with its next checkpoint
        if asked and trial.reason == "paused by the user":
            return True
        for trial in experiment.trials.values():
            if trial.status == "running" and trial._state.checkpoints:
                with suppress(nbtune.ExperimentError):  # the scheduler has paused it a moment ago
                    trial.pause()
                    asked.append(trial.id)
                    return False
        if_none()
        return False

    until(is_paused, "a trial is paused", 30)
    return asked[-1]


def _stop_one(
    experiment: Any, until: Callable[..., None], other: Attached, if_none: Callable[[int], None], *, but: int
) -> int:
    """Stop a trial that runs and has reported, through another handle; return its number when it is stopped."""
    running: list[int] = []

    def is_found() -> bool:
        running[:] = [
            trial.id
            for trial in experiment.trials.values()
            if trial.status == "running" and trial.metrics and trial.id != but
        ]
        if not running:
            if_none(but)
        return bool(running)

    for _ in range(SAMPLES):  # the scheduler may stop it a moment before
        until(is_found, "a trial runs", 30)
        trial = min(map(experiment.trials.__getitem__, running), key=lambda trial: trial.config["a"])
        status, trials = other.do(experiment.path, "stop", trial.id)
        assert status == "running"
        until(lambda known=trials: known.keys() <= experiment.trials.keys(), "the same trials as the other handle", 30)
        until(lambda trial=trial: trial.status in ("stopped", "finished"), "it is over", 30)
        if trial.reason == "stopped by the user":
            return int(trial.id)
    raise AssertionError("no trial was stopped by the user")


# -- what has to be true afterwards --------------------------------------------------------------------


def check(steered: Steered, *, max_t: int | None) -> None:
    """Check the states, reports, schedule and limits of an experiment that went through everything.

    Args:
        steered: the experiment.
        max_t: after how many reports the scheduler stops the best trial; None if it stops none.
    """
    experiment = steered.experiment
    ends = {event.trial: event for event in events_of(experiment, TrialEnded)}
    assert set(ends) == set(experiment.trials)
    assert (ends[steered.stopped].status, ends[steered.stopped].reason) == ("stopped", "user")
    for number, end in ends.items():
        assert end.status == experiment.df["status"][number]
        if number == steered.stopped:
            continue
        told = f"trial {number}: {end.status}, {end.reason}, {end.iteration} reports"
        if end.reason == "scheduler":
            assert max_t is not None, told
            assert end.status == "stopped", told
            assert end.iteration < max_t, told
        else:
            assert end.status == "finished", told
            assert (end.reason, end.iteration) in {("done", REPORTS), ("max_t", max_t)}, told
    check_reports(experiment)
    assert has_true_schedules(experiment)
    assert overshoot(experiment) <= 0
    sources = {event.trial for event in events_of(experiment, TrialAdded) if event.by == "user"}
    assert len(sources) == 2, "the point and the clone"


def check_reports(experiment: Any) -> None:
    """Check that each report occurs once: weights grow by one with each iteration, also over a pause and a kill.

    A trial that has become the copy of another one goes on with the iteration of that one.
    """
    copies = [event for event in events_of(experiment, TrialReconfigured) if event.source >= 0]
    for number, rows in experiment.history.groupby("trial"):
        iterations = rows["iteration"].tolist()
        firsts = {1, *(copy.source_iteration + 1 for copy in copies if copy.trial == number)}
        jumps = [at for before, at in zip([None, *iterations], iterations, strict=False) if at - 1 != before]
        assert firsts.issuperset(jumps), f"trial {number}: {iterations}"
        assert [len(json.loads(weights)) for weights in rows["weights"]] == iterations, f"trial {number}"


def check_rungs_of_asha(experiment: Any, reduction_factor: float) -> None:
    """Check each decision against the values that were recorded at its rung before it, as the paper's rule is.

    Ray's scheduler also gets the last result of each trial that ends, and records it at the highest rung below it at
    which the trial has no value yet. A clone has none at those below the checkpoint that it has started from.

    Args:
        experiment: the experiment.
        reduction_factor: of the scheduler.
    """
    values = experiment.history.set_index(["trial", "iteration"])["acc"]
    events = events_of(experiment, RungReached, TrialEnded)
    recorded: dict[float, dict[int, float]] = {event.rung: {} for event in events if isinstance(event, RungReached)}
    assert recorded
    for one in events:
        value = values[one.trial, one.iteration]
        if isinstance(one, TrialEnded):
            passed = [rung for rung in recorded if rung <= one.iteration and one.trial not in recorded[rung]]
            if passed:
                recorded[max(passed)][one.trial] = value
            continue
        others = recorded[one.rung]
        assert one.trial not in others, f"trial {one.trial} is compared twice at {one.rung}"
        cutoff = np.nanpercentile([*others.values()], (1 - 1 / reduction_factor) * 100) if others else -math.inf
        assert one.goes_on == (value >= cutoff), f"trial {one.trial} at {one.rung}: {value}, {others}"
        others[one.trial] = value


def check_rungs_of_hyperband(experiment: Any) -> None:
    """Check that no trial goes on that was dropped, and that none is compared twice at a rung.

    Args:
        experiment: the experiment.
    """
    decisions = events_of(experiment, RungReached)
    assert len({(one.trial, one.rung) for one in decisions}) == len(decisions), decisions
    for number, end in {event.trial: event for event in events_of(experiment, TrialEnded)}.items():
        own = [one for one in decisions if one.trial == number]
        assert all(one.goes_on for one in own[:-1]), own
        assert end.reason == "user" or not own or own[-1].goes_on == (end.reason != "scheduler"), (end, own)


def events_of(experiment: Any, *kinds: type[Event]) -> list[Any]:
    """Return the events of an experiment in storage, in order; all, or those of some kinds."""
    chunks = read_log(pafs.LocalFileSystem(), experiment.path)
    return [event for chunk in chunks for event in chunk.events() if not kinds or isinstance(event, kinds)]


def _running(experiment: Any) -> Iterator[tuple[int, float]]:
    """Yield how many trials were running, and how many were allowed to, as the events tell."""
    running: set[int] = set()
    limit = math.inf
    for event in events_of(experiment):
        if isinstance(event, TrialStarted):
            running.add(event.trial)
        elif isinstance(event, (TrialPaused, TrialQueued, TrialEnded, AttemptFailed)):
            running.discard(event.trial)
        elif isinstance(event, ExperimentUpdated):
            limit = event.metadata.get("max_concurrent", limit) or math.inf
        yield len(running), limit


def most_running(experiment: Any) -> int:
    """Return how many trials were running at once."""
    return max(number for number, _ in _running(experiment))


def overshoot(experiment: Any) -> float:
    """Return how many trials more than allowed were running at once."""
    return max(number - limit for number, limit in _running(experiment))


def has_true_schedules(experiment: Any) -> bool:
    """Return whether the schedule of each trial is what its weights were trained with."""
    for trial in experiment.trials.values():
        schedule = experiment.schedule(trial)
        weights = eval(trial.metrics["weights"])
        ends = [*(at for at, _ in schedule[1:]), len(weights)]
        told = [config["a"] for (at, config), end in zip(schedule, ends, strict=True) for _ in range(end - at)]
        if told != weights:
            return False
    return True
