"""The environment variables that the notebook's code has changed: the processes of trials do not inherit them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nbtune.engine.protocol.environment import set_at_start

__all__ = ["changed_variables", "variables_at_import"]

_NOT_THE_USERS = (
    "RAY_", "NBTUNE_", "JPY_", "IPYTHON", "PYDEVD_", "JUPYTER", "VSCODE_", "CLICOLOR", "FORCE_COLOR", "_",
)  # fmt: skip
"""Prefixes of variables of Ray, Jupyter, debuggers and terminals, which describe the kernel's process."""
_OF_THE_PROCESS = frozenset({
    "PYTHONPATH", "MPLBACKEND", "TERM", "PAGER", "GIT_PAGER", "COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL",
    # Ray sets these for each process.
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR",
    "ASCEND_RT_VISIBLE_DEVICES", "NEURON_RT_VISIBLE_CORES", "TPU_VISIBLE_CHIPS", "HABANA_VISIBLE_MODULES",
})  # fmt: skip
_OF_THE_MACHINE = frozenset({
    "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "VIRTUAL_ENV",
})  # fmt: skip


def _at_start() -> dict[str, str]:
    """Return the environment with which this process was started, or that of now where the system does not tell."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


_START = _at_start()


def changed_variables(*, same_machine: bool, start: Mapping[str, str] = _START) -> dict[str, str | None]:
    """Return the environment variables that code in this process has set or deleted since its start.

    Args:
        same_machine: whether all trials run on this machine, so that paths of the system are valid there.
        start: the environment at the start.

    Returns:
        Name -> the present value, or None if it was deleted. Values may be secret.
    """
    names = {name for name in start.keys() | os.environ.keys() if start.get(name) != os.environ.get(name)}
    excluded = _OF_THE_PROCESS if same_machine else _OF_THE_PROCESS | _OF_THE_MACHINE
    return {
        name: os.environ.get(name)
        for name in sorted(names)
        if not name.startswith(_NOT_THE_USERS) and name not in excluded and not _is_rays(os.environ.get(name))
    }


def variables_at_import() -> dict[str, str]:
    """Return the changed variables that libraries read when they are imported.

    Some packages set such variables themselves, as scikit-learn does.
    """
    changed = changed_variables(same_machine=True)
    return set_at_start({name: value for name, value in changed.items() if value is not None})


def _is_rays(value: str | None) -> bool:
    """Tell whether Ray has set a variable, as it does with PYTHONBREAKPOINT."""
    return value is not None and value.startswith("ray.util.")
