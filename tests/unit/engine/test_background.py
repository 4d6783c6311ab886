"""nbtune.engine.tune.background: a search algorithm that takes seconds for a proposal does not keep Tune's loop waiting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.experiment import Experiment
from ray.tune.search import Searcher

from nbtune.engine.driver import reset
from nbtune.engine.protocol.replay import PastTrial
from nbtune.engine.search.make import make_search
from nbtune.engine.tune import background, proposals
from nbtune.engine.tune.searcher import SteerableSearch
from nbtune.engine.tune.user_part import Failures
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

BEGUN, MAY_END = threading.Event(), threading.Event()


class Thinking(Searcher):
    """Proposes the number of results that it knows when it begins, and which points it was told of, and takes its time."""

    def __init__(self) -> None:
        super().__init__(metric="y", mode="max")
        self.known: list[Any] = []
        self.proposed = 0

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        known = list(self.known)
        BEGUN.set()
        assert MAY_END.wait(10)
        assert known == self.known, "it is told nothing while it makes a proposal"
        if "stop" in known:
            raise LookupError("no idea")
        self.proposed += 1
        return {"x": (self.proposed, *known)}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.known.append("failed" if error else result["y"])

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        pass

    def add_evaluated_point(self, parameters: Any, value: Any, *rest: Any, **more: Any) -> None:
        self.known.append((parameters, value))


class Saved(Thinking):
    """The same with a method to save itself."""

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text(repr((self.known, self.proposed)))

    def restore(self, checkpoint_path: str) -> None:
        self.known, self.proposed = eval(Path(checkpoint_path).read_text())


@pytest.fixture(autouse=True)
def gate() -> Iterator[None]:
    BEGUN.clear(), MAY_END.clear()
    yield
    MAY_END.set()


def searches(folder: Path, search: Any, samples: int = 10, **changed: Any) -> tuple[SteerableSearch, Failures]:
    made = make_search(Spec(samples=samples, metric="y", mode="max", search=search), Space())
    made = replace(made, **{"is_slow": True, **changed})
    wrapped = SteerableSearch(made, None, None, failures := Failures())
    wrapped.set_search_properties("y", "max", {})
    wrapped.add_configurations(
        [Experiment("e", tune.Trainable, config={}, num_samples=samples, storage_path=str(folder))]
    )
    wrapped._state.proposed |= {"unknown", "unknown too"}  # else the algorithm is told nothing of them
    return wrapped, failures


def eventually(ask: Callable[[], Any]) -> Any:
    MAY_END.set()
    for _ in range(1000):
        if (trial := ask()) is not None:
            MAY_END.clear(), BEGUN.clear()
            return trial
        threading.Event().wait(0.01)
    raise AssertionError("no proposal")


def done(y: float) -> dict[str, Any]:
    return {"y": y, "training_iteration": 1}


def test_what_happens_while_a_proposal_is_made(tmp_path: Path) -> None:
    wrapped, failures = searches(tmp_path, Thinking())
    first, second = eventually(wrapped.next_trial), eventually(wrapped.next_trial)
    assert [first.config, second.config] == [{"x": (1,)}, {"x": (2,)}]
    wrapped.on_trial_complete(first.trial_id, done(0.5))
    assert wrapped.next_trial() is None
    assert BEGUN.wait(5)
    wrapped.on_trial_result(second.trial_id, done(0.6))
    wrapped.on_trial_complete(second.trial_id, done(0.7))
    wrapped.add_result({"x": 9}, done(0.8))
    assert wrapped.next_trial() is None, "it is still being made"
    third = eventually(wrapped.next_trial)
    assert third.config == {"x": (3, 0.5)}, "from what it knew when Tune asked"
    assert eventually(wrapped.next_trial).config == {"x": (4, 0.5, 0.7, ({}, 0.8))}
    assert failures.first is None


@pytest.mark.parametrize("kind", [Thinking, Saved])
def test_a_snapshot_while_a_proposal_is_made(tmp_path: Path, kind: type[Thinking]) -> None:
    wrapped, _ = searches(tmp_path, kind())
    first = eventually(wrapped.next_trial)
    assert wrapped.next_trial() is None
    assert BEGUN.wait(5)
    wrapped.on_trial_complete(first.trial_id, done(0.5))
    signed: list[Path] = []
    wrapped.on_saved = signed.extend
    wrapped.save_to_dir(str(tmp_path), session_str="now")
    assert all("now" in path.name for path in signed)
    assert len(signed) == (1 if kind is Thinking else 3)
    eventually(wrapped.next_trial)
    restored, failures = searches(tmp_path, kind())
    restored.restore_from_dir(str(tmp_path))
    assert eventually(restored.next_trial).config == {"x": (2, 0.5)}, "it is made again, and knows the result"
    assert failures.first is None


def test_the_last_proposal_is_not_over_before_tune_has_it(tmp_path: Path) -> None:
    wrapped, _ = searches(tmp_path, Thinking(), samples=1)
    assert wrapped.next_trial() is None
    MAY_END.set()
    for _ in range(20):  # also when the algorithm has made it
        assert not wrapped.is_finished()
        threading.Event().wait(0.01)
    eventually(wrapped.next_trial)
    assert wrapped.is_finished()
    assert wrapped.next_trial() is None
    wrapped.extend(1)
    assert eventually(wrapped.next_trial).config == {"x": (2,)}


def test_the_end_while_a_proposal_is_made(tmp_path: Path) -> None:
    wrapped, _ = searches(tmp_path, Thinking())
    assert wrapped.next_trial() is None
    wrapped.set_finished()
    assert wrapped.is_finished()


def test_a_proposal_that_fails(tmp_path: Path) -> None:
    wrapped, failures = searches(tmp_path, search := Thinking())
    search.known.append("stop")
    MAY_END.set()
    for _ in range(1000):
        if wrapped.next_trial() is None and failures.first is not None:
            break
        threading.Event().wait(0.01)
    assert failures.first is not None
    assert failures.first.summary == "LookupError: no idea (raised by the search algorithm Thinking)"
    assert wrapped.is_finished()


def test_a_resumed_experiment_waits_for_a_proposal_that_it_drops(tmp_path: Path) -> None:
    wrapped, _ = searches(tmp_path, search := Thinking())
    threading.Timer(0.3, MAY_END.set).start()
    wrapped.skip_proposal(PastTrial(0, "known to Tune only", "trial_0", {"x": -1.0}, "search"))
    assert (search.proposed, search.known) == (1, ["failed"])


def until(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never becomes true")


@pytest.mark.parametrize("is_slow", [True, False])
def test_proposals_that_are_never_accepted_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    monkeypatch.setattr(proposals, "_TRIES", 5)
    accepted: list[int] = []
    search = Thinking()
    wrapped, failures = searches(
        tmp_path, search, accepts=lambda config: config["x"][0] in accepted, is_slow=is_slow
    )  # fmt: skip
    given_up: list[int] = []
    wrapped.on_given_up = given_up.append
    MAY_END.set()
    accepted.append(3)
    until(lambda: (trial := wrapped.next_trial()) is not None and trial.config["x"][0] == 3)
    until(lambda: wrapped.next_trial() is None and wrapped.is_finished())
    assert (search.proposed, given_up) == (8, [5]), "the first two do not count: one was accepted after them"
    wrapped.extend(1)
    accepted.append(10)
    until(lambda: wrapped.next_trial() is not None)
    assert search.proposed == 10, "after that it is tried as often"
    assert failures.first is None


def test_a_grid_with_many_points_that_are_not_accepted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "_TRIES", 5)
    wrapped, _ = searches(
        tmp_path, Thinking(), samples=10, accepts=lambda config: config["x"][0] > 8, replaces_rejected=False
    )
    dropped: list[int] = []
    wrapped.on_dropped = dropped.append
    assert [eventually(wrapped.next_trial).config["x"][0] for _ in range(2)] == [9, 10]
    assert (sum(dropped), wrapped.is_finished()) == (8, True)


class Waiting(Thinking):
    """Proposes a point only after it was told of a result."""

    asked = pickled = 0

    def suggest(self, trial_id: str) -> Any:
        type(self).asked += 1
        return super().suggest(trial_id) if self.known else None

    def __getstate__(self) -> dict[str, Any]:
        type(self).pickled += 1
        return self.__dict__


def test_an_algorithm_without_a_proposal_is_asked_again_when_it_is_told_something(tmp_path: Path) -> None:
    Waiting.asked = Waiting.pickled = 0
    wrapped, _ = searches(tmp_path, Waiting())
    MAY_END.set()
    until(lambda: wrapped.next_trial() is None and Waiting.asked == 1)
    for _ in range(100):
        assert wrapped.next_trial() is None
        wrapped.on_trial_result("unknown", done(0.1))
    assert (Waiting.asked, Waiting.pickled) == (1, 1)
    wrapped.on_trial_complete("unknown", done(0.5))
    assert eventually(wrapped.next_trial).config == {"x": (1, 0.5)}
    assert (Waiting.asked, Waiting.pickled) == (2, 2)


def test_an_algorithm_without_a_proposal_is_asked_again_after_a_while_in_the_same_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Waiting.asked = Waiting.pickled = 0
    monkeypatch.setattr(background, "_NONE_PAUSE", 0.0)
    wrapped, _ = searches(tmp_path, Waiting())
    MAY_END.set()
    until(lambda: wrapped.next_trial() is None and Waiting.asked == 3)
    assert Waiting.pickled == 1


@pytest.mark.parametrize("kind", [Thinking, Saved])
def test_a_proposal_that_is_made_but_not_taken_keeps_nothing_from_the_algorithm(
    tmp_path: Path, kind: type[Thinking]
) -> None:
    wrapped, failures = searches(tmp_path, search := kind())
    first = eventually(wrapped.next_trial)
    wrapped.on_added(first.trial_id)
    assert wrapped.next_trial() is None
    assert BEGUN.wait(5)
    wrapped.max_concurrent = 1  # there is no place for the proposal that is being made
    wrapped.on_trial_complete("unknown", done(0.1))
    MAY_END.set()
    until(lambda: not wrapped.is_finished() and search.known == [0.1])
    MAY_END.clear()
    for report in range(100):
        wrapped.on_trial_result(first.trial_id, done(report))
    assert wrapped.next_trial() is None
    wrapped.on_trial_complete("unknown too", done(0.2))
    assert search.known == [0.1, 0.2], "at once"
    assert len(wrapped._background.save(str(tmp_path), "short")[1]) == 3, "of the reports, only the last one"
    wrapped.save_to_dir(str(tmp_path), session_str="now")
    wrapped.on_trial_complete(first.trial_id, done(0.3))
    assert wrapped.next_trial().config == {"x": (2,)}
    restored, more = searches(tmp_path, kind())
    restored.restore_from_dir(str(tmp_path))
    assert eventually(restored.next_trial).config == {"x": (2, 0.1, 0.2)}, "it is made again, and knows the results"
    assert failures.first is more.first is None


def test_a_process_that_still_makes_a_proposal_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reset, "_PROPOSAL_TIMEOUT", 0.0)
    wrapped, _ = searches(tmp_path, Thinking())
    assert wrapped.next_trial() is None
    assert BEGUN.wait(5)
    with caplog.at_level(logging.DEBUG, reset.__name__):
        assert not reset.reset()
    assert "still makes a proposal" in caplog.text
    MAY_END.set()
    assert background.have_proposals_ended(10)
