"""The trials that a search creates: proposals of its algorithm, requested trials, and repeats of both.

Proposals that violate the constraints of the space are rejected before a trial is created.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.search_generator import SearchGenerator
from ray.tune.utils.util import flatten_dict

from nbtune.engine._ray.tune import name_after
from nbtune.engine.search.make import Search
from nbtune.engine.search.sampling import Rejected
from nbtune.engine.search.tokens import from_tokens, with_values
from nbtune.engine.tune.background import Background
from nbtune.engine.tune.continuation import revive, start_from_checkpoint
from nbtune.engine.tune.repeats import Configuration, Repeats
from nbtune.engine.tune.requested import RequestedTrial, RequestState
from nbtune.spec.space.space import nested

__all__ = ["Proposals"]

_TRIES = 1000
"""Rejected proposals in a row after which a search ends. So many are asked for in one call, and so many samples are
drawn in place of a rejected one.
"""


class Proposals:
    """Creates Tune's trials.

    Attributes:
        on_created: called with each new trial of Tune.
        on_dropped: called with a number of trials that are not created, since no sample satisfies the constraints.
        on_given_up: called with the number of proposals in a row that were rejected, when the search ends for that.
    """

    _background: Background
    _search: Search
    _state: RequestState
    _configs: dict[str, dict[str, Any]]
    on_created: Callable[[Any], None]
    on_dropped: Callable[[int], None]
    on_given_up: Callable[[int], None] = staticmethod(lambda proposals: None)
    _rejected = 0  # proposals since the last one that was accepted; a slow algorithm makes one, or none, in each call

    def _propose(self, *, wait: bool = False) -> Any:
        """Return the algorithm's next proposal that is accepted; None if there is none now, or none is left."""
        for _ in range(_TRIES):
            trial = self._background.next(wait=wait)
            if trial is None:
                return None
            trial.config = from_tokens(trial.config, self._random_state())
            if self._may_be_tried(trial.config):
                self._rejected = 0
                self.on_created(trial)
                return trial
            self._background.tell("on_trial_complete", trial.trial_id, error=True)
            if not self._search.replaces_rejected:  # a grid has an end
                self.on_dropped(self._search.repeat)
                continue
            if isinstance(self._background.algorithm, SearchGenerator):
                self._background.tell("add_samples", 1)  # it proposes another one instead
            elif (another := self._draw()) is not None:
                self._rejected = 0
                return another
            else:
                self.on_dropped(self._search.repeat)
            self._rejected += 1
            if self._rejected >= _TRIES:
                self._rejected = 0  # the user may extend the search
                self._background.tell("set_finished")
                self.on_given_up(_TRIES)
                return None
        return None  # Tune asks again, after it has handled commands

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
        if not self._is_awaited(trial.trial_id, requested.by):
            self._configs[trial.trial_id] = requested.config
        if (repeats := self._state.repeats) is not None and requested.past is None:
            config = with_values(trial.config)
            repeats.begin(trial.trial_id, config, by=requested.by, start=requested.start)
        return trial

    def _is_awaited(self, trial_id: str, by: str) -> bool:
        """Return whether the algorithm waits for the end of a trial of an earlier run, which it has proposed."""
        return by == "search" and self._state.names.get(trial_id, trial_id) is not None

    def _repeat(self, repeats: Repeats, known: Configuration, repeat: int) -> Any:
        """Return another trial of a configuration."""
        space = nested(self._search.tokens.encode_config(known.config))
        trial = self._variant(space, repeat_of=(known.first, repeat))
        trial.set_config(with_values(known.config))
        if known.start is not None:
            start_from_checkpoint(trial, known.start)
        if known.by == "user":
            self._state.user_trials.add(trial.trial_id)
            self._state.added += 1
        repeats.add(known.number, repeat, trial.trial_id)
        return trial

    def _variant(self, space: dict[str, Any], seed: int | None = None, repeat_of: tuple[str, int] | None = None) -> Any:
        """Return a trial of the experiment with a configuration sampled from a space of Ray Tune's."""
        experiment = copy.copy(self._state.experiment)
        experiment.spec = {**experiment.spec, "config": space, "num_samples": 1}
        generator = BasicVariantGenerator(random_state=seed)
        if repeat_of is not None:
            name_after(generator, *repeat_of)
        generator.add_configurations([experiment])
        trial = generator.next_trial()
        self.on_created(trial)
        return trial
