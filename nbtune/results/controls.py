"""What can be done to an experiment while it runs and after its end: the commands of its handle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from nbtune.engine.protocol.commands import (
    AddTrial,
    Command,
    ExtendSearch,
    PauseTrial,
    SearchCommand,
    SetMaxConcurrent,
    StopExperiment,
    StopTrial,
)
from nbtune.engine.protocol.source import OverError, RefusedError, Source, SourceLostError
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.about import About
from nbtune.results.store import ENDED
from nbtune.shell import say

__all__ = ["CODE_CHOICES", "Controls"]

CODE_CHOICES = ("stored", "new")
"""Which code a resumed experiment runs: what its folder has, or the present text of its cell or function."""


class Controls(About):
    """The commands of an experiment. One about its search resumes an experiment that is over.

    Attributes:
        stop_requested: whether `stop` was called since its latest start; it may take seconds until it is over.
    """

    _source: Source
    stop_requested = False

    @abstractmethod
    def _restart(self, **how: Any) -> None: ...

    @abstractmethod
    def _ends_soon(self) -> bool: ...

    def stop(self) -> None:
        """End the experiment: its trials' processes end, what they have reported stays.

        Returns once the cluster has received the command; `wait` waits for the end. Nothing happens if it is over.

        Raises:
            ExperimentError: it cannot be reached.
        """
        self._execute(StopExperiment())
        self.stop_requested = True

    def resume(self, *, failed: bool = False, code: str = "stored") -> Self:
        """Resume it after a stop, after a crash of its driver or cluster, or in a new kernel; return itself.

        Unfinished trials resume from their last checkpoints, those without one start again; finished ones stay
        as they are. The remaining samples are tried, and the search algorithm keeps what it has learned (Ray Tune's
        `Tuner.restore`, completed from the event log). A time budget starts again.

        It goes on with the code and the variables that it was started with. If the text of its cell or function has
        changed since, as far as this kernel knows it, a message says what. Modules are imported in their present text.

        Args:
            failed: whether failed trials are tried again, too.
            code: "stored", or "new" for the present text of its cell or function, with the present variables: the cell
                that was run last under its name, also by ``--dry-run``, or what the function's variable is now. Later
                resumptions use this code. Parameters, options and results stay.

        Returns:
            This experiment.

        Raises:
            ExperimentError: it runs elsewhere, nothing remains to be done, its storage does not have what it needs, or
                this kernel does not have the new code. Where it may run elsewhere, this waits up to 30 seconds for a
                sign of life.
            SpecError: the new code cannot be sent to the trials.
            UntrustedError: another user has started it, or its code was changed since, and it is not trusted.
            ClusterError: no cluster can be reached or started.
        """
        if code not in CODE_CHOICES:
            hint = did_you_mean(str(code), CODE_CHOICES)
            raise ExperimentError(f'code: expected "stored" or "new", got {code!r}{hint}')
        if self.status not in ENDED:
            replaced = "; its code can only be replaced when it is over: stop it first" if code == "new" else ""
            say(f"{self.name} is {self.status}: there is nothing to resume{replaced}")
            return self
        self._restart(failed=failed, code=code)
        return self

    def add(self, point: Mapping[str, Any] | None = None, /, **parameters: Any) -> None:
        """Try a point of your own next, also after the end; parameters that are not given are sampled.

        Args:
            point: parameter -> value, for names that are not Python identifiers ("a/b").
            parameters: parameter=value.

        Raises:
            ExperimentError: it has no such parameter, or cannot be reached.
        """
        config = {**(point or {}), **parameters}
        self._check_parameters(config)
        self._execute(AddTrial(config))

    def extend(self, samples: int) -> None:
        """Let the search algorithm try more samples than were requested at first, also after the end.

        Args:
            samples: the number of additional samples; with `grid_search` in the space, of repetitions of the grid.

        Raises:
            ExperimentError: its search algorithm cannot be extended, or the experiment cannot be reached.
        """
        self._execute(ExtendSearch(_positive("samples", samples)))

    @property
    def max_concurrent(self) -> int | None:
        """How many trials may run at once; None for as many as fit. Setting it takes effect while it runs.

        A lower number does not stop trials that run already. Setting it changes nothing if the experiment is over.
        """
        return self._store.metadata.get("max_concurrent")

    @max_concurrent.setter
    def max_concurrent(self, max_concurrent: int | None) -> None:
        if max_concurrent is not None:
            max_concurrent = _positive("max_concurrent", max_concurrent)
        self._execute(SetMaxConcurrent(max_concurrent))

    def _check_parameters(self, config: Mapping[str, Any]) -> None:
        """Raise an `ExperimentError` if the space does not have one of these parameters."""
        space = self._store.metadata.get("space", {})
        for name in config:
            if name not in space:
                raise ExperimentError(
                    f"{self.name} has no parameter {name!r}{did_you_mean(name, space)}; it has {', '.join(space)}"
                )

    def _execute(self, command: Command) -> None:
        """Have the driver execute a command. Resume an experiment that is over, if the command is about its search.

        Args:
            command: what to do. One that ends or limits something is fulfilled if the experiment is over.

        Raises:
            ExperimentError: the experiment is over, refuses the command or cannot be reached.
        """
        if self.status in ENDED:
            if isinstance(command, SearchCommand):
                self._restart(commands=(command,))
            elif self.status == "running elsewhere":
                raise ExperimentError(f"{self.name} cannot be reached from here: {self.error}")
            else:
                self._needs_no(command)
            return
        try:
            self._source.send(command)
        except (RefusedError, SourceLostError, TimeoutError) as error:
            if isinstance(error, (OverError, SourceLostError)) and type(command) in _NEEDLESS and self._ends_soon():
                self._needs_no(command)
            elif isinstance(error, RefusedError):
                raise ExperimentError(f"{self.name}: {error}") from None
            else:
                raise ExperimentError(f"{self.name} cannot be reached: {error}") from error

    def _needs_no(self, command: Command) -> None:
        """Say that a command has nothing to do, since the experiment is over. Raise if that does not fulfil it."""
        verb = _NEEDLESS.get(type(command))
        if verb is None:
            raise ExperimentError(f"{self.name} is {self.status}: it does not run")
        say(self.needless(verb) or f"{self.name} is ending: there is nothing to {verb}")

    def needless(self, verb: str) -> str | None:
        """Return a sentence if the experiment is over, so that there is nothing to stop or limit; else None.

        Args:
            verb: the command, "stop", "pause" or "limit".
        """
        status = self.status
        is_over = status in ENDED and status != "running elsewhere"
        return f"{self.name} is {status}: there is nothing to {verb}" if is_over else None


_NEEDLESS: dict[type[Any], str] = {
    StopExperiment: "stop",
    StopTrial: "stop",
    PauseTrial: "pause",
    SetMaxConcurrent: "limit",
}
"""The commands that are fulfilled when the experiment is over -> what they do."""


def _positive(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ExperimentError(f"{name}: expected an integer >= 1, got {number!r}")
    return number
