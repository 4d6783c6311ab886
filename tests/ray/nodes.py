"""Experiments on a cluster of two nodes on this machine. A program, since a process can use one cluster only.

The storage folder is a different disk on each node; all other files are shared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import ray

import nbtune
from nbtune.cluster.resources import shared
from nbtune.engine.storage.storage import Storage


def plain(config: dict[str, Any]) -> None:
    print("hello")
    nbtune.report(acc=1)


def saving(config: dict[str, Any]) -> None:
    nbtune.report(acc=1, checkpoint={"step": 1})


def start(function: Any, storage: Path, **options: Any) -> Any:
    return nbtune.tune(function, {"a": nbtune.grid_search([1, 2])}, storage=str(storage), wait=False, **options)


def check(storage: Path) -> None:
    # Not started by nbtune, whose Ray listens on loopback only, so that no node can join.
    ray.init(address="local", num_cpus=1, namespace="nbtune", include_dashboard=False, log_to_driver=False)
    address = ray.get_runtime_context().gcs_address
    command = f"mount -t tmpfs tmpfs {storage} && exec ray start --address={address} --num-cpus=1 --min-worker-port=0 --max-worker-port=0 --block"
    node = subprocess.Popen(["unshare", "--mount", "sh", "-c", command], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while len([n for n in ray.nodes() if n["Alive"]]) < 2:
            assert node.poll() is None
            assert time.monotonic() < end, "the second node did not start"
            time.sleep(0.1)
        shared.TIMEOUT = 60.0  # the machine may be busy
        found = shared.check_storage(Storage(str(storage.parent)), checkpoints=True, retries=True)
        assert found == shared.StoragePlacement()
        assert not list(storage.parent.glob(".nbtune*")), "a marker file was not deleted"
        with pytest.raises(nbtune.SpecError, match="cannot access .*storage, and the code may report checkpoints.*NFS"):
            start(saving, storage)
        with pytest.raises(nbtune.SpecError, match="max_failures=… may restart"):
            start(plain, storage, max_failures=1)
        assert not list(storage.iterdir()), "something was started, or a marker file was not deleted"
        experiment = start(plain, storage)
        assert "the output of trials on it stays there" in str(experiment.plan)
        experiment.wait(120)
        assert experiment.status == "finished", experiment.error
        assert nbtune.load(experiment.path).df["status"].tolist() == ["finished", "finished"]
        shared.TIMEOUT = 0.0
        (note,) = shared.check_storage(Storage(str(storage)), checkpoints=True, retries=True).notes
        assert "has not answered within 0 s" in note
    finally:
        node.terminate()
        node.wait()
        ray.shutdown()


def main(storage: Path) -> None:
    folder = tempfile.mkdtemp(prefix="nbt-")
    os.environ["RAY_TMPDIR"] = folder
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    storage.mkdir()
    try:
        check(storage)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
