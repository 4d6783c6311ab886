"""The processes of trials that a driver's process keeps from one experiment to the next."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbtune.engine.protocol import environment
from nbtune.engine.tune.host import TrialHost

__all__ = ["Hosts"]

_log = logging.getLogger(__name__)
_PING_TIMEOUT = 2.0  # seconds for an idle host to answer
_TIDY_TIMEOUT = 5.0  # seconds after an experiment in which its hosts are expected to be tidy


@dataclass
class _Idle:
    """A host that runs no trial.

    Attributes:
        actor: its handle.
        tidying: Ray's reference to what `TrialHost.tidy` returns; None for a host that has not run any trial.
        variables: the variables with which libraries were imported there; None before the first trial.
        used: when it has last been used, by `time.monotonic`; 0 before the first trial.
    """

    actor: Any
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

    def keep(self, nodes: Sequence[str]) -> None:
        """Start hosts ahead of the next experiment. From now on as many are kept between two experiments.

        Args:
            nodes: ids of the nodes, one for each host.
        """
        with self._lock:
            self._wanted = Counter(nodes)
        self._fill()

    def take(self, node: str, variables: Mapping[str, str]) -> Any:
        """Return the handle of a host on a node that runs no trial. It is new if there is none.

        Args:
            node: the node's id.
            variables: environment variables of the trial.
        """
        early = environment.set_at_start(variables)
        with self._lock:
            usable = None
            remaining: list[_Idle] = []
            for host in self._idle.get(node, []):
                if usable is None and host.variables in (None, early) and (state := _state(host)) != "tidying":
                    if state == "tidy" and _is_alive(host):
                        usable = host.actor
                    else:
                        _end(host.actor)
                else:
                    remaining.append(host)
            self._idle[node] = remaining
            actor = _new(node) if usable is None else usable
            self._used[actor] = node, early
        return actor

    def give_back(self, actor: Any) -> None:
        """Keep a host whose trial has been stopped. It is tidied, or ends if that is not possible.

        Args:
            actor: its handle.
        """
        with self._lock:
            node, variables = self._used.pop(actor)
            self._idle.setdefault(node, []).append(_Idle(actor, actor.tidy.remote(), variables, time.monotonic()))

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
                idle += [_Idle(_new(node)) for _ in range(number - len(idle))]


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
    """Tell whether the process of an idle host has not been killed; one that is still starting is alive."""
    try:
        ray.get(host.actor.ping.remote(), timeout=_PING_TIMEOUT if host.used else 0.0)
    except GetTimeoutError:
        return not host.used
    except Exception:  # it has ended
        return False
    return True


def _new(node: str) -> Any:
    strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(TrialHost).options(num_cpus=0, scheduling_strategy=strategy).remote()


def _end(actor: Any) -> None:
    with suppress(Exception):  # it has ended already
        ray.kill(actor)
