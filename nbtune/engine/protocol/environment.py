"""The environment of nbtune's processes on the cluster."""

from __future__ import annotations

__all__ = ["ALSO", "DRIVER", "PRELOAD", "TRIAL", "WORTH"]

PRELOAD = "nbtune.engine.driver.preload"
"""The module that a process started ahead imports."""
ALSO = "NBTUNE_PRELOAD"
"""The environment variable that names further packages for it, joined by commas."""
WORTH = ("torch", "sklearn", "lightning", "transformers")
"""Packages that are slow to import, and worth it if the notebook has them imported already."""

TRIAL = {"RAY_CHDIR_TO_TRIAL_DIR": "0"}
"""What Tune hands on to trials: a cell finds its files where the notebook does, not in a trial's folder."""

DRIVER = {
    **TRIAL,
    # Only the loggers that nbtune adds: TensorBoard's alone costs a second of import.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A report without the metric would end the whole experiment otherwise.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""What is set in the driver's process, for Tune."""
