"""nbtune.results.data: the data sets of an experiment, and what its trials have read."""

from nbtune.engine.protocol.events import DataRead, ExperimentUpdated, TrialAdded, TrialStarted
from nbtune.results.data import dataset_infos, datasets_text, read_frame, read_text
from nbtune.results.store import Store
from nbtune.spec.options.datasets import DatasetInfo
from tests.unit.feed import feed

TRAIN = DatasetInfo({"x": "double", "y": "int64"}, 1200, 19_200)
METADATA = {"datasets": {"train": TRAIN.to_json(), "valid": DatasetInfo().to_json()}}


def trial(*events):
    store = Store()
    feed(store, ExperimentUpdated(metadata=METADATA), TrialAdded(0, ray_id="a", config={}, folder="a"), *events)
    return store.state(0), store.metadata


def test_what_is_known_of_data_sets():
    assert dataset_infos(METADATA) == {"train": TRAIN, "valid": DatasetInfo()}
    assert datasets_text(METADATA) == "train (1,200 rows, 19.2 kB: x, y); valid"
    assert datasets_text({}) == ""
    for damaged in ([], {"train": 3}, {"train": {"rows": "many", "schema": 4, "size": None}}):
        assert all(info == DatasetInfo(stored="") for info in dataset_infos({"datasets": damaged or {}}).values())


def test_what_workers_have_read():
    state, metadata = trial(
        TrialStarted(0, 1.0),
        DataRead(0, 2.0, worker=0, reads={"train": (300.0, 1.0, 0.0)}),
        DataRead(0, 2.0, worker=1, reads={"train": (600.0, 1.0, 2.5)}),
        DataRead(0, 3.0, worker=0, reads={"train": (900.0, 2.0, 1.0), "valid": (1.0, 1.0, 0.0)}),
    )
    assert read_frame(state).to_dict("list") == {
        "worker": [0, 0, 1],
        "dataset": ["train", "valid", "train"],
        "rows": [900, 1, 600],
        "passes": [2, 1, 1],
        "waited": [1.0, 0.0, 2.5],
    }
    assert read_text(state, metadata).splitlines() == [
        "train: 1,500 rows read in 2 passes by 2 workers, of 1,200 in the data set; the code has waited up to 2.5 s"
        " for them",
        "valid: 1 row read in 1 pass",
    ]


def test_a_trial_that_starts_again_reads_anew():
    read = DataRead(0, 2.0, reads={"train": (300.0, 1.0, 0.0)})
    state, metadata = trial(TrialStarted(0, 1.0), read, TrialStarted(0, 3.0))
    assert (state.reads, read_text(state, metadata)) == ({}, "")
    assert read_frame(state).columns.tolist() == ["worker", "dataset", "rows", "passes", "waited"]


def test_a_damaged_event_says_nothing():
    for reads in ({"train": [1, 2]}, {"train": "abc"}, {"train": [1, 2, None]}, 5, None):
        assert DataRead(0, 2.0, worker="x", reads=reads) == DataRead(0, 2.0)
