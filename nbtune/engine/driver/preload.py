"""Imported by every process of an embedded cluster as it starts, so that drivers and trials do not wait for imports.

`nbtune.cluster.link.ahead` starts such processes ahead, while the user still reads or types.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress

import nbtune.engine.driver.driver
import nbtune.engine.driver.process
import nbtune.engine.driver.reset
import nbtune.engine.tune.trainable
import nbtune.engine.tune.tuner  # noqa: F401
from nbtune.engine.protocol.environment import EXTRA_PACKAGES_VARIABLE

for _name in filter(None, os.environ.get(EXTRA_PACKAGES_VARIABLE, "").split(",")):
    with suppress(Exception):  # the trial reports a missing package
        importlib.import_module(_name)
