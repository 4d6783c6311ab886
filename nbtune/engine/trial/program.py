"""Runs the user's program in a trial's process, with its configuration, session and seed."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import random
import sys
import types
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Number
from typing import Any

import ray
from ray import tune
from ray.exceptions import ObjectLostError
from ray.tune.result import DEFAULT_METRIC

from nbtune.engine._ray.tune import is_end_of_trial
from nbtune.engine.protocol.failures import NotUnpackedError, format_error
from nbtune.engine.trial import session
from nbtune.engine.trial.datasets import resolved
from nbtune.engine.trial.interaction import refuse_interaction
from nbtune.engine.trial.payload import ProgramPayload, Surroundings, Unpacked, config_key, surroundings, unpack
from nbtune.spec.cell.parse import HELPERS

__all__ = ["call", "is_report", "loaded", "run_program", "seed", "users_errors"]


def run_program(
    config: Mapping[str, Any],
    payload: ProgramPayload,
    trial_session: session.Session,
    on_unpacked: Callable[[], object] = lambda: None,
    on_returned: Callable[[], object] = lambda: None,
    is_own: Callable[[Any], bool] = lambda result: False,
) -> None:
    """Run the program once, and report its return value, if any.

    Args:
        config: the trial's parameters.
        payload: the packed program.
        trial_session: the session that `report`, `get_checkpoint` and `get_context` use meanwhile.
        on_unpacked: called when the program and its variables are there.
        on_returned: called when the program has returned metrics, before these are reported.
        is_own: tells of a return value whether it is not for nbtune.

    Raises:
        NotUnpackedError: the program or one of its variables cannot be unpickled here.
        TrialError: the program raised.
    """
    sources = surroundings(payload.data).sources
    with users_errors(sources), loaded(config, payload, trial_session, on_unpacked) as unpacked:
        result = call(unpacked, config)
        if result is not None and not is_own(result):
            report = _as_report(result)
            on_returned()
            session.report(report)


@contextmanager
def users_errors(sources: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """Raise a `TrialError` in place of an exception of the user's code.

    Args:
        sources: the notebook's cells, as for `nbtune.engine.protocol.failures.register_sources`.
    """
    try:
        yield
    except BaseException as error:  # also sys.exit() and the user's own subclasses of BaseException
        if is_end_of_trial(error) or isinstance(error, NotUnpackedError):
            raise
        _add_hint(error)
        raise format_error(error, sources) from None


@contextmanager
def loaded(
    config: Mapping[str, Any],
    payload: ProgramPayload,
    trial_session: session.Session,
    on_unpacked: Callable[[], object] = lambda: None,
) -> Iterator[Unpacked]:
    """Load the program into this process, which is prepared for it; return the process to its state afterwards.

    Args:
        config: as for `run_program`.
        payload: as for `run_program`.
        trial_session: as for `run_program`.
        on_unpacked: as for `run_program`.
    """
    _free_gpu_memory()
    _limit_threads()
    refuse_interaction()
    around = surroundings(payload.data)
    # Folders that the notebook has added after Ray's processes were started.
    sys.path += [entry for entry in around.path if entry not in sys.path and os.path.exists(entry)]
    main, previous = sys.modules["__main__"], session.set_session(trial_session)
    try:
        unpacked = _unpacked(payload, around)
        on_unpacked()
        seed(payload.seed, config, trial_session.context.get_trial_id(), unpacked)
        sys.modules["__main__"] = _MainModule(main, unpacked.namespace)
        with _quiet_data(payload):
            yield unpacked
    finally:
        sys.modules["__main__"] = main
        session.set_session(previous)


def _quiet_data(payload: ProgramPayload) -> AbstractContextManager[None]:
    """Return a context in which Ray Data, if the program uses it, does not print its progress."""
    if not payload.reads_data:
        return nullcontext()
    from nbtune.engine._ray.data import with_context

    return with_context(None)


def _unpacked(payload: ProgramPayload, around: Surroundings) -> Unpacked:
    """Unpickle the program and its variables.

    Raises:
        NotUnpackedError: one of them needs what this process does not have.
        ObjectLostError: a large value was lost with its node.
    """

    def fetch(position: int) -> Any:
        return ray.get(payload.large[position])

    try:
        return unpack(payload.data, fetch)
    except ObjectLostError:
        raise
    except (Exception, SystemExit) as error:  # what a class or function of the user raises
        from nbtune.engine.trial.unreadable import not_unpacked

        raise not_unpacked(error, payload.data, fetch, around.names, around.sources) from None


def call(unpacked: Unpacked, config: Mapping[str, Any]) -> Any:
    """Call the program with a configuration, and return its return value.

    A generator's values are reported, as Ray Tune does. A coroutine is run to its end.

    Args:
        unpacked: the program and its namespace.
        config: the trial's parameters.
    """
    program, namespace = unpacked.program, unpacked.namespace
    config = resolved(dict(config), session.get_dataset_shard)
    if program.function is not None:
        result = program.function(**config) if program.by_name else program.function(dict(config), **program.arguments)
    else:
        assert program.code is not None
        # The notebook's own definitions of these names take precedence over nbtune's.
        namespace.update({name: helper(name) for name in HELPERS if name not in namespace})
        namespace.update(config)
        result = types.FunctionType(program.code, namespace)()
    if inspect.isgenerator(result):
        for values in result:
            session.report(_as_report(values))
        return None
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def helper(name: str) -> Any:
    """Return the function that a name of `HELPERS` refers to in a trial.

    Args:
        name: one of `nbtune.spec.cell.parse.HELPERS`.
    """
    return getattr(session, name) if hasattr(session, name) else getattr(tune, name)


def is_report(result: Any) -> bool:
    """Tell whether a return value is metrics for Ray Tune: a dictionary or a number.

    Args:
        result: what a program has returned.
    """
    return isinstance(result, (Mapping, Number)) and not isinstance(result, bool)


def _as_report(result: Any) -> Mapping[str, Any]:
    if isinstance(result, Mapping):
        return result
    if is_report(result):
        return {DEFAULT_METRIC: result}  # as in Ray Tune
    raise TypeError(f"expected a trial to return or yield metrics as a dictionary, metric -> value, got {result!r}")


class _MainModule(types.ModuleType):
    """Replaces `__main__` while a trial runs, so that pickle finds the classes of the notebook and the cell."""

    def __init__(self, main: types.ModuleType, namespace: dict[str, Any]) -> None:
        super().__init__("__main__")
        self.__dict__.update({k: v for k, v in vars(main).items() if k.startswith("__")})
        self.__dict__["_namespace"] = namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_namespace"][name]
        except KeyError:
            raise AttributeError(f"module '__main__' has no attribute {name!r}") from None


def _free_gpu_memory() -> None:
    """Free the GPU memory of the previous trial, whose objects may not have been garbage-collected yet."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _limit_threads() -> None:
    """Set PyTorch's number of threads to the number of CPUs that Ray has assigned to this process.

    PyTorch reads OMP_NUM_THREADS when it is imported. A prestarted process imports it before Ray sets the variable.
    """
    torch, number = sys.modules.get("torch"), os.environ.get("OMP_NUM_THREADS", "")
    if torch is not None and number.isdigit():
        torch.set_num_threads(int(number))


def seed(given: int | None, config: Mapping[str, Any], trial_id: str, unpacked: Unpacked) -> None:
    """Seed the random generators from the experiment's seed, the parameters and the trial's index.

    Args:
        given: the experiment's seed; None for no seed.
        config: the trial's parameters.
        trial_id: Tune's id of the trial.
        unpacked: the program.
    """
    if given is None:
        return
    _, _, index = trial_id.partition("_")
    derived = zlib.crc32(f"{given} {config_key(config)} {index}".encode())
    random.seed(derived)
    # A process runs several trials. A package that only the cell imports is in `sys.modules` from the second trial
    # on, but has to be seeded for the first one, too.
    used = unpacked.program.imports | set(sys.modules)
    if "numpy" in used:
        import numpy as np

        np.random.seed(derived)
    if "torch" in used:
        import torch

        torch.manual_seed(derived)


def _add_hint(error: BaseException) -> None:
    """Add advice to an error that nbtune's handling of large values causes."""
    if _is_read_only_error(error):
        error.add_note(
            "Large notebook variables are shared by all trials and read-only."
            " To change one, copy it first: x = x.copy()"
        )


def _is_read_only_error(error: BaseException) -> bool:
    """Tell whether NumPy has refused to change an array. It raises a plain ValueError, so only the text says why."""
    return isinstance(error, ValueError) and "read-only" in str(error)
