"""Joining a cluster that runs, and making sure that nbtune can work there."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

from nbtune.cluster.link import auth, survey
from nbtune.cluster.link.address import Address, UnreachableError, listening, parse
from nbtune.cluster.link.imports import PACKAGE, loopback, variables, version
from nbtune.cluster.link.link import Link, remember
from nbtune.cluster.link.probe import Found, no_token, other_token
from nbtune.errors import ClusterError

__all__ = ["NAMESPACE", "adopt", "attach", "enter", "leave_if_gone"]

NAMESPACE = "nbtune"
"""The Ray namespace of all of nbtune's actors."""

# A cluster that has gone for this long takes the kernel's process with it, by Ray's default after a minute, and the
# notebook's variables with that. `leave_if_gone` does better.
_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"

_CLIENT_ATTEMPTS = 3
"""How often to connect through Ray Client.

Its server forks a process for each client while gRPC's threads run, and about one in 25 of them dies as it starts
(measured with Ray 2.60). Ray aborts the connection then. The next attempt gets another process, on another port.
"""


def attach(ray: Any, address: Address, found: Found, given: Address | None) -> None:
    """Connect to a cluster that a probe has found.

    Raises:
        ClusterError: Ray cannot connect, or nbtune cannot work there.
    """
    auth.use(found.mode)
    _init(ray, address, found.loopback)
    try:
        reports = survey.survey(ray)
        survey.compare(reports)
        if survey.lacks_nbtune(reports):
            # The job's runtime environment takes it there, and is set when connecting.
            ray.shutdown()
            _init(ray, address, found.loopback, py_modules=[str(PACKAGE)])
            reports = survey.survey(ray)
            survey.compare(reports)
            if lacking := survey.lacks_nbtune(reports):
                raise ClusterError(
                    f"nbtune could not be taken to the cluster's processes on {lacking[0]}. Install it there:"
                    f" pip install nbtune=={version()}"
                )
    except BaseException:
        ray.shutdown()
        raise
    remember(ray, Link("attached", given, survey.missing(reports)))


def enter(ray: Any, address: Address, given: Address | None, same: bool) -> None:
    """Connect to nbtune's own local cluster.

    Args:
        ray: the module.
        address: where it is.
        given: the address that was asked for, if any.
        same: whether it runs what this kernel runs, so that there is nothing to ask.

    Raises:
        ClusterError: the token is another one, or the cluster runs another Python, Ray or nbtune.
    """
    if not same:
        from nbtune.cluster.link.probe import probe

        probe(address)
    where = auth.source()
    if where is None:
        raise no_token(address)
    auth.use("token")
    # It is there, or its keeper would have cleared it away: so this answers at once, unlike `ray.init`.
    from nbtune.cluster.link._ray import GcsClient

    try:
        GcsClient(address=address.target)
    except ray.exceptions.AuthenticationError:
        raise other_token(address, where) from None
    _init(ray, address, on_loopback=True)
    missing: tuple[str, ...] = ()
    if not same:
        try:
            reports = survey.survey(ray)
            survey.compare(reports)
            missing = survey.missing(reports)
        except BaseException:
            ray.shutdown()
            raise
    remember(ray, Link("local", given, missing))


def adopt(ray: Any) -> None:
    """Take the connection that the user has made with Ray itself.

    Raises:
        ClusterError: nbtune cannot work there.
    """
    from nbtune.cluster.link._ray import is_own_head_node

    if is_own_head_node():
        remember(ray, Link("embedded"))
        return
    reports = survey.survey(ray)
    survey.compare(reports)
    if lacking := survey.lacks_nbtune(reports):
        raise ClusterError(
            f"the cluster's processes on {lacking[0]} do not have nbtune. Install it there"
            f" (pip install nbtune=={version()}), or call ray.shutdown() and connect with nbtune.connect()"
            " or %tune cluster, which take it along"
        )
    remember(ray, Link("attached", None, survey.missing(reports)))


def leave_if_gone(ray: Any) -> str | None:
    """Leave a cluster that is no more: whatever asks it for something would wait for it.

    Returns:
        The address that it had, or None if it is there.
    """
    from nbtune.cluster.link._ray import is_own_head_node

    if is_own_head_node() or ray.util.client.ray.is_connected():  # Ray notices these itself
        return None
    where = str(ray.get_runtime_context().gcs_address)
    try:
        listening(parse(where))
    except UnreachableError:
        ray.shutdown()
        return where
    return None


def _init(ray: Any, address: Address, on_loopback: bool, **runtime_env: Any) -> None:
    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "ERROR"}
    if runtime_env:
        options["runtime_env"] = runtime_env
    patience = {} if _PATIENCE in os.environ else {_PATIENCE: str(10 * 24 * 3600)}
    attempts = _CLIENT_ATTEMPTS if address.kind == "client" else 1
    try:
        with variables(patience), loopback() if on_loopback else contextlib.nullcontext():
            for attempt in range(1, attempts + 1):
                try:
                    ray.init(address=str(address), **options)
                    break
                except ConnectionAbortedError:
                    if attempt == attempts:
                        raise
                    ray.shutdown()
    except Exception as error:  # of many kinds, grpc's own among them
        ray.shutdown()
        mismatch = _version_mismatch(error)
        problem = "has other versions than this kernel" if mismatch else "cannot be used"
        text = " ".join((mismatch or str(error)).split())
        raise ClusterError(f"{address} {problem}: {text or type(error).__name__}") from error


def _version_mismatch(error: Exception) -> str:
    """Return what an error of `ray.init` says about different versions, or an empty text.

    Ray raises a plain RuntimeError for other versions of Python or of itself, so only the text says which they are.
    """
    found = re.search(r"(Python|Ray)[^\n]*version[\s\S]*", str(error), re.IGNORECASE)
    return found.group() if found else ""
