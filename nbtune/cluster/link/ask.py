"""Asks a Ray cluster who it is, without becoming a job of it. A program: its answer is one line of JSON.

It runs in a process of its own (see `nbtune.cluster.link.probe`), because Ray's C++ half ends the process that
it is in where it misses a token, waits for 40 s where nobody answers, and keeps the first token that it sees.
It imports nothing of nbtune, and never prints what a token is.

    python ask.py ADDRESS            the kind of authentication, the versions, whether a node is on this machine
    python ask.py ADDRESS activity   also what is alive in the namespace of nbtune, and when the last job ended
    python ask.py ray://HOST:PORT    the kind of authentication only
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

NAMESPACE = "nbtune"
_ANSWER = 5.0  # seconds for the cluster to answer, once Ray is imported


def main(address: str, activity: bool) -> dict[str, Any]:
    """Return the answer: ``auth`` is disabled, token, missing or wrong, and the rest is there for the first two."""
    # The cached mode and token: this process tries one mode after the other.
    from ray._raylet import AuthenticationTokenLoader, Config

    # A server of another kind may never answer Ray's questions, and some of these have no time limit.
    limit = threading.Timer(_ANSWER, os._exit, [1])
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
            if _client_answers(address.removeprefix("ray://")):
                return {"auth": mode}
            continue
        from ray.exceptions import AuthenticationError

        try:
            facts = _facts(address)
        except AuthenticationError:
            continue
        return {"auth": mode, **facts, **(_activity(address) if activity else {})}
    return {"auth": "wrong"}


def _client_answers(target: str) -> bool:
    """Tell whether a Ray Client server answers, rather than refuses for want of the right token."""
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


def _facts(address: str) -> dict[str, Any]:
    # The cluster's metadata and nodes; in public only a job of the cluster can ask for these.
    from ray._private import services
    from ray._raylet import GcsClient

    gcs = GcsClient(address=address)
    metadata = json.loads(gcs.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=5) or b"{}")
    alive = [node for node in gcs.get_all_node_info(timeout=5).values() if node.state == node.ALIVE]
    heads = [node.node_manager_address for node in alive if node.is_head_node]
    here = services.find_node_ids()
    return {
        "ray": metadata.get("ray_version"),
        "python": metadata.get("python_version"),
        "head": heads[0] if heads else None,
        "here": any(node.node_id.hex() in here for node in alive),
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
        "last": max((job.end_time / 1000 for job in jobs if job.is_dead), default=0),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], "activity" in sys.argv[2:])), flush=True)
    os._exit(0)  # Ray's threads would take their time
