"""Query a Ray cluster without becoming one of its jobs. A program that prints its answer as one line of JSON.

It runs in a process of its own (see `nbtune.cluster.link.probe`), because Ray's C++ half ends the process if a token
is missing, waits for 40 s if there is no answer, and caches the first token that it reads. The program imports nothing
of nbtune and never prints a token.

    python query.py ADDRESS            authentication mode, versions, whether a node is on this machine
    python query.py ADDRESS activity   also the number of jobs and experiments, and when the last job ended
    python query.py ray://HOST:PORT    authentication mode only
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

NAMESPACE = "nbtune"
_TIMEOUT = 5.0  # seconds for the cluster to answer, after Ray was imported


def main(address: str, activity: bool) -> dict[str, Any]:
    """Return the answer.

    Args:
        address: HOST:PORT or ray://HOST:PORT.
        activity: whether to count jobs and experiments too.

    Returns:
        ``auth`` is "disabled", "token", "missing" or "wrong"; the other keys exist with the first two only.
    """
    # The cached mode and token: this process tries one mode after the other.
    from ray._raylet import AuthenticationTokenLoader, Config

    # A server of another kind may never answer, and some of Ray's requests have no timeout.
    limit = threading.Timer(_TIMEOUT, os._exit, [1])
    limit.daemon = True
    limit.start()
    client = address.startswith("ray://")
    for mode in ("disabled", "token"):
        os.environ["RAY_AUTH_MODE"] = mode
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        if mode == "token" and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
            return {"auth": "missing"}
        if client:
            if _client_server_accepts(address.removeprefix("ray://")):
                return {"auth": mode}
            continue
        from ray.exceptions import AuthenticationError

        try:
            metadata = _metadata(address)
        except AuthenticationError:
            continue
        return {"auth": mode, **metadata, **(_activity(address) if activity else {})}
    return {"auth": "wrong"}


def _client_server_accepts(target: str) -> bool:
    """Tell whether a Ray Client server accepts the token, or the absence of one."""
    import grpc

    # A channel with the token; the public `ray.util.client` retries for a long time.
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.ray_client_pb2 import ClusterInfoRequest, ClusterInfoType
    from ray.core.generated.ray_client_pb2_grpc import RayletDriverStub

    try:
        stub = RayletDriverStub(init_grpc_channel(target))
        stub.ClusterInfo(ClusterInfoRequest(type=ClusterInfoType.PING), timeout=5)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            return False
        raise
    return True


def _metadata(address: str) -> dict[str, Any]:
    # The cluster's metadata and nodes; in public only a job of the cluster can ask for these.
    from ray._private import services
    from ray._raylet import GcsClient

    gcs = GcsClient(address=address)
    metadata = json.loads(gcs.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=5) or b"{}")
    alive = [node for node in gcs.get_all_node_info(timeout=5).values() if node.state == node.ALIVE]
    heads = [node.node_manager_address for node in alive if node.is_head_node]
    local_nodes = services.find_node_ids()
    return {
        "ray": metadata.get("ray_version"),
        "python": metadata.get("python_version"),
        "head": heads[0] if heads else None,
        "has_local_node": any(node.node_id.hex() in local_nodes for node in alive),
    }


def _activity(address: str) -> dict[str, Any]:
    # The tables of actors and jobs, for the same reason.
    from ray._raylet import GcsClientOptions, GlobalStateAccessor
    from ray.core.generated.gcs_pb2 import ActorTableData, JobTableData

    options = GcsClientOptions.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=True)
    gcs = GlobalStateAccessor(options)
    if not gcs.connect():
        raise ConnectionError(address)
    actors = [ActorTableData.FromString(record) for record in gcs.get_actor_table(None, None)]
    records = gcs.get_job_table(skip_submission_job_info_field=True, skip_is_running_tasks_field=True)
    jobs = [JobTableData.FromString(record) for record in records]
    named = [actor.name for actor in actors if actor.state != ActorTableData.DEAD and actor.ray_namespace == NAMESPACE]
    return {
        "jobs": sum(not job.is_dead for job in jobs),
        "experiments": sum(bool(name) and not name.startswith("_") for name in named),
        "last_job_end": max((job.end_time / 1000 for job in jobs if job.is_dead), default=0),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], "activity" in sys.argv[2:])), flush=True)
    os._exit(0)  # Ray's threads would delay the end
