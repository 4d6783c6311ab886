"""nbtune.engine.train.distributed: whose metrics are the trial's, and whose error; checkpoints of several workers."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import WorkerGroupError

from nbtune.engine.protocol.failures import TrialError
from nbtune.engine.train.distributed import _cause, aggregated
from nbtune.engine.trial.checkpoint import Checkpoint, as_ray_checkpoint
from nbtune.frameworks import framework_of

RANKS = [
    {"loss": 3, "name": "a", "flag": True},
    {"loss": 1.0, "name": "b", "flag": False, "only": 7},
]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("rank0", {"loss": 3, "name": "a", "flag": True}),
        ("mean", {"loss": 2.0, "name": "a", "flag": True, "only": 7}),
        ("min", {"loss": 1.0, "name": "a", "flag": True, "only": 7}),
        ("max", {"loss": 3, "name": "a", "flag": True, "only": 7}),
    ],
)
def test_metrics_of_the_workers_become_the_trials(how, expected):
    assert aggregated(RANKS, how) == expected


@pytest.mark.parametrize("how", ["mean", "min", "max"])
def test_a_value_that_is_no_number_for_one_worker_is_not_hidden(how):
    assert math.isnan(aggregated([{"loss": 1.0}, {"loss": math.nan}, {"loss": 2.0}], how)["loss"])


def raised(summary, at):
    error = TrialError(summary, f"the text of {summary}")
    error.at = at
    return UserExceptionWithTraceback(error, traceback_str="")


def died(error=None):
    return WorkerHealthCheckFailedError("the health check failed", error or ActorDiedError())


def why(rank):
    return {"error": f"worker {rank} has ended", "traceback": f"why {rank}"}


def test_the_error_is_that_of_the_worker_that_failed_first():
    error = WorkerGroupError(
        "", {0: raised("ConnectionError: closed by peer", 20.0), 2: raised("ValueError: no", 10.0)}
    )
    cause = _cause(error, why)
    assert (cause.summary, cause.text) == ("worker 2: ValueError: no", "the text of ValueError: no")


def test_a_worker_that_died_is_the_reason_of_all_others():
    cause = _cause(WorkerGroupError("", {0: raised("ConnectionError: closed by peer", 1.0), 1: died()}), why)
    assert (cause.summary, cause.text) == ("worker 1 has ended", "why 1")


def test_a_worker_that_was_killed_for_its_memory():
    cause = _cause(WorkerGroupError("", {3: died(OutOfMemoryError("used too much"))}), why)
    assert cause.summary == "the process of worker 3 was killed: the node was out of memory"


def test_when_an_error_was_raised_travels_with_it():
    error = TrialError("a", "b")
    error.at = 5.0
    assert pickle.loads(pickle.dumps(error)).at == 5.0


def test_each_worker_gets_its_own_dictionary_back(tmp_path: Path):
    for rank in (0, 2):
        with as_ray_checkpoint({"rank": rank}, rank) as ready:
            for file in Path(ready.path).iterdir():
                (tmp_path / file.name).write_bytes(file.read_bytes())
    checkpoint = Checkpoint(str(tmp_path), trust=True)
    assert [checkpoint.load(rank)["rank"] for rank in (0, 1, 2)] == [0, 0, 2], "one without has that of rank 0"
    assert checkpoint["rank"] == 0
    assert Checkpoint(str(tmp_path), rank=2, trust=True)["rank"] == 2


def test_what_only_another_worker_than_rank_0_has_reported(tmp_path: Path):
    with as_ray_checkpoint({"rank": 1}, 1) as ready:
        (file,) = Path(ready.path).iterdir()
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert Checkpoint(str(tmp_path), trust=True).load() == {"rank": 1}


def test_the_backends_of_torch():
    torch = framework_of("torch")
    assert torch.config(None).backend is None
    assert torch.config("gloo").backend == "gloo"
    own = TorchConfig(init_method="tcp")
    assert torch.config(own) is own
    with pytest.raises(ValueError, match="expected gloo, nccl, mpi, ucc or a TorchConfig, got 'nncl'"):
        torch.config("nncl")
    with pytest.raises(ValueError, match="expected gloo"):
        torch.config(SimpleNamespace(backend="gloo"))
