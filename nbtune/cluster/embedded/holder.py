"""The process that holds an embedded Ray for a kernel, which connects to it later; see `nbtune.cluster.embedded.early`.

A program: it starts the processes of the kernel's first experiment as well. It writes the address of its Ray and the
name of the driver's process as a line of JSON to standard output. Each line of its standard input has packages that the
processes of trials import, and environment variables that are set there meanwhile. It ends, with its Ray, when the
kernel closes its standard input or has ended itself.
"""

from __future__ import annotations

import json
import os
import select
import sys

from nbtune.cluster.embedded import embedded
from nbtune.cluster.link import ahead
from nbtune.cluster.link.imports import import_ray
from nbtune.engine.protocol.environment import NAMESPACE

_PIPE_SIZE = 1 << 16  # bytes; lines are much shorter than what a pipe takes at once
_POLL_INTERVAL = 1.0  # seconds between checks of the kernel, whose other children may keep the pipe open


def main() -> None:
    """Start Ray, and end it with the kernel."""
    kernel = os.getppid()
    ray = import_ray()
    embedded.start(ray, NAMESPACE, None, None)
    process = ahead.start_processes()
    print(json.dumps([ray.get_runtime_context().gcs_address, process]), flush=True)
    while os.getppid() == kernel:
        if select.select([sys.stdin], [], [], _POLL_INTERVAL)[0]:
            # Not readline, which may read a second line into its buffer, where select does not see it.
            lines = os.read(sys.stdin.fileno(), _PIPE_SIZE)
            if not lines:
                break
            for line in lines.splitlines():
                if process is not None:
                    ahead.import_packages(process, *json.loads(line))
    ray.shutdown()


if __name__ == "__main__":
    main()
