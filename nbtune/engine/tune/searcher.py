"""The user's search algorithm, wrapped: while it runs, it accepts points of the user, more samples and another limit.

Proposals of the algorithm that violate the constraints of the space are rejected before a trial is created.
"""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import ray.cloudpickle as cloudpickle
from ray.tune.search import SearchAlgorithm, Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.search_generator import SearchGenerator
from ray.tune.utils.util import flatten_dict

from nbtune.engine._ray.tune import add_samples, points_of, restart_generator
from nbtune.engine.protocol.registry import Live, filesystem_by_reference
from nbtune.engine.search.algorithms import Search
from nbtune.engine.search.grid_parts import grid_parts
from nbtune.engine.search.sampling import Rejected
from nbtune.engine.search.tokens import from_tokens
from nbtune.engine.tune.continuation import revive, start_from_checkpoint
from nbtune.engine.tune.requested import RequestedTrial, RequestState
from nbtune.engine.tune.search_state import changed_files, restore_search, save_search, versions
from nbtune.engine.tune.usable_results import UsableResults
from nbtune.engine.tune.user_part import Failures, HasUserPart, ends_experiment

__all__ = ["SteerableSearch"]

_log = logging.getLogger(__name__)
_STATE = "nbtune-search-{}.pkl"
_TRIES = 1000  # consecutive rejected proposals after which the search ends


class SteerableSearch(Live, HasUserPart, SearchAlgorithm):
    """The user's search algorithm, with a queue of requested trials and a limit of concurrent trials.

    Args:
        search: the algorithm, the number of its samples, and which configurations are accepted.
        slots: how many trials fit on the cluster at once; None if it can grow.
        max_concurrent: the user's limit, or None.
        failures: receives what the algorithm raises, and what functions of the space raise.

    Attributes:
        results: trial id -> last result, of trials that were over in an earlier run but not in Tune's snapshot.
        on_created: called with each new trial of Tune.
        on_saved: called with the files of each snapshot of Tune's, before they are stored.
        dump_scheduler: returns the state of the scheduler, or None.
        load_scheduler: takes what `dump_scheduler` has returned.
        on_dropped: called with a number of trials that are not created, since no sample satisfies the constraints.
    """

    role = "search"

    def __init__(self, search: Search, slots: int | None, max_concurrent: int | None, failures: Failures) -> None:
        algorithm = search.algorithm
        self.failures, self.part = failures, f"the search algorithm {type(algorithm).__name__}"
        self._inner: Any = SearchGenerator(algorithm) if isinstance(algorithm, Searcher) else algorithm
        self._search, self._slots = search, slots
        self.on_created: Callable[[Any], None] = lambda trial: None
        self.on_dropped: Callable[[int], None] = lambda trials: None
        self._earlier: dict[str, int] = {}  # files of an earlier run, which are not signed again: name -> version
        self.on_saved: Callable[[list[Path]], None] = lambda files: None
        self.dump_scheduler: Callable[[], bytes | None] = lambda: None
        self.load_scheduler: Callable[[bytes], None] = lambda state: None
        self._state = RequestState(max_concurrent=max_concurrent)
        self._open: set[str] = set()  # trials that are not over and not paused by the user
        self._started: set[str] = set()  # those that hold resources
        self._paused_by_scheduler: set[str] = set()
        self._configs: dict[str, dict[str, Any]] = {}  # of the requested trials that are not over
        self.results: dict[str, dict[str, Any]] = {}
        self._results = UsableResults()
        self._is_unreadable = False  # whether restoring the state of an earlier run has failed

    # -- the user's commands ----------------------------------------------------------------------

    @property
    def max_concurrent(self) -> int | None:
        """How many trials may run at once."""
        return self._state.max_concurrent

    @max_concurrent.setter
    def max_concurrent(self, max_concurrent: int | None) -> None:
        self._state.max_concurrent = max_concurrent

    def request(self, trial: RequestedTrial) -> None:
        """Queue a trial. Requested trials come before the algorithm's proposals.

        Args:
            trial: what to create.
        """
        self._state.requested.append(trial)

    def added_by(self, trial_id: str) -> str:
        """Return who has added a trial: "user" or "search".

        Args:
            trial_id: Tune's id.
        """
        return "user" if trial_id in self._state.user_trials else "search"

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
            add_samples(inner, samples)
        else:
            raise TypeError(f"the search algorithm {type(inner).__name__} does not accept more samples")

    # -- resources -----------------------------------------------------------------------------------

    def on_added(self, trial_id: str) -> None:
        """Count a trial that Tune has got: a new one, or one of an earlier run."""
        self._open.add(trial_id)

    def on_started(self, trial_id: str) -> None:
        """Count a trial as one that holds resources."""
        self._started.add(trial_id)
        self._paused_by_scheduler.discard(trial_id)

    def on_paused_by_scheduler(self, trial_id: str) -> None:
        """Count a trial as paused by the scheduler. It does not keep others from being proposed."""
        self._started.discard(trial_id)
        self._paused_by_scheduler.add(trial_id)

    def on_paused_by_user(self, trial_id: str) -> None:
        """Count a trial as paused by the user. It does not wait for resources."""
        self._started.discard(trial_id)
        self._open.discard(trial_id)

    def on_queued(self, trial_id: str) -> None:
        """Count a trial as one that waits for resources again: it is resumed or retried."""
        self._started.discard(trial_id)
        self._open.add(trial_id)

    def _has_capacity(self) -> bool:
        """Return whether to propose another trial: as many as can run, and one in reserve.

        A proposal that comes early is based on fewer results, and cannot be withdrawn when the limit is lowered. If the
        cluster grows, the trial in reserve starts, and the next one follows.
        """
        if self.max_concurrent is not None and len(self._open) >= self.max_concurrent:
            return False
        if self._slots is None:
            return True
        waiting = len(self._open - self._started - self._paused_by_scheduler)
        return waiting < max(1, self._slots + 1 - len(self._started))

    # -- Tune's interface ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    @ends_experiment(True)
    def set_search_properties(self, /, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    @property
    def total_samples(self) -> int:
        return int(self._inner.total_samples) + self._state.added

    @ends_experiment(None)
    def add_configurations(self, experiments: Any) -> None:
        # A restored tuner whose snapshot cannot be read starts a new run, without the number of samples.
        experiments[0].spec["num_samples"] = self._search.samples
        self._state.experiment = experiments[0]
        inner = self._inner
        is_grid = isinstance(inner, BasicVariantGenerator) and not points_of(inner)  # each part would begin with these
        for experiment in grid_parts(experiments[0]) if is_grid else experiments:
            inner.add_configurations([experiment])

    @ends_experiment(None)
    def next_trial(self) -> Any:
        if not self._has_capacity() or self.failures.first is not None:
            return None
        if self._state.requested:
            return self._create(self._state.requested.popleft())
        if (trial := self._propose()) is not None:
            self._state.proposed.add(trial.trial_id)
        return trial

    def _propose(self) -> Any:
        """Return the algorithm's next proposal that is accepted; None if there is none now, or none is left."""
        for _ in range(_TRIES):
            trial = self._inner.next_trial()
            if trial is None:
                return None
            trial.config = from_tokens(trial.config, self._random_state())
            if self._may_be_tried(trial.config):
                self.on_created(trial)
                return trial
            self._inner.on_trial_complete(trial.trial_id, error=True)
            if self._search.replaces_rejected and isinstance(self._inner, SearchGenerator):
                add_samples(self._inner, 1)  # it proposes another one instead
            elif self._search.replaces_rejected and (another := self._draw()) is not None:
                return another
            else:
                self.on_dropped(1)
        self._inner.set_finished()
        return None

    def _draw(self) -> Any:
        """Return another accepted sample of a random search, or None if none is found."""
        for _ in range(_TRIES):
            self._state.drawn += 1
            seed = self._search.seed
            # Tune's variant generator cannot replace one of its samples, so another generator draws it.
            state = None if seed is None else zlib.crc32(f"{seed} {self._state.drawn}".encode())
            trial = self._variant(self._state.experiment.spec["config"], state)
            trial.config = from_tokens(trial.config, self._random_state())
            if self._may_be_tried(trial.config):
                return trial
        return None

    def _random_state(self) -> Any:
        """Return the random state for the domains inside the values of the next configuration."""
        self._state.decoded += 1
        if (seed := self._search.seed) is None:
            return None
        return np.random.RandomState(zlib.crc32(f"{seed} inner {self._state.decoded}".encode()))

    def _may_be_tried(self, config: dict[str, Any]) -> bool:
        rejected = any(isinstance(value, Rejected) for value in flatten_dict(config).values())
        return not rejected and self._search.accepts(config)

    @ends_experiment(None)
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id not in self._configs and (seen := self._results.add(trial_id, result, self.metric)) is not None:
            self._inner.on_trial_result(trial_id, seen)

    @ends_experiment(None)
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        for trials in (self._open, self._started, self._paused_by_scheduler):
            trials.discard(trial_id)
        if (result := result or self.results.get(trial_id)) is not None:
            result = self._results.end(trial_id, result, self.metric)
            error = error or result is None  # a trial without any number has failed
        self._results.forget(trial_id)
        config = self._configs.pop(trial_id, None)
        if config is not None:
            self.add_result(config, result, error=error)
        else:
            self._inner.on_trial_complete(trial_id, result=result, error=error)

    def add_result(self, config: Mapping[str, Any], result: Mapping[str, Any] | None, *, error: bool = False) -> None:
        """Give the algorithm the result of a point that it has not proposed, if it supports that.

        Args:
            config: the point.
            result: its last result, or None.
            error: whether its trial has failed.
        """
        value = (result or {}).get(self.metric) if isinstance(self.metric, str) else None
        if isinstance(self._inner, SearchGenerator) and value is not None and not error:
            with suppress(Exception):  # most algorithms do not support it, or not for a point outside of the space
                self._inner.searcher.add_evaluated_point(self._search.tokens.encode(flatten_dict(dict(config))), value)

    @ends_experiment(None)
    def skip_proposal(self, trial_id: str) -> None:
        """Drop the next proposal if the algorithm does not know that it was already made in an earlier run.

        Args:
            trial_id: the id of the trial that was made of it.
        """
        if trial_id in self._state.proposed:
            return
        self._state.proposed.add(trial_id)
        if (trial := self._propose()) is not None:
            self._inner.on_trial_complete(trial.trial_id, error=True)

    @ends_experiment(False)
    def is_finished(self) -> bool:
        if self.failures.first is not None:  # nothing more is proposed
            return True
        return not self._state.requested and bool(self._inner.is_finished())

    def set_finished(self) -> None:
        self._state.requested.clear()
        self._inner.set_finished()

    def _create(self, requested: RequestedTrial) -> Any:
        """Return Tune's trial of a requested one. Tune's generator makes it from a space of constants."""
        trial = self._variant(copy.deepcopy(requested.config))
        if requested.past is not None:
            revive(trial, requested.past)
        if requested.start is not None:
            start_from_checkpoint(trial, requested.start)
        if requested.by == "user":
            self._state.user_trials.add(trial.trial_id)
            self._state.added += requested.past is None
        self._configs[trial.trial_id] = requested.config
        return trial

    def _variant(self, space: dict[str, Any], seed: int | None = None) -> Any:
        """Return a trial of the experiment with a configuration sampled from a space of Ray Tune's."""
        experiment = copy.copy(self._state.experiment)
        experiment.spec = {**experiment.spec, "config": space, "num_samples": 1}
        generator = BasicVariantGenerator(random_state=seed)
        generator.add_configurations([experiment])
        trial = generator.next_trial()
        self.on_created(trial)
        return trial

    # -- state in Tune's snapshot -----------------------------------------------------------------

    @ends_experiment(None)
    def save_to_dir(self, /, dirpath: str, session_str: str = "", **more: Any) -> None:
        if not self._is_unreadable:  # else the state of the earlier run stays as it is for the next resumption
            target = Path(dirpath, _STATE.format(session_str))
            part = target.with_suffix(".part")
            with filesystem_by_reference():
                whole = save_search(self._inner, dirpath, session_str)
                # The scheduler's state is here: Tune writes that of callbacks later, when it is too late to sign it.
                part.write_bytes(cloudpickle.dumps((self._state, self._configs, whole, self.dump_scheduler())))
            part.replace(target)
        self.on_saved(changed_files(dirpath, self._earlier))

    def has_checkpoint(self, dirpath: str) -> bool:
        self._earlier = versions(dirpath)
        return any(Path(dirpath).glob(_STATE.format("*")))

    @ends_experiment(None)
    def restore_from_dir(self, dirpath: str) -> None:
        newest = max(Path(dirpath).glob(_STATE.format("*")))
        self._is_unreadable = True
        self._state, self._configs, whole, scheduler = cloudpickle.loads(newest.read_bytes())
        restore_search(self._inner, dirpath, whole)
        self._is_unreadable = False
        if scheduler is not None:
            self.load_scheduler(scheduler)
