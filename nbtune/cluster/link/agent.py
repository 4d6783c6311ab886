"""The program that a Ray of nbtune runs in place of Ray's dashboard agent.

A raylet waits at its start for this agent, which imports 100 MB and takes two seconds of CPU. All that it does is to
answer the dashboard, which a Ray of nbtune does not have, and to collect metrics for Prometheus. So this program does
what Ray's agent does where the packages of the dashboard are not installed: it tells Ray that there is no such
service, and lives as long as the raylet. It imports nothing but the standard library.
"""

from __future__ import annotations

import os
import sys
import time

SERVICES = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""The services of Ray's agent, by the names of the files with their ports."""
_POLL_INTERVAL = 1.0  # seconds between checks of the raylet, which usually ends this process itself


def main(arguments: list[str]) -> None:
    """Write the ports, and wait until the raylet has ended.

    Args:
        arguments: the command line arguments that Ray passes to its agent.
    """
    raylet = os.getppid()
    options = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
    for service in SERVICES:
        path = os.path.join(options["session-dir"], f"{service}_{options['node-id']}")
        with open(f"{path}.tmp", "w") as file:
            file.write("-1")  # Ray's number for a service that is not in use
        os.replace(f"{path}.tmp", path)
    while os.getppid() == raylet:
        time.sleep(_POLL_INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1:])
