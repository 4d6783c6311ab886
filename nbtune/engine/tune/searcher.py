"""The user's search algorithm, wrapped: points of the user's own, more samples and another limit, while it runs.

What the algorithm proposes and the space's constraints do not allow is thrown away before it costs a trial.
"""

from __future__ import annotations

import copy
import logging
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.cloudpickle as cloudpickle
from ray.tune.search import SearchAlgorithm, Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.search_generator import SearchGenerator
from ray.tune.utils.util import flatten_dict

from nbtune.engine._ray.tune import add_samples, restart_generator
from nbtune.engine.protocol.registry import Live
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.protocol.result import as_reported, metric_names
from nbtune.engine.search.algorithms import Search
from nbtune.engine.search.sampling import Rejected
from nbtune.engine.tune.continuation import revive, start_from

__all__ = ["Proposals", "Wanted"]

_log = logging.getLogger(__name__)
_STATE = "nbtune-search-{}.pkl"
_TRIES = 1000  # proposals in a row that may not be tried, until the search is given up


@dataclass(frozen=True)
class Wanted:
    """A trial that is wanted for certain.

    Attributes:
        config: its parameters, all of them.
        past: what it was in an earlier run, or None for a new trial.
        start: the checkpoint of another trial that it starts from, as Tune keeps it, or None.
        by: who wants it: "user", or "search" for one that the algorithm had proposed in an earlier run.
    """

    config: dict[str, Any]
    past: PastTrial | None = None
    start: Any = None
    by: str = "user"


@dataclass
class _State:
    """What of it outlives the driver."""

    experiment: Any = None
    wanted: deque[Wanted] = field(default_factory=deque)
    own: set[str] = field(default_factory=set)  # ids of the trials that the user has wanted
    max_concurrent: int | None = None
    added: int = 0
    drawn: int = 0  # samples that have taken the places of others


class Proposals(Live, SearchAlgorithm):
    """The user's search algorithm, with a queue of wanted points before it and a limit behind it.

    Args:
        search: the algorithm, how many it is to propose, and what may be tried.
        slots: how many trials can run at once, as far as is known.
        max_concurrent: how many may, or None.

    Attributes:
        results: trial id -> last result, of trials that were over in an earlier run without Tune knowing it.
        on_fewer: what to call where trials are left out since none is found that fulfils the constraints.
    """

    role = "search"

    def __init__(self, search: Search, slots: int | None, max_concurrent: int | None) -> None:
        algorithm = search.algorithm
        self._inner: Any = SearchGenerator(algorithm) if isinstance(algorithm, Searcher) else algorithm
        self._search, self._slots = search, slots
        self.on_fewer: Callable[[int], None] = lambda trials: None
        self._kept = _State(max_concurrent=max_concurrent)
        self._open: set[str] = set()  # trials that are not over
        self._started: set[str] = set()  # those of them that hold a place
        self._parked: set[str] = set()  # those that the scheduler has paused
        self._configs: dict[str, dict[str, Any]] = {}  # of the wanted trials that are not over
        self.results: dict[str, dict[str, Any]] = {}

    # -- what the user wants ----------------------------------------------------------------------

    @property
    def max_concurrent(self) -> int | None:
        """How many trials may run at once."""
        return self._kept.max_concurrent

    @max_concurrent.setter
    def max_concurrent(self, max_concurrent: int | None) -> None:
        self._kept.max_concurrent = max_concurrent

    def want(self, wanted: Wanted) -> None:
        """Propose this next."""
        self._kept.wanted.append(wanted)

    def by(self, trial_id: str) -> str:
        """Return who has wanted a trial: "user" or "search"."""
        return "user" if trial_id in self._kept.own else "search"

    def extend(self, samples: int) -> None:
        """Let the algorithm propose so many samples more than it was to.

        Raises:
            TypeError: it is an algorithm that cannot.
        """
        inner = self._inner
        if isinstance(inner, BasicVariantGenerator):
            points = [copy.deepcopy(point) for _ in range(samples) for point in self._search.grid or ()]
            more = copy.copy(self._kept.experiment)
            more.spec = {**more.spec, "num_samples": samples if self._search.grid is None else len(points)}
            restart_generator(inner, more, points)
        elif isinstance(inner, SearchGenerator):
            add_samples(inner, samples)
        else:
            raise TypeError(f"the search algorithm {type(inner).__name__} cannot be given more samples")

    # -- places -----------------------------------------------------------------------------------

    def added(self, trial_id: str) -> None:
        """Note a trial that Tune has got, from here or from an earlier run."""
        self._open.add(trial_id)

    def started(self, trial_id: str) -> None:
        """Note that a trial holds a place."""
        self._started.add(trial_id)
        self._parked.discard(trial_id)

    def parked(self, trial_id: str) -> None:
        """Note that the scheduler has paused a trial: others are to be measured with it, or go first."""
        self._started.discard(trial_id)
        self._parked.add(trial_id)

    def yielded(self, trial_id: str) -> None:
        """Note that a trial has given up its place for a while, and does not ask for one."""
        self._started.discard(trial_id)
        self._open.discard(trial_id)

    def returned(self, trial_id: str) -> None:
        """Note that a trial asks for a place again, or has failed and will."""
        self._started.discard(trial_id)
        self._open.add(trial_id)

    def _has_place(self) -> bool:
        """Tell whether to propose one more.

        As many as can run, and one in reserve: what is proposed early knows less, and cannot be taken back
        when the limit is lowered. Where the cluster grows, the one in reserve starts, and the next follows.
        """
        if self.max_concurrent is not None and len(self._open) >= self.max_concurrent:
            return False
        if self._slots is None:
            return True
        waiting = len(self._open - self._started - self._parked)
        return waiting < max(1, self._slots + 1 - len(self._started))

    # -- what Tune asks ---------------------------------------------------------------------------

    @property
    def metric(self) -> Any:
        return self._inner.metric

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    @property
    def total_samples(self) -> int:
        return int(self._inner.total_samples) + self._kept.added

    def add_configurations(self, experiments: Any) -> None:
        # A restored tuner whose snapshot cannot be read begins anew, and has forgotten their number.
        experiments[0].spec["num_samples"] = self._search.samples
        self._kept.experiment = experiments[0]
        self._inner.add_configurations(experiments)

    def next_trial(self) -> Any:
        if not self._has_place():
            return None
        return self._make(self._kept.wanted.popleft()) if self._kept.wanted else self._propose()

    def _propose(self) -> Any:
        """Return the algorithm's next proposal that may be tried."""
        for _ in range(_TRIES):
            trial = self._inner.next_trial()
            if trial is None or self._may_be_tried(trial.config):
                return trial
            self._inner.on_trial_complete(trial.trial_id, error=True)
            if self._search.replaces_rejected and isinstance(self._inner, SearchGenerator):
                add_samples(self._inner, 1)  # it is to propose another in its place
            elif self._search.replaces_rejected and (another := self._draw()) is not None:
                return another
            else:
                self.on_fewer(1)
        self._inner.set_finished()
        return None

    def _draw(self) -> Any:
        """Return another sample of a random search, which may be tried, or None where none is found."""
        for _ in range(_TRIES):
            self._kept.drawn += 1
            seed = self._search.seed
            # Tune's generator of variants gives a sample of its own back to nobody: another draws it.
            state = None if seed is None else zlib.crc32(f"{seed} {self._kept.drawn}".encode())
            trial = self._variant(self._kept.experiment.spec["config"], state)
            if self._may_be_tried(trial.config):
                return trial
        return None

    def _may_be_tried(self, config: dict[str, Any]) -> bool:
        rejected = any(isinstance(value, Rejected) for value in flatten_dict(config).values())
        return not rejected and self._search.accepts(config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id not in self._configs:  # else it is none of the algorithm's own
            self._inner.on_trial_result(trial_id, as_reported(result, metric_names(self.metric)))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        for places in (self._open, self._started, self._parked):
            places.discard(trial_id)
        if (result := result or self.results.get(trial_id)) is not None:
            result = as_reported(result, metric_names(self.metric))
        config = self._configs.pop(trial_id, None)
        if config is not None:
            self.teach(config, result, error=error)
        else:
            self._inner.on_trial_complete(trial_id, result=result, error=error)

    def teach(self, config: Mapping[str, Any], result: Mapping[str, Any] | None, *, error: bool = False) -> None:
        """Let the algorithm know what came of a point that it has not proposed, if it wants to know."""
        value = (result or {}).get(self.metric)
        if isinstance(self._inner, SearchGenerator) and value is not None and not error:
            with suppress(Exception):  # most do not, and a point outside of its space is none for it
                self._inner.searcher.add_evaluated_point(flatten_dict(dict(config)), value)

    def skip(self) -> None:
        """Leave out the next proposal: it was made in an earlier run."""
        trial = self._propose()
        if trial is not None:
            self._inner.on_trial_complete(trial.trial_id, error=True)

    def is_finished(self) -> bool:
        return not self._kept.wanted and bool(self._inner.is_finished())

    def set_finished(self) -> None:
        self._kept.wanted.clear()
        self._inner.set_finished()

    def _make(self, wanted: Wanted) -> Any:
        """Return Tune's trial of a wanted point, made by Tune's own generator: all is constant in it."""
        trial = self._variant(copy.deepcopy(wanted.config))
        if wanted.past is not None:
            revive(trial, wanted.past)
        if wanted.start is not None:
            start_from(trial, wanted.start)
        if wanted.by == "user":
            self._kept.own.add(trial.trial_id)
            self._kept.added += wanted.past is None
        self._configs[trial.trial_id] = wanted.config
        return trial

    def _variant(self, space: dict[str, Any], seed: int | None = None) -> Any:
        """Return a trial of the experiment's, its configuration sampled from a space of Ray Tune's."""
        experiment = copy.copy(self._kept.experiment)
        experiment.spec = {**experiment.spec, "config": space, "num_samples": 1}
        generator = BasicVariantGenerator(random_state=seed)
        generator.add_configurations([experiment])
        return generator.next_trial()

    # -- what outlives the driver -----------------------------------------------------------------

    def save_to_dir(self, dirpath: str, session_str: str = "", **more: Any) -> None:
        self._inner.save_to_dir(dirpath, session_str=session_str)
        target = Path(dirpath, _STATE.format(session_str))
        part = target.with_suffix(".part")
        part.write_bytes(cloudpickle.dumps((self._kept, self._configs)))
        part.replace(target)

    def has_checkpoint(self, dirpath: str) -> bool:
        return any(Path(dirpath).glob(_STATE.format("*")))

    def restore_from_dir(self, dirpath: str) -> None:
        newest = max(Path(dirpath).glob(_STATE.format("*")))
        self._kept, self._configs = cloudpickle.loads(newest.read_bytes())
        if self._inner.has_checkpoint(dirpath):
            self._inner.restore_from_dir(dirpath)
