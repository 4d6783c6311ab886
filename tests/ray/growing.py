"""A cluster that starts nodes when they are needed: Ray's own autoscaler, with nodes that are processes of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

CONFIG = {
    "cluster_name": "growing",
    "max_workers": 3,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "head": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "large": {"resources": {"CPU": 2, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "head_node_type": "head",
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


@contextmanager
def growing() -> Iterator[str]:
    """Run a head with the autoscaler, and end it with all that it has started; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="nbg-", dir="/tmp"))
    config, temp = folder / "config.yaml", folder / "ray"
    config.write_text(json.dumps(CONFIG))  # which is YAML, too
    variables = {name: value for name, value in os.environ.items() if name not in ("RAY_TMPDIR", "RAY_ADDRESS")}
    variables |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=1"]
    command += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={temp}"]
    command += [f"--autoscaling-config={config}"]
    with open(folder / "out", "w") as out:
        process = subprocess.Popen(command, env=variables, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        file, due = temp / "ray_current_cluster", time.monotonic() + 180
        while not (file.exists() and file.read_text()):
            assert process.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < due, (folder / "out").read_text()
            time.sleep(0.05)
        yield file.read_text().strip()
    finally:
        with suppress(psutil.Error):
            tree = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in tree:
                with suppress(psutil.Error):
                    child.kill()
        process.wait()
        subprocess.run(["rm", "-rf", str(folder)], check=False)
