"""Own experiments work in full, wherever they are; what was changed in their folders is not loaded."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbtune
from nbtune.engine.protocol.not_loaded import NotLoaded
from nbtune.engine.protocol.trust import experiment_key
from nbtune.errors import UntrustedError
from tests.unit.engine.test_trust import replace_pickle, stored


class Bomb:
    """Leaves a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


@pytest.fixture(scope="module")
def stopped_folder(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment that was stopped: two trials are over, one has failed, one goes on."""
    large = np.arange(200_000.0)
    folder = tmp_path_factory.mktemp("trust")
    tried = folder / "tried"

    def train(config: dict[str, Any]) -> None:
        start = nbtune.get_checkpoint()
        first = 0 if start is None else start["step"] + 1
        if config["a"] == 1 and not tried.exists():
            tried.touch()
            raise ValueError("not this one")
        for step in range(first, 3 if config["a"] != 2 else 4):
            nbtune.report(
                loss=float(config["activation"](config["a"] + step) + large[1]), checkpoint={"step": step, "f": len}
            )
            while config["a"] == 2 and start is None and step == 1:
                time.sleep(0.05)

    space = {"a": nbtune.grid_search([0, 1, 2]), "activation": nbtune.choice([np.square])}
    experiment = nbtune.tune(train, space, metric="loss", mode="min", storage=str(folder), name="own", wait=False)
    deadline = time.monotonic() + 180
    while True:
        trials = experiment.trials
        over = len(trials) == 3 and [trials[0].status, trials[1].status] == ["finished", "failed"]
        if over and len(trials[2].checkpoints) == 2:
            break
        assert not experiment.over, repr(experiment)
        assert time.monotonic() < deadline, repr(experiment)
        time.sleep(0.02)
    experiment.stop()
    experiment.wait(120)
    return Path(experiment.path)


@pytest.fixture
def own(stopped_folder: Path, tmp_path: Path) -> Path:
    """A copy of that folder, whose name the drivers of other tests do not have."""
    return Path(shutil.copytree(stopped_folder, tmp_path / f"copy_{tmp_path.name}"))


@pytest.fixture
def as_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setenv("NBTUNE_KEY_FILE", str(tmp_path / "key of another user"))


def plant_everywhere(folder: Path, mark: Path) -> None:
    """Put a bomb into each file that is or has a pickle, except those of the event log."""
    data = pickle.dumps(Bomb(mark))
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".bin":
            path.write_bytes(stored(data))
        elif path.suffix == ".pkl" or (path.suffix == ".json" and path.parent == folder and "variant" in path.name):
            path.write_bytes(data)
        elif path.name.endswith(".pt"):
            replace_pickle(path, data)
        elif path.name.startswith("experiment_state-"):
            path.write_text(
                path.read_text().replace(
                    '{"_type": "CLOUDPICKLE_FALLBACK", "value": "',
                    "{" + f'"_type": "CLOUDPICKLE_FALLBACK", "value": "{data.hex()}", "old": "',
                )
            )
    for trial in folder.glob("trial_*"):
        (trial / "error.pkl").write_bytes(data)
        (trial / "params.pkl").write_bytes(data)


def test_an_own_folder_works_in_full_where_it_was_copied_to(own: Path) -> None:
    experiment = nbtune.load(str(own))
    assert experiment.trials[0].config["activation"] is np.square
    assert experiment.trials[0].checkpoints[-1].load() == {"step": 2, "f": len}
    assert len(experiment.results) == 3
    assert "not this one" in str(experiment.results.errors[0])
    key = experiment_key(experiment._store.metadata["id"])
    assert not [path for path in own.rglob("*") if path.is_file() and key.secret in path.read_bytes()]
    experiment.resume(failed=True).wait(180)
    assert experiment.status == "finished", repr(experiment)
    assert experiment.df["status"].tolist() == ["finished"] * 3
    assert experiment.trials[2].history["iteration"].tolist() == [1, 2, 3, 4], "from its checkpoint"
    assert not list(own.glob("damaged-*")), "all of Tune's files were trusted"


def test_nothing_of_a_changed_folder_is_loaded(own: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    plant_everywhere(own, mark)
    nbtune.experiments(str(own.parent))
    experiment = nbtune.load(str(own))
    assert experiment.trials[0].config["activation"] is np.square, "the log is unchanged"
    assert experiment.trials[0].checkpoint is not None
    for use in (experiment.trials[0].checkpoint.load, lambda: experiment.results, experiment.resume):
        with pytest.raises(UntrustedError, match="your key"):
            use()
    assert not mark.exists()


def test_a_resumption_goes_on_without_files_of_tune_that_were_changed(own: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    launch = {path: path.read_bytes() for path in (own / "nbtune").glob("*.bin")}
    checkpoints = {path: path.read_bytes() for path in own.rglob("*.pt")}
    plant_everywhere(own, mark)
    for path, data in {**launch, **checkpoints}.items():
        path.write_bytes(data)
    experiment = nbtune.load(str(own)).resume(failed=True).wait(180)
    assert experiment.status == "finished", repr(experiment)
    assert experiment.trials[2].history["iteration"].tolist() == [1, 2, 3, 4]
    assert list(own.glob("damaged-*")), "kept beside"
    assert not mark.exists()


def test_a_trial_does_not_load_a_checkpoint_that_was_changed(own: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for path in own.rglob("*.pt"):
        replace_pickle(path, pickle.dumps(Bomb(mark)))
    experiment = nbtune.load(str(own)).resume().wait(180)
    assert experiment.trials[2].status == "failed"
    assert "its dictionary is not signed with your key" in str(experiment.trials[2].error)
    assert not mark.exists()


def test_another_user_looks_and_resumes_only_if_it_is_trusted(own: Path, as_another_user: Any) -> None:
    as_another_user()
    experiment = nbtune.load(str(own))
    assert isinstance(experiment.trials[0].config["activation"], NotLoaded)
    assert repr(experiment.df["activation"][0]) == "square"
    for use in (experiment.trials[0].checkpoint.load, lambda: experiment.results, experiment.resume):  # type: ignore[union-attr]
        with pytest.raises(UntrustedError, match="trust=True"):
            use()
    trusted = nbtune.load(str(own), trust=True)
    assert len(trusted.results) == 3
    assert trusted.resume().wait(180).df["status"].tolist() == ["finished", "failed", "finished"], repr(trusted)
    assert isinstance(nbtune.load(str(own)).trials[0].config["activation"], NotLoaded)
