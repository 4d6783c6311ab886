"""The option `datasets`: data sets of Ray Data by name, and what is known of them without executing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbtune.spec.space.values import label
from nbtune.spec.units import format_size

__all__ = [
    "DatasetInfo",
    "NamedDataset",
    "PackedDatasets",
    "is_dataset",
    "named_datasets",
    "read_data_config",
    "read_datasets",
]

_EXAMPLE = '{"train": ds}'
_CONVERSIONS = {
    "DataFrame": "from_pandas",
    "Table": "from_arrow",
    "ndarray": "from_numpy",
    "list": "from_items",
    "TensorDataset": "from_torch",
}
"""The type of an object -> the function of `ray.data` that makes a data set of it."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without executing it.

    Attributes:
        schema: column -> type, as text; empty if that is not known.
        rows: the number of rows, or None.
        size: the bytes in memory, or None.
        stored: where its data is: "files" that it reads, "experiment" for blocks that are stored with the experiment,
            "cluster" for blocks in the object store of the cluster, "function" for what a function returns in a trial.
    """

    schema: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    size: int | None = None
    stored: str = "files"

    def __str__(self) -> str:
        parts = [f"{self.rows:,} row{'s' if self.rows != 1 else ''}"] if self.rows is not None else []
        parts += [format_size(self.size)] if self.size is not None else []
        shown = ", ".join(self.schema)
        return ", ".join(parts) + (f": {shown}" if parts and shown else shown)

    def to_json(self) -> dict[str, Any]:
        """Return it as the event log stores it."""
        return {"schema": dict(self.schema), "rows": self.rows, "size": self.size, "stored": self.stored}


@dataclass(frozen=True)
class NamedDataset:
    """The value of a parameter that is a data set of the experiment; a trial gets the data set itself.

    Attributes:
        name: the name of the data set.
    """

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class PackedDatasets:
    """The data sets of an experiment on their way to the trials.

    Attributes:
        data: the pickle.
        large: the large values that it refers to by position, blocks above all; in a trial Ray's references to them.
        about: name -> what is known of the data set.
        borrowed: the names of the data sets whose blocks belong to the kernel, those of the code included.
        session: Ray's session that has these blocks; empty without any.
        job: the job of the kernel in it.
    """

    data: bytes = field(repr=False)
    large: Sequence[Any] = field(repr=False)
    about: Mapping[str, DatasetInfo]
    borrowed: tuple[str, ...] = ()
    session: str = ""
    job: str = ""


def is_dataset(value: Any) -> bool:
    """Tell whether a value is a `ray.data.Dataset`, without importing it.

    Args:
        value: any value.
    """
    return any(base.__name__ == "Dataset" and base.__module__.startswith("ray.data") for base in type(value).__mro__)


def named_datasets(value: Any, name: str) -> Any:
    """Return what the option takes for a variable of the notebook: a data set gets the variable's name.

    Args:
        value: the value of the variable.
        name: the variable's name.
    """
    return {name: value} if is_dataset(value) else value


def read_datasets(value: Any) -> dict[str, Any]:
    """Read data sets: a dictionary, name -> `ray.data.Dataset`, or a function without arguments that returns one."""
    if is_dataset(value):
        raise ValueError(f"expected names of the data sets, got one without a name; write {_EXAMPLE}")
    if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"expected a dictionary, name -> ray.data.Dataset, such as {_EXAMPLE}; got {label(value)}")
    for name, data in value.items():
        if not (is_dataset(data) or isinstance(data, DatasetInfo) or (callable(data) and not isinstance(data, type))):
            kind = type(data).__name__
            make = _CONVERSIONS.get(kind)
            hint = f"; make one of it: ray.data.{make}(…)" if make else ""
            raise ValueError(
                f"{name}: expected a ray.data.Dataset, or a function that returns one, got {label(data)}{hint}"
            )
    return dict(value)


def read_data_config(value: Any) -> Any:
    """Read a `ray.train.DataConfig`, or the names (NAME,…) of the data sets that the workers of a trial share."""
    if any(base.__name__ == "DataConfig" for base in type(value).__mro__):
        return value
    names = value.split(",") if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) and name.strip() for name in names):
        return tuple(name.strip() for name in names)
    raise ValueError(
        f"expected a ray.train.DataConfig, or the names of the data sets that workers share, NAME,…; got {label(value)}"
    )
