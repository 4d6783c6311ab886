"""Imported by every process of an embedded cluster as it starts, so that nobody waits for it later.

Processes are started ahead (`nbtune.cluster.embedded.warm`) while the user still reads or types.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress

import nbtune.engine.driver.driver
import nbtune.engine.tune.trainable
import nbtune.engine.tune.tuner  # noqa: F401
from nbtune.engine.protocol.environment import EXTRA_PACKAGES_VARIABLE

for _name in filter(None, os.environ.get(EXTRA_PACKAGES_VARIABLE, "").split(",")):
    with suppress(Exception):  # a package that is missing here is the trial's to report
        importlib.import_module(_name)
