"""The data sets of an experiment before the start: of the options, of the space, and of the code.

A data set in the space becomes one of the experiment, by the name of its variable, and its name is the value of the
parameter: what is recorded of a trial is the name, and the trial gets the data set itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtune.errors import Problem, SpecError, option_ref
from nbtune.spec.options.datasets import DatasetInfo, NamedDataset, PackedDatasets, is_dataset
from nbtune.spec.options.options import Spec
from nbtune.spec.space.domain import Conditional, Domain
from nbtune.spec.space.space import Space
from nbtune.spec.units import format_size

if TYPE_CHECKING:
    from nbtune.engine.trial.payload import Packed

__all__ = ["check_blocks", "name_datasets", "pack_data"]


def name_datasets(spec: Spec, space: Space, namespace: Mapping[str, Any]) -> tuple[Spec, Space]:
    """Return the options with the data sets that the space has, and the space with their names in their places.

    Args:
        spec: the options.
        space: the parameters.
        namespace: the notebook's variables, whose names they get.
    """
    names = {id(data): name for name, data in spec.datasets.items()}
    found: dict[str, Any] = {}

    def named(value: Any, parameter: str) -> Any:
        """Return a value, or the same one if it has no data set."""
        if is_dataset(value):
            if id(value) not in names:
                own = next((name for name, one in namespace.items() if one is value and not name.startswith("_")), "")
                names[id(value)] = _free(own or parameter, {*names.values()})
                found[names[id(value)]] = value
            return NamedDataset(names[id(value)])
        if isinstance(value, Domain):
            arguments = {key: named(one, parameter) for key, one in value.arguments.items()}
            is_same = all(arguments[key] is one for key, one in value.arguments.items())
            return value if is_same else replace(value, arguments=arguments)
        if isinstance(value, Conditional):
            then, otherwise = named(value.then, parameter), named(value.otherwise, parameter)
            is_same = then is value.then and otherwise is value.otherwise
            return value if is_same else replace(value, then=then, otherwise=otherwise)
        if type(value) is list:
            listed = [named(one, parameter) for one in value]
            return value if all(one is other for one, other in zip(listed, value, strict=True)) else listed
        return value

    parameters = tuple(
        replace(one, domain=named(one.domain, one.name), default=named(one.default, one.name))
        for one in space.parameters
    )
    if not names:
        return spec, space
    stored = {name: info for name, info in spec.datasets.items() if isinstance(info, DatasetInfo)}
    new = {name: data for name, data in found.items() if name not in stored}
    return replace(spec, datasets={**spec.datasets, **new}, reads_data=True), replace(space, parameters=parameters)


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: NAME, NAME_2 and so on."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def pack_data(spec: Spec, packed: Packed | None, problems: list[Problem]) -> tuple[PackedDatasets | None, list[str]]:
    """Pack the data sets that the options name; return them with what the user should know of all data sets.

    Args:
        spec: the options. Those of a stored experiment have no data sets any more, but what is known of them.
        packed: the packed program, with the data sets among its variables.
        problems: receives the problems.
    """
    own = {name: data for name, data in spec.datasets.items() if not isinstance(data, DatasetInfo)}
    captured = packed.datasets if packed is not None else ()
    if not own and not captured:
        return None, []
    from nbtune.engine.trial.datasets import describe, pack_datasets

    datasets = pack_datasets(own, spec.dataset_config, problems) if own else PackedDatasets(b"", (), {})
    if datasets is None:
        return None, []
    names = {id(data): name for name, data in own.items()}
    of_code = {one.name or "of the code": describe(one) for one in captured if id(one) not in names}
    borrowed = {name: info for name, info in {**of_code, **datasets.about}.items() if info.stored == "cluster"}
    if borrowed:
        import ray

        context = ray.get_runtime_context()
        session, job = context.get_session_name(), context.get_job_id()
        datasets = replace(datasets, borrowed=tuple(borrowed), session=session, job=job)
    return datasets, [
        f"the data set {name} is in the object store of this cluster"
        f" ({format_size(info.size) if info.size else 'of unknown size'}), where it belongs to this kernel: the"
        " experiment needs both, and cannot be resumed elsewhere. Write it to files (write_parquet) and read these to"
        " make it independent"
        for name, info in borrowed.items()
    ]


def check_blocks(datasets: PackedDatasets | None) -> None:
    """Refuse to resume an experiment whose data sets are gone: its trials would wait for them.

    Args:
        datasets: those that it was started with.

    Raises:
        SpecError: they were in the object store of another cluster, or of a kernel that has ended.
    """
    if datasets is None or not datasets.borrowed:
        return
    import ray

    from nbtune.engine._ray.core import is_job_over

    context = ray.get_runtime_context()
    if context.get_session_name() == datasets.session and not is_job_over(datasets.job):
        return
    gone = "kernel" if context.get_session_name() == datasets.session else "cluster"
    raise SpecError(
        [
            f"it cannot be resumed: the rows of its data sets {', '.join(datasets.borrowed)} were in the object store"
            f" of a {gone} that has ended. Start an experiment with data sets that read files;"
            f" {option_ref('warm_start')} lets its search learn from this one"
        ]
    )
