"""The user's program, run in a process of the cluster: with its configuration, its session and its seed."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import random
import sys
import types
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray
from ray import tune

from nbtune.engine.protocol.failures import format_error
from nbtune.engine.trial import session
from nbtune.engine.trial.payload import Unpacked, config_key, unpack
from nbtune.spec.cell.parse import HELPERS

__all__ = ["call", "run_program"]


def run_program(config: Mapping[str, Any], payload: Mapping[str, Any], place: session.Session) -> None:
    """Run the program once, and report what it returns.

    Args:
        config: the trial's parameters.
        payload: as for `nbtune.engine.tune.trainable.run_trial`.
        place: what `report` and its like are meanwhile.

    Raises:
        TrialError: the program raised.
    """
    _free()
    _limit_threads()
    unpacked = unpack(payload["data"], lambda position: ray.get(payload["large"][position]))
    before = session.enter(place)
    with suppress(OSError):  # another machine need not have the notebook's folder
        os.chdir(unpacked.cwd)
    if payload["seed"] is not None:
        _seed(payload["seed"], config, place.context.get_trial_id(), unpacked)
    main = sys.modules["__main__"]
    sys.modules["__main__"] = _Main(main, unpacked.namespace)
    try:
        result = call(unpacked, config)
        if result is not None:
            session.report(_last_report(result))
    except Exception as error:
        _explain(error, unpacked)
        raise format_error(error, unpacked.program.sources) from None
    finally:
        sys.modules["__main__"] = main
        session.enter(before)


def call(unpacked: Unpacked, config: Mapping[str, Any]) -> Any:
    """Run the program with a configuration in its namespace, and return what it returns."""
    program, namespace = unpacked.program, unpacked.namespace
    if program.function is not None:
        result = program.function(**config) if program.by_name else program.function(dict(config))
    else:
        assert program.code is not None
        # The notebook's own definitions of these names go before nbtune's.
        namespace.update({name: helper(name) for name in HELPERS if name not in namespace})
        namespace.update(config)
        result = types.FunctionType(program.code, namespace)()
    if inspect.isgenerator(result):
        for values in result:  # Ray Tune takes a generator's values as reports
            session.report(_last_report(values))
        return None
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def helper(name: str) -> Any:
    """Return what a name of `HELPERS` stands for in a trial."""
    return getattr(session, name) if hasattr(session, name) else getattr(tune, name)


def _last_report(result: Any) -> Mapping[str, Any]:
    if isinstance(result, Mapping):
        return result
    raise TypeError(f"a trial returns its last report as a dictionary, metric -> value; this one returned {result!r}")


class _Main(types.ModuleType):
    """Stands for `__main__` while a trial runs, so that pickle finds the notebook's and the cell's classes."""

    def __init__(self, main: types.ModuleType, namespace: dict[str, Any]) -> None:
        super().__init__("__main__")
        self.__dict__.update({k: v for k, v in vars(main).items() if k.startswith("__")})
        self.__dict__["_namespace"] = namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_namespace"][name]
        except KeyError:
            raise AttributeError(f"module '__main__' has no attribute {name!r}") from None


def _free() -> None:
    """Let go of what the trial before has left on the GPU: its objects may still wait for the garbage collector."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _limit_threads() -> None:
    """Have PyTorch use as many threads as Ray has given this process CPUs.

    PyTorch reads OMP_NUM_THREADS when it is imported, and a process started ahead has imported it before Ray sets that.
    """
    torch, number = sys.modules.get("torch"), os.environ.get("OMP_NUM_THREADS", "")
    if torch is not None and number.isdigit():
        torch.set_num_threads(int(number))


def _seed(seed: int, config: Mapping[str, Any], trial_id: str, unpacked: Unpacked) -> None:
    """Seed the random numbers from the experiment's seed, the parameters and the trial's place among equals."""
    _, _, index = trial_id.partition("_")
    derived = zlib.crc32(f"{seed} {config_key(config)} {index}".encode())
    random.seed(derived)
    # A process is used by several trials: a package that only the cell imports is there for the
    # second, and must have been seeded alike for the first.
    used = unpacked.program.imports | set(sys.modules)
    if "numpy" in used:
        import numpy as np

        np.random.seed(derived)
    if "torch" in used:
        import torch

        torch.manual_seed(derived)


def _explain(error: Exception, unpacked: Unpacked) -> None:
    """Add what to do where nbtune is the reason for an error."""
    if isinstance(error, ValueError) and "read-only" in str(error):
        error.add_note(
            "A large notebook variable is shared by all trials, so it cannot be changed in place."
            " Work on a copy: x = x.copy()"
        )
