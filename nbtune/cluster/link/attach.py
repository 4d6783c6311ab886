"""Connecting to a running cluster, and checking that nbtune can work there."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

from nbtune.cluster.link import auth, survey
from nbtune.cluster.link.address import Address, UnreachableError, check_reachable, parse
from nbtune.cluster.link.imports import PACKAGE, environment_variables, loopback, version
from nbtune.cluster.link.link import Link, set_link
from nbtune.cluster.link.probe import ProbeResult, missing_token, wrong_token
from nbtune.engine.protocol.environment import NAMESPACE
from nbtune.errors import ClusterError

__all__ = ["adopt", "attach", "attach_embedded", "attach_local", "disconnect_if_gone"]

# Ray ends the kernel's process, and so its variables, when a cluster has not answered for this long; a minute by
# default. `disconnect_if_gone` disconnects instead.
_RECONNECT_TIMEOUT = "RAY_gcs_rpc_server_reconnect_timeout_s"

_CLIENT_ATTEMPTS = 3
"""How many times to try to connect through Ray Client.

Its server forks a process for each client while gRPC's threads are running, and about one in 25 of these processes
crashes at the start (measured with Ray 2.60), which aborts the connection. Each attempt gets a new process.
"""


def attach(ray: Any, address: Address, probed: ProbeResult, requested: Address | None) -> None:
    """Connect to a cluster.

    Args:
        ray: the module.
        address: where the cluster is.
        probed: what `nbtune.cluster.link.probe.probe` has returned for it.
        requested: the address that the user has given, if any.

    Raises:
        ClusterError: Ray cannot connect, or nbtune cannot work there.
    """
    auth.use_mode(probed.mode)
    _init(ray, address, probed.loopback)
    try:
        reports = survey.survey(ray)
        survey.check_compatible(reports)
        if survey.nodes_without_nbtune(reports):
            # The job's runtime environment uploads it, and can only be set when connecting.
            ray.shutdown()
            _init(ray, address, probed.loopback, py_modules=[str(PACKAGE)])
            reports = survey.survey(ray)
            survey.check_compatible(reports)
            if nodes := survey.nodes_without_nbtune(reports):
                raise ClusterError(
                    f"nbtune could not be uploaded to the cluster's node {nodes[0]}. Install it there:"
                    f" pip install nbtune=={version()}"
                )
    except BaseException:
        ray.shutdown()
        raise
    set_link(ray, Link("attached", requested, survey.missing_packages(reports)))


def attach_local(ray: Any, address: Address, requested: Address | None, *, same_versions: bool) -> None:
    """Connect to nbtune's own local cluster.

    Args:
        ray: the module.
        address: where the cluster is.
        requested: the address that the user has given, if any.
        same_versions: whether it is known to have this kernel's Python, Ray and nbtune, and need not be asked.

    Raises:
        ClusterError: it needs another token, or has another Python, Ray or nbtune.
    """
    if not same_versions:
        from nbtune.cluster.link.probe import probe

        probe(address)
    token_source = auth.token_source()
    if token_source is None:
        raise missing_token(address)
    auth.use_mode("token")
    # Its guardian is alive, and so is the cluster: this returns at once, while `ray.init` with a wrong token does not.
    from nbtune.cluster.link._ray import GcsClient

    try:
        GcsClient(address=address.target)
    except ray.exceptions.AuthenticationError:
        raise wrong_token(address, token_source) from None
    _init(ray, address, on_loopback=True)
    missing: tuple[str, ...] = ()
    if not same_versions:
        try:
            reports = survey.survey(ray)
            survey.check_compatible(reports)
            missing = survey.missing_packages(reports)
        except BaseException:
            ray.shutdown()
            raise
    set_link(ray, Link("local", requested, missing))


def attach_embedded(ray: Any, address: Address, requested: Address | None) -> None:
    """Connect to an embedded Ray that another process has started for this kernel.

    Args:
        ray: the module.
        address: where it is.
        requested: the address that the user has given, if any.

    Raises:
        ClusterError: it has ended.
    """
    if auth.requested_mode() is None:
        auth.use_mode("token")
    check_reachable(address)
    _init(ray, address, on_loopback=True)
    set_link(ray, Link("embedded", requested))


def adopt(ray: Any) -> None:
    """Use the connection that the user has made with Ray itself.

    Args:
        ray: the module.

    Raises:
        ClusterError: nbtune cannot work there.
    """
    from nbtune.cluster.link._ray import is_own_head_node

    if is_own_head_node():
        set_link(ray, Link("embedded"))
        return
    reports = survey.survey(ray)
    survey.check_compatible(reports)
    if nodes := survey.nodes_without_nbtune(reports):
        raise ClusterError(
            f"nbtune is not installed on the cluster's node {nodes[0]}. Install it there"
            f" (pip install nbtune=={version()}), or call ray.shutdown() and connect with nbtune.connect()"
            " or %tune cluster, which upload it"
        )
    set_link(ray, Link("attached", None, survey.missing_packages(reports)))


def disconnect_if_gone(ray: Any) -> str | None:
    """Disconnect from a cluster that has ended: every call to it would block.

    Args:
        ray: the module.

    Returns:
        The cluster's address if it has ended, else None.
    """
    from nbtune.cluster.link._ray import is_own_head_node

    if is_own_head_node() or ray.util.client.ray.is_connected():  # Ray itself notices their end
        return None
    address = str(ray.get_runtime_context().gcs_address)
    try:
        check_reachable(parse(address))
    except UnreachableError:
        ray.shutdown()
        return address
    return None


def _init(ray: Any, address: Address, on_loopback: bool, **runtime_env: Any) -> None:
    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "ERROR"}
    if runtime_env:
        options["runtime_env"] = runtime_env
    timeout = {} if _RECONNECT_TIMEOUT in os.environ else {_RECONNECT_TIMEOUT: str(10 * 24 * 3600)}
    attempts = _CLIENT_ATTEMPTS if address.kind == "client" else 1
    try:
        with environment_variables(timeout), loopback() if on_loopback else contextlib.nullcontext():
            for attempt in range(1, attempts + 1):
                try:
                    ray.init(address=str(address), **options)
                    break
                except ConnectionAbortedError:
                    if attempt == attempts:
                        raise
                    ray.shutdown()
    except Exception as error:  # of many types, gRPC's own among them
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
