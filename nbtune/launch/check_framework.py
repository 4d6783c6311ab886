"""The framework of the workers: recognized by what the code imports, and checked against it before the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from nbtune.errors import Problem, option_ref
from nbtune.frameworks import framework_of
from nbtune.spec.cell.imports import mentions_of
from nbtune.spec.options.options import Spec
from nbtune.spec.plan.frameworks import FRAMEWORKS, NO_WORKERS, frameworks_of, seems_apart

__all__ = ["with_framework"]


def with_framework(
    spec: Spec, code: Iterable[Any], variables: Mapping[str, Any], problems: list[Problem]
) -> tuple[Spec, list[str]]:
    """Return the options with the framework of the workers, and what the user should know about it.

    Code that needs the workers of one framework runs in those of another one, too, but there each worker trains a
    model of its own, and nothing tells. So it is refused.

    Args:
        spec: the options.
        code: code objects and functions.
        variables: the notebook's variables that they use.
        problems: receives the problems.
    """
    if spec.workers is None and spec.scaling is None:
        return spec, []
    mentions = mentions_of(code, variables)
    modules = mentions.modules
    roots = {name.partition(".")[0] for name in modules}
    problems += [Problem(why, option="framework") for name, why in NO_WORKERS.items() if name in roots]
    needed, notes = frameworks_of(modules), []
    chosen = spec.framework or next(iter(needed), "torch")
    problems += [
        Problem(_apart(package, name, chosen, several=len(needed) > 1), code="conflict", option="framework")
        for name, package in needed.items()
        if name != chosen
    ]
    if spec.framework is None and chosen in needed:
        notes.append(
            f"the workers are those of {FRAMEWORKS[chosen].title}, since the code imports {needed[chosen]}"
            f" (as with {option_ref('framework', chosen)})"
        )
    if chosen == "tensorflow" and "keras" in roots:
        notes.append(
            "workers of TensorFlow train models of tf.keras, which is Keras 2 there (the package tf_keras): those of"
            " the package keras, which is Keras 3, fail in MultiWorkerMirroredStrategy"
        )
    several = (group := spec.worker_group) is not None and group.max_workers > 1
    if several and (advice := seems_apart(chosen, modules, mentions.names)):
        notes.append(
            "nothing in the code seems to connect the workers, so each of them would train a model of its own:"
            f" {advice}"
        )
    if missing := [name for name in FRAMEWORKS[chosen].requires if find_spec(name) is None]:
        problems.append(Problem(_missing(chosen, missing), code="missing", option="framework"))
    elif spec.backend is not None:
        try:
            framework_of(chosen).config(spec.backend)
        except ValueError as error:
            problems.append(Problem(str(error), option="backend"))
    return replace(spec, framework=chosen), notes


def _apart(package: str, needed: str, chosen: str, *, several: bool) -> str:
    title, others = FRAMEWORKS[needed].title, FRAMEWORKS[chosen].title
    text = (
        f"the code imports {package}, and in workers of {others} each worker would train a model of its own with"
        f" {title}; "
    )
    if several:
        return f"{text}train with one of the two in each experiment"
    return f"{text}use {option_ref('framework', needed)}, or leave the option out"


def _missing(name: str, packages: list[str]) -> str:
    return (
        f"{FRAMEWORKS[name].title} is not installed here: there is no package {' and '.join(packages)}. Install it here"
        f" and on the nodes of the cluster: pip install 'nbtune[{name}]'"
    )
