"""Checkpoints: reported as a dictionary or a folder, read back from storage."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbtune.engine.protocol.trust import EVERYTHING, OWN, ExperimentKey, Trust
from nbtune.engine.trial.missing_class import MissingClassError, find_missing, missing_class_error
from nbtune.engine.trial.signed_state import read_state, save_state

__all__ = ["STATE_FILE", "Checkpoint", "as_ray_checkpoint", "stored_checkpoint"]

STATE_FILE = "nbtune-state.pt"
"""The file of a dictionary that rank 0 reported, or that a class returned."""
_RANK_STATE = "nbtune-state-{}.pt"  # the file of a dictionary that another rank reported


class Checkpoint:
    """A checkpoint of a trial.

    If a dictionary was reported, ``checkpoint["model"]`` returns one of its entries, and `load` the whole
    dictionary. If a folder was reported, the checkpoint is a path: ``Path(checkpoint) / "weights.bin"``.

    A dictionary is a pickle, which can run code when it is loaded. It is loaded if your own experiments have signed it,
    or if you say that you trust it.

    Args:
        path: the checkpoint's folder in storage.
        filesystem: the `pyarrow.fs.FileSystem` that `path` is on; None for the local one.
        rank: the worker whose dictionary `load` returns, if each worker has reported its own.
        iteration: the iteration of the report that it came with; None if that is unknown.
        metrics: the metrics of that report.
        trust: whether to load a dictionary that is not signed with your key.

    Attributes:
        path: the checkpoint's folder in storage.
        iteration: see `Args`.
        metrics: see `Args`.
    """

    def __init__(
        self,
        path: str,
        filesystem: Any = None,
        rank: int = 0,
        *,
        iteration: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        self.path, self._filesystem, self._rank = path, filesystem, rank
        self.iteration, self.metrics = iteration, dict(metrics or {})
        self._trust: Trust = EVERYTHING if trust else OWN
        self._states: dict[int, dict[str, Any]] = {}
        self._local: Path | None = None

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"

    def __fspath__(self) -> str:
        return str(self.as_directory())

    def __getitem__(self, key: str) -> Any:
        """Return one entry of the reported dictionary, also if others need a class that is not defined here.

        Args:
            key: the entry's key.

        Raises:
            MissingClassError: the entry needs a class that cannot be found.
            UntrustedError: the dictionary is not trusted.
        """
        try:
            return self.load()[key]
        except MissingClassError:
            value = self._read(self._rank, tolerant=True)[key]
            if missing := find_missing(value):
                raise missing_class_error(missing, f"checkpoint[{key!r}]") from None
            return value

    def as_directory(self) -> Path:
        """Return the checkpoint as a local folder; download it if necessary."""
        if self._local is None:
            import pyarrow.fs as pafs
            from ray.tune import Checkpoint as RayCheckpoint

            is_local = self._filesystem is None or isinstance(self._filesystem, pafs.LocalFileSystem)
            if is_local and Path(self.path).is_dir():
                self._local = Path(self.path)
            else:
                self._local = Path(RayCheckpoint(self.path, filesystem=self._filesystem).to_directory())
        return self._local

    def load(self, rank: int | None = None) -> dict[str, Any]:
        """Return the reported dictionary; without a GPU, its tensors are on the CPU.

        Args:
            rank: the worker, if each has reported its own dictionary. None means this worker's rank, or rank 0
                outside a worker. If the rank has reported none, the first dictionary by rank is returned.

        Raises:
            TypeError: the checkpoint was reported as a folder.
            MissingClassError: it needs a class that cannot be found, such as one that a cell defines. The other entries
                are read by their keys.
            UntrustedError: it is not trusted.
        """
        rank = self._rank if rank is None else rank
        if rank not in self._states:
            try:
                self._states[rank] = self._read(rank, tolerant=False)
            except (AttributeError, ImportError) as error:
                state = self._read(rank, tolerant=True)
                missing = {key: names for key, value in state.items() if (names := find_missing(value))}
                if not missing:
                    raise
                readable = [key for key in state if key not in missing]
                classes = sorted(set().union(*missing.values()))
                raise missing_class_error(classes, ", ".join(map(repr, missing)), readable) from error
        return self._states[rank]

    def _read(self, rank: int, *, tolerant: bool) -> dict[str, Any]:
        """Return the dictionary of a rank; if `tolerant`, with substitutes for classes that cannot be found."""
        folder = self.as_directory()
        candidates = (folder / _file(rank), folder / STATE_FILE, *sorted(folder.glob(_RANK_STATE.format("*"))))
        file = next((file for file in candidates if file.exists()), None)
        if file is None:
            raise TypeError(
                f"the checkpoint {self.path} was reported as a folder, not as a dictionary; open its files with"
                " Path(checkpoint) / NAME"
            )
        return read_state(file, self._trust, tolerant=tolerant)


def stored_checkpoint(path: str, filesystem: Any, trust: Trust, rank: int = 0, **report: Any) -> Checkpoint:
    """Return a checkpoint of an experiment.

    Args:
        path: as for `Checkpoint`.
        filesystem: as for `Checkpoint`.
        trust: whose dictionaries are loaded.
        rank: as for `Checkpoint`.
        report: `iteration` and `metrics`, as for `Checkpoint`.
    """
    checkpoint = Checkpoint(path, filesystem, rank, **report)
    checkpoint._trust = trust
    return checkpoint


def _file(rank: int) -> str:
    return _RANK_STATE.format(rank) if rank else STATE_FILE


@contextmanager
def as_ray_checkpoint(checkpoint: Any, rank: int = 0, key: ExperimentKey | None = None) -> Iterator[Any]:
    """Convert a reported checkpoint to a `ray.tune.Checkpoint`; delete temporary files after the block.

    Args:
        checkpoint: a dictionary that `torch.save` can write, a folder, a `ray.tune.Checkpoint`, or None.
        rank: the rank that reports it. Each rank's dictionary gets a file of its own.
        key: signs a dictionary; None for no signature.

    Yields:
        The checkpoint as Ray's object, or None.

    Raises:
        TypeError: `checkpoint` has another type.
        NotADirectoryError: `checkpoint` is a path, but not of an existing folder.
    """
    if checkpoint is None:
        yield None
        return
    from ray.tune import Checkpoint as RayCheckpoint

    if isinstance(checkpoint, RayCheckpoint):
        yield checkpoint
    elif isinstance(checkpoint, Mapping):
        folder = tempfile.mkdtemp(prefix="nbtune-checkpoint-")
        try:
            save_state(dict(checkpoint), Path(folder) / _file(rank), key)
            yield RayCheckpoint.from_directory(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    elif isinstance(checkpoint, (str, Path)):
        if not Path(checkpoint).is_dir():
            raise NotADirectoryError(
                f"checkpoint: expected an existing folder or a dictionary, got {str(checkpoint)!r}"
            )
        yield RayCheckpoint.from_directory(str(checkpoint))
    else:
        raise TypeError(
            f"checkpoint: expected a dictionary (anything torch.save can write) or a folder, got {checkpoint!r}"
        )
