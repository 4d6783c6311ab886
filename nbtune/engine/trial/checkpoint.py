"""Checkpoints: what a trial has saved, in storage."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Checkpoint", "saved"]

_STATE = "nbtune-state.pt"  # the file of a checkpoint that was reported as a dictionary, by rank 0
_OF_RANK = "nbtune-state-{}.pt"  # the same of another worker


class Checkpoint:
    """A checkpoint of a trial.

    One that was reported as a dictionary gives it back: ``checkpoint["model"]``, or all of it by
    `load`. One that was reported as a folder is one: ``Path(checkpoint) / "weights.bin"``.

    Only open checkpoints that you trust: a dictionary is read by `torch.load` without
    ``weights_only``, which can run code.

    Args:
        path: the folder in storage.
        filesystem: the `pyarrow.fs.FileSystem` that `path` is on; None for this machine's.
        rank: the worker whose dictionary it gives back where each has reported its own.
    """

    def __init__(self, path: str, filesystem: Any = None, rank: int = 0) -> None:
        self.path, self._filesystem, self._rank = path, filesystem, rank
        self._states: dict[int, dict[str, Any]] = {}
        self._local: Path | None = None

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"

    def __fspath__(self) -> str:
        return str(self.as_directory())

    def __getitem__(self, key: str) -> Any:
        return self.load()[key]

    def as_directory(self) -> Path:
        """Return the checkpoint as a folder on this machine, downloaded if it has to be."""
        if self._local is None:
            import pyarrow.fs as pafs
            from ray.tune import Checkpoint as RayCheckpoint

            here = self._filesystem is None or isinstance(self._filesystem, pafs.LocalFileSystem)
            if here and Path(self.path).is_dir():  # a bucket's path may be a folder's here too
                self._local = Path(self.path)
            else:
                self._local = Path(RayCheckpoint(self.path, filesystem=self._filesystem).to_directory())
        return self._local

    def load(self, rank: int | None = None) -> dict[str, Any]:
        """Return the dictionary that was reported; tensors on the CPU where there is no GPU.

        Args:
            rank: which worker's, where each has reported its own; one that has none gets the first that there is.
                In a worker its own, and elsewhere rank 0's, if None.

        Raises:
            TypeError: a folder was reported, not a dictionary.
        """
        rank = self._rank if rank is None else rank
        if rank not in self._states:
            import torch

            folder = self.as_directory()
            found = (folder / _file(rank), folder / _STATE, *sorted(folder.glob(_OF_RANK.format("*"))))
            file = next((file for file in found if file.exists()), None)
            if file is None:
                raise TypeError(f"{self.path} was reported as a folder; open its files: Path(checkpoint) / NAME")
            where = None if torch.cuda.is_available() else "cpu"
            self._states[rank] = torch.load(file, map_location=where, weights_only=False)
        return self._states[rank]


def _file(rank: int) -> str:
    return _OF_RANK.format(rank) if rank else _STATE


@contextmanager
def saved(checkpoint: Any, rank: int = 0) -> Iterator[Any]:
    """Give what a trial reports as its checkpoint as Ray's own object, and clean up after it.

    Args:
        checkpoint: a dictionary of anything `torch.save` takes, a folder, a checkpoint of Ray's, or None.
        rank: the worker that reports it: a dictionary gets a file of its own for each.

    Raises:
        TypeError: it is something else.
        NotADirectoryError: it is a path, but not a folder's.
    """
    if checkpoint is None:
        yield None
        return
    from ray.tune import Checkpoint as RayCheckpoint

    if isinstance(checkpoint, RayCheckpoint):
        yield checkpoint
    elif isinstance(checkpoint, Mapping):
        import torch

        folder = tempfile.mkdtemp(prefix="nbtune-checkpoint-")
        try:
            torch.save(dict(checkpoint), Path(folder) / _file(rank))
            yield RayCheckpoint.from_directory(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    elif isinstance(checkpoint, (str, Path)):
        if not Path(checkpoint).is_dir():
            raise NotADirectoryError(f"checkpoint={str(checkpoint)!r} is no folder; give a folder or a dictionary")
        yield RayCheckpoint.from_directory(str(checkpoint))
    else:
        raise TypeError(f"checkpoint={checkpoint!r}: give a dictionary (anything torch can save) or a folder")
