"""The output of a trial and its workers, read from storage."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.output import FOLDER, RANK_FOLDER, segments
from nbtune.engine.trial.printed import printed
from nbtune.errors import ExperimentError

__all__ = ["logs", "size"]

_CONCURRENT_READS = 16  # files that are read concurrently, since an object store has a latency for each


def logs(where: Storage, folder: str, ranks: Sequence[int], tail: int | None = None, rank: int | None = None) -> str:
    """Return the output of a trial; see `Trial.logs`.

    Args:
        where: the experiment's folder.
        folder: the name of the trial's folder.
        ranks: the ranks of its workers; none if it is not distributed.
        tail: the number of lines from the end, for each worker; None for all.
        rank: the rank of one worker; None for the trial's own process and all workers.

    Raises:
        ExperimentError: the storage cannot be read, or there is no such worker.
    """
    if rank is not None and rank not in ranks:
        raise ExperimentError(f"rank={rank!r}: {_describe_ranks(ranks)}")
    if rank is not None:
        return printed(where, f"{folder}/{RANK_FOLDER.format(rank)}", tail)
    folders = [folder, *(f"{folder}/{RANK_FOLDER.format(rank)}" for rank in ranks)]
    with ThreadPoolExecutor(min(_CONCURRENT_READS, len(folders))) as pool:
        own, *texts = pool.map(lambda folder: printed(where, folder, tail), folders)
    parts = [own, *(f"--- rank {rank} ---\n{text}" for rank, text in zip(ranks, texts, strict=True) if text)]
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts[:-1] if part) + parts[-1]


def size(where: Storage, folder: str, ranks: Sequence[int], rank: int | None = None) -> int:
    """Return the number of bytes that a trial has printed.

    Args:
        where: the experiment's folder.
        folder: the name of the trial's folder.
        ranks: the ranks of its workers; none if it is not distributed.
        rank: the rank of one worker; None for the trial's own process and all workers.

    Raises:
        ExperimentError: the storage cannot be read.
    """
    folders = [f"{folder}/{RANK_FOLDER.format(one)}" for one in (ranks if rank is None else [rank])]
    try:
        storage, root = where.open()
        found = [
            segments(storage, f"{root}/{one}/{FOLDER}") for one in ([folder, *folders] if rank is None else folders)
        ]
    except OSError as error:
        raise ExperimentError(f"{where.redacted}: the output of the trial cannot be read: {error}") from error
    return sum(parts[-1].end for parts in found if parts)


def _describe_ranks(ranks: Sequence[int]) -> str:
    if not ranks:
        return "this trial has no known workers; leave rank out"
    is_complete = list(ranks) == list(range(len(ranks)))
    if len(ranks) == 1:
        return f"this trial's only worker has rank {ranks[0]}"
    shown = f"0 to {ranks[-1]}" if is_complete else ", ".join(map(str, ranks))
    return f"the ranks of this trial are {shown}; leave rank out for all of them"
