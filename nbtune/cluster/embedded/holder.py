"""The process that holds an embedded Ray for a kernel, which connects to it later; see `nbtune.cluster.embedded.early`.

A program: it writes the address of its Ray as a line of JSON to standard output, and ends, with its Ray, when the
kernel closes its standard input or has ended itself.
"""

from __future__ import annotations

import json
import os
import select
import sys

from nbtune.cluster.embedded import embedded
from nbtune.cluster.link.imports import import_ray
from nbtune.engine.protocol.environment import NAMESPACE

_POLL_INTERVAL = 1.0  # seconds between checks of the kernel, whose other children may keep the pipe open


def main() -> None:
    """Start Ray, and end it with the kernel."""
    kernel = os.getppid()
    ray = import_ray()
    embedded.start(ray, NAMESPACE, None, None)
    print(json.dumps(ray.get_runtime_context().gcs_address), flush=True)
    while os.getppid() == kernel and not select.select([sys.stdin], [], [], _POLL_INTERVAL)[0]:
        pass
    ray.shutdown()


if __name__ == "__main__":
    main()
