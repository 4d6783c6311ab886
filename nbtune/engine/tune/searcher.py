"""The user's search algorithm, wrapped: it accepts points of the user, more samples and another limit while it runs."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune.search import SearchAlgorithm
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.search_generator import SearchGenerator

from nbtune.engine._ray.tune import points_of, restart_generator
from nbtune.engine.protocol.registry import Live, filesystem_by_reference
from nbtune.engine.protocol.result import metric_names
from nbtune.engine.search.grid_parts import grid_parts
from nbtune.engine.search.make import Search
from nbtune.engine.search.tokens import with_values
from nbtune.engine.tune.background import Background
from nbtune.engine.tune.capacity import Capacity
from nbtune.engine.tune.remembering import Remembering
from nbtune.engine.tune.repeats import Outcome, Repeats
from nbtune.engine.tune.requested import RequestedTrial, RequestState
from nbtune.engine.tune.search_state import HasState, changed_files, versions
from nbtune.engine.tune.usable_results import UsableResults
from nbtune.engine.tune.user_part import Failures, ends_experiment

__all__ = ["SteerableSearch"]

_STATE = "nbtune-search-{}.pkl"


class SteerableSearch(Live, Capacity, Remembering, SearchAlgorithm):
    """The user's search algorithm, with a queue of requested trials and a limit of concurrent trials.

    Args:
        search: the algorithm, the number of its samples, and which configurations are accepted.
        slots: how many trials fit on the cluster at once; None if it can grow.
        max_concurrent: the user's limit, or None.
        failures: receives what the algorithm raises, and what functions of the space raise.

    Attributes:
        on_saved: called with the files of each snapshot of Tune's, before they are stored.
        moved: takes a checkpoint that a trial starts from, and returns it as it is in the experiment's present folder.
        snapshot: a local folder with the state of an earlier run, whose snapshot has no trials, so that Tune does not
            restore it; or None.
        stored_with: the scheduler and the callbacks, whose states are stored with that of the algorithm.
    """

    role = "search"

    def __init__(self, search: Search, slots: int | None, max_concurrent: int | None, failures: Failures) -> None:
        self.failures, self.part = failures, f"the search algorithm {type(search.algorithm).__name__}"
        self._background = Background(search.algorithm, makes_proposals=search.is_slow)
        self._inner = self._background.algorithm
        Capacity.__init__(self, slots)
        self._search = search
        self.on_created: Callable[[Any], None] = lambda trial: None
        self.on_dropped: Callable[[int], None] = lambda trials: None
        self._earlier: dict[str, int] = {}  # files of an earlier run, which are not signed again: name -> version
        self.on_saved: Callable[[list[Path]], None] = lambda files: None
        self.snapshot: str | None = None
        self.stored_with: Sequence[HasState] = ()
        self.moved: Callable[[Any], Any] = lambda start: start
        repeats = Repeats(search.repeat) if search.repeat > 1 else None
        self._state = RequestState(max_concurrent=max_concurrent, repeats=repeats)
        self._configs: dict[str, dict[str, Any]] = {}  # of the requested trials that are not over
        self._results, self._is_unreadable = UsableResults(), False  # whether restoring an earlier state has failed

    # -- the user's commands ----------------------------------------------------------------------

    @property
    def max_concurrent(self) -> int | None:
        """How many trials may run at once."""
        return self._state.max_concurrent

    @max_concurrent.setter
    def max_concurrent(self, max_concurrent: int | None) -> None:
        self._state.max_concurrent = max_concurrent

    def request(self, trial: RequestedTrial) -> None:
        """Queue a trial. Trials of an earlier run come first, and all of them before the algorithm's proposals.

        Args:
            trial: what to create.
        """
        earlier = sum(one.past is not None for one in self._state.requested)
        self._state.requested.insert(len(self._state.requested) if trial.past is None else earlier, trial)

    def forget_created(self, user_trials: Sequence[str], known: Collection[str]) -> None:
        """Drop the requests of trials that exist, which were queued when the snapshot was written.

        Args:
            user_trials: the ids of the trials that the user has requested, according to the event log.
            known: the ids of all trials that the event log or Tune's snapshot has.
        """
        self._state.forget_created(user_trials, known)

    def added_by(self, trial_id: str) -> str:
        """Return who has added a trial: "user" or "search".

        Args:
            trial_id: Tune's id.
        """
        return "user" if trial_id in self._state.user_trials else "search"

    def place(self, trial_id: str) -> tuple[int, int] | None:
        """Return the number of a trial's configuration, and that of its repeat; None if none is repeated.

        Args:
            trial_id: Tune's id.
        """
        return None if self._state.repeats is None else self._state.repeats.place(trial_id)

    def extend(self, samples: int) -> None:
        """Let the algorithm propose more samples.

        Args:
            samples: the number of additional samples, or of repetitions of the grid.

        Raises:
            TypeError: the algorithm does not support it.
        """
        inner = self._inner
        if isinstance(inner, BasicVariantGenerator):
            points = [copy.deepcopy(point) for _ in range(samples) for point in self._search.grid or ()]
            more = copy.copy(self._state.experiment)
            more.spec = {**more.spec, "num_samples": samples if self._search.grid is None else len(points)}
            restart_generator(inner, [more] if points else grid_parts(more), points)
        elif isinstance(inner, SearchGenerator):
            self._background.tell("add_samples", samples)
        else:
            raise TypeError(f"the search algorithm {type(inner).__name__} does not accept more samples")

    # -- Tune's interface ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @property
    def searcher(self) -> Any:
        return self._inner.searcher  # the scheduler of BOHB tells it of the trials that it pauses

    @ends_experiment(True)
    def set_search_properties(self, /, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    @property
    def total_samples(self) -> int:
        return int(self._inner.total_samples) * self._search.repeat + self._state.added

    @ends_experiment(None)
    def add_configurations(self, experiments: Any) -> None:
        # A restored tuner whose snapshot cannot be read starts a new run, without the number of samples.
        experiments[0].spec["num_samples"] = self._search.samples
        self._state.experiment = experiments[0]
        inner = self._inner
        is_grid = isinstance(inner, BasicVariantGenerator) and not points_of(inner)  # each part would begin with these
        for experiment in grid_parts(experiments[0]) if is_grid else experiments:
            inner.add_configurations([experiment])
        if self.snapshot is not None and self.has_checkpoint(self.snapshot):
            self.restore_from_dir(self.snapshot)
            self._state.experiment = experiments[0]
            shutil.rmtree(self.snapshot, ignore_errors=True)

    @ends_experiment(None)
    def next_trial(self) -> Any:
        if not self._has_capacity() or self.failures.first is not None:
            return None
        if self._state.requested:
            requested = self._state.requested.popleft()
            trial = self._create(requested)
            self._state.note_start(trial.trial_id, requested.start)
            return trial
        if (repeats := self._state.repeats) is not None and (due := repeats.due()) is not None:
            return self._repeat(repeats, *due)
        if (trial := self._propose()) is not None:
            self._state.proposed.add(trial.trial_id)
            if repeats is not None:
                repeats.begin(trial.trial_id, with_values(trial.config), by="search")
        return trial

    @ends_experiment(None)
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        seen = self._results.add(trial_id, result, self.metric)
        # Of repeats, only the mean of their last results counts.
        if seen is not None and self.place(trial_id) is None and (name := self._name(trial_id)) is not None:
            self._background.tell("on_trial_result", name, seen)

    @ends_experiment(None)
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.on_over(trial_id)
        if trial_id in self._state.over:  # Tune's list of trials is older than this state
            return
        self._state.over[trial_id] = error
        if not error:
            self._state.starts.pop(trial_id, None)  # one that has failed may be tried again
            # Tune gives no result of a trial that is stopped while it is paused.
            result = self._results.end(trial_id, result or {}, self.metric)
            error = result is None  # a trial without any number has failed
        self._results.forget(trial_id)
        config, repeats = self._configs.pop(trial_id, None), self._state.repeats
        if repeats is not None and repeats.place(trial_id) is not None:
            self._tell(repeats.end(trial_id, None if error else result))
        elif config is not None:
            self.add_result(config, result, error=error)
        elif (name := self._name(trial_id)) is not None:
            self._background.tell("on_trial_complete", name, result=result, error=error)

    def _name(self, trial_id: str) -> str | None:
        """Return the algorithm's id of a trial; None if it does not wait for the trial's results."""
        return self._state.names.get(trial_id, trial_id) if trial_id in self._state.proposed else None

    def _tell(self, outcome: Outcome | None) -> None:
        """Tell the algorithm the result of a configuration, once it is known."""
        if outcome is None:
            return
        error = outcome.result is None
        if (name := self._name(outcome.trial_id)) is not None:
            self._background.tell("on_trial_complete", name, result=outcome.result, error=error)
        else:
            self.add_result(outcome.config, outcome.result, error=error)

    def needed_checkpoints(self) -> set[str]:
        """Return the paths of the checkpoints that trials without a trial of Tune's start from, on another thread."""
        return self._state.needed_checkpoints()

    def add_result(self, config: Mapping[str, Any], result: Mapping[str, Any] | None, *, error: bool = False) -> None:
        """Give the algorithm the last result of a point that it has not proposed, if it supports that.

        Args:
            config: the point.
            result: the result, or None.
            error: whether its trial has failed.
        """
        values = [(result or {}).get(metric) for metric in metric_names(self.metric)]
        if values and None not in values and not error:
            value = values[0] if isinstance(self.metric, str) else values
            self._background.tell("add_evaluated_point", self._search.tokens.encode_config(config), value)

    @ends_experiment(False)
    def is_finished(self) -> bool:
        if self.failures.first is not None:  # nothing more is proposed
            return True
        due = None if self._state.repeats is None else self._state.repeats.due()
        return not self._state.requested and due is None and self._background.is_finished()

    def set_finished(self) -> None:
        self._state.requested.clear()
        if self._state.repeats is not None:
            self._state.repeats.drop_due()
        self._background.tell("set_finished")

    # -- state in Tune's snapshot -----------------------------------------------------------------

    @ends_experiment(None)
    def save_to_dir(self, /, dirpath: str, session_str: str = "", **more: Any) -> None:
        if not self._is_unreadable:  # else the state of the earlier run stays as it is for the next resumption
            target = Path(dirpath, _STATE.format(session_str))
            part = target.with_suffix(".part")
            with filesystem_by_reference():
                saved = self._background.save(dirpath, session_str)
                # These states are here: Tune writes that of callbacks later, when it is too late to sign it.
                others = [one.dump_state() for one in self.stored_with]
                part.write_bytes(cloudpickle.dumps((self._state, self._configs, saved, others)))
            part.replace(target)
        self.on_saved(changed_files(dirpath, self._earlier))

    def has_checkpoint(self, dirpath: str) -> bool:
        self._earlier = versions(dirpath)
        return any(Path(dirpath).glob(_STATE.format("*")))

    @ends_experiment(None)
    def restore_from_dir(self, dirpath: str) -> None:
        newest = max(Path(dirpath).glob(_STATE.format("*")))
        self._is_unreadable = True
        self._state, self._configs, saved, others = cloudpickle.loads(newest.read_bytes())
        self._state.move(self.moved)
        self._background.restore(dirpath, saved)
        self._is_unreadable = False
        for one, state in zip(self.stored_with, others, strict=False):
            if state is not None:
                one.load_state(state)
