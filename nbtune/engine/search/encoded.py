"""Ray Tune's search algorithms, with the space as their library takes it, and their suggestions as values of the space.

The user's points are tried exactly as they are, also those that a library cannot be told of. A search goes on until it
has proposed all of its samples, also if its library has no more proposals, or waits for trials that have failed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher
from ray.tune.utils.util import flatten_dict

from nbtune.engine.search.encoding import Encoding
from nbtune.engine.search.own_settings import unwrapped
from nbtune.engine.search.sampling import Sampler, ray_domain
from nbtune.engine.search.tokens import Tokens
from nbtune.spec.space.space import Space, nested

__all__ = ["EncodedSearcher"]


class EncodedSearcher(Searcher):
    """A search algorithm of Ray Tune's that searches an encoded space.

    Args:
        searcher: Ray Tune's searcher, which may be in wrappers. It has no space yet.
        encoding: the space as its library takes it.
        space: the space.
        points: the user's points, with tokens, by joined names, which its library was told of.
        untold: those that it cannot be told of. They are tried first.
        seed: the seed of the samples in place of proposals that the library does not make, or None.
        may_finish: whether the user wants the search to end when its library has no more proposals.
    """

    def __init__(
        self,
        searcher: Any,
        encoding: Encoding,
        space: Space,
        points: Sequence[Mapping[str, Any]] = (),
        untold: Sequence[Mapping[str, Any]] = (),
        *,
        seed: int | None = None,
        may_finish: bool = False,
    ) -> None:
        super().__init__(metric=searcher.metric, mode=searcher.mode)
        self.searcher = searcher
        self._encoding, self._space, self._seed, self._may_finish = encoding, space, seed, may_finish
        self._given = [(encoding.encode(point), dict(point)) for point in points]
        self._untold = deque(dict(point) for point in untold)
        self._live: set[str] = set()  # trials that the library waits for
        self._drawn = 0  # samples in place of proposals

    @property
    def metric(self) -> Any:
        return self.searcher.metric

    @property
    def mode(self) -> Any:
        return self.searcher.mode

    def begin(self, metric: Any, mode: Any) -> None:
        """Give the algorithm its metric and the encoded space. Tune does so only if there are constants as well.

        Args:
            metric: the metric, or None for that of the algorithm.
            mode: the same for the mode.
        """
        encoded = nested({name: ray_domain(domain) for name, domain in self._encoding.native.items()})
        self.searcher.set_search_properties(metric, mode, encoded)

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """Accept what Tune gives: the algorithm has it.

        Args:
            metric: the metric.
            mode: the mode.
            config: Tune's space, which has the constants only.
            spec: more of Tune's.
        """
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration, None if there is none now, or "FINISHED".

        Args:
            trial_id: Tune's id.
        """
        if self._untold:
            return nested(self._untold.popleft())
        suggested = self.searcher.suggest(trial_id)
        if isinstance(suggested, Mapping):
            self._live.add(trial_id)
            return nested(self._decoded(flatten_dict(dict(suggested), delimiter="/", flatten_list=True)))
        if (suggested is None and self._live) or (suggested is not None and self._may_finish):
            return suggested
        return self._sample()

    def _decoded(self, native: Mapping[str, Any]) -> dict[str, Any]:
        for encoded, point in self._given:
            if self._encoding.is_same(encoded, native):
                return point
        return self._encoding.decode(native)

    def _sample(self) -> dict[str, Any]:
        """Return a random configuration, which the library is not told of."""
        self._drawn += 1
        seed = None if self._seed is None else f"{self._seed} {self._drawn}"
        config = Sampler(self._space, seed).draw()
        point = Tokens(self._space).encode_config(config)
        return nested({name: point[name] for name in self._encoding.searched})

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report a result of a trial.

        Args:
            trial_id: Tune's id.
            result: the result.
        """
        if trial_id in self._live:
            self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end of a trial.

        Args:
            trial_id: Tune's id.
            result: its last result, or None.
            error: whether it has failed.
        """
        if trial_id in self._live:
            self._live.discard(trial_id)
            self.searcher.on_trial_complete(trial_id, result=result, error=error)

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell the algorithm of a point that it has not proposed, if it learns from such points.

        Args:
            parameters: the point, by joined names, with tokens.
            value: the value of the metric; of several, a value for each.
            error: whether its trial has failed.
            pruned: whether it was stopped early.
            intermediate_values: its earlier values.

        Raises:
            ValueError: the point is not in the space.
        """
        encoded = self._encoding.encode(parameters)
        unwrapped(self.searcher).add_evaluated_point(encoded, value, error, pruned, intermediate_values)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Let the algorithm limit its concurrent trials, if it does so itself.

        Args:
            max_concurrent: the limit.
        """
        return bool(self.searcher.set_max_concurrency(max_concurrent))

    def on_pause(self, trial_id: str) -> None:
        """Tell BOHB that a trial is paused.

        Args:
            trial_id: Tune's id.
        """
        if trial_id in self._live:
            self.searcher.on_pause(trial_id)

    def on_unpause(self, trial_id: str) -> None:
        """Tell BOHB that a trial goes on.

        Args:
            trial_id: Tune's id.
        """
        if trial_id in self._live:
            self.searcher.on_unpause(trial_id)

    def get_state(self) -> dict[str, Any]:
        """Return the state, without that of the algorithm."""
        return {"_untold": self._untold, "_live": self._live, "_drawn": self._drawn}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state, without that of the algorithm.

        Args:
            state: what `get_state` has returned.
        """
        self.__dict__.update(state)

    def save(self, checkpoint_path: str) -> None:
        """Save the algorithm's state.

        Args:
            checkpoint_path: the file.
        """
        self.searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Restore the algorithm's state.

        Args:
            checkpoint_path: the file.
        """
        self.searcher.restore(checkpoint_path)
