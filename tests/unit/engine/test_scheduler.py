"""nbtune.engine.tune.scheduler: what the user's scheduler does by itself, its rungs, and its state in a snapshot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.fs as pafs
import pytest
from ray.tune import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    PopulationBasedTraining,
    ResourceChangingScheduler,
    TrialScheduler,
)

from nbtune.engine.protocol.chunk import decode, encode
from nbtune.engine.protocol.events import TrialAdded, TrialReported
from nbtune.engine.protocol.replay import past_of
from nbtune.engine.search.make import make_search
from nbtune.engine.tune.resumption import Resumption
from nbtune.engine.tune.rungs import Decision
from nbtune.engine.tune.scheduler import SteerableScheduler
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space


class Loop:
    """Tune's loop with trials that report when they are told to."""

    search_alg = None

    def __init__(self, inner: TrialScheduler, folder: Path, trials: int = 4) -> None:
        self.folder, self.ended = folder, []
        self.failures = Failures()
        self.scheduler = SteerableScheduler(inner, lambda trial: None, ended := dict[str, str](), self.failures)
        self.ended, self.decisions, self.silent = ended, list[tuple[str, float, bool, int]](), list[str]()
        self.scheduler.on_rung = self._note
        self.scheduler.on_no_progress = self.silent.append
        self.scheduler.set_search_properties("y", "max")
        self._tune_controller = SimpleNamespace(_actor_manager=SimpleNamespace())
        self.trials = [Trial("t", stub=True, trial_id=f"id{number}") for number in range(trials)]
        for trial in self.trials:
            trial.storage = self.storage
            self.scheduler.on_trial_add(self, trial)
            trial.status = Trial.RUNNING

    @property
    def storage(self) -> Any:
        return SimpleNamespace(
            storage_filesystem=pafs.LocalFileSystem(),
            experiment_fs_path=str(self.folder),
            experiment_driver_staging_path=str(self.folder),
        )

    def _note(self, decision: Decision, iteration: int) -> None:
        self.decisions.append((decision.trial.trial_id, decision.rung, decision.goes_on, iteration))

    def get_trials(self) -> list[Trial]:
        return self.trials

    def get_live_trials(self) -> set[Trial]:
        return {trial for trial in self.trials if not trial.is_finished()}

    def stop_trial(self, trial: Trial) -> None:
        if trial.status == Trial.RUNNING:
            self.scheduler.on_trial_complete(self, trial, trial.last_result)
        else:
            self.scheduler.on_trial_remove(self, trial)
        trial.status = Trial.TERMINATED

    def report(self, number: int, iteration: int, y: float, **more: Any) -> str:
        trial = self.trials[number]
        trial.status = Trial.RUNNING
        result = {"training_iteration": iteration, "y": y, **more}
        decision = self.scheduler.on_trial_result(self, trial, dict(result))
        trial.run_metadata.last_result = result
        if decision == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED
        if decision == TrialScheduler.STOP:
            self.scheduler.on_trial_complete(self, trial, result)
            trial.status = Trial.TERMINATED
        if (first := self.failures.first) is not None:
            raise first
        return decision


def test_asha_tells_what_it_decides_at_its_rungs(tmp_path: Path) -> None:
    for wrap in (lambda inner: inner, ResourceChangingScheduler):
        loop = Loop(wrap(AsyncHyperBandScheduler(max_t=9, reduction_factor=2)), tmp_path)
        loop._reuse_actors = False
        loop._resource_updater = SimpleNamespace(get_num_cpus=lambda: 0, get_num_gpus=lambda: 0)
        for trial in loop.trials:
            trial.placement_group_factory = trial.placement_group_factory or None
        if wrap is ResourceChangingScheduler:
            loop.scheduler._inner._resources_allocation_function = None
        loop.report(0, 1, 5.0)
        loop.report(1, 1, 1.0)
        loop.report(0, 2, 5.0)
        assert loop.decisions == [("id0", 1, True, 1), ("id1", 1, False, 1), ("id0", 2, True, 2)]
        assert loop.ended == {"id1": "scheduler"}
        loop.report(0, 9, 5.0)
        loop.report(2, 9, 0.0)
        assert loop.ended == {"id1": "scheduler", "id0": "max_t", "id2": "max_t"}, "also the worst one"


def test_hyperband_tells_whom_it_drops_while_they_wait(tmp_path: Path) -> None:
    loop = Loop(HyperBandScheduler(max_t=9, reduction_factor=3), tmp_path, trials=8)
    bracket = [number for number in range(8) if loop.scheduler._inner._trial_info[loop.trials[number]][0]._halves == 1]
    values = dict(zip(bracket, (5.0, 1.0, 2.0, 4.0, 3.0), strict=False))
    for number in bracket:
        for iteration in (1, 2, 3):
            loop.report(number, iteration, values[number])
    dropped = {f"id{number}" for number in bracket if values[number] < 4}
    assert loop.ended == dict.fromkeys(dropped, "scheduler")
    assert {(name, goes_on) for name, rung, goes_on, _ in loop.decisions if rung == 3} == {
        (f"id{number}", f"id{number}" not in dropped) for number in bracket
    }
    assert {iteration for *_, iteration in loop.decisions} == {3}
    rest = [number for number in bracket if f"id{number}" not in dropped]
    assert len(rest) > 1, "all but the last one wait"
    for number in rest:
        loop.report(number, 9, values[number])
    assert {name for name, why in loop.ended.items() if why == "max_t"} == {f"id{number}" for number in rest}


def test_the_time_of_a_bracket_that_ends_before_max_t(tmp_path: Path) -> None:
    """Ray Tune rounds the rungs: the last one of the first bracket of BOHB is at 9 of 10."""
    loop = Loop(HyperBandForBOHB(max_t=10, reduction_factor=3), tmp_path, trials=1)
    loop.search_alg = SimpleNamespace(searcher=SimpleNamespace(on_pause=lambda _: None, on_unpause=lambda _: None))
    for iteration in (1, 3, 9):
        loop.report(0, iteration, 1.0)
        loop.scheduler.choose_trial_to_run(loop)
    assert loop.ended == {"id0": "max_t"}


def test_a_trial_that_ends_by_itself_was_not_stopped(tmp_path: Path) -> None:
    loop = Loop(HyperBandScheduler(max_t=9), tmp_path)
    loop.report(0, 1, 1.0)
    loop.stop_trial(loop.trials[0])
    assert loop.ended == {}


def test_a_scheduler_that_measures_by_what_nobody_reports_is_told_once(tmp_path: Path) -> None:
    loop = Loop(HyperBandScheduler(time_attr="epoch", max_t=9), tmp_path)
    for number in (0, 1):
        assert loop.report(number, 1, 1.0) == TrialScheduler.CONTINUE
        loop.stop_trial(loop.trials[number])
    assert loop.silent == ["epoch"]
    loop = Loop(HyperBandScheduler(time_attr="epoch", max_t=9), tmp_path)
    loop.report(0, 1, 1.0, epoch=1)
    loop.report(1, 1, 1.0)
    loop.stop_trial(loop.trials[1])
    assert loop.silent == [], "some reports have it"
    assert Loop(FIFOScheduler(), tmp_path).scheduler._has_progress


class Told(FIFOScheduler):
    """Notes the values with which trials are over; None of those that are removed."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float | None] = []

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        self._metric = metric
        return True

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Any) -> None:
        self.told.append(result["y"])

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self.told.append(None)


def test_the_last_usable_result_of_a_trial_counts_after_a_resumption(tmp_path: Path) -> None:
    """Its last report has no number, and it ends without another one."""
    inner = Told()
    loop = Loop(inner, tmp_path, trials=2)
    events = [
        TrialAdded(0, ray_id="id0", folder="id0", config={}),
        TrialReported(0, iteration=1, time_s=1.0, metrics={"y": 2.0}),
        TrialReported(0, iteration=2, time_s=1.0, metrics={"other": 1.0}),
        TrialAdded(1, ray_id="id1", folder="id1", config={}),
    ]
    search = SteerableSearch(make_search(Spec(), Space()), None, None, Failures())
    recorder: Any = SimpleNamespace(ended_by_scheduler={})
    Resumption(loop.scheduler, search, recorder, failed=False).catch_up(past_of(decode(encode(0, events))), loop.trials)
    for trial in loop.trials:
        loop.scheduler.on_trial_complete(loop, trial, {"other": 1.0, "training_iteration": 2})
    assert inner.told == [2.0, None]


def test_the_state_of_a_population_survives_a_moved_folder(tmp_path: Path) -> None:
    first, moved = tmp_path / "first", tmp_path / "moved"
    for folder in (first, moved):
        (folder / "trial_id0" / "checkpoint_000003").mkdir(parents=True)
    loop = Loop(PopulationBasedTraining("training_iteration", hyperparam_mutations={"a": [1]}), first)
    states = loop.scheduler._inner._trial_state
    kept, gone = states[loop.trials[0]], states[loop.trials[1]]
    kept.last_checkpoint = Checkpoint(f"{first}/trial_id0/checkpoint_000003", filesystem=pafs.LocalFileSystem())
    gone.last_checkpoint = Checkpoint(f"{first}/trial_id1/checkpoint_000001", filesystem=pafs.LocalFileSystem())
    kept.last_score, kept.last_perturbation_time = 7.0, 3
    state = loop.scheduler.dump_state()
    assert state is not None
    assert str(first).encode() not in state

    other = Loop.__new__(Loop)
    other.__dict__.update(loop.__dict__, folder=moved)
    inner = PopulationBasedTraining("training_iteration", hyperparam_mutations={"a": [1]})
    other.scheduler = SteerableScheduler(inner, lambda trial: None, set(), Failures())
    other.scheduler.set_search_properties("y", "max")
    other.scheduler.load_state(state)
    other.trials = [Trial("t", stub=True, trial_id=f"id{number}") for number in (0, 1, 2, 9)]
    for trial in other.trials:
        trial.storage = other.storage
        other.scheduler.on_trial_add(other, trial)
    assert other.scheduler.choose_trial_to_run(other).trial_id in {"id0", "id1", "id2", "id9"}
    assert other.scheduler.failures.first is None
    restored = other.scheduler._inner._trial_state
    assert [trial.trial_id for trial in restored if isinstance(trial, Trial)] == ["id0", "id1", "id2", "id9"]
    again = restored[other.trials[0]]
    assert (again.last_score, again.last_perturbation_time) == (7.0, 3)
    assert again.last_checkpoint.path == f"{moved}/trial_id0/checkpoint_000003"
    assert restored[other.trials[1]].last_checkpoint is None, "it does not exist"
    missing = [trial for trial in restored if not isinstance(trial, Trial)]
    assert [trial.trial_id for trial in missing] == ["id3"]
    assert missing[0].is_finished(), "it is compared with nobody"


@pytest.mark.parametrize("inner", [HyperBandScheduler(max_t=9), AsyncHyperBandScheduler()], ids=["hyperband", "asha"])
def test_the_state_refers_to_trials_by_their_ids(tmp_path: Path, inner: TrialScheduler) -> None:
    loop = Loop(inner, tmp_path)
    loop.report(0, 1, 5.0)
    state = loop.scheduler.dump_state()
    assert state is not None
    loop.scheduler.load_state(state)
    assert loop.scheduler.dump_state() == state, "it is not restored yet"
    loop.scheduler.choose_trial_to_run(loop)
    assert loop.failures.first is None
    loop.report(0, 2, 5.0)
    loop.report(1, 1, 4.0)


def test_a_trial_that_is_about_to_be_paused_is_visible_to_the_scheduler_that_gets_its_result(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    class Looks(FIFOScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            seen.append({one.trial_id for one in tune_controller.get_live_trials()})
            return TrialScheduler.CONTINUE

    loop = Loop(Looks(), tmp_path, trials=2)
    loop.scheduler.pause("id0")
    loop.report(0, 1, 1.0)
    loop.report(1, 1, 1.0)
    assert seen == [{"id0", "id1"}, {"id1"}]
