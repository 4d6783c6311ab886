"""What nbtune uses of Ray that is not public: each name is in the Ray that is installed, or the test says which is not."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import nbtune

ROOT = Path(nbtune.__file__).parent


def private(module: str, name: str) -> bool:
    parts = module.split(".")
    return parts[0] == "ray" and (any(part.startswith("_") for part in parts) or name.startswith("_"))


def names() -> list[tuple[str, str, str]]:
    """Return where, from which module and what nbtune imports of Ray's private parts."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                place = f"{path.relative_to(ROOT.parent)}:{node.lineno}"
                found += [(place, node.module, a.name) for a in node.names if private(node.module, a.name)]
    return found


def attribute(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")


def test_each_private_name_is_there() -> None:
    used = names()
    assert len(used) > 20
    missing = []
    for place, module, name in used:
        try:
            attribute(module, name)
        except (ImportError, AttributeError):
            missing.append(f"{place} imports {name} from {module}")
    assert not missing, "this Ray lacks:\n" + "\n".join(missing)


REPLACED = (
    ("ray._private.ray_constants", "ENABLE_RAY_CLUSTER"),
    ("ray._private.ray_constants", "SETUP_WORKER_FILENAME"),
    ("ray.actor", "ActorClassID"),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "SynchronizationActor"),
)
"""What is replaced while a call runs, see CONTRIBUTING.md: a replacement of a name that is gone would do nothing."""


@pytest.mark.parametrize(("module", "name"), REPLACED)
def test_each_name_that_is_replaced_is_there(module: str, name: str) -> None:
    attribute(module, name)
    assert f"`{name}`" in (ROOT.parent / "CONTRIBUTING.md").read_text("utf-8")


CALLED = (
    # Overridden, or called by position: (module, class or function, method, parameters).
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_start_impl", 2),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "_get_worker_runtime_env", 1),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "WorkerGroup", "poll_status", 2),
    ("ray.train.v2._internal.execution.worker_group.worker", "RayTrainWorker", "run_train_fn", 2),
    ("ray.train.v2._internal.execution.worker_group.worker", "RayTrainWorker", "poll_status", 1),
    ("ray.tune.trainable", "FunctionTrainable", "step", 1),
    ("ray.tune.trainable", "FunctionTrainable", "_trainable_func", 2),
)


@pytest.mark.parametrize(("module", "owner", "method", "parameters"), CALLED)
def test_each_method_that_is_overridden_takes_what_it_is_given(
    module: str, owner: str, method: str, parameters: int
) -> None:
    found = inspect.getattr_static(attribute(module, owner), method)
    signature = inspect.signature(getattr(found, "__func__", found))
    # Ray adds one to the methods of a class that has become an actor in this process.
    own = signature.parameters.keys() - {"_ray_trace_ctx"}
    assert len(own) == parameters, f"{owner}.{method}{signature}"
