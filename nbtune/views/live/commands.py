"""Executes the commands of the dashboard's buttons and forms, and answers the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nbtune.engine.protocol.recorded_space import RecordedParameter
from nbtune.errors import ExperimentError, NbtuneError
from nbtune.results.store import ENDED, Store
from nbtune.results.trial import Trial
from nbtune.spec.space.domain import Domain
from nbtune.views.base.background import BackgroundQueue
from nbtune.views.base.channel import ErrorLog, answer_to
from nbtune.views.live.rows import cell, parameter_kind

__all__ = ["CommandHandlers", "ControllableExperiment"]

Message = dict[str, Any]
Handler = Callable[[Message], None]
_RESUMING: Message = {"type": "resuming", "pending": True}  # the final answer follows


class ControllableExperiment(Protocol):
    """The part of an experiment that the commands use."""

    max_concurrent: int | None

    @property
    def trials(self) -> Mapping[int, Trial]: ...
    def stop(self) -> None: ...
    def resume(self, *, failed: bool = False) -> Any: ...
    def add(self, point: Mapping[str, Any] | None = None, /) -> None: ...
    def extend(self, samples: int) -> None: ...


class CommandHandlers:
    """The handlers of the browser's commands. They run one after another on a thread of their own.

    A command takes as long as the cluster takes to answer, and resuming an experiment takes seconds: the thread that
    receives the browser's messages must not wait for that.

    Args:
        experiment: the experiment.
        store: its state.
        send_header: sends an answer to the header.
        send_trials: sends an answer to the table.
        errors: where to keep unexpected exceptions.
    """

    def __init__(
        self,
        experiment: ControllableExperiment,
        store: Store,
        send_header: Handler,
        send_trials: Handler,
        errors: ErrorLog,
    ) -> None:
        self._experiment, self._store = experiment, store
        self._send_header, self._send_trials, self._errors = send_header, send_trials, errors
        self._background = BackgroundQueue("nbtune-commands")

    @property
    def header(self) -> dict[str, Handler]:
        """The handlers of the header's messages, by their type."""
        commands = {
            "stop": self._stop,
            "resume": self._resume,
            "extend": self._extend,
            "max_concurrent": self._set_max_concurrent,
        }
        return {name: self._handler(self._send_header, name, execute) for name, execute in commands.items()}

    @property
    def trials(self) -> dict[str, Handler]:
        """The handlers of the table's messages, by their type."""
        commands = {
            "stop": self._for_trial(Trial.stop, "stopping"),
            "pause": self._for_trial(Trial.pause, "pausing"),
            "resume": self._for_trial(Trial.resume, "resuming"),
            "add": self._add,
        }
        return {name: self._handler(self._send_trials, name, execute) for name, execute in commands.items()}

    # -- the commands: each returns its answer, or raises why it is refused -------------------------

    def _stop(self, _: Message) -> Message:
        self._experiment.stop()
        return {"type": "stopping"}

    def _resume(self, message: Message) -> Message:
        self._send_header(answer_to(message, _RESUMING))
        self._experiment.resume(failed=message.get("failed") is True)
        return {"type": "done", "command": "resume"}

    def _extend(self, message: Message) -> Message:
        if self._store.status in ENDED:
            self._send_header(answer_to(message, _RESUMING))
        self._experiment.extend(message.get("samples", 0))
        return {"type": "done", "command": "extend"}

    def _set_max_concurrent(self, message: Message) -> Message:
        self._experiment.max_concurrent = message.get("max_concurrent")
        return {"type": "done", "command": "max_concurrent"}

    def _for_trial(self, method: Callable[[Trial], None], answer: str) -> Callable[[Message], Message]:
        def execute(message: Message) -> Message:
            method(self._trial(message["trial"]))
            return {"type": answer, "trial": message["trial"]}

        return execute

    def _add(self, message: Message) -> Message:
        space, number = self._store.metadata.get("space", {}), message.get("trial")
        configs = [state.parameters for state in self._store.states()]
        point = {
            name: _read_value(name, value, space.get(name), [config[name] for config in configs if name in config])
            for name, value in message["config"].items()
        }
        if number is None:
            self._experiment.add(point)
        else:
            self._trial(number).clone(point, checkpoint=message.get("checkpoint") is True)
        return {"type": "added", "trial": number}

    def _trial(self, number: Any) -> Trial:
        trial = self._experiment.trials.get(number)
        if trial is None:
            raise ExperimentError(f"there is no trial {number}")
        return trial

    def _handler(self, send: Handler, name: str, execute: Callable[[Message], Message]) -> Handler:
        """Return the handler of a message: executes its command in the background and sends the answer."""

        def run(message: Message) -> None:
            try:
                send(answer_to(message, execute(message)))
                return
            except NbtuneError as error:
                reason = str(error)
            except Exception as error:  # on this thread nobody would see it
                reason = f"{type(error).__name__}: {error}"
                self._errors.add(f"command {name}", reason)
            refusal = {"type": "refused", "command": name, "trial": message.get("trial"), "message": reason}
            send(answer_to(message, refusal))

        return lambda message: self._background.submit(lambda: run(message))


def _read_value(name: str, value: Any, recorded: RecordedParameter | None, tried: list[Any]) -> Any:
    """Return the value of a parameter that the browser has sent.

    Args:
        name: the parameter.
        value: its JSON value; for a choice the cell that represents the value.
        recorded: the parameter's domain in the event log.
        tried: the values of earlier trials.

    Raises:
        ExperimentError: the value is not one of the parameter's.
    """
    kind = parameter_kind(recorded)
    if recorded is not None and kind == "choice":
        values = recorded["values"]
        # The log has only the repr of values that are not JSON; then `text` differs. Trials have the values themselves.
        is_json = repr(Domain.call(recorded["kind"], values)) == recorded["text"]
        if is_json and (matching := [one for one in values if _same_cell(cell(one), value)]):
            return matching[0]
        if matching := [one for one in tried if _same_cell(cell(one), value)]:
            return matching[0]
        if is_json:
            raise ExperimentError(f"{name}: expected one of {', '.join(map(repr, values))}, got {value!r}")
        raise ExperimentError(f"{name}: no trial has had the value {value!r} yet; use experiment.add in Python")
    if kind == "int" and type(value) is not int:
        raise ExperimentError(f"{name}: expected an integer, got {value!r}")
    if kind == "float":
        if type(value) not in (int, float):
            raise ExperimentError(f"{name}: expected a number, got {value!r}")
        return float(value)
    return value


def _same_cell(one: Any, other: Any) -> bool:
    """Return whether two cells are equal and of one type: 1, 1.0 and True differ."""
    return type(one) is type(other) and bool(one == other)
