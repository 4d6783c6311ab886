"""More distributed trials than fit on the cluster, without a limit of concurrent trials."""

from __future__ import annotations

from pathlib import Path

from tests.ray.clusters import python

PROGRAM = """
import nbtune, ray

def train(config):
    import torch, torch.distributed as dist
    for step in range(3):
        dist.all_reduce(torch.ones(1))
        nbtune.report(step=step)

if __name__ == "__main__":
    nbtune.connect(cpus=4)
    experiment = nbtune.tune(train, {"a": nbtune.grid_search(list(range(8)))}, workers=2, storage=STORAGE, wait=False)
    print("planned", experiment.plan.concurrent, experiment.plan.limited_by)
    experiment.wait(400)
    print(experiment.status, *experiment.df["iterations"])
    print("processes", len({pid for trial in experiment.trials.values() for pid in trial.workers["pid"]}))
"""


def test_eight_trials_of_two_workers_on_four_cpus(tmp_path: Path) -> None:
    ended = python(PROGRAM.replace("STORAGE", repr(str(tmp_path))), tmp_path, 500)
    assert ended.returncode == 0, ended.stderr
    output = ["planned 2 CPU", "finished 3 3 3 3 3 3 3 3", "processes 4"]
    assert ended.stdout.splitlines()[-3:] == output, ended.stdout
