"""The files that a trial has written to its working directory, as its folder in storage has them."""

from __future__ import annotations

import pyarrow.fs as pafs

from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.directory import FILES_FOLDER
from nbtune.errors import ExperimentError

__all__ = ["files"]


def files(where: Storage, folder: str) -> dict[str, str]:
    """Return the files of a trial; see `Trial.files`.

    Args:
        where: the experiment's folder.
        folder: the name of the trial's folder.

    Raises:
        ExperimentError: the storage cannot be read.
    """
    kept = where.join(folder).join(FILES_FOLDER)
    try:
        storage, root = kept.open()
        infos = storage.get_file_info(pafs.FileSelector(root, recursive=True, allow_not_found=True))
    except Exception as error:  # a custom filesystem may raise anything
        raise ExperimentError(f"{kept.redacted}: the files of the trial cannot be read: {error}") from error
    names = [info.path.removeprefix(root).lstrip("/") for info in infos if info.type == pafs.FileType.File]
    return {name: kept.join(name).redacted for name in sorted(names)}
