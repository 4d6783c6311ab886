"""nbtune.frameworks.torch: the environment of the workers."""

from __future__ import annotations

import pytest

from nbtune.frameworks import environment_of
from nbtune.spec.plan.shape import DEVICES


@pytest.mark.parametrize("device", sorted(DEVICES))
def test_only_workers_without_devices_train_on_cpus(device):
    assert environment_of("torch", {"CPU": 2, device: 1}) == {}
    assert environment_of("torch", {"CPU": 2, device: 0}) == {"ACCELERATE_USE_CPU": "true", "DS_ACCELERATOR": "cpu"}
