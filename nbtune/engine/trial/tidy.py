"""Returns a process to its first state, so that it can run another experiment, or tells why that is not possible.

A process that stays for the next experiment must not bring anything of the previous one. What Python and the usual
libraries have for the whole process is restored. A process with anything that cannot be restored ends: it has child
processes or threads, modules of the user's, memory on a GPU, or much more memory than before. What code has replaced
inside a library ("monkey patching") is not noticed.
"""

from __future__ import annotations

import builtins
import decimal
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from nbtune.engine.protocol.environment import restore_variables
from nbtune.spec.cell.origin import is_installed
from nbtune.spec.units import format_size

__all__ = ["initial_variable", "packages_changed", "remember", "tidy"]

_MAX_GROWTH = 1 << 30  # bytes of memory
_THREADS_TIMEOUT = 1.0  # seconds in which threads that are about to end may end
_HARMLESS_THREADS = frozenset({"TMonitor", "_DummyThread"})
"""Classes of threads: that of tqdm, which only redraws, and of Ray's own threads that have once called Python."""
_PACKAGE = str(Path(__file__).parents[2])
_HOOKS = ("excepthook", "unraisablehook", "displayhook", "breakpointhook")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *(getattr(signal, n) for n in ("SIGALRM", "SIGUSR1") if hasattr(signal, n)))


@dataclass(frozen=True)
class _State:
    """The state of this process before its first experiment."""

    variables: dict[str, str]
    folder: str
    path: list[str]
    arguments: list[str]
    modules: frozenset[str]
    threads: frozenset[int]
    memory: int
    builtins: dict[str, Any]
    hooks: dict[str, Any]
    signals: dict[int, Any]
    filters: list[Any]
    loggers: dict[str, tuple[int, list[Any], bool, bool]]
    numpy: dict[str, Any]
    packages: dict[str, float]
    locale: str
    recursion: int


_first: _State | None = None


def remember() -> None:
    """Remember the present state of this process as its first one."""
    global _first
    _first = _State(
        variables=dict(os.environ),
        folder=os.getcwd(),
        path=list(sys.path),
        arguments=list(sys.argv),
        modules=frozenset(sys.modules),
        threads=frozenset(thread.ident or 0 for thread in threading.enumerate()),
        memory=psutil.Process().memory_info().rss,
        builtins=dict(vars(builtins)),
        hooks={name: getattr(sys, name) for name in _HOOKS},
        signals={number: signal.getsignal(number) for number in _SIGNALS},
        filters=list(warnings.filters),
        loggers={name: _logger_state(logger) for name, logger in _loggers().items()},
        numpy=_numpy_state(),
        packages=_package_folders(),
        locale=locale.setlocale(locale.LC_ALL),
        recursion=sys.getrecursionlimit(),
    )


def tidy(*, threads: bool = True) -> str | None:
    """Return this process to the state that was remembered.

    Args:
        threads: whether new threads keep the process from being used again.

    Returns:
        Why the process cannot be used again, as what follows "it"; None if it can.
    """
    first = _first
    if first is None:
        return "does not know its first state"
    if (remains := _remains(first, threads=threads)) is not None:
        return remains
    restore_variables(first.variables)
    os.chdir(first.folder)
    sys.path[:], sys.argv[:] = first.path, first.arguments
    _restore_builtins(first)
    warnings.resetwarnings()  # tells the module that its filters have changed
    cast("list[Any]", warnings.filters)[:] = first.filters
    _restore_loggers(first)
    sys.settrace(None)
    sys.setprofile(None)
    sys.setrecursionlimit(first.recursion)
    gc.enable()
    socket.setdefaulttimeout(None)
    with suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, first.locale)
    decimal.setcontext(decimal.Context())
    random.seed()
    for name, restore in _LIBRARIES.items():
        if name in sys.modules:
            try:
                restore(sys.modules[name])
            except Exception as error:  # a version that has none of these functions
                return f"cannot restore the settings of {name}: {error}"
    gc.collect()
    grown = psutil.Process().memory_info().rss - first.memory
    return f"has {format_size(grown)} more memory than before" if grown > _MAX_GROWTH else None


def initial_variable(name: str) -> str | None:
    """Return the value of an environment variable that this process was started with.

    Args:
        name: its name.
    """
    try:
        variables: dict[str, str] = psutil.Process().environ()
    except (psutil.Error, OSError, SystemError):
        return None
    return variables.get(name)


def packages_changed() -> bool:
    """Return whether packages were installed or removed since this process has remembered its first state."""
    return _first is not None and _first.packages != _package_folders()


def _package_folders() -> dict[str, float]:
    """Return the folders of installed packages, with the times of their last changes."""
    folders = {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return {path: os.stat(path).st_mtime for path in sorted(folders) if os.path.isdir(path)}


def _remains(first: _State, *, threads: bool) -> str | None:
    """Return what of the earlier experiment cannot be undone; None if there is nothing."""
    deadline = time.monotonic() + _THREADS_TIMEOUT
    while threads and (running := _new_threads(first)):
        if time.monotonic() > deadline:
            return f"has the thread {running[0].name!r}, which has not ended"
        time.sleep(0.01)
    with suppress(psutil.Error):
        children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        if children:
            return f"has the child process {children[0].pid}"
    own = [name for name in set(sys.modules) - first.modules if _is_users(name)]
    if own:
        return f"has imported the user's module {min(own)!r}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "has memory on a GPU"
    if first.signals != {number: signal.getsignal(number) for number in _SIGNALS}:
        return "handles signals"
    return None


def _new_threads(first: _State) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread.ident not in first.threads
        and thread is not threading.current_thread()
        and type(thread).__name__ not in _HARMLESS_THREADS
    ]


def _is_users(name: str) -> bool:
    """Tell whether a module is the user's own, whose file may have changed when it is imported the next time."""
    package = sys.modules.get(name.partition(".")[0])
    places = [getattr(package, "__file__", None), *getattr(package, "__path__", ())]
    place = next((place for place in places if isinstance(place, str)), "")
    return os.path.exists(place) and not is_installed(place) and not place.startswith(_PACKAGE)


def _restore_builtins(first: _State) -> None:
    for name in set(vars(builtins)) - set(first.builtins):
        delattr(builtins, name)
    for name, value in first.builtins.items():
        if getattr(builtins, name, None) is not value:
            setattr(builtins, name, value)
    for name, hook in first.hooks.items():
        setattr(sys, name, hook)


def _loggers() -> dict[str, logging.Logger]:
    known = logging.Logger.manager.loggerDict
    return {
        "": logging.getLogger(),
        **{name: one for name, one in known.items() if isinstance(one, logging.Logger)},
    }


def _logger_state(logger: logging.Logger) -> tuple[int, list[Any], bool, bool]:
    return logger.level, list(logger.handlers), logger.propagate, logger.disabled


def _restore_loggers(first: _State) -> None:
    logging.disable(logging.NOTSET)
    for name, logger in _loggers().items():
        if (state := first.loggers.get(name)) is not None:
            level, handlers, propagate, disabled = state
            if logger.level != level:
                logger.setLevel(level)
            logger.handlers[:], logger.propagate, logger.disabled = handlers, propagate, disabled


# -- libraries: they are restored only where they are imported --------------------------------------------


def _numpy_state() -> dict[str, Any]:
    numpy: Any = sys.modules.get("numpy")
    return {} if numpy is None else {"errors": numpy.geterr(), "printing": numpy.get_printoptions()}


def _restore_numpy(numpy: Any) -> None:
    numpy.random.seed()
    if _first is not None and _first.numpy:
        numpy.seterr(**_first.numpy["errors"])
        numpy.set_printoptions(**_first.numpy["printing"])


def _restore_torch(torch: Any) -> None:
    # Only what has changed: some of these functions import torch._dynamo, which takes seconds.
    torch.seed()
    if torch.get_default_dtype() is not torch.float32:
        torch.set_default_dtype(torch.float32)
    if torch.get_default_device().type != "cpu":
        torch.set_default_device(None)
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
    if torch.is_anomaly_enabled():
        torch.autograd.set_detect_anomaly(False)
    if torch.get_float32_matmul_precision() != "highest":
        torch.set_float32_matmul_precision("highest")
    torch.set_printoptions(profile="default")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, False
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _restore_pandas(pandas: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns about each deprecated option
        for group in ("display", "mode", "compute", "io", "styler", "future"):  # that of plots imports matplotlib
            with suppress(KeyError):
                pandas.reset_option(rf"^{group}\.")


def _restore_matplotlib(matplotlib: Any) -> None:
    matplotlib.rcdefaults()
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


def _restore_sklearn(sklearn: Any) -> None:
    sklearn.set_config(
        assume_finite=False,
        working_memory=1024,
        print_changed_only=True,
        display="diagram",
        enable_metadata_routing=False,
        transform_output="default",
    )


_LIBRARIES: dict[str, Callable[[Any], None]] = {
    "numpy": _restore_numpy,
    "torch": _restore_torch,
    "pandas": _restore_pandas,
    "matplotlib": _restore_matplotlib,
    "sklearn": _restore_sklearn,
}
