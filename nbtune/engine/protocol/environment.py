"""The environment of nbtune's processes on the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

__all__ = [
    "DRIVER_VARIABLES",
    "EXTRA_PACKAGES_VARIABLE",
    "HOST_VARIABLES",
    "INHERITED_VARIABLES",
    "NAMESPACE",
    "PRELOAD",
    "SLOW_PACKAGES",
    "TRIAL_VARIABLES",
    "first_use_modules",
    "restore_variables",
    "set_at_start",
    "set_variables",
]

NAMESPACE = "nbtune"
"""The Ray namespace of the actors' names."""
PRELOAD = "nbtune.engine.driver.preload"
"""The module that a process started ahead imports."""
EXTRA_PACKAGES_VARIABLE = "NBTUNE_PRELOAD"
"""The environment variable with further packages that such a process imports, separated by commas."""
SLOW_PACKAGES = ("torch", "sklearn", "lightning", "transformers")
"""Packages that take long to import. They are imported ahead if the notebook has already imported them."""
_FIRST_USE_MODULES = {"torch": ("torch._dynamo",)}
"""Such a package -> modules that it imports when it is first used, and that take as long: PyTorch's first optimizer."""

TRIAL_VARIABLES = {"RAY_CHDIR_TO_TRIAL_DIR": "0"}
"""Set in trials: nbtune changes their working directory, see `nbtune.engine.trial.directory`."""

HOST_VARIABLES = {"PL_DISABLE_FORK": "1", **TRIAL_VARIABLES}
"""Set in the processes that run trials: what Tune sets there, and nbtune's own."""

INHERITED_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""Variables that Tune gives to the processes of trials, from its own."""

DRIVER_VARIABLES = {
    **TRIAL_VARIABLES,
    # Only the loggers that nbtune adds: importing TensorBoard's alone takes a second.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Otherwise a report without the metric would end the whole experiment.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # A Ray that the user has started shows the output of its processes in the notebook, also Tune's table of settings.
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Set in the driver's process, for Tune."""


_READ_WHEN_IMPORTED = (
    *("ARROW_", "CUDA_", "GLOO_", "GOMP_", "GOTO_", "JAX_", "KMP_", "LD_", "MALLOC_", "MKL_", "NCCL_", "NUMEXPR_"),
    *("OMP_", "OPENBLAS_", "PYTHON", "PYTORCH_", "RAY_", "TF_", "TORCH", "XLA_"),
)
"""Prefixes of variables that libraries read when they are imported, or the system when a process starts."""


def first_use_modules(packages: Iterable[str]) -> list[str]:
    """Return the modules that packages import when they are first used, and that take as long as these themselves.

    Args:
        packages: names of packages.
    """
    return [module for name in packages for module in _FIRST_USE_MODULES.get(name, ())]


def set_at_start(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have to be set when a process starts. All can see these, in the list of processes.

    Args:
        variables: name -> value; some may be secret.
    """
    return {name: value for name, value in variables.items() if name.startswith(_READ_WHEN_IMPORTED)}


def set_variables(variables: Mapping[str, str | None]) -> None:
    """Set environment variables of this process.

    Args:
        variables: name -> value, or None to delete it.
    """
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def restore_variables(earlier: Mapping[str, str]) -> None:
    """Set the environment variables of this process to what they were. Those that have not changed are always set.

    Args:
        earlier: all variables.
    """
    added = dict.fromkeys(name for name in list(os.environ) if name not in earlier)
    set_variables(added | {name: value for name, value in earlier.items() if os.environ.get(name) != value})
