"""What the dashboard's buttons and forms order: from the browser's messages to the experiment, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nbtune.errors import ExperimentError, NbtuneError
from nbtune.results.store import ENDED, Store, flat
from nbtune.results.trial import Trial
from nbtune.spec.space.domain import Domain
from nbtune.views.base.background import Background
from nbtune.views.base.channel import answer_to
from nbtune.views.live.rows import cell, kind_of

__all__ = ["Orders", "Steerable"]

Message = dict[str, Any]
Answer = Callable[[Message], None]
_RESUMING: Message = {"type": "resuming", "pending": True}  # the answer proper is still to come


class Steerable(Protocol):
    """The experiment, as far as orders need it."""

    max_concurrent: int | None

    @property
    def trials(self) -> Mapping[int, Trial]: ...
    def stop(self) -> None: ...
    def resume(self, *, failed: bool = False) -> Any: ...
    def add(self, point: Mapping[str, Any] | None = None, /) -> None: ...
    def extend(self, samples: int) -> None: ...


class Orders:
    """Carries out what the browser orders, one after another, on a thread of its own.

    An order takes as long as the cluster takes to answer, and one that resumes an experiment takes seconds: the
    thread that hears the browser must not wait for that.

    Args:
        experiment: what is steered.
        store: its state.
        head: takes the answers to the head's orders.
        trials: takes those to the table's.
        broken: told of an exception that is no refusal.
    """

    def __init__(
        self, experiment: Steerable, store: Store, head: Answer, trials: Answer, broken: Callable[[Message], None]
    ) -> None:
        self._experiment, self._store = experiment, store
        self._head, self._trials, self._broken = head, trials, broken
        self._background = Background("nbtune-orders")

    @property
    def head(self) -> dict[str, Callable[[Message], None]]:
        """The handlers of the head's messages."""
        orders = {
            "stop": self._stop,
            "resume": self._resume,
            "extend": self._extend,
            "max_concurrent": self._set_max_concurrent,
        }
        return {name: self._handler(self._head, name, order) for name, order in orders.items()}

    @property
    def trials(self) -> dict[str, Callable[[Message], None]]:
        """The handlers of the table's messages."""
        orders = {
            "stop": self._about(Trial.stop, "stopping"),
            "pause": self._about(Trial.pause, "pausing"),
            "resume": self._about(Trial.resume, "resuming"),
            "add": self._add,
        }
        return {name: self._handler(self._trials, name, order) for name, order in orders.items()}

    # -- the orders: each returns its answer, or raises why it is refused --------------------------

    def _stop(self, _: Message) -> Message:
        self._experiment.stop()
        return {"type": "stopping"}

    def _resume(self, message: Message) -> Message:
        self._head(answer_to(message, _RESUMING))
        self._experiment.resume(failed=message.get("failed") is True)
        return {"type": "done", "order": "resume"}

    def _extend(self, message: Message) -> Message:
        if self._store.status in ENDED:
            self._head(answer_to(message, _RESUMING))
        self._experiment.extend(message.get("samples", 0))
        return {"type": "done", "order": "extend"}

    def _set_max_concurrent(self, message: Message) -> Message:
        self._experiment.max_concurrent = message.get("max_concurrent")
        return {"type": "done", "order": "max_concurrent"}

    def _about(self, method: Callable[[Trial], None], answer: str) -> Callable[[Message], Message]:
        def give(message: Message) -> Message:
            method(self._trial(message["trial"]))
            return {"type": answer, "trial": message["trial"]}

        return give

    def _add(self, message: Message) -> Message:
        space, number = self._store.metadata.get("space", {}), message.get("trial")
        states = self._store.states()
        tried = [dict(flat(state.config)) for state in states]
        point = {
            name: _meant(name, value, space.get(name), [config[name] for config in tried if name in config])
            for name, value in message["config"].items()
        }
        if number is None:
            self._experiment.add(point)
        else:
            self._trial(number).clone(point, checkpoint=message.get("checkpoint") is True)
        return {"type": "added", "trial": number}

    def _trial(self, number: Any) -> Trial:
        found = self._experiment.trials.get(number)
        if found is None:
            raise ExperimentError(f"there is no trial {number}")
        return found

    # -- how they are carried out ------------------------------------------------------------------

    def _handler(self, answer: Answer, name: str, order: Callable[[Message], Message]) -> Callable[[Message], None]:
        def carry_out(message: Message) -> None:
            try:
                answer(answer_to(message, order(message)))
                return
            except NbtuneError as error:
                why = str(error)
            except Exception as error:  # nobody looks at this thread
                why = f"{type(error).__name__}: {error}"
                self._broken({"where": f"order {name}", "message": why})
            refusal = {"type": "refused", "order": name, "trial": message.get("trial"), "message": why}
            answer(answer_to(message, refusal))

        return lambda message: self._background.do(lambda: carry_out(message))


def _meant(name: str, value: Any, known: Mapping[str, Any] | None, tried: list[Any]) -> Any:
    """Return the value that a field of the browser's stands for.

    Args:
        name: the parameter.
        value: what was given: JSON, and for a choice the cell that stands for it.
        known: what the log keeps of its space.
        tried: the values that trials have had.

    Raises:
        ExperimentError: it is none of the parameter's.
    """
    kind = kind_of(known)
    if known is not None and kind == "choice":
        values = known["values"]
        # The log keeps of an object only how it looks, which the space's text gives away. Trials have the object.
        as_kept = repr(Domain.call(known["kind"], values)) == known["text"]
        if as_kept and (found := [one for one in values if _alike(cell(one), value)]):
            return found[0]
        if found := [one for one in tried if _alike(cell(one), value)]:
            return found[0]
        why = "is none of its values" if as_kept else "cannot be given here, for no trial has had it: give it in Python"
        raise ExperimentError(f"{name}: {value!r} {why}")
    if kind == "int" and type(value) is not int:
        raise ExperimentError(f"{name}: {value!r} is no whole number")
    if kind == "float":
        if type(value) not in (int, float):
            raise ExperimentError(f"{name}: {value!r} is no number")
        return float(value)
    return value


def _alike(one: Any, other: Any) -> bool:
    """Tell whether two cells are the same: 1, 1.0 and True are not."""
    return type(one) is type(other) and bool(one == other)
