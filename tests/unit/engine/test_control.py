"""nbtune.engine.tune.control: each command reaches what executes it, on the thread that calls the callback."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import get_args

import pytest
from ray.tune.experiment import Trial

from nbtune.engine.protocol.commands import (
    AddTrial,
    Command,
    ExtendSearch,
    PauseTrial,
    ResumeTrial,
    SetMaxConcurrent,
    StopExperiment,
    StopTrial,
)
from nbtune.engine.protocol.replay import Past, PastTrial
from nbtune.engine.protocol.source import RefusedError
from nbtune.engine.tune.control import Control, InterruptedRun
from nbtune.engine.tune.stopping import Stopping
from nbtune.engine.tune.user_part import Failures


class Calls:
    """An object whose methods record their calls as (method, arguments)."""

    def __init__(self, **attributes):
        self.calls = []
        self.__dict__.update(attributes)

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args)) or True


class Run:
    """A control between stand-ins for Tune's parts, with a running and a finished trial."""

    def __init__(self, *, knows_controller=True, **options):
        self.trials = [self._trial("id0", Trial.RUNNING), self._trial("id1", Trial.TERMINATED)]
        self.scheduler, self.search_alg = Calls(controller=None, pausing={}), Calls()
        self.recorder = Calls(numbers={"id0": 0, "id1": 1}, stopped_by_user=set(), ended_by_scheduler={})
        self.stopping = Stopping(None, (), None, Failures())
        self.control = Control(
            self.scheduler, self.search_alg, self.stopping, self.recorder, complete=lambda config: {**config}, **options
        )
        self.paused_by_user = []
        self.recorder.on_paused = self._paused
        self.tune = Calls()
        if knows_controller:
            self.control.on_controller(self.tune)

    def _paused(self, trial, *, by_user):
        self.paused_by_user.append(by_user)
        self.recorder.calls.append(("on_paused", (trial,)))

    @staticmethod
    def _trial(trial_id, status):
        return SimpleNamespace(
            trial_id=trial_id,
            status=status,
            is_finished=lambda: status == Trial.TERMINATED,
            latest_checkpoint_result="checkpoint of " + trial_id if trial_id == "id0" else None,
            temporary_state=SimpleNamespace(ray_actor=None),
        )

    def execute(self, command) -> Future:
        future = self.control.submit(command)
        assert not future.done(), "only Tune's thread executes commands"
        self.control.on_step_begin(1, self.trials)
        return future


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_resumed_trial_that_the_scheduler_has_paused_as_well_stays_paused(goes_on):
    run = Run()
    run.trials[0].status = Trial.PAUSED
    run.scheduler.goes_on = lambda trial_id: goes_on
    assert run.execute(ResumeTrial(0)).result(0) is None
    counted, recorded = run.search_alg.calls, [name for name, _ in run.recorder.calls]
    assert counted == [("on_queued" if goes_on else "on_paused_by_scheduler", ("id0",))]
    assert recorded == ["on_queued" if goes_on else "on_paused"]


@pytest.mark.parametrize("command", [AddTrial({"a": 1}), AddTrial({}, start_from=0), ExtendSearch(2)])
def test_a_replay_takes_no_further_trial(command):
    run = Run(takes_one_trial=True)
    with pytest.raises(RefusedError, match="its scheduler replays the schedule of one trial"):
        run.execute(command).result(0)
    assert not run.search_alg.calls


def test_a_trial_that_the_scheduler_has_paused_stays_paused_if_the_user_pauses_it_as_well():
    run = Run()
    run.trials[0].status = Trial.PAUSED
    run.scheduler.is_paused = lambda trial_id: False
    assert run.execute(PauseTrial(0)).result(0) is None
    assert run.scheduler.calls == [("pause", ("id0",))]
    assert run.search_alg.calls == [("on_paused_by_user", ("id0",))]
    assert [name for name, _ in run.recorder.calls] == ["on_paused"]
    run.scheduler.is_paused = lambda trial_id: True
    with pytest.raises(RefusedError, match="trial 0 is already paused"):
        run.execute(PauseTrial(0)).result(0)


@pytest.mark.parametrize("requested", [True, False])
def test_a_pause_that_is_requested_while_the_scheduler_pauses_the_trial_is_the_users(requested):
    run = Run()
    run.scheduler.pausing, run.scheduler.saved, run.search_alg.started = {"id0": False}, [], []
    run.scheduler.is_paused = lambda trial_id: requested
    run.trials[0].status = Trial.PAUSED
    run.control.on_step_end(1, run.trials)
    assert run.search_alg.calls == [("on_paused_by_user" if requested else "on_paused_by_scheduler", ("id0",))]
    assert run.paused_by_user == [requested]


def test_pause_and_resume_reach_the_scheduler():
    run = Run()
    assert run.execute(PauseTrial(0)).result(0) is None
    assert run.execute(ResumeTrial(0)).result(0) is None
    assert run.scheduler.calls == [("pause", ("id0",)), ("resume", ("id0",))]


def test_commands_about_the_search_reach_the_search_algorithm_and_the_log():
    run = Run(trials_per_sample=4)
    run.execute(AddTrial({"lr": 0.1}, start_from=0)).result(0)
    run.execute(ExtendSearch(3)).result(0)
    run.execute(SetMaxConcurrent(2)).result(0)
    (request, (requested,)), extend = run.search_alg.calls
    assert (request, requested.config, requested.start) == ("request", {"lr": 0.1}, "checkpoint of id0")
    assert (extend, run.search_alg.max_concurrent) == (("extend", (3,)), 2)
    assert run.recorder.calls == [
        ("on_trial_count_changed", (1,)),
        ("on_trial_count_changed", (12,)),
        ("write_metadata", ({"max_concurrent": 2},)),
    ]


def test_what_is_requested_before_the_first_trial_is_confirmed_once_a_snapshot_has_it():
    run = Run(knows_controller=False)
    done, _ = run.execute(ExtendSearch(3)), run.control.submit(StopExperiment())
    run.control.on_step_begin(2, [])
    assert not done.done()
    run.control.on_controller(run.tune)
    with pytest.raises(InterruptedRun):
        run.control.on_step_begin(3, [])
    assert done.result(0) is None
    assert [name for name, _ in run.tune.calls] == ["checkpoint", "checkpoint"]
    failing = Run()
    failing.tune.checkpoint = _disk_is_full
    with pytest.raises(OSError, match="full"):
        failing.execute(ExtendSearch(3)).result(0)


def _disk_is_full(**how):
    raise OSError("the disk is full")


class Resumed(Run):
    """A control of a resumed experiment, whose log has the running trial only."""

    def __init__(self, *first):
        past = Past({}, {"id0": PastTrial(0, "id0")})
        super().__init__(past=past, first=first)
        self.scheduler.controller = SimpleNamespace(get_trials=lambda: self.trials, _tune_controller=Calls())


def test_a_refused_command_that_came_with_the_resumption_ends_the_run():
    run = Resumed(PauseTrial(0), StopTrial(1))
    with pytest.raises(RefusedError, match="trial 1 is over"):
        run.control.setup()


def test_a_refused_command_that_comes_while_the_run_is_set_up_does_not_end_it():
    run = Resumed()
    late = [run.control.submit(StopTrial(1)), run.control.submit(PauseTrial(7))]
    run.control.setup()
    for future, why in zip(late, ["trial 1 is over", "there is no trial 7"], strict=True):
        with pytest.raises(RefusedError, match=why):
            future.result(0)


def test_a_stop_of_the_experiment_interrupts_the_run():
    run = Run()
    future = run.control.submit(StopExperiment())
    with pytest.raises(InterruptedRun):
        run.control.on_step_begin(1, run.trials)
    assert future.result(0) is None
    assert run.control.interrupted


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (StopTrial(1), "trial 1 is over"),
        (PauseTrial(1), "trial 1 is over: only a running trial can be paused"),
        (StopTrial(7), "there is no trial 7"),
        (AddTrial({}, start_from=1), "trial 1 has no checkpoint to start from"),
    ],
)
def test_a_command_that_cannot_be_executed_is_refused_with_the_reason(command, message):
    run = Run()
    with pytest.raises(RefusedError, match=message):
        run.execute(command).result(0)
    assert run.execute(PauseTrial(0)).result(0) is None, "the next command is executed"


def test_every_command_is_executed_or_refused():
    run = Run()
    examples = [StopTrial(0), PauseTrial(0), ResumeTrial(0), AddTrial({}), ExtendSearch(1), SetMaxConcurrent(None)]
    assert {type(command) for command in examples} | {StopExperiment} == set(get_args(Command))
    for command in examples[1:]:
        assert run.execute(command).exception(0) is None
