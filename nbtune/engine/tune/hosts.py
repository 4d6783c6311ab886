"""The processes of trials that a driver's process keeps from one experiment to the next."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbtune.engine.protocol import environment
from nbtune.engine.tune.host import TrialHost

__all__ = ["Hosts"]

_log = logging.getLogger(__name__)
_PING_TIMEOUT = 2.0  # seconds for an idle host to answer
_TIDY_TIMEOUT = 5.0  # seconds after an experiment in which its hosts are expected to be tidy
_STARTING_PER_CORE = 1
_MAX_FAILED = 3  # processes in a row that have died while they were starting, after which a trial shows the reason


@dataclass(eq=False)
class _Idle:
    """A host that runs no trial.

    Attributes:
        actor: its handle.
        starting: Ray's reference to what returns when it has started: `TrialHost.ping`, or its last `import_ahead`.
        tidying: Ray's reference to what `TrialHost.tidy` returns; None for a host that has not run any trial.
        variables: the variables with which libraries were imported there; None before the first import.
        used: when it has last been used, by `time.monotonic`; 0 before the first trial.
    """

    actor: Any
    starting: Any = None
    tidying: Any = None
    variables: Mapping[str, str] | None = None
    used: float = 0.0


class Hosts:
    """The hosts of one driver's process. They end with it, or when they are not used any more. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Idle]] = {}  # id of a node -> its idle hosts
        self._used: dict[Any, tuple[str, Mapping[str, str]]] = {}  # handle -> node, variables
        self._wanted: Counter[str] = Counter()  # id of a node -> number of hosts to keep there
        self._starting: dict[Any, str] = {}  # `_Idle.starting` of those that have not started -> node
        self._failed: Counter[str] = Counter()  # id of a node -> number of hosts in a row that could not start there
        self._packages: tuple[str, ...] = ()  # what hosts import that are started ahead
        self._variables: Mapping[str, str] = {}  # with which variables

    def keep(self, nodes: Sequence[str]) -> None:
        """Start hosts ahead of the next experiment. From now on as many are kept between two experiments.

        Args:
            nodes: ids of the nodes, one for each host.
        """
        with self._lock:
            self._wanted = Counter(nodes)
        self._fill()

    def import_ahead(self, packages: Sequence[str], variables: Mapping[str, str]) -> None:
        """Let hosts that have not run any trial import packages, and those that are started ahead from now on.

        Args:
            packages: names of packages.
            variables: environment variables of the trials; those that libraries read when they are imported count.
        """
        with self._lock:
            self._packages = tuple(dict.fromkeys([*self._packages, *packages]))
            self._variables = environment.set_at_start(variables)
            for node, hosts in self._idle.items():
                for host in hosts:
                    if not host.used:
                        self._import(host, node)

    def starting(self) -> list[Any]:
        """Return Ray's references that are ready when one of the hosts has started. `note_started` removes them."""
        with self._lock:
            return list(self._starting)

    def note_started(self) -> None:
        """Note which hosts have started, and forget those that have ended meanwhile."""
        with self._lock:
            if not self._starting:
                return
            for ready in ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)[0]:
                node = self._starting.pop(ready)
                try:
                    ray.get(ready)
                except Exception as error:  # its process has ended
                    _log.debug("a process of trials could not start: %s", error)
                    self._failed[node] += 1
                    idle = self._idle.get(node, [])
                    for host in [host for host in idle if host.starting == ready]:
                        idle.remove(host)
                        _end(host.actor)
                else:
                    self._failed[node] = 0

    def prepare(self, node: str, variables: Mapping[str, str], wanted: int) -> bool:
        """Tell whether a host on a node has started and is idle. If not, begin to start as many as are wanted.

        One that has died since then is only noticed by `take`. If none can start there, a trial is to try it, since its
        failure says why.

        A trial that was given to a process that is still starting could not be given to another one that is free
        before. Ray's CPUs are logical, and may be many more than the cores of this machine. If all hosts started at
        once, none of them would be ready before the last one. Other machines are taken to have the cores that they
        tell Ray.

        Args:
            node: the node's id.
            variables: environment variables of the trials.
            wanted: how many trials wait for a host there.
        """
        early = environment.set_at_start(variables)
        self.note_started()
        with self._lock:
            fitting = [host for host in self._idle.get(node, []) if host.variables in (None, early)]
            starting = [host for host in fitting if host.starting in self._starting]
            if self._failed[node] >= _MAX_FAILED:
                return True
            if any(host not in starting and _state(host) == "tidy" for host in fitting):
                return True
            if node == ray.get_runtime_context().get_node_id():
                wanted = min(wanted, _STARTING_PER_CORE * (os.cpu_count() or 1))
            for _ in range(wanted - len(starting)):
                self._idle.setdefault(node, []).append(self._new(node))
        return False

    def take(self, node: str, variables: Mapping[str, str]) -> Any:
        """Return the handle of a host on a node that runs no trial. It is new if there is none.

        Args:
            node: the node's id.
            variables: environment variables of the trial.
        """
        early = environment.set_at_start(variables)
        self.note_started()
        with self._lock:
            usable = None
            remaining: list[_Idle] = []
            for host in sorted(self._idle.get(node, []), key=lambda host: host.starting in self._starting):
                if usable is None and host.variables in (None, early) and (state := _state(host)) != "tidying":
                    # One that is still starting cannot answer yet.
                    if state == "tidy" and (host.starting in self._starting or _is_alive(host)):
                        usable = host.actor
                    else:
                        _end(host.actor)
                else:
                    remaining.append(host)
            self._idle[node] = remaining
            actor = self._new(node).actor if usable is None else usable
            self._used[actor] = node, early
        return actor

    def give_back(self, actor: Any) -> None:
        """Keep a host whose trial has been stopped. It is tidied, or ends if that is not possible.

        Args:
            actor: its handle.
        """
        with self._lock:
            node, variables = self._used.pop(actor)
            self._idle.setdefault(node, []).append(_Idle(actor, None, actor.tidy.remote(), variables, time.monotonic()))

    def settle(self) -> None:
        """After an experiment, tidy the hosts, and replace those that cannot be used again."""
        with self._lock:
            tidying = [host.tidying for hosts in self._idle.values() for host in hosts if host.tidying is not None]
        if tidying:
            ray.wait(tidying, num_returns=len(tidying), timeout=_TIDY_TIMEOUT)
        with self._lock:
            for actor in self._used:  # Tune has ended without freeing them
                _end(actor)
            self._used.clear()
        self._end_all_but(lambda node, position, host: _state(host) == "tidy")
        self.note_started()
        self._fill()

    def trim(self) -> None:
        """End the hosts beyond the number that is kept: the last experiment had more, and is over for a while."""
        self._end_all_but(lambda node, position, host: position < self._wanted[node])

    def _end_all_but(self, is_kept: Callable[[str, int, _Idle], bool]) -> None:
        """End idle hosts. Those that were used last come first: they fit the next experiment best."""
        with self._lock:
            for node, hosts in self._idle.items():
                kept: list[_Idle] = []
                for host in sorted(hosts, key=lambda host: host.used, reverse=True):
                    if is_kept(node, len(kept), host):
                        kept.append(host)
                    else:
                        _end(host.actor)
                self._idle[node] = kept

    def _fill(self) -> None:
        with self._lock:
            for node, number in self._wanted.items():
                idle = self._idle.setdefault(node, [])
                new = [self._new(node) for _ in range(number - len(idle))]
                for host in new:
                    self._import(host, node)
                idle += new

    def _import(self, host: _Idle, node: str) -> None:
        """Let a host that has not run any trial import packages, unless it has imported some with other variables."""
        if self._packages and host.variables in (None, self._variables):
            self._starting.pop(host.starting, None)
            host.starting = host.actor.import_ahead.remote(self._packages, self._variables)
            self._starting[host.starting] = node
            host.variables = self._variables

    def _new(self, node: str) -> _Idle:
        strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        actor: Any = ray.remote(TrialHost).options(num_cpus=0, scheduling_strategy=strategy).remote()
        actor.get_auto_filled_metrics = _Unknown()  # an attribute of this handle, which is found before the methods
        starting = actor.ping.remote()
        self._starting[starting] = node
        return _Idle(actor, starting)


class _Unknown:
    """In place of a method that Tune calls twice for each trial: for what it shows of one that has not reported yet."""

    def remote(self, **named: Any) -> None:
        """Call nothing: nbtune shows nothing of that."""


def _state(host: _Idle) -> str:
    """Return "tidy" for a host that can run a trial, "tidying", or "unusable"."""
    if host.tidying is None:
        return "tidy"
    if not ray.wait([host.tidying], timeout=0)[0]:
        return "tidying"
    try:
        reason = ray.get(host.tidying)
    except Exception:  # its process has ended
        return "unusable"
    if reason is not None:
        _log.debug("a process of trials is not used again: it %s", reason)
    return "tidy" if reason is None else "unusable"


def _is_alive(host: _Idle) -> bool:
    """Tell whether the process of an idle host has not been killed."""
    try:
        ray.get(host.actor.ping.remote(), timeout=_PING_TIMEOUT)
    except Exception:  # it has ended, or hangs
        return False
    return True


def _end(actor: Any) -> None:
    with suppress(Exception):  # it has ended already
        ray.kill(actor)
