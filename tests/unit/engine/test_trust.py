"""Looking at an experiment runs no code: what is pickled is loaded if it is signed with the user's own key."""

import base64
import json
import os
import pickle
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
import torch

import nbtune
from nbtune.engine.protocol import trust
from nbtune.engine.protocol.chunk import decode_damaged
from nbtune.engine.protocol.events import (
    CheckpointSaved,
    ExperimentUpdated,
    TrialAdded,
    TrialEnded,
    TrialReported,
    TrialStarted,
)
from nbtune.engine.protocol.frames import make_frame
from nbtune.engine.protocol.not_loaded import NotLoaded
from nbtune.engine.protocol.recorded_trial import encode_config
from nbtune.engine.protocol.trust import EVERYTHING, NOTHING, OWN, experiment_key, key_note
from nbtune.engine.protocol.typed_values import TYPE, encoded_object, to_typed_json
from nbtune.engine.storage.launch_spec import Launch
from nbtune.engine.storage.log import EventLog
from nbtune.engine.storage.repair import TUNER, set_damaged_aside
from nbtune.engine.storage.segments import FOLDER
from nbtune.engine.storage.signatures import SignedFiles
from nbtune.engine.storage.snapshot import read_large, read_launch, write_large
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.checkpoint import as_ray_checkpoint
from nbtune.errors import ExperimentError, SpecError, UntrustedError
from nbtune.spec.options.options import Spec
from nbtune.spec.space.space import Space

LOCAL = pafs.LocalFileSystem()
HEADER = struct.Struct("<IH")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Gives the test a user of its own, without a key."""
    monkeypatch.delenv("NBTUNE_KEY_FILE", raising=False)
    monkeypatch.setenv("NBTUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def as_another_user(tmp_path, monkeypatch):
    """Returns a function that makes this process that of another user."""
    return lambda: monkeypatch.setenv("NBTUNE_HOME", str(tmp_path / "another home"))


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


class Activation:
    """An ordinary object of the user's."""

    def __init__(self, name="relu"):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Activation) and other.name == self.name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f"Activation({self.name})"


def bomb(mark):
    return pickle.dumps(Bomb(mark))


def stored(data, signature=b""):
    """Return the contents of a file of the launch with a pickle."""
    content = signature + data
    return HEADER.pack(zlib.crc32(content), len(signature)) + content


# -- the keys -------------------------------------------------------------------------------------


def test_the_key_is_created_once_and_private(home):
    assert not OWN.accepts("a", b"x", "id:00")
    assert not home.exists(), "looking writes nothing"
    key = experiment_key("id")
    assert [path.name for path in home.iterdir()] == ["key"]
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    before = (home / "key").read_bytes()
    trust._loaded.clear()
    assert experiment_key("id") == key
    assert (home / "key").read_bytes() == before
    assert len(before) == 32
    assert before not in pickle.dumps(key)
    assert key.secret.hex() not in repr(key)
    assert not key_note()


def test_a_signature_is_of_one_experiment_one_purpose_and_one_content(as_another_user):
    key = experiment_key("id")
    signature = key.sign("launch.bin", b"data")
    assert key.accepts("launch.bin", b"data", "other:1", signature)
    assert OWN.accepts("launch.bin", memoryview(b"data"), signature)
    for what, data, given in [
        ("large-0.bin", b"data", signature), ("launch.bin", b"data.", signature), ("launch.bin", b"data", ""),
        ("launch.bin", b"data", signature[:-1]), ("launch.bin", b"data", signature.replace("id:", "di:")),
        ("launch.bin", b"data", "\ud800:é"), ("launch.bin", b"data", ":"),
    ]:  # fmt: skip
        assert not OWN.accepts(what, data, given)
        assert not key.accepts(what, data, given)
    assert not experiment_key("other").accepts("launch.bin", b"data", signature)
    assert not NOTHING.accepts("launch.bin", b"data", signature)
    assert EVERYTHING.accepts("launch.bin", b"data")
    assert experiment_key("x", accepts_all=True).accepts("launch.bin", b"data")
    as_another_user()
    assert not OWN.accepts("launch.bin", b"data", signature)
    experiment_key("id")
    assert not OWN.accepts("launch.bin", b"data", signature)


def test_the_file_of_the_key_can_be_shared(tmp_path, monkeypatch, as_another_user):
    monkeypatch.setenv("NBTUNE_KEY_FILE", str(tmp_path / "shared"))
    signature = experiment_key("id").sign("a", b"x")
    as_another_user()
    assert OWN.accepts("a", b"x", signature)
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o600


@pytest.mark.parametrize("problem", ["a file is in the way", "too short"])
def test_a_key_that_cannot_be_stored_serves_this_session(home, problem, monkeypatch):
    if problem == "too short":
        home.mkdir()
        (home / "key").write_bytes(b"abc")
    else:
        home.write_text("")
    signature = experiment_key("id").sign("a", b"x")
    assert OWN.accepts("a", b"x", signature)
    assert str(home / "key") in key_note()
    assert "trust=True" in key_note()
    trust._session_key.cache_clear()
    assert not OWN.accepts("a", b"x", signature), "another session"


# -- values of parameters ---------------------------------------------------------------------------


def write_experiment(folder, config, *, key=None, checkpoint=None, **metadata):
    """Write an experiment with one trial that is over."""
    log = EventLog(LOCAL, str(folder))
    given = {"name": "d", "id": "id", "metric": "loss", "mode": "min", "status": "running", "path": str(folder)}
    space = {name: {"kind": "choice", "text": "choice(…)", "values": [1]} for name in config}
    log.append(ExperimentUpdated(time=1.0, metadata={**given, "space": space, **metadata}))
    encoded = config if key is None else encode_config(config, key)
    log.append(TrialAdded(0, 1.0, ray_id="a", config=encoded, folder="t0"))
    log.append(TrialAdded(1, 1.0, ray_id="b", config=encoded, folder="t1"))
    for trial in (0, 1):
        log.append(TrialStarted(trial, 1.5))
        log.append(TrialReported(trial, 2.0, 1, 1.0, metrics={"loss": 1.0 + trial}))
        if checkpoint is not None:
            log.append(CheckpointSaved(trial, 2.0, 1, path=checkpoint))
        log.append(TrialEnded(trial, 3.0, 1, status="finished", reason="done"))
    log.append(ExperimentUpdated(time=4.0, metadata={"status": "finished"}))
    log.flush()
    return folder


def look_at(experiment, *, kinds=("curves", "history", "parallel", "slice", "edf")):
    """Use everything that shows an experiment."""
    shown = [repr(experiment), experiment.df, experiment.history, repr(experiment.df), experiment.df.to_html()]
    shown += [experiment.df.to_csv(), experiment.df.describe(include="all"), experiment._repr_mimebundle_()]
    shown += [repr(trial) for trial in experiment.trials.values()]
    shown += [experiment.best.config, experiment.best.metrics, experiment.best.history, experiment.best.logs()]
    shown += [experiment.best.checkpoint, experiment.best.error, experiment.best.workers, experiment.to_optuna()]
    shown += [experiment.plot(kind) for kind in kinds]
    return [*shown, experiment.dashboard]


def test_a_folder_of_another_user_is_looked_at_without_loading_anything(tmp_path, as_another_user):
    mark = tmp_path / "mark"
    key = experiment_key("id")
    config = {"f": Bomb(mark), "nested": {"x": [Bomb(mark), 1]}, "lr": 0.5}
    folder = write_experiment(tmp_path / "store" / "one", config, key=key)
    (folder / FOLDER / "launch.bin").write_bytes(stored(bomb(mark)))
    as_another_user()
    experiment = nbtune.load(str(folder))
    look_at(experiment)
    nbtune.experiments(str(tmp_path / "store"))
    assert not mark.exists()
    value = experiment.best.config["f"]
    assert isinstance(value, NotLoaded)
    assert repr(value) == experiment.df["f"].map(repr)[0]
    assert "Bomb" in repr(value)
    assert experiment.df["lr"][0] == 0.5
    assert "f, nested are shown as text" in experiment._store.metadata["warning"]
    for use in (value, lambda v: v(1), lambda v: v.name, lambda v: v[0], lambda v: v + 1, lambda v: 2 * v, list, float):
        if use is not value:
            with pytest.raises(UntrustedError, match=r"not signed with your key.*trust=True"):
                use(value)
    with pytest.raises(UntrustedError, match="f, nested has an object that was not loaded"):
        experiment.best.clone(lr=0.1)


def test_an_own_folder_works_in_full_and_where_it_was_copied_to(tmp_path):
    config = {"f": Activation(), "a": np.array([Activation("x")], dtype=object), "lr": 0.5}
    folder = write_experiment(tmp_path / "one", config, key=experiment_key("id"))
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    for place in (folder, tmp_path / "elsewhere" / "copy"):
        experiment = nbtune.load(str(place))
        assert experiment.best.config["f"] == Activation()
        assert experiment.best.config["a"][0] == Activation("x")
        assert "warning" not in experiment._store.metadata
        look_at(experiment)


def test_a_value_that_was_changed_after_it_was_signed_is_not_loaded(tmp_path):
    mark, key = tmp_path / "mark", experiment_key("id")
    config = encode_config({"f": Activation(), "g": Activation("y")}, key)
    config["f"] = {**config["f"], "pickled": base64.b64encode(bomb(mark)).decode()}
    experiment = nbtune.load(str(write_experiment(tmp_path / "one", config)))
    look_at(experiment)
    assert not mark.exists()
    assert isinstance(experiment.best.config["f"], NotLoaded)
    assert experiment.best.config["g"] == Activation("y")


def test_trust_is_of_the_handle_only(tmp_path, as_another_user):
    folder = write_experiment(tmp_path / "one", {"f": Activation()}, key=experiment_key("id"))
    as_another_user()
    assert nbtune.load(str(folder), trust=True).best.config["f"] == Activation()
    assert isinstance(nbtune.load(str(folder)).best.config["f"], NotLoaded)


def test_a_placeholder_behaves_in_tables_and_is_no_value(tmp_path):
    value = NotLoaded("relu", b"x", "", True)
    assert not hasattr(value, "__array__")
    assert pd.Series([value, 1]).map(repr).tolist() == ["relu", "1"]
    frame = pd.DataFrame({"f": pd.Series([value, value], dtype=object)})
    assert frame["f"].nunique() == 1
    assert frame.groupby("f").size().tolist() == [2]
    assert pickle.loads(pickle.dumps(value)) == value
    again = encode_config({"f": value}, experiment_key("id"))["f"]
    assert again == encoded_object("relu", b"x", ""), "what was not made here is not signed here"
    with pytest.raises(UntrustedError):
        sum(value)
    missing = NotLoaded("relu", b"x")
    with pytest.raises(UntrustedError, match="cannot be loaded in this process"):
        missing(1)


# -- the code, the variables and Tune's files ---------------------------------------------------------


def test_large_values_are_loaded_only_as_they_were_signed(tmp_path, as_another_user):
    mark, key = tmp_path / "mark", experiment_key("id")
    (tmp_path / FOLDER).mkdir()
    launch = Launch(Spec(), Space(), b"", 2, "", Storage(""), None)
    write_large(LOCAL, str(tmp_path), [[1], [2]], key)
    assert list(read_large(LOCAL, str(tmp_path), launch, key)) == [[1], [2]]
    one, other = (tmp_path / FOLDER / f"large-0-{number}.bin" for number in (0, 1))
    shutil.copy(one, other)
    with pytest.raises(UntrustedError, match=r"large-0-1.bin is not signed with your key"):
        list(read_large(LOCAL, str(tmp_path), launch, key))
    length = HEADER.unpack_from(one.read_bytes())[1]
    one.write_bytes(stored(bomb(mark), one.read_bytes()[HEADER.size :][:length]))
    for whose in (key, OWN, NOTHING):
        with pytest.raises(UntrustedError):
            list(read_large(LOCAL, str(tmp_path), launch, whose))
    assert not mark.exists()


def test_resuming_what_is_not_trusted_is_refused_before_anything_starts(tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    folder = write_experiment(tmp_path / "one", {"lr": 1})
    (folder / FOLDER / "launch.bin").write_bytes(stored(bomb(mark)))

    def connect(*args, **kwargs):
        raise AssertionError("it was refused too late")

    monkeypatch.setattr("nbtune.cluster.connect.connect", connect)
    experiment = nbtune.load(str(folder))
    for call in (experiment.resume, lambda: experiment.extend(1), lambda: experiment.add(lr=2)):
        with pytest.raises(
            UntrustedError, match=r"launch.bin is not signed with your key.*trust=True\)\.resume\(\)"
        ) as e:
            call()
        assert "\n" not in str(e.value)
    assert not mark.exists()
    with pytest.raises(UntrustedError):
        read_launch(LOCAL, str(folder), OWN)


def snapshot(folder, session, signer):
    """Write Tune's files of a run; return their signatures."""
    state = json.dumps({"trial_data": [1]}).encode()
    files = {
        f"experiment_state-{session}.json": state,
        f"basic-variant-state-{session}.json": pickle.dumps({}),
        f"nbtune-search-{session}.pkl": pickle.dumps([]),
        TUNER: pickle.dumps([1]),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: {signer.sign(name, data)} for name, data in files.items()}


@pytest.mark.parametrize(
    "planted",
    [
        "callback-states-2026-01-01_00-00-00.pkl",
        "searcher-state-zz.pkl",
        "search_gen_state-zz.json",
        "experiment_state-zz.json",
    ],
)
def test_tune_does_not_see_files_that_nobody_has_signed(tmp_path, planted):
    key = experiment_key("id")
    signatures = snapshot(tmp_path, "2026-01-02_00-00-00", key)
    (tmp_path / "notes.json").write_text("{}")
    assert set_damaged_aside(LOCAL, str(tmp_path), key, signatures)
    assert not list(tmp_path.glob("damaged-*"))
    (tmp_path / planted).write_bytes(bomb(tmp_path / "mark"))
    assert set_damaged_aside(LOCAL, str(tmp_path), key, signatures)
    assert [path.name for path in tmp_path.glob("damaged-*")] == [f"damaged-{planted}.bin"]
    assert (tmp_path / "notes.json").exists()


@pytest.mark.parametrize("changed", range(4))
def test_tune_does_not_see_a_snapshot_that_was_changed(tmp_path, changed):
    key = experiment_key("id")
    first = snapshot(tmp_path, "2026-01-01_00-00-00", key)
    second = snapshot(tmp_path, "2026-01-02_00-00-00", key)
    signatures = {**first, **second}
    name = sorted(second)[changed]
    (tmp_path / name).write_bytes(bomb(tmp_path / "mark"))
    assert set_damaged_aside(LOCAL, str(tmp_path), key, signatures) == (name != TUNER)
    assert (tmp_path / f"damaged-{name}.bin").exists()
    assert not (tmp_path / name).exists()
    assert (tmp_path / "experiment_state-2026-01-01_00-00-00.json").exists()


# -- checkpoints --------------------------------------------------------------------------------------


def saved(folder, state, key):
    with as_ray_checkpoint(state, key=key) as ray_checkpoint:
        ray_checkpoint.to_directory(str(folder))
    return folder / "nbtune-state.pt"


def replace_pickle(file, data):
    """Replace the pickle of a checkpoint; keep everything else, with the signature."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, data if name.endswith("/data.pkl") else content)
        archive.comment = comment


def test_an_own_checkpoint_is_loaded_wherever_it_is(tmp_path, as_another_user):
    state = {"model": torch.nn.Linear(2, 2).state_dict(), "f": Activation(), "n": np.arange(3)}
    file = saved(tmp_path / "c", state, experiment_key("id"))
    shutil.copytree(tmp_path / "c", tmp_path / "copy")
    for place in ("c", "copy"):
        checkpoint = nbtune.Checkpoint(str(tmp_path / place))
        assert checkpoint["f"] == Activation()
        assert torch.equal(checkpoint["model"]["weight"], state["model"]["weight"])
    assert torch.load(file, weights_only=False)["f"] == Activation(), "an ordinary file of PyTorch"
    as_another_user()
    with pytest.raises(UntrustedError, match="dictionary is not signed with your key"):
        nbtune.Checkpoint(str(tmp_path / "c"))["model"]
    assert nbtune.Checkpoint(str(tmp_path / "c"), trust=True)["f"] == Activation()


@pytest.mark.parametrize("attack", ["pickle", "unsigned", "old format", "torchscript", "both", "no archive"])
def test_a_checkpoint_that_was_changed_is_not_loaded(tmp_path, attack):
    mark, key = tmp_path / "mark", experiment_key("id")
    file = saved(tmp_path / "c", {"a": 1}, key)
    with zipfile.ZipFile(file) as archive:
        signature = archive.comment
    if attack == "pickle":
        replace_pickle(file, bomb(mark))
    elif attack == "unsigned":
        torch.save({"a": Bomb(mark)}, file)
    elif attack == "old format":
        torch.save({"a": Bomb(mark)}, file, _use_new_zipfile_serialization=False)
    elif attack == "torchscript":
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(file))
    elif attack == "both":
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(archive.namelist()[0].partition("/")[0] + "/constants.pkl", bomb(mark))
            archive.comment = signature
    else:
        file.write_bytes(bomb(mark))
    folder = write_experiment(tmp_path / "one", {"lr": 1}, checkpoint="t0/checkpoint_000000")
    shutil.copytree(tmp_path / "c", folder / "t0" / "checkpoint_000000")
    checkpoint = nbtune.load(str(folder)).best.checkpoint
    assert (Path(checkpoint) / "nbtune-state.pt").exists(), "its files are data"
    for use in (checkpoint.load, lambda: checkpoint["a"]):
        with pytest.raises(UntrustedError):
            use()
    assert not mark.exists()


# -- types of Arrow that run code -----------------------------------------------------------------------


def test_a_type_that_arrow_would_call_code_for_counts_as_damaged(tmp_path):
    calls = []

    class Hostile(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.string(), "nbtune.test.hostile")

        def __arrow_ext_serialize__(self):
            return b"x"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage_type, serialized):
            calls.append(serialized)
            return cls()

    pa.register_extension_type(Hostile())
    try:
        column = pa.ExtensionArray.from_storage(Hostile(), pa.array(["1"]))
        batch = pa.record_batch({"kind": column})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        stream = sink.getvalue().to_pybytes()
        pa.ipc.open_stream(stream).read_all()
        assert calls, "Arrow calls it"
        calls.clear()
        assert decode_damaged(make_frame(0, 1, stream)) == ([], 1, True)
        assert not calls
    finally:
        pa.unregister_extension_type("nbtune.test.hostile")


# -- folders of Ray Tune --------------------------------------------------------------------------------


def pickled_in_json(data):
    return {"_type": "CLOUDPICKLE_FALLBACK", "value": data.hex()}


def foreign(folder, mark, *, folders=("t_0", "t_1"), config=None):
    """Write a folder as Ray Tune does, with a bomb in each place where it has a pickle."""
    folder.mkdir(parents=True)
    trials = []
    for number, name in enumerate(folders):
        trial = folder / name
        if "/" not in name:
            trial.mkdir()
            row = {"loss": 2.0 - number, "d": {"x": 3}, "training_iteration": 1, "time_total_s": 1.5, "timestamp": 99,
                   "checkpoint_dir_name": "checkpoint_000000", "done": False, "trial_id": f"abc_{number}", "config": {"a": 1}}  # fmt: skip
            second = {**row, "training_iteration": 2, "checkpoint_dir_name": "checkpoint_000001", "loss": 0.5 + number}
            (trial / "result.json").write_text(f"{json.dumps(row)}\n{json.dumps(second)}\n")
            (trial / "checkpoint_000001").mkdir()
            (trial / "checkpoint_000001" / "nbtune-state.pt").write_bytes(bomb(mark))
            (trial / "params.json").write_text(json.dumps({"a": number, "f": "<function relu>", "g": [1, "<obj>"]}))
            (trial / "params.pkl").write_bytes(bomb(mark))
            (trial / "error.pkl").write_bytes(bomb(mark))
            (trial / "error.txt").write_text(
                "Failure # 1 (occurred at now)\n\x1b[36mray::train()\x1b[39m (pid=1)\n  File 'x', line 1\nValueError: no\n"
            )
        values = {"a": number, "f": pickled_in_json(bomb(mark)), "g": [1, pickled_in_json(bomb(mark))]}
        state = {"trial_id": f"abc_{number}", "config": config or values, "status": ["TERMINATED", "ERROR"][number], "relative_logdir": name,
                 "storage": pickled_in_json(bomb(mark)), "placement_group_factory": bomb(mark).hex()}  # fmt: skip
        run = {"start_time": 98.0, "error_filename": "error.txt" if number else None, "pickled_error_filename": "error.pkl",
               "last_result": {"config": values}, "checkpoint_manager": pickled_in_json(bomb(mark))}  # fmt: skip
        trials.append([json.dumps(state), json.dumps(run)])
    state = {"trial_data": trials[::-1], "runner_data": {"_stopper": pickled_in_json(bomb(mark))}, "stats": {}}
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps(state))
    for name in ("tuner.pkl", "searcher-state-2026-01-01_00-00-00.pkl", "callback-states-2026-01-01_00-00-00.pkl",
                 "search_gen_state-2026-01-01_00-00-00.json"):  # fmt: skip
        (folder / name).write_bytes(bomb(mark))
    return folder


def test_a_folder_of_ray_tune_is_looked_at_without_loading_anything(tmp_path):
    mark = tmp_path / "mark"
    folder = foreign(tmp_path / "store" / "stock", mark)
    frame = nbtune.experiments(str(tmp_path / "store"))
    assert frame["status"].tolist() == ["finished"]
    assert frame["metric"].isna().all()
    plain = nbtune.load(str(folder))
    for use in (lambda: plain.best, plain.to_optuna, lambda: plain.plot("curves")):
        with pytest.raises(ExperimentError, match=r"stored the metric of stock as a pickle.*metric=.*trust=True"):
            use()
    experiment = nbtune.load(str(folder), metric="loss", mode="min")
    look_at(experiment)
    assert experiment.df["status"].tolist() == ["finished", "failed"]
    assert experiment.df["f"].map(repr).tolist() == ["<function relu>"] * 2
    assert repr(experiment.best.config["g"]) == "[1, <obj>]"
    assert experiment.best.id == 0
    assert experiment.history["loss"].tolist() == [2.0, 0.5, 1.0, 1.5]
    assert experiment.history["d/x"].tolist() == [3] * 4
    assert experiment.df["error"][1] == "ValueError: no"
    assert experiment.trials[1].error.startswith("Traceback (most recent call last):\n  File 'x', line 1")
    assert [Path(one.path).name for one in experiment.best.checkpoints] == ["checkpoint_000001"], "what exists"
    for use in (lambda: experiment.results, experiment.best.checkpoint.load):
        with pytest.raises(UntrustedError, match="trust=True"):
            use()
    with pytest.raises(ExperimentError, match="cannot be resumed"):
        experiment.resume()
    assert not mark.exists()


def test_a_trusted_folder_of_ray_tune_has_its_objects(tmp_path):
    folder = foreign(tmp_path / "stock", tmp_path / "mark", config={"f": pickled_in_json(pickle.dumps(Activation()))})
    (folder / "tuner.pkl").write_bytes(pickle.dumps({"_tune_config": Activation()}))
    experiment = nbtune.load(str(folder), trust=True)
    assert experiment.trials[0].config == {"f": Activation()}
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("folders", [("../outside", "t_1"), ("t_0/../../outside", "t_1"), ("/etc", "t_1")])
def test_the_names_in_a_folder_of_ray_tune_lead_nowhere_else(tmp_path, folders):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "result.json").write_text('{"training_iteration": 1, "time_total_s": 1, "secret": 7}\n')
    experiment = nbtune.load(str(foreign(tmp_path / "stock", tmp_path / "mark", folders=folders)))
    assert "secret" not in experiment.df
    assert experiment.trials[0].logs() == ""
    assert experiment.history["trial"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"trial_data": [[1, 2]]}', '{"trial_data": [["{}", "{}"]]}', "[" * 100_000]
)
def test_a_damaged_state_of_ray_tune_is_told(tmp_path, text):
    folder = foreign(tmp_path / "stock", tmp_path / "mark")
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(text)
    with pytest.raises(ExperimentError, match=r"the files of Ray Tune in .* are damaged"):
        nbtune.load(str(folder))


def test_damaged_reports_of_ray_tune_are_told_and_the_others_shown(tmp_path):
    folder = foreign(tmp_path / "stock", tmp_path / "mark")
    path = folder / "t_0" / "result.json"
    path.write_text(path.read_text() + '{"loss": 1, "trai')
    experiment = nbtune.load(str(folder))
    assert len(experiment.history) == 4
    assert "1 lines of Ray Tune's files" in experiment._store.metadata["warning"]


def test_reports_are_read_from_the_table_where_there_is_no_json(tmp_path):
    folder = foreign(tmp_path / "stock", tmp_path / "mark")
    (folder / "t_0" / "result.json").unlink()
    (folder / "t_0" / "progress.csv").write_text(
        "loss,name,training_iteration,time_total_s,timestamp,config/a\n1.5,x,1,2.0,99,3\n,y,2,3.0,100,3\n"
    )
    history = nbtune.load(str(folder)).trials[0].history
    assert history["iteration"].tolist() == [1, 2]
    assert history["name"].tolist() == ["x", "y"]
    assert history["loss"].dropna().tolist() == [1.5]
    assert "config/a" not in history


@pytest.mark.parametrize("given", [{"metric": "loss"}, {"mode": "min"}, {"metric": "loss", "mode": "best"}])
def test_a_metric_is_given_with_its_mode(tmp_path, given):
    with pytest.raises(SpecError, match="required with metric=…|given without metric=…|expected min or max"):
        nbtune.load(str(tmp_path), **given)


def test_a_given_metric_replaces_that_of_the_experiment(tmp_path):
    folder = write_experiment(tmp_path / "one", {"lr": 1})
    assert nbtune.load(str(folder)).best.id == 0
    assert nbtune.load(str(folder), metric="loss", mode="max").best.id == 1


def test_no_encoded_value_but_an_object_gets_a_signature():
    key = experiment_key("id")
    config = {"a": {TYPE: "object", "pickled": "", "text": "", "signature": ""}, "b": {1, 2}, "c": [np.float32(1)]}
    assert encode_config(config, key) == {name: to_typed_json(value) for name, value in config.items()}


def test_the_signatures_of_all_drivers_count_and_damaged_ones_do_not(tmp_path):
    key = experiment_key("id")
    (tmp_path / FOLDER).mkdir()
    for epoch in (1, 2):
        files = SignedFiles(LOCAL, str(tmp_path), epoch, key)
        for number in range(200):
            files.add(f"of {epoch}", b"%d" % number)
        files.add("both", b"%d" % epoch)
        files.flush()
    (tmp_path / FOLDER / "signatures-000003.json").write_text('{"both": 5, "of')
    (tmp_path / FOLDER / "signatures-000004.json").write_text("[1]")
    for name, data, accepted in [
        ("of 1", b"199", True), ("of 1", b"150", True), ("of 1", b"9", False), ("of 2", b"199", True), ("both", b"1", True),
        ("both", b"2", True), ("both", b"3", False), ("none", b"1", False),
    ]:  # fmt: skip
        (tmp_path / name).write_bytes(data)
        assert SignedFiles(LOCAL, str(tmp_path), 5, key).accepts(name) == accepted, (name, data)
    assert not SignedFiles(LOCAL, str(tmp_path), 5, experiment_key("x")).accepts("both")
