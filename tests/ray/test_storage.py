"""Object stores, storage that nodes do not share, and disks that are full or read-only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest

import nbtune
from nbtune.views.live.state import header_state
from tests.ray.stores import SECRET, bucket


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


# -- object stores --------------------------------------------------------------------------------


@pytest.fixture
def saving() -> Callable[..., None]:
    def train(config: dict[str, Any]) -> None:

        seen = [
            os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AZURE_STORAGE_KEY")
        ]
        print(f"a is {config['a']}")
        for step in range(2):
            nbtune.report(
                acc=config["a"] * (step + 1), seen="/".join(map(str, map(len, seen))), checkpoint={"step": step}
            )

    return train


def check(experiment: Any, storage: str, filesystem: Any = None) -> None:
    """Check an experiment in an object store, as it is and loaded again."""
    assert experiment.status == "finished", experiment.error
    for opened in (experiment, nbtune.load(experiment.path, filesystem)):
        assert opened.path == experiment.path
        assert opened.df["acc"].tolist() == [2.0, 4.0]
        assert len(opened.history) == 4
        assert opened.best.checkpoint["step"] == 1
        assert opened.best.logs().startswith("a is 2.0\n")
        assert opened.results.get_best_result().metrics["acc"] == 4.0
    listed = nbtune.experiments(storage, filesystem)
    assert listed.index.tolist() == [experiment.path]
    assert listed["best"].tolist() == [4.0]


SPACE = {"a": nbtune.grid_search([1.0, 2.0])}


def test_a_uri_with_a_query(run: Any, keys: None, store: str, saving: Any, ray_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", "nbtune-azure-secret")
    server = bucket(store, "first")
    storage = f"s3://first/some/prefix?endpoint_override={store}&scheme=http"
    experiment = run(saving, SPACE, metric="acc", mode="max", storage=storage).wait(120)
    check(experiment, storage)
    assert re.fullmatch(r"s3://first/some/prefix/experiment_[^/?]+\?endpoint_override=.*", experiment.path)
    assert set(experiment.df["seen"]) == {f"{len(SECRET)}/9/19"}, "the trials do not have the variables of the kernel"
    for info in server.get_file_info(pafs.FileSelector("first", recursive=True)):
        if info.type == pafs.FileType.File:
            with server.open_input_stream(info.path) as stream:
                data = bytes(stream.read())
            assert SECRET.encode() not in data, info.path
            assert b"nbtune-azure-secret" not in data, info.path
    assert b"nbtune-azure-secret" not in contents(ray_folder), "a secret is in a log"


def test_an_endpoint_in_the_environment(run: Any, keys: None, store: str, saving: Any, monkeypatch: Any) -> None:
    bucket(store, "second")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store}")
    experiment = run(saving, SPACE, metric="acc", mode="max", storage="s3://second").wait(120)
    check(experiment, "s3://second")


def test_a_filesystem(run: Any, keys: None, store: str, saving: Any) -> None:
    server = bucket(store, "third")
    options = {"storage": "third/prefix", "storage_filesystem": server}
    experiment = run(saving, SPACE, metric="acc", mode="max", **options).wait(120)
    check(experiment, "third/prefix", server)
    with pytest.raises(nbtune.ExperimentError, match="cannot write to"):
        run(saving, SPACE, metric="acc", mode="max", storage="nowhere/else", storage_filesystem=server)


# -- disks that fail ------------------------------------------------------------------------------


def test_workers_in_an_object_store(run: Any, until: Any, keys: None, store: str, monkeypatch: Any) -> None:
    def train(config: dict[str, Any]) -> None:

        checkpoint = nbtune.get_checkpoint()
        rank = nbtune.get_context().get_world_rank()
        print(f"worker {rank} begins")
        for step in range(checkpoint["step"] + 1 if checkpoint else 0, 3):
            nbtune.report(
                step=step, seen=len(os.environ["AWS_SECRET_ACCESS_KEY"]), checkpoint={"step": step, "of": rank}
            )
            if step == 1 and not checkpoint:
                raise RuntimeError("once")

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store}")
    bucket(store, "workers")
    experiment = run(
        train, {"a": 1}, workers=2, cpus=0.5, metric="step", mode="max", max_failures=1, keep_checkpoints=1,
        storage="s3://workers/sweeps",
    )  # fmt: skip
    experiment.wait()
    trial = experiment.trials[0]
    assert trial.status == "finished", trial.error
    assert list(trial.history["step"]) == list(trial.history["iteration"] - 1) == [0, 1, 2]
    assert trial.metrics["seen"] == len(SECRET)
    assert [trial.checkpoint.load(rank) for rank in (0, 1)] == [{"step": 2, "of": 0}, {"step": 2, "of": 1}]
    assert trial.logs(rank=1) == "worker 1 begins\n--- started again ---\nworker 1 begins\n"
    found = bucket(store, "workers").get_file_info(pafs.FileSelector("workers/sweeps", recursive=True))
    assert len({info.path for info in found if info.base_name.startswith("nbtune-state")}) == 2, "the latest, once"


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mounts a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk completely; return the file that fills it."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                pass
    return file


def no_truncated_files(path: str) -> bool:
    """Return whether all JSON files of an experiment are complete."""
    import json

    for file in Path(path).glob("experiment_state-*.json"):
        json.loads(file.read_bytes())
    return not list(Path(path).rglob("*.part"))


@pytest.fixture
def reporting() -> Callable[..., None]:
    def train(config: dict[str, Any]) -> None:
        import time

        for step in range(10_000):
            nbtune.report(acc=step)
            time.sleep(0.05)

    return train


def test_checkpoints_that_fill_the_disk(run: Any, until: Any, disk: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        for step in range(100):
            nbtune.report(acc=step, checkpoint={"step": step, "weights": bytes(700_000)})

    experiment = run(train, {"a": nbtune.grid_search([1, 2, 3, 4])}, storage=str(disk), metric="acc", mode="max")
    experiment.wait(120)
    assert experiment.status == "failed"
    assert f"its storage {disk} failed" in experiment.error
    assert "it is full" in experiment.error
    failed = experiment.df[experiment.df["status"] == "failed"]
    assert failed["error"].str.contains("the checkpoint could not be saved in").any()
    assert "stopped" in experiment.df["status"].tolist(), "trials continued, or were started, without storage"
    assert len(experiment.history) > 4
    for number in failed.index[failed["iterations"] > 0]:
        trial = experiment.trials[number]
        assert trial.checkpoint["step"] == trial.metrics["acc"], "an earlier checkpoint is missing"
    until(lambda: nbtune.load(experiment.path).status == "failed", "its end in storage")
    loaded = nbtune.load(experiment.path)
    assert no_truncated_files(experiment.path)
    assert loaded.history["acc"].tolist() == experiment.history["acc"].tolist()
    assert "it is full" in loaded.error


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_fails_and_recovers(run: Any, until: Any, reporting: Any, disk: Path, how: str) -> None:
    experiment = run(reporting, {"a": nbtune.grid_search([1, 2])}, storage=str(disk))
    until(lambda: experiment.trials and len(nbtune.load(experiment.path).history) > 5, "reports in storage")
    if how == "full":
        filler = fill(disk)
    else:
        mount("-o", "remount,ro", str(disk))
    until(lambda: experiment.error, "the error")
    assert experiment.status == "running"
    assert f"cannot write to the storage {disk}: it is {how}" in experiment.error
    assert header_state(experiment._store)["hint"] == experiment.error
    experiment.wait(60)
    assert experiment.status == "failed"
    assert f"it is {how}" in experiment.error
    assert set(experiment.df["status"]) == {"stopped"}
    assert no_truncated_files(experiment.path)
    before = nbtune.load(experiment.path)
    assert before.status == "running elsewhere", "its driver still tries to write its end"
    assert "has not written its end yet: nbtune.attach" in before.error
    assert 5 < len(before.history) < len(experiment.history)
    if how == "full":
        filler.unlink()
    else:
        mount("-o", "remount,rw", str(disk))
    until(lambda: nbtune.load(experiment.path).status == "failed", "the rest of the log in storage")
    loaded = nbtune.load(experiment.path)
    assert loaded.history["acc"].tolist() == experiment.history["acc"].tolist()
    assert f"it is {how}" in loaded.error
    until(lambda: no_truncated_files(experiment.path) and len(experiment.results) == 2, "Tune's own results")


# -- several nodes --------------------------------------------------------------------------------

NODES = Path(__file__).with_name("nodes.py")


def test_a_folder_on_several_nodes(tmp_path: Path) -> None:
    """Runs nodes.py, which starts a cluster, in a new process."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not available")
    result = subprocess.run(
        [sys.executable, str(NODES), str(tmp_path / "storage")], capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stdout + result.stderr
